"""How much memory and disk a replay takes: known before one is made, and without PyTorch."""

from __future__ import annotations

from mario_rl.errors import UserError
from mario_rl.machine import available_memory_bytes

BYTES_BESIDES_FRAME = 8
"""Of a slot: action 1, reward 4, terminated 1, tail 1, earlier frames 1."""

MEMORY_RESERVE = 0.1
"""Share of the available memory that is left to the rest of the program."""


def estimate_bytes(capacity: int, frame_shape: tuple[int, int] = (84, 84)) -> int:
    """Work out what a buffer of `capacity` slots takes in memory, and about what its file takes, in bytes."""
    return capacity * _slot_bytes(frame_shape)


def check_memory(
    capacity: int, frame_shape: tuple[int, int] = (84, 84), *, besides: int = 0, begun: bool = False
) -> None:
    """Refuse a buffer that this machine has no memory for, before anything is allocated.

    Args:
        capacity: frame slots.
        frame_shape: height and width of a frame, pixels.
        besides: slots of demonstrations, which come on top.
        begun: whether the run has begun, so that its capacity is what it is.

    Raises:
        UserError: it would take more than 90 % of what is available; says what would help.
    """
    needed, available = estimate_bytes(capacity + besides, frame_shape), available_memory_bytes()
    usable = int(available * (1 - MEMORY_RESERVE))
    if needed > usable:
        way_out = f"at most {max(usable // _slot_bytes(frame_shape) - besides, 0)} would fit"
        if begun:
            way_out = (
                f"free {(needed - usable) / 1e9:.2f} GB, or resume a copy of the run directory on a larger machine"
            )
        raise UserError(
            f"replay.capacity {capacity} needs {needed / 1e9:.2f} GB of memory and {available / 1e9:.2f} GB is "
            f"available; {way_out}"
        )


def _slot_bytes(frame_shape: tuple[int, int]) -> int:
    height, width = frame_shape
    return height * width + BYTES_BESIDES_FRAME
