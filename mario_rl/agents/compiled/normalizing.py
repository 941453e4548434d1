"""Layer norm and the ReLU behind it in one go, there and back; compiled.

PyTorch does the two one after the other, each over the whole batch. Here an observation stays in the processor's
nearest memory until it is done. Takes addresses and allocates nothing; `normalized.py` has the way in.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mario_rl.agents.compiled.lanes import FLOAT, I64, Lanes
from mario_rl.agents.compiled.layout import NORM_EPSILON, WIDTH

TOTALS = 4
"""Sums side by side: one alone would wait for itself."""


def _number(value: int) -> Any:
    return ir.Constant(I64, value)


def _float_address(builder: Any, address: Any, place: int) -> Any:
    return builder.gep(builder.inttoptr(address, FLOAT.as_pointer()), [_number(place)])


def _root(builder: Any, value: Any) -> Any:
    lane = Lanes(builder, 1)
    one = builder.insert_element(ir.Constant(lane.kind(FLOAT), ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.extract_element(lane.root(one), ir.Constant(ir.IntType(32), 0))


def _forward(*, wide: bool) -> Any:
    """Make the intrinsic that normalises one observation."""

    @intrinsic
    def forward(
        typing_context: Any, x: Any, weight: Any, bias: Any, y: Any, moments: Any, pixels: Any, channels: Any
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, weight, bias, y, moments, pixels, channels = arguments
            b, lanes = builder, Lanes(builder, WIDTH)
            size = b.mul(pixels, channels)
            steps, count = b.sdiv(size, _number(WIDTH)), b.sitofp(size, FLOAT)
            zero = ir.Constant(lanes.kind(FLOAT), None)

            def mean_of(value_at: Any) -> Any:
                totals = [cgutils.alloca_once_value(b, zero) for _ in range(TOTALS)]

                def add(total: Any, step: Any) -> None:
                    b.store(b.fadd(b.load(total), value_at(b.mul(step, _number(WIDTH)))), total)

                together = b.sdiv(steps, _number(TOTALS))
                with cgutils.for_range(b, together) as loop:
                    for number, total in enumerate(totals):
                        add(total, b.add(b.mul(loop.index, _number(TOTALS)), _number(number)))
                done = b.mul(together, _number(TOTALS))
                with cgutils.for_range(b, b.sub(steps, done)) as loop:
                    add(totals[0], b.add(done, loop.index))
                total = b.load(totals[0])
                for other in totals[1:]:
                    total = b.fadd(total, b.load(other))
                return b.fdiv(lanes.total(total), count)

            mean = mean_of(lambda place: lanes.load_number(x, place, wide=wide))
            means = lanes.all(mean)

            def squared(place: Any) -> Any:
                apart = b.fsub(lanes.load_number(x, place, wide=wide), means)
                return b.fmul(apart, apart)

            variance = b.fadd(mean_of(squared), ir.Constant(FLOAT, NORM_EPSILON))
            scale = b.fdiv(ir.Constant(FLOAT, 1.0), _root(b, variance))
            b.store(mean, _float_address(b, moments, 0))
            b.store(scale, _float_address(b, moments, 1))
            scales = lanes.all(scale)
            with cgutils.for_range(b, pixels) as pixel:
                begin = b.mul(pixel.index, channels)
                with cgutils.for_range(b, b.sdiv(channels, _number(WIDTH))) as chunk:
                    channel = b.mul(chunk.index, _number(WIDTH))
                    place = b.add(begin, channel)
                    normal = b.fmul(b.fsub(lanes.load_number(x, place, wide=wide), means), scales)
                    moved = b.fadd(
                        b.fmul(normal, lanes.load_number(weight, channel, wide=wide)),
                        lanes.load_number(bias, channel, wide=wide),
                    )
                    # What is no number stays none: a network that diverges must not look well.
                    low = b.fcmp_ordered("<", moved, zero)
                    lanes.store_number(b.select(low, zero, moved), y, place, wide=wide)
            return context.get_dummy_value()

        return types.void(*(types.int64 for _ in range(7))), code

    return forward


def _backward(*, wide: bool) -> Any:
    """Make the intrinsic that brings the gradient of one observation back."""

    @intrinsic
    def backward(
        typing_context: Any,
        x: Any,
        y: Any,
        weight: Any,
        moments: Any,
        of_y: Any,
        of_x: Any,
        of_weight: Any,
        of_bias: Any,
        pixels: Any,
        channels: Any,
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, y, weight, moments, of_y, of_x, of_weight, of_bias, pixels, channels = arguments
            b, lanes = builder, Lanes(builder, WIDTH)
            chunks = b.sdiv(channels, _number(WIDTH))
            count = b.sitofp(b.mul(pixels, channels), FLOAT)
            zero = ir.Constant(lanes.kind(FLOAT), None)
            means = lanes.all(b.load(_float_address(b, moments, 0)))
            scales = lanes.all(b.load(_float_address(b, moments, 1)))

            def passed_and_normal(place: Any) -> tuple[Any, Any]:
                """The gradient that the ReLU let pass, and what was normalised."""
                on = b.fcmp_ordered(">", lanes.load_number(y, place, wide=wide), zero)
                passed = b.select(on, lanes.load_number(of_y, place, wide=wide), zero)
                return passed, b.fmul(b.fsub(lanes.load_number(x, place, wide=wide), means), scales)

            plain, crossed = cgutils.alloca_once_value(b, zero), cgutils.alloca_once_value(b, zero)
            gained, moved = cgutils.alloca_once(b, zero.type), cgutils.alloca_once(b, zero.type)
            with cgutils.for_range(b, chunks) as chunk:
                channel = b.mul(chunk.index, _number(WIDTH))
                b.store(zero, gained)
                b.store(zero, moved)
                with cgutils.for_range(b, pixels) as pixel:
                    passed, normal = passed_and_normal(b.add(b.mul(pixel.index, channels), channel))
                    b.store(b.fadd(b.load(gained), b.fmul(passed, normal)), gained)
                    b.store(b.fadd(b.load(moved), passed), moved)
                for sum_of, total, address in ((gained, crossed, of_weight), (moved, plain, of_bias)):
                    before = lanes.load_number(address, channel, wide=True)
                    lanes.store_number(b.fadd(before, b.load(sum_of)), address, channel, wide=True)
                    weighed = b.fmul(b.load(sum_of), lanes.load_number(weight, channel, wide=wide))
                    b.store(b.fadd(b.load(total), weighed), total)
            plain_mean = lanes.all(b.fdiv(lanes.total(b.load(plain)), count))
            crossed_mean = lanes.all(b.fdiv(lanes.total(b.load(crossed)), count))
            with cgutils.for_range(b, pixels) as pixel:
                begin = b.mul(pixel.index, channels)
                with cgutils.for_range(b, chunks) as chunk:
                    channel = b.mul(chunk.index, _number(WIDTH))
                    place = b.add(begin, channel)
                    passed, normal = passed_and_normal(place)
                    weighed = b.fmul(passed, lanes.load_number(weight, channel, wide=wide))
                    left = b.fsub(b.fsub(weighed, plain_mean), b.fmul(normal, crossed_mean))
                    lanes.store_number(b.fmul(left, scales), of_x, place, wide=wide)
            return context.get_dummy_value()

        return types.void(*(types.int64 for _ in range(10))), code

    return backward


_forward_wide, _forward_narrow = _forward(wide=True), _forward(wide=False)
_backward_wide, _backward_narrow = _backward(wide=True), _backward(wide=False)


def normalize(
    x: int, weight: int, bias: int, y: int, moments: int, batch: int, pixels: int, channels: int, wide: int
) -> int:
    """Normalise a batch, scale and move each channel, and set what is below 0 to 0.

    Args:
        x: (batch, pixels, channels), of numbers of 32 or 16 bits, as all that follows but for what says otherwise.
        weight: (channels,).
        bias: as weight.
        y: the result, as x.
        moments: float32 (batch, 2): gets the mean of each observation, and 1 over the root of its variance.
        batch: how many observations.
        pixels: in each.
        channels: of each pixel; a multiple of 16.
        wide: 1 for float32, 0 for bfloat16.

    Returns:
        0.
    """
    size = pixels * channels * (4 if wide else 2)
    for number in range(batch):
        here = number * size
        if wide:
            _forward_wide(x + here, weight, bias, y + here, moments + 8 * number, pixels, channels)
        else:
            _forward_narrow(x + here, weight, bias, y + here, moments + 8 * number, pixels, channels)
    return 0


def normalize_back(
    x: int,
    y: int,
    weight: int,
    moments: int,
    of_y: int,
    of_x: int,
    of_weight: int,
    of_bias: int,
    batch: int,
    pixels: int,
    channels: int,
    wide: int,
) -> int:
    """Bring gradients back through `normalize`.

    Args:
        x: what it had.
        y: what it gave.
        weight: what it had.
        moments: what it gave.
        of_y: the gradient of y, as y.
        of_x: the result, as x.
        of_weight: float32 (channels,): its gradient is added.
        of_bias: as of_weight.
        batch: as there.
        pixels: as there.
        channels: as there.
        wide: as there.

    Returns:
        0.
    """
    size = pixels * channels * (4 if wide else 2)
    for number in range(batch):
        here, of = number * size, moments + 8 * number
        if wide:
            _backward_wide(
                x + here, y + here, weight, of, of_y + here, of_x + here, of_weight, of_bias, pixels, channels
            )
        else:
            _backward_narrow(
                x + here, y + here, weight, of, of_y + here, of_x + here, of_weight, of_bias, pixels, channels
            )
    return 0
