"""Evaluation: `protocols` says where chance comes from, `playing` makes a report of a policy and a protocol."""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.evaluation.playing import (
        EvaluatedEpisode,
        EvaluationInterrupted,
        EvaluationReport,
        Trained,
        discounted_returns,
        evaluate,
        evaluate_policy,
        load_trained,
        protocol_env,
        wilson_interval,
    )

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
        "playing": (
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
        )
    },
)
