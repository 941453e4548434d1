"""From two frames of the emulator to the agent's 84x84, compiled: bit for bit what `mario_rl.envs.wrappers` makes.

Every function takes addresses (see `mario_rl.nes.memory`) and allocates nothing. All arithmetic is cv2's own, in
cv2's order; LLVM keeps float32 as written (no fused multiply-add), so the bytes are the same on every machine.

**cv2's area interpolation** (OpenCV's resize.cpp, computeResizeAreaTab and ResizeArea_Invoker). A pixel of the result
is the mean over the cell that it covers. Across: 256 pixels make 84, so 64 make 21, and a pixel of the screen has the
weight k/64 where k/21 of it lie in the cell. Down: 240 rows make 84 (weights k/20, k/7 of a row in the cell) or the
article's 110 (weights k/24, k/11 of a row in the cell). In float32: across first, from the left, then down, from the
top; a cell covers four rows at most.

**Quarters.** The four quarters of a row, 64 pixels each, shrink alike. They lie interleaved while that is done, pixel
0 of each, then pixel 1 of each, so that one vector instruction serves all four.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from mario_rl.game.tables import CELL_ROWS, SIDE
from mario_rl.nes.layout import HEIGHT, WIDTH
from mario_rl.nes.memory import I8, I16, I32, I64, load8, load64, load_float32, store8, store_float32

QUARTER, SHRUNK_QUARTER = 64, 21  # pixels
NUM_QUARTERS = 4
CELL_PIXELS = 4  # that a cell covers

PLAIN_CELL, PLAIN_ROW = 20, 7  # a cell is 20/7 rows high
ARTICLE_CELL, ARTICLE_ROW = 24, 11
ARTICLE_FIRST_ROW = 18  # of 110: the article keeps 84 from here

BUTTON_BITS = (0b0000_0001, 0b0000_0010, 0b0001_0000, 0b0010_0000, 0b0100_0000, 0b1000_0000)
"""A, B, up, down, left, right in the joypad byte: the order in which they are shown."""
WHITE = 255
SQUARE_SIDE = 6  # pixels
SQUARE_MARGIN = 4  # pixels from the left and the upper border

ROW_BYTES = 4 * WIDTH  # a row of float32
SHRUNK_BYTES = 4 * SIDE  # the same, shrunk

EVERY_OTHER = 0x00FF_00FF_00FF_00FF
"""Four of a word's eight bytes."""
EVERY_WORD = (1 << WIDTH // 8) - 1
"""A bit for each word of a row, eight pixels each."""

F32 = ir.FloatType()
FOUR = types.UniTuple(types.int64, CELL_ROWS)


@njit
def _cell_weights(start: int, cell: int, unit: int) -> tuple[int, int, int, int]:
    """Say how much of a cell lies in each of the four pixels, or rows, from the one in which it starts.

    All in parts of which a pixel has `unit` and the cell `cell`, more than two pixels and less than four.
    """
    first = unit - start % unit
    second = min(unit, cell - first)
    third = min(unit, cell - first - second)
    return first, second, third, cell - first - second - third


BLOCKS = (0, 4, 8, 12, 16, 17)
"""Where blocks of four pixels of a shrunk quarter begin, 16 in all quarters: the last two overlap, 21 is odd."""


def _vector_at(builder: Any, element: ir.Type, count: int, address: Any, offset: int = 0) -> Any:
    place = builder.add(address, ir.Constant(I64, offset))
    return builder.inttoptr(place, ir.VectorType(element, count).as_pointer())


def _load(builder: Any, element: ir.Type, count: int, address: Any, offset: int = 0) -> Any:
    return builder.load(_vector_at(builder, element, count, address, offset), align=1)


def _store(builder: Any, vector: Any, address: Any, offset: int = 0) -> None:
    place = _vector_at(builder, vector.type.element, vector.type.count, address, offset)
    builder.store(vector, place, align=1)


def _all(element: ir.Type, count: int, value: float) -> ir.Constant:
    return ir.Constant(ir.VectorType(element, count), [value] * count)


def _spread(builder: Any, value: Any, count: int) -> Any:
    """Fill a vector with one value."""
    vector = ir.VectorType(value.type, count)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    return _shuffle(builder, single, single, [0] * count)


def _shuffle(builder: Any, low: Any, high: Any, order: list[int]) -> Any:
    """Take elements of two vectors, numbered from the first of `low` to the last of `high`."""
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(I32, len(order)), order))


