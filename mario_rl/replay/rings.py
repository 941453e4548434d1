"""What the ring of an environment looks like whatever was played: what is read from a file must be such a ring."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mario_rl.replay.archive import Flawed

MAX_WRITTEN = 1 << 53


class Ring(NamedTuple):
    """The slots of one environment besides their frames, each (slots,); slot number i lies at i % slots.

    actions: uint8. rewards: float32. terminated, is_tail: bool. earlier: uint8, frames of the episode before this one.
    """

    actions: NDArray[np.uint8]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    is_tail: NDArray[np.bool_]
    earlier: NDArray[np.uint8]


class RingPositions(NamedTuple):
    """Where a ring stands.

    written: slots so far. first, complete: the range that can be sampled. tails: from `first` on.
    next_earlier: `earlier` of the next slot.
    """

    written: int
    first: int
    complete: int
    tails: int
    next_earlier: int


def check_written(written: NDArray[np.int64]) -> None:
    """Refuse numbers of slots that were never written, int64 (envs,).

    Raises:
        Flawed: says so.
    """
    if (written < 0).any() or (written > MAX_WRITTEN).any():
        raise Flawed(f"its positions are not between 0 and {MAX_WRITTEN:,}")


def check_ring(ring: Ring, positions: RingPositions, *, frame_stack: int, n_step: int, num_actions: int) -> None:
    """See that a ring can have come about by adding steps, and that its positions are those of its slots.

    Raises:
        Flawed: says what can't be.
    """
    slots = len(ring.actions)
    oldest = max(positions.written - slots, 0)
    number = np.arange(oldest, positions.written)  # of every slot that is filled, oldest first
    row = number % slots
    terminated, is_tail, earlier = ring.terminated[row], ring.is_tail[row], ring.earlier[row]
    if (ring.actions[row] >= num_actions).any():
        raise Flawed(f"it has an action {ring.actions[row].max()}; the game has {num_actions}")
    if not np.isfinite(ring.rewards[row]).all():
        raise Flawed("it has rewards that are not finite numbers")
    over = terminated | is_tail
    if (terminated & is_tail).any():
        raise Flawed("it has slots that are terminal and cut short at once")
    follows = np.where(over, 0, np.minimum(earlier.astype(np.int64) + 1, frame_stack - 1))
    if (earlier >= frame_stack).any() or (earlier[1:] != follows[:-1]).any() or (not oldest and earlier[:1].any()):
        raise Flawed("its episodes do not follow one another")
    expected = _positions(over, is_tail, earlier, follows, oldest=oldest, n_step=n_step)
    if expected != positions:
        raise Flawed(f"its positions are {tuple(positions)}; by its slots they must be {tuple(expected)}")


def _positions(
    over: NDArray[np.bool_],
    is_tail: NDArray[np.bool_],
    earlier: NDArray[np.uint8],
    follows: NDArray[np.int64],
    *,
    oldest: int,
    n_step: int,
) -> RingPositions:
    """Work out where a ring stands from its filled slots, oldest first."""
    filled = len(over)
    written = oldest + filled
    # Where stacks begin never goes back, so those that are whole are the last ones.
    whole = int(np.count_nonzero(np.arange(filled) - earlier >= 0))
    ends = np.flatnonzero(over)
    ended = oldest + int(ends[-1]) + 1 if ends.size else 0
    return RingPositions(
        written=written,
        first=written - whole,
        complete=max(ended, written - n_step, 0),
        tails=int(np.count_nonzero(is_tail[filled - whole :])),
        next_earlier=int(follows[-1]) if filled else 0,
    )
