"""What a distance is to be read against: the flag of 1-1, and how far a random policy comes where that was measured."""

from __future__ import annotations

from collections.abc import Sequence

from mario_rl.compare.runs import Arm
from mario_rl.config import EnvConfig

FIRST_STAGE = "1-1"

MEASURED_X = {
    0.0: {"right_only": 608.0, "simple": 571.0, "complex": 188.0},
    0.25: {"right_only": 619.0, "simple": 578.0, "complex": 197.0},
}
"""Mean best x of 300 episodes (complex: of 298 and 292), by the chance of sticky actions and action set, pixels.

Measured 2026-11-27, seed 0, with

    mario-rl train random env.stall_limit=75 env.action_set=simple env.sticky_probability=0 training.episodes=300

and alike for the others; the episodes are in docs/random_policy/runs.zip.
"""

MEASURED_IN = EnvConfig(stall_limit=75)
DECIDES_X = (
    "stage",
    "rom",
    "frame_skip",
    "noop_max",
    "snapshot_probability",
    "stall_limit",
    "max_agent_steps",
    "wrappers",
)
"""What a random policy's x depends on, besides the actions and how they stick; it sees nothing and gets no reward."""


def on_first_stage(arms: Sequence[Arm]) -> bool:
    """Whether all is played on 1-1 of the game as it is shipped, whose flag stands at `FLAG_X`."""
    return all(run.config.env.stage == FIRST_STAGE and run.config.env.rom is None for arm in arms for run in arm.runs)


def random_x(arms: Sequence[Arm]) -> float | None:
    """Mean best x of a random policy with the actions of these arms, pixels.

    None where it was not measured in their game, or the arms have different actions.
    """
    found = {_random_x(run.config.env) for arm in arms for run in arm.runs}
    return found.pop() if len(found) == 1 else None


def _random_x(env: EnvConfig) -> float | None:
    if any(getattr(env, key) != getattr(MEASURED_IN, key) for key in DECIDES_X):
        return None
    measured = MEASURED_X.get(env.sticky_probability, {})
    return measured.get(env.action_set) if isinstance(env.action_set, str) else None
