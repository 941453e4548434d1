"""The training loop: the algorithm on one screen."""

from __future__ import annotations

from mario_rl.training.evaluating import evaluate
from mario_rl.training.interrupts import Interrupts
from mario_rl.training.observer import Observer
from mario_rl.training.session import Session


def play_and_learn(session: Session, observer: Observer, interrupts: Interrupts) -> str | None:
    """Train until a stop condition is met, or until SIGINT, SIGTERM or SIGHUP comes.

    Returns:
        The config key of the stop condition; None where a signal came before one was met.

    Raises:
        ObserverFailed: the observer raised an exception, between two steps of training.
        StorageError: the disk refused a write; the last checkpoint is intact.
        DivergedError: loss or weights are not finite any more; the last checkpoint is from before.
    """
    agent, collector, replay = session.agent, session.collector, session.replay
    counts, checkpoints = session.counts, session.checkpoints
    observer.started(session.config, session.run_dir.path, counts.agent_steps)
    if not session.run_dir.latest.exists():  # from its first moment on, a run can be watched and gone on with
        session.save_and_draw(observer)
    while session.learns_from_demonstrations and interrupts.received is None:  # before the first agent step
        update(session)
        observer.progressed(session.progress())
    if session.evaluation_due:  # a signal cut it off in the sitting before
        evaluate(session, observer, interrupts)
    stop = session.stop_reason
    while stop is None and interrupts.received is None:
        collector.begin(agent.acting_policy, epsilon=counts.epsilon)
        for _ in range(session.updates_due):  # while the games play
            update(session)
        counts.count(collector.finish(replay))
        session.log()
        observer.progressed(session.progress())
        if session.evaluation_due:
            evaluate(session, observer, interrupts)
        if session.checkpoint_due:
            checkpoints.keep_step()
            observer.saved(checkpoints.save(), counts.agent_steps)
        stop = session.stop_reason
    if stop is not None and session.last_evaluation_due:
        evaluate(session, observer, interrupts)
    session.save_and_draw(observer)
    return stop


def update(session: Session) -> None:
    """Learn from a batch of the replay, which ranks it by what was found."""
    batch = session.replay.sample(session.config.agent.batch_size)
    stats = session.agent.learn(batch)
    session.replay.prioritize(batch.slot, stats.td_error)
    session.counts.count_update(stats)