def _interleave(builder: Any, quarters: list[Any]) -> Any:
    """Make [pixel][quarter] of four vectors of pixels."""
    count = quarters[0].type.count
    first, second, third, fourth = quarters
    low, high = (_shuffle(builder, *pair, list(range(2 * count))) for pair in ((first, second), (third, fourth)))
    order = [quarter * count + pixel for pixel in range(count) for quarter in range(NUM_QUARTERS)]
    return _shuffle(builder, low, high, order)


def _store_block(builder: Any, pixels: Any, output: Any, block: int) -> None:
    """Write 16 whole numbers [pixel][quarter] as bytes, each quarter's four to its place in the row."""
    order = [NUM_QUARTERS * pixel + quarter for quarter in range(NUM_QUARTERS) for pixel in range(4)]
    narrow = builder.trunc(pixels, ir.VectorType(I8, 16))
    fours = builder.bitcast(_shuffle(builder, narrow, narrow, order), ir.VectorType(I32, NUM_QUARTERS))
    for quarter in range(NUM_QUARTERS):
        four = builder.extract_element(fours, ir.Constant(I32, quarter))
        place = builder.add(output, ir.Constant(I64, SHRUNK_QUARTER * quarter + block))
        builder.store(four, builder.inttoptr(place, I32.as_pointer()), align=1)


@intrinsic
def _shrink_width(typing_context: Any, row: Any, shrunk: Any) -> Any:
    """Shrink one row: float32 (64, 4), pixels of each quarter, to float32 (21, 4)."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, shrunk = arguments
        for cell in range(SHRUNK_QUARTER):
            first = QUARTER * cell // SHRUNK_QUARTER
            weights = _cell_weights.py_func(QUARTER * cell, QUARTER, SHRUNK_QUARTER)
            terms = [
                builder.fmul(
                    _load(builder, F32, NUM_QUARTERS, row, 16 * pixel), _all(F32, NUM_QUARTERS, weight / QUARTER)
                )
                for pixel, weight in enumerate(weights, first)
            ]
            _store(builder, reduce(builder.fadd, terms), shrunk, 16 * cell)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def _blend_pixels(typing_context: Any, before: Any, last: Any, offsets: Any, weights: Any, row: Any) -> Any:
    """Add four rows of the maximum of two frames, weighted, and interleave the quarters: uint8 to float32 (64, 4).

    `offsets` of the rows from the start of a frame, and `weights`, are int64 4-tuples.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        before, last, offsets, weights, row = arguments
        factors = [
            _spread(builder, builder.trunc(builder.extract_value(weights, number), I16), 16)
            for number in range(CELL_ROWS)
        ]

        def term(number: int, pixel: int) -> Any:
            place = builder.extract_value(offsets, number)
            one, other = (_load(builder, I8, 16, builder.add(frame, place), pixel) for frame in (before, last))
            brighter = builder.select(builder.icmp_unsigned(">", one, other), one, other)
            return builder.mul(builder.zext(brighter, ir.VectorType(I16, 16)), factors[number])

        for pixel in range(0, QUARTER, 16):
            sums = [
                reduce(builder.add, [term(number, QUARTER * quarter + pixel) for number in range(CELL_ROWS)])
                for quarter in range(NUM_QUARTERS)
            ]
            values = builder.uitofp(_interleave(builder, sums), ir.VectorType(F32, 16 * NUM_QUARTERS))
            _store(builder, values, row, 16 * pixel)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, FOUR, FOUR, types.int64), code


