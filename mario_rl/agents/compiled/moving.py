"""Moving weights by their gradients, and all that follows them, in one pass through memory; compiled.

PyTorch makes nine passes of it (clip, Adam, two networks that follow, the copies that are computed with): 9 ms of an
update on one core, which waits for memory all the while.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mario_rl.agents.compiled.lanes import FLOAT, I64, Lanes
from mario_rl.agents.compiled.layout import (
    AVERAGED,
    AVERAGED_SHARE,
    BETA_1,
    BETA_2,
    COPY,
    CORRECTION,
    EPSILON,
    FACTOR,
    FIRST,
    GRADIENT,
    SECOND,
    STEP_SIZE,
    TARGET,
    TARGET_COPY,
    TARGET_SHARE,
    WEIGHT,
    WIDTH,
)


def _move(builder: Any, arguments: Any, width: int) -> None:
    """Write the code that moves `width` weights, from number `place` on."""
    addresses, numbers, place, wide = arguments
    b, lanes = builder, Lanes(builder, width)

    def base(row: int) -> Any:
        return b.load(b.gep(b.inttoptr(addresses, I64.as_pointer()), [ir.Constant(I64, row)]))

    def number(row: int) -> Any:
        return b.load(b.gep(b.inttoptr(numbers, FLOAT.as_pointer()), [ir.Constant(I64, row)]))

    def given(row: int) -> Any:
        return b.icmp_unsigned("!=", base(row), ir.Constant(I64, 0))

    one = ir.Constant(FLOAT, 1.0)
    with b.if_else(b.icmp_unsigned("!=", wide, ir.Constant(I64, 0))) as (then, otherwise):
        with then:
            of_wide, from_wide = lanes.load_number(base(GRADIENT), place, wide=True), b.block
        with otherwise:
            of_narrow, from_narrow = lanes.load_number(base(GRADIENT), place, wide=False), b.block
    gradient = b.phi(lanes.kind(FLOAT))
    gradient.add_incoming(of_wide, from_wide)
    gradient.add_incoming(of_narrow, from_narrow)
    gradient = b.fmul(gradient, lanes.all(number(FACTOR)))

    # Adam, Kingma & Ba 2015, algorithm 1.
    first, second, weight = (lanes.load_number(base(row), place, wide=True) for row in (FIRST, SECOND, WEIGHT))
    gained = lanes.all(b.fsub(one, number(BETA_1)))
    first = b.fadd(first, b.fmul(b.fsub(gradient, first), gained))
    squared = b.fmul(b.fmul(gradient, gradient), lanes.all(b.fsub(one, number(BETA_2))))
    second = b.fadd(b.fmul(second, lanes.all(number(BETA_2))), squared)
    root = b.fdiv(lanes.root(second), lanes.all(number(CORRECTION)))
    step = b.fdiv(b.fmul(first, lanes.all(number(STEP_SIZE))), b.fadd(root, lanes.all(number(EPSILON))))
    weight = b.fsub(weight, step)
    for value, row in ((first, FIRST), (second, SECOND), (weight, WEIGHT)):
        lanes.store_number(value, base(row), place, wide=True)
    with b.if_then(given(COPY)):
        lanes.store_number(weight, base(COPY), place, wide=False)

    for row, share_row, copy in ((TARGET, TARGET_SHARE, TARGET_COPY), (AVERAGED, AVERAGED_SHARE, None)):
        with b.if_then(given(row)):
            following, share = lanes.load_number(base(row), place, wide=True), number(share_row)
            apart = b.fsub(weight, following)
            # From the nearer end, so that a share of 0 leaves it as it is and one of 1 is a copy.
            near = b.fadd(following, b.fmul(apart, lanes.all(share)))
            far = b.fsub(weight, b.fmul(apart, lanes.all(b.fsub(one, share))))
            following = b.select(b.fcmp_ordered("<", share, ir.Constant(FLOAT, 0.5)), near, far)
            lanes.store_number(following, base(row), place, wide=True)
            if copy is not None:
                with b.if_then(given(copy)):
                    lanes.store_number(following, base(copy), place, wide=False)


def _mover(width: int) -> Any:
    """Make the intrinsic that moves so many weights."""

    @intrinsic
    def move(typing_context: Any, addresses: Any, numbers: Any, place: Any, wide: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _move(builder, arguments, width)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), code

    return move


_move_many = _mover(WIDTH)
_move_one = _mover(1)


def move_weights(addresses: int, numbers: int, count: int, wide: int) -> int:
    """Move some weights by their gradients, and let target network, average and copies follow.

    Args:
        addresses: int64 (8,), see `layout.py`.
        numbers: float32 (8,), see there.
        count: of weights.
        wide: 1 if the gradient is float32, 0 if it is bfloat16.

    Returns:
        0.
    """
    place = 0
    while place + WIDTH <= count:
        _move_many(addresses, numbers, place, wide)
        place += WIDTH
    while place < count:
        _move_one(addresses, numbers, place, wide)
        place += 1
    return 0
