"""The evaluation protocols: where the chance in an evaluation comes from, and how many episodes there are."""

from __future__ import annotations

from typing import NamedTuple

from mario_rl.config import Protocol
from mario_rl.errors import UserError
from mario_rl.wording import count_text

NOOP_STARTS = 31
"""Starts after 0-30 frames without input: all the game has, since it is otherwise deterministic."""


class ProtocolRules(NamedTuple):
    """Where an evaluation's randomness comes from.

    sticky_probability: per emulator frame. epsilon: per agent step. fixed_episodes: None when any number makes sense.
    """

    sticky_probability: float
    epsilon: float
    fixed_episodes: int | None


PROTOCOLS: dict[Protocol, ProtocolRules] = {
    "greedy": ProtocolRules(0.0, 0.0, 1),
    "noop": ProtocolRules(0.0, 0.0, NOOP_STARTS),
    "sticky": ProtocolRules(0.25, 0.0, None),  # Machado et al. 2018
    "epsilon": ProtocolRules(0.0, 0.01, None),
}


def episode_count(protocol: Protocol, episodes: int | None, *, default: int) -> int:
    """Say how many episodes an evaluation has, per stage: as many as asked for, or all that the protocol has.

    Args:
        protocol: which.
        episodes: asked for; None for the default.
        default: of the protocols with any number.

    Raises:
        UserError: that many the protocol does not have.
    """
    fixed = PROTOCOLS[protocol].fixed_episodes
    if fixed is None:
        count = default if episodes is None else episodes
        if count < 1:
            raise UserError(f"episodes: {count} is not allowed; must be at least 1")
        return count
    if episodes not in (None, fixed):
        raise UserError(
            f"episodes: {episodes} is not allowed with protocol {protocol}, which has exactly "
            f"{count_text(fixed, 'different episode')}; leave it out, or use sticky or epsilon"
        )
    return fixed