@intrinsic
def _store_rounded(typing_context: Any, shrunk: Any, output: Any) -> Any:
    """Divide float32 (21, 4) by 20 and round to uint8 (84,), ties upwards; return whether there were any.

    The numbers are whole 64ths: right for every sum that there can be, 0 to 255 x 1280 of them.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shrunk, output = arguments
        ties = ir.Constant(I16, 0)
        for block in BLOCKS:
            half_more = builder.fadd(_load(builder, F32, 16, shrunk, 16 * block), _all(F32, 16, PLAIN_CELL / 2))
            # 1/20 in float32 is a little more than that, so no whole quotient falls short of itself.
            rounded = builder.fptosi(builder.fmul(half_more, _all(F32, 16, 1 / PLAIN_CELL)), ir.VectorType(I32, 16))
            _store_block(builder, rounded, output, block)
            whole = builder.fmul(builder.sitofp(rounded, ir.VectorType(F32, 16)), _all(F32, 16, PLAIN_CELL))
            ties = builder.or_(ties, builder.bitcast(builder.fcmp_ordered("==", whole, half_more), I16))
        return builder.icmp_unsigned("!=", ties, ir.Constant(I16, 0))

    return types.boolean(types.int64, types.int64), code


@intrinsic
def _store_blended(typing_context: Any, rows: Any, weights: Any, output: Any) -> Any:
    """Add four shrunk rows, weighted in 24ths, and truncate: addresses of float32 (21, 4) to uint8 (84,).

    `rows` and `weights` are int64 4-tuples.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, weights, output = arguments
        cell = ir.Constant(F32, ARTICLE_CELL)
        betas = [
            _spread(builder, builder.fdiv(builder.sitofp(builder.extract_value(weights, number), F32), cell), 16)
            for number in range(CELL_ROWS)
        ]
        for block in BLOCKS:
            terms = [
                builder.fmul(_load(builder, F32, 16, builder.extract_value(rows, number), 16 * block), beta)
                for number, beta in enumerate(betas)
            ]
            total = reduce(builder.fadd, terms)  # from the top; a row of weight 0 adds nothing
            _store_block(builder, builder.fptosi(total, ir.VectorType(I32, 16)), output, block)
        return context.get_dummy_value()

    return types.void(FOUR, FOUR, types.int64), code


@intrinsic
def _changed_words(typing_context: Any, before: Any, last: Any) -> Any:
    """Compare a row of each frame with the row above: a bit for each of 32 words of 8 pixels, set where either differs.

    `before` and `last` are addresses of rows: uint8 (256,).
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = WIDTH // 8
        differences = [
            builder.xor(_load(builder, I64, words, row), _load(builder, I64, words, row, -WIDTH)) for row in arguments
        ]
        changed = builder.icmp_unsigned("!=", builder.or_(*differences), _all(I64, words, 0))
        return builder.zext(builder.bitcast(changed, I32), I64)

    return types.int64(types.int64, types.int64), code


@intrinsic
def _lowest_bit(typing_context: Any, bits: Any) -> Any:
    """Number the lowest bit that is set; there must be one."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), True))

    return types.int64(types.int64), code


@njit
def plain_observation(before: int, last: int, scratch: int, output: int) -> None:
    """Shrink the maximum of two gray frames: uint8 (240, 256) each to uint8 (84, 84), as AreaResize does.

    For a single frame pass its address twice. `scratch`: SCRATCH_BYTES.

    The sum over a cell, its weights whole numbers, is 1280 times the pixel; float32 has room for it (times 1/64), so
    nothing is rounded before the end. cv2 rounds its float32 sum on the way, which decides between levels only at ties.
    """
    row = scratch
    shrunk = row + ROW_BYTES
    for y in range(SIDE):
        top = PLAIN_CELL * y // PLAIN_ROW
        weights = _cell_weights(PLAIN_CELL * y, PLAIN_CELL, PLAIN_ROW)
        fourth = min(top + 3, HEIGHT - 1)  # the last cells have no fourth row, its weight is 0
        offsets = (top * WIDTH, (top + 1) * WIDTH, (top + 2) * WIDTH, fourth * WIDTH)
        _blend_pixels(before, last, offsets, weights, row)
        _shrink_width(row, shrunk)
        if _store_rounded(shrunk, output + y * SIDE):
            _settle_ties(before, last, shrunk, y, output + y * SIDE)


