"""Evaluation: a policy and a protocol to a report.

`protocols` says where chance comes from, `trained` loads the policy, `playing` plays, `report` has the outcome and
`statistics` what its numbers say.
"""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.evaluation.playing import evaluate, evaluate_policy
    from mario_rl.evaluation.protocols import protocol_env
    from mario_rl.evaluation.report import EvaluatedEpisode, EvaluationInterrupted, EvaluationReport
    from mario_rl.evaluation.statistics import discounted_returns, wilson_interval
    from mario_rl.evaluation.trained import Trained, load_trained

__all__ = [
    "EvaluatedEpisode",
    "EvaluationInterrupted",
    "EvaluationReport",
    "Trained",
    "discounted_returns",
    "evaluate",
    "evaluate_policy",
    "load_trained",
    "protocol_env",
    "wilson_interval",
]

__getattr__ = lazily(
    __name__,
    {
        "playing": ("evaluate", "evaluate_policy"),
        "protocols": ("protocol_env",),
        "report": ("EvaluatedEpisode", "EvaluationInterrupted", "EvaluationReport"),
        "statistics": ("discounted_returns", "wilson_interval"),
        "trained": ("Trained", "load_trained"),
    },
)
