"""Shifting observations and cutting them into blocks in one go, compiled; `tensors.py` has the way in.

Takes addresses (see `mario_rl.nes.memory`) and allocates nothing.
"""

from __future__ import annotations

from mario_rl.nes.memory import helper, load8, load16, load32, load64, store16, store32
from mario_rl.pixels import BLOCK

SIDE = 84  # pixels
BLOCKS = SIDE // BLOCK
PIXELS = BLOCK * BLOCK


@helper
def _within(place: int) -> int:
    """Repeat the border outwards."""
    return min(max(place, 0), SIDE - 1)


def cut_into_blocks(frames: int, shifts: int, table: int, wide: int, blocks: int, batch: int, stack: int) -> int:
    """Write a batch of observations as blocks.

    Args:
        frames: uint8 (batch, stack, 84, 84).
        shifts: int64 (2, batch): where the row, and the column, that becomes the first one lies.
        table: what each of the 256 bytes becomes, in numbers of 16 or 32 bits.
        wide: 1 for 32 bits, 0 for 16.
        blocks: the result, (batch, 21, 21, stack, 4, 4) of such numbers.
        batch: number of observations.
        stack: frames in each.

    Returns:
        0.
    """
    target = blocks
    for number in range(batch):
        dy, dx = load64(shifts + 8 * number), load64(shifts + 8 * (batch + number))
        observation = frames + number * stack * SIDE * SIDE
        for block in range(BLOCKS * BLOCKS):
            top, left = block // BLOCKS * BLOCK + dy, block % BLOCKS * BLOCK + dx
            inside = top >= 0 and left >= 0 and top + BLOCK <= SIDE and left + BLOCK <= SIDE
            for frame in range(stack):
                source = observation + frame * SIDE * SIDE
                for pixel in range(PIXELS):
                    row, column = top + pixel // BLOCK, left + pixel % BLOCK
                    if not inside:
                        row, column = _within(row), _within(column)
                    byte = load8(source + row * SIDE + column)
                    if wide:
                        store32(target + 4 * pixel, load32(table + 4 * byte))
                    else:
                        store16(target + 2 * pixel, load16(table + 2 * byte))
                target += 4 * PIXELS if wide else 2 * PIXELS
    return 0