@njit
def _settle_ties(before: int, last: int, shrunk: int, y: int, target: int) -> None:
    """Correct those pixels of a row that were rounded up from a tie."""
    for quarter in range(NUM_QUARTERS):
        for cell in range(SHRUNK_QUARTER):
            x = SHRUNK_QUARTER * quarter + cell
            rounded = load8(target + x)
            exact = load_float32(shrunk + 16 * cell + 4 * quarter)
            if exact + np.float32(PLAIN_CELL // 2) == np.float32(PLAIN_CELL * rounded):
                store8(target + x, _settled(before, last, x, y, rounded))


@njit
def _settled(before: int, last: int, x: int, y: int, upper: int) -> int:
    """Round as cv2 does where the true sum is `upper` - 1/2: its float32 sum may fall short of that, or exceed it."""
    top, left = PLAIN_CELL * y // PLAIN_ROW, QUARTER * x // SHRUNK_QUARTER
    row_weights = _cell_weights(PLAIN_CELL * y, PLAIN_CELL, PLAIN_ROW)
    weights = _cell_weights(QUARTER * x, QUARTER, SHRUNK_QUARTER)
    total = np.float32(0)
    for row in range(CELL_ROWS):
        place = min(top + row, HEIGHT - 1) * WIDTH + left
        across = 0
        for pixel in range(CELL_PIXELS):
            across += weights[pixel] * max(load8(before + place + pixel), load8(last + place + pixel))
        beta = np.float32(row_weights[row]) / np.float32(PLAIN_CELL)
        total += np.float32(across) / np.float32(QUARTER) * beta
    half = np.float32(upper) - np.float32(0.5)
    if total == half:
        return upper & ~1  # to even
    return upper if total > half else upper - 1


@njit
def article_observation(before: int, last: int, tables: int, scratch: int, output: int) -> None:
    """Shrink the maximum of two frames, colour by colour: uint8 (240, 256) each to uint8 (84, 84), as ArticleGrayscale.

    The frames are palette numbers, 0..63. For a single frame pass its address twice. `tables`: the address of what
    `article_tables` made. `scratch`: SCRATCH_BYTES.

    Much of a screen repeats itself from row to row: only words that differ from those above are looked up anew, and a
    row without any has been shrunk already.
    """
    luma = scratch
    shrunk = luma + ROW_BYTES  # a ring of four rows
    newest = shrunk
    first_row = ARTICLE_CELL * ARTICLE_FIRST_ROW // ARTICLE_ROW
    row = first_row
    rows = (newest, newest, newest, newest)
    for y in range(SIDE):
        start = ARTICLE_CELL * (ARTICLE_FIRST_ROW + y)
        while row < start // ARTICLE_ROW + CELL_ROWS:
            words = EVERY_WORD if row == first_row else _changed_words(before + row * WIDTH, last + row * WIDTH)
            if words:
                _look_up(before + row * WIDTH, last + row * WIDTH, words, tables, luma)
                newest = shrunk if newest == shrunk + 3 * SHRUNK_BYTES else newest + SHRUNK_BYTES
                _shrink_width(luma, newest)
            rows = (rows[1], rows[2], rows[3], newest)
            row += 1
        weights = _cell_weights(start, ARTICLE_CELL, ARTICLE_ROW)
        _store_blended(rows, weights, output + y * SIDE)


@njit
def _look_up(before: int, last: int, words: int, tables: int, luma: int) -> None:
    """Renew the luma, float32 (64, 4), of those words of a row whose bit is set in `words`."""
    while words:
        word = _lowest_bit(words)
        words &= words - 1
        one, other = load64(before + 8 * word), load64(last + 8 * word)
        target = luma + 128 * (word % 8) + 4 * (word // 8)
        # Two colours of 6 bits make an index of 12; four of them, of every other pixel, fit a word.
        even = one & EVERY_OTHER | (other & EVERY_OTHER) << 6
        odd = one >> 8 & EVERY_OTHER | (other >> 8 & EVERY_OTHER) << 6
        for pair in range(4):
            shift = 16 * pair
            store_float32(target + 32 * pair, load_float32(tables + 4 * (even >> shift & 0xFFFF)))
            store_float32(target + 32 * pair + 16, load_float32(tables + 4 * (odd >> shift & 0xFFFF)))


@njit
def paint_buttons(output: int, byte: int) -> None:
    """Paint which buttons are held down into uint8 (84, 84), as ShowButtons does: `byte` is the joypad's."""
    for place in range(len(BUTTON_BITS)):
        shade = WHITE if byte & BUTTON_BITS[place] else 0
        corner = output + (SIDE + 1) * SQUARE_MARGIN + SQUARE_SIDE * place
        for y in range(SQUARE_SIDE):
            for x in range(SQUARE_SIDE):
                store8(corner + SIDE * y + x, shade)
