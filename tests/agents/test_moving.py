"""Weights moved by their gradients: compiled as by PyTorch, and what follows them; hand-computed where it is short."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mario_rl.agents.compiled import Moved, Numbers, move, move_by_pytorch

PLAIN = Numbers(1.0, 0.9, 0.999, 1e-3 / (1 - 0.9), (1 - 0.999) ** 0.5, 1e-8, 0.0, 0.0)  # an agent's first step


def make_moved(size: int, seed: int = 0, *, copies: bool = True) -> Moved:
    random = torch.Generator().manual_seed(seed)
    weight, first, target, averaged = (torch.randn(size, generator=random) for _ in range(4))
    second = torch.rand(size, generator=random)
    copy = (weight.bfloat16(), target.bfloat16()) if copies else (None, None)
    return Moved(weight, first, second, target, averaged, *copy)


def cloned(moved: Moved) -> Moved:
    return Moved(*(None if one is None else one.clone() for one in moved))


def assert_close(one: Moved, other: Moved) -> None:
    for name, here, there in zip(Moved._fields, one, other, strict=True):
        if here is not None:
            torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_one_step_by_hand():
    weight, first, second = torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([0.25])
    target, averaged = torch.tensor([0.0]), torch.tensor([8.0])
    numbers = Numbers(
        factor=0.5, beta_1=0.5, beta_2=0.75, step_size=2.0, correction=0.5, epsilon=0.25, target_share=0.25,
        averaged_share=0.75,
    )  # fmt: skip
    moved = Moved(weight, first, second, target, averaged, None, None)
    move(moved, torch.tensor([3.0]), torch.tensor(numbers), 0)
    # The gradient counts 1.5. First moment: 0.5 * 0.5 + 0.5 * 1.5 = 1; second: 0.75 * 0.25 + 0.25 * 2.25 = 0.75.
    assert (first.item(), second.item()) == (1.0, 0.75)
    expected = 1.0 - 2.0 * 1.0 / (0.75**0.5 / 0.5 + 0.25)
    assert weight.item() == pytest.approx(expected, abs=1e-6)
    assert target.item() == pytest.approx(0.25 * expected, abs=1e-6)
    assert averaged.item() == pytest.approx(0.25 * 8.0 + 0.75 * expected, rel=1e-6)


@given(
    size=st.integers(1, 70),
    wide=st.booleans(),
    copies=st.booleans(),
    seed=st.integers(0, 1000),
    shares=st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)),
    factor=st.floats(0.0, 1.0, width=32),
)
@settings(deadline=None, max_examples=60)
def test_compiled_and_by_pytorch_it_is_the_same(size, wide, copies, seed, shares, factor):
    """Also where the number of weights is none of whole vectors."""
    compiled = make_moved(size, seed, copies=copies)
    pytorch = cloned(compiled)
    gradient = torch.randn(size, generator=torch.Generator().manual_seed(seed + 1))
    gradient = gradient if wide else gradient.bfloat16()
    numbers = torch.tensor(PLAIN._replace(factor=factor, target_share=shares[0], averaged_share=shares[1]))
    move(compiled, gradient, numbers, 0)
    move_by_pytorch(pytorch, gradient.float().clone(), numbers)
    assert_close(compiled, pytorch)
    if copies:
        assert torch.equal(compiled.copy, compiled.weight.bfloat16())
        assert torch.equal(compiled.target_copy, compiled.target.bfloat16())


def test_many_steps_are_those_of_pytorchs_adam():
    moved = make_moved(100)._replace(target=None, averaged=None, copy=None, target_copy=None)
    moved.first_moment.zero_()
    moved.second_moment.zero_()
    parameter = torch.nn.Parameter(moved.weight.clone())
    adam = torch.optim.Adam([parameter], lr=1e-2, eps=1.5e-4)
    random = torch.Generator().manual_seed(9)
    for step in range(1, 30):
        parameter.grad = torch.randn(100, generator=random)
        adam.step()
        numbers = PLAIN._replace(step_size=1e-2 / (1 - 0.9**step), correction=(1 - 0.999**step) ** 0.5, epsilon=1.5e-4)
        move(moved, parameter.grad, torch.tensor(numbers), 0)
    torch.testing.assert_close(moved.weight, parameter.detach(), rtol=1e-5, atol=1e-6)


@given(cut=st.integers(0, 50))
@settings(deadline=None, max_examples=30)
def test_in_two_stretches_it_is_the_same_bit_for_bit_as_in_one(cut):
    whole = make_moved(50)
    parts, gradient = cloned(whole), torch.randn(50, generator=torch.Generator().manual_seed(3))
    numbers = torch.tensor(PLAIN._replace(target_share=0.3, averaged_share=0.6))
    move(whole, gradient, numbers, 0)
    move(parts, gradient[cut:], numbers, cut)
    move(parts, gradient[:cut], numbers, 0)
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("how", ["compiled", "pytorch"])
def test_a_share_of_nothing_leaves_what_follows_and_a_share_of_all_copies_exactly(how):
    moved = make_moved(33)
    target = moved.target.clone()
    numbers = torch.tensor(PLAIN._replace(target_share=0.0, averaged_share=1.0))
    if how == "compiled":
        move(moved, torch.randn(33), numbers, 0)
    else:
        move_by_pytorch(moved, torch.randn(33), numbers)
    assert torch.equal(moved.target, target)
    assert torch.equal(moved.averaged, moved.weight)


def bits(values: list[int]) -> Tensor:
    return torch.from_numpy(np.array(values, np.uint32).view(np.float32).copy())


def test_copies_are_rounded_as_pytorch_rounds_them():
    """To the nearest, ties to even; infinity and what is no number stay that."""
    special = [0x3F808000, 0x3F818000, 0x3F808001, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7FFFFFFF, 0x7F7FFFFF, 1, 0]
    weight = bits(special * 4)
    moved = Moved(weight, torch.zeros(40), torch.ones(40), None, None, torch.zeros(40).bfloat16(), None)
    move(moved, torch.zeros(40), torch.tensor(PLAIN), 0)  # moves nothing
    expected = weight.bfloat16()
    assert torch.equal(moved.copy.isnan(), expected.isnan())
    assert torch.equal(moved.copy.nan_to_num(nan=7.0), expected.nan_to_num(nan=7.0))
