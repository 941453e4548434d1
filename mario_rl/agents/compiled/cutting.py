"""Shifting observations and cutting them into blocks in one go, compiled; `blocks.py` has the way in.

Takes addresses (see `mario_rl.nes.memory`) and allocates nothing.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mario_rl.agents.compiled.lanes import FLOAT, I8, I32, I64, Lanes
from mario_rl.nes.memory import helper, load8, load16, load32, load64, store16, store32
from mario_rl.pixels import BLOCK, MAX_PIXEL

SIDE = 84  # pixels
BLOCKS = SIDE // BLOCK
PIXELS = BLOCK * BLOCK


def _cutter(*, wide: bool) -> Any:
    """Make the intrinsic that scales a block of one frame: from the address of its first pixel to another."""

    @intrinsic
    def cut(typing_context: Any, source: Any, target: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, target = arguments
            b, lanes, row_of_four = builder, Lanes(builder, PIXELS), ir.IntType(8 * BLOCK)
            rows = ir.Constant(ir.VectorType(row_of_four, BLOCK), ir.Undefined)
            for row in range(BLOCK):
                address = b.add(source, ir.Constant(I64, row * SIDE))
                read = b.load(b.inttoptr(address, row_of_four.as_pointer()), align=1)
                rows = b.insert_element(rows, read, ir.Constant(I32, row))
            pixels = b.uitofp(b.zext(b.bitcast(rows, lanes.kind(I8)), lanes.kind(I32)), lanes.kind(FLOAT))
            if wide:
                unit = b.fdiv(pixels, lanes.constant(FLOAT, MAX_PIXEL))
            else:  # quicker than dividing; for each of the 256 bytes the bfloat16 next to it is the same
                unit = b.fmul(pixels, lanes.constant(FLOAT, 1 / MAX_PIXEL))
            lanes.store_number(unit, target, ir.Constant(I64, 0), wide=wide)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), code

    return cut


_cut_wide, _cut_narrow = _cutter(wide=True), _cutter(wide=False)


@helper
def _within(place: int) -> int:
    """Repeat the border outwards."""
    return min(max(place, 0), SIDE - 1)


@helper
def _cut_at_border(frame: int, top: int, left: int, table: int, wide: int, target: int) -> None:
    """Scale a block that reaches beyond its frame, pixel by pixel."""
    for pixel in range(PIXELS):
        row, column = _within(top + pixel // BLOCK), _within(left + pixel % BLOCK)
        byte = load8(frame + row * SIDE + column)
        if wide:
            store32(target + 4 * pixel, load32(table + 4 * byte))
        else:
            store16(target + 2 * pixel, load16(table + 2 * byte))


def cut_into_blocks(frames: int, shifts: int, table: int, wide: int, blocks: int, batch: int, stack: int) -> int:
    """Write a batch of observations as blocks.

    Args:
        frames: uint8 (batch, stack, 84, 84).
        shifts: int64 (2, batch): where the row, and the column, that becomes the first one lies.
        table: what each of the 256 bytes becomes, in numbers of 16 or 32 bits.
        wide: 1 for float32, 0 for bfloat16.
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
                pixels = observation + frame * SIDE * SIDE
                if not inside:
                    _cut_at_border(pixels, top, left, table, wide, target)
                elif wide:
                    _cut_wide(pixels + top * SIDE + left, target)
                else:
                    _cut_narrow(pixels + top * SIDE + left, target)
                target += 4 * PIXELS if wide else 2 * PIXELS
    return 0
