"""The evaluations of a run in training: rows, the best agent so far, and whoever watches hears of it."""

from __future__ import annotations

from mario_rl.evaluation import EvaluationInterrupted, evaluate_policy
from mario_rl.training.interrupts import Interrupts
from mario_rl.training.observer import Observer
from mario_rl.training.session import Session


def evaluate(session: Session, observer: Observer, interrupts: Interrupts) -> None:
    """Evaluate the agent as it is; when a signal comes meanwhile the evaluation is left for the next sitting."""
    session.counts.write_row()
    evaluation = session.config.evaluation
    try:
        report = evaluate_policy(
            session.agent.averaged_policy,
            session.config,
            protocol=evaluation.protocol,
            seed=evaluation.seed,
            should_stop=interrupts.came,
            on_episode=observer.evaluating,
        )
    except EvaluationInterrupted:
        return
    best = session.count_evaluation(report)
    observer.evaluated(report, session.counts.agent_steps, best=best)
    session.curve.draw()
