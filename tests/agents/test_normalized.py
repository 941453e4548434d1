"""Layer norm and its ReLU in one go: by hand, and as PyTorch does the two, there and back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mario_rl.agents.compiled import NormalizedReLU
from mario_rl.agents.networks import build_network
from mario_rl.config import NetworkConfig

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def make_layer(channels: int, dtype: torch.dtype, seed: int = 0) -> NormalizedReLU:
    norm = nn.GroupNorm(1, channels)
    random = torch.Generator().manual_seed(seed)
    norm.weight.data = torch.randn(channels, generator=random).to(dtype)
    norm.bias.data = torch.randn(channels, generator=random).to(dtype)
    return NormalizedReLU(norm)


def by_pytorch(layer: NormalizedReLU, x: Tensor) -> Tensor:
    """In float64, whatever the numbers are."""
    return torch.relu(normalized(layer, x))


def normalized(layer: NormalizedReLU, x: Tensor) -> Tensor:
    return nn.functional.group_norm(x.double(), 1, layer.weight.double(), layer.bias.double())


def test_an_observation_by_hand():
    """Sixteen channels of one pixel, half of them 1 and half of them 5: the mean is 3, and the deviation 2."""
    layer = make_layer(16, torch.float32)
    layer.weight.data.fill_(2.0)
    layer.bias.data.fill_(0.5)
    x = torch.tensor([1.0, 5.0] * 8).reshape(1, 16, 1, 1).requires_grad_(True)
    y = layer(x)
    torch.testing.assert_close(y.flatten(), torch.tensor([0.0, 2.5] * 8), rtol=0, atol=1e-5)
    of_x, of_weight, of_bias = torch.autograd.grad(y[0, 1, 0, 0], (x, layer.weight, layer.bias))
    assert of_bias.tolist() == [0.0, 1.0, *[0.0] * 14]  # the ReLU passes what is above 0 alone
    torch.testing.assert_close(of_weight, torch.tensor([0.0, 1.0, *[0.0] * 14]), rtol=0, atol=1e-5)
    # d y_1 / d x_j = weight / deviation * ((j == 1) - 1/16 - normal_1 * normal_j / 16)
    expected = torch.tensor([0.0, 1.0, *[0.0] * 14]) - 1 / 16 - torch.tensor([-1.0, 1.0] * 8) / 16
    torch.testing.assert_close(of_x.flatten(), expected, rtol=0, atol=1e-5)


@given(
    batch=st.integers(1, 4),
    channels=st.sampled_from([16, 32, 48, 64]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    dtype=st.sampled_from(list(TOLERANCE)),
    middle=st.sampled_from([0.0, 3.0, -100.0]),
    last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_is_pytorchs_layer_norm_and_relu_there_and_back(batch, channels, height, width, dtype, middle, last, seed):
    layer = make_layer(channels, dtype, seed)
    random = torch.Generator().manual_seed(seed + 1)
    x = (torch.randn(batch, channels, height, width, generator=random) + middle).to(dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_(True)
    y, expected = layer(x), by_pytorch(layer, x)
    assert y.dtype == dtype
    near = TOLERANCE[dtype]
    torch.testing.assert_close(y.double(), expected, rtol=near, atol=2 * near)

    # Where rounding decides on which side of 0 a number lies, the two may differ.
    clear = normalized(layer, x).abs() > 4 * near
    of_y = torch.randn(y.shape, generator=random).to(dtype) * clear
    wanted = (x, layer.weight, layer.bias)
    found = torch.autograd.grad(y, wanted, of_y)
    for one, other in zip(found, torch.autograd.grad(expected, wanted, of_y.double()), strict=True):
        assert one.dtype == dtype
        size = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=near, atol=2 * near * size)


@pytest.mark.parametrize("channels", [5, 24])
def test_channels_that_are_no_multiple_of_16_are_left_to_pytorch(channels):
    layer, x = make_layer(channels, torch.float32), torch.randn(2, channels, 3, 3)
    torch.testing.assert_close(layer(x), by_pytorch(layer, x).float())


def test_what_is_no_number_stays_none():
    x = torch.ones(2, 16, 3, 3)
    x[1, 5, 2, 2] = float("nan")
    y = make_layer(16, torch.float32)(x)
    assert y[0].isfinite().all()
    assert y[1].isnan().all()


def test_an_observation_has_the_same_values_whatever_it_is_valued_with():
    layer, x = make_layer(32, torch.bfloat16), torch.randn(6, 32, 5, 5).bfloat16()
    assert torch.equal(layer(x)[4:5], layer(x[4:5]))


@pytest.mark.parametrize("channels", [(16, 32, 32), (8, 12, 20)])
def test_the_network_that_computes_updates_makes_the_same_of_an_observation(channels):
    config = NetworkConfig(layer_norm=True, channels=channels)
    network = build_network(config, num_actions=5, frame_stack=4, seed=0)
    over_blocks = network.over_blocks()
    assert sum(isinstance(layer, NormalizedReLU) for layer in over_blocks.modules()) == 3
    assert [name for name, _ in over_blocks.named_parameters()] == [name for name, _ in network.named_parameters()]
    observation = torch.rand(2, 4, 84, 84)
    blocks = nn.functional.pixel_unshuffle(observation, 4)
    torch.testing.assert_close(over_blocks(blocks), network(observation), rtol=1e-4, atol=1e-5)
