"""Observations as blocks: the same pixels in another order, and a network that makes the same of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pixel_unshuffle

from mario_rl.agents.compiled import to_blocks
from mario_rl.agents.networks import build_network, weights_over_blocks, weights_over_pixels
from mario_rl.agents.weights import Computing, FlatWeights
from mario_rl.config import NetworkConfig
from mario_rl.tensors import draw_shifts, random_shift, tensor_to_unit

CPU = torch.device("cpu")


def observations(batch: int = 3, stack: int = 4, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, stack, 84, 84), dtype=torch.uint8, generator=random)


def test_a_channel_is_a_place_in_the_block_of_one_frame():
    observation = torch.zeros((1, 4, 84, 84), dtype=torch.uint8)
    observation[0, 2, 4 * 5 + 1, 4 * 7 + 3] = 255
    blocks = to_blocks(observation, None, torch.float32)
    assert blocks.shape == (1, 64, 21, 21)
    assert blocks.nonzero().tolist() == [[0, 16 * 2 + 4 * 1 + 3, 5, 7]]
    assert blocks.max() == 1.0


@given(
    batch=st.integers(1, 4),
    stack=st.integers(1, 5),
    pixels=st.integers(0, 16),
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_blocks_are_the_shifted_scaled_observation_cut_up(batch, stack, pixels, seed, dtype):
    observation = observations(batch, stack, seed)
    torch.manual_seed(seed)
    shift = draw_shifts(batch, pixels, CPU)
    expected = pixel_unshuffle(tensor_to_unit(random_shift(observation, shift), dtype), 4)
    blocks = to_blocks(observation, shift, dtype)
    assert blocks.dtype == dtype
    assert torch.equal(blocks, expected)
    assert blocks.is_contiguous(memory_format=torch.channels_last)


def test_without_a_shift_nothing_moves_also_where_the_batch_is_a_view_of_another():
    every_other = observations(6)[::2]
    assert torch.equal(to_blocks(every_other, None, torch.float32), pixel_unshuffle(tensor_to_unit(every_other), 4))


@pytest.mark.parametrize(
    ("options", "stack"),
    [
        ({}, 4),
        ({"dueling": True, "quantiles": 8}, 4),
        ({}, 2),
        ({"layer_norm": True}, 4),
        ({"layer_norm": True, "channels": (8, 16, 4), "dueling": True}, 4),
    ],
    ids=str,
)
def test_a_network_values_blocks_as_it_values_observations_and_learns_the_same_from_them(options, stack):
    config = NetworkConfig(hidden_size=16, **options)
    network = build_network(config, num_actions=3, frame_stack=stack, seed=1)
    observation = observations(stack=stack)
    plain = network.quantiles(tensor_to_unit(observation))
    computing = Computing(FlatWeights(network), torch.float32)
    of_blocks = computing.network.quantiles(to_blocks(observation, None, torch.float32))
    torch.testing.assert_close(of_blocks, plain)
    gradients = torch.autograd.grad(of_blocks.square().sum(), computing.parameters)
    for one, other in zip(
        torch.autograd.grad(plain.square().sum(), list(network.parameters())),
        computing.flattened(gradients),
        strict=True,
    ):
        torch.testing.assert_close(other, one.flatten(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_computed_with_has_the_weights_of_its_source_and_follows_them(dtype, layer_norm):
    config = NetworkConfig(hidden_size=16, layer_norm=layer_norm)
    network = build_network(config, num_actions=3, frame_stack=4, seed=1)
    source = FlatWeights(network)
    computing = Computing(source, dtype)
    evaluating = computing.evaluating()
    blocks = to_blocks(observations(), None, dtype)
    with torch.no_grad():
        before = computing.network.quantiles(blocks)
        source.flat.mul_(0.5)
        computing.follow()
        after = computing.network.quantiles(blocks)
    assert torch.equal(evaluating.quantiles(blocks), after)  # the very same weights
    assert not torch.equal(after, before)
    assert not any(one.requires_grad for one in evaluating.parameters())
    exact = network.quantiles(tensor_to_unit(observations())).detach()
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(after.float(), exact, rtol=tolerance, atol=tolerance)


def test_all_parameters_of_a_network_lie_side_by_side():
    network = build_network(NetworkConfig(hidden_size=16), num_actions=3, frame_stack=4, seed=1)
    expected = [one.detach().clone() for one in network.parameters()]
    source = FlatWeights(network)
    assert torch.equal(source.flat, torch.cat([one.flatten() for one in expected]))
    source.flat += 1
    for one, was in zip(network.parameters(), expected, strict=True):
        assert torch.equal(one, was + 1)


@given(st.integers(1, 3), st.integers(1, 4))
def test_the_order_of_blocks_can_be_undone(stack: int, out: int):
    weight = torch.rand(out, stack, 8, 8)
    assert torch.equal(weights_over_pixels(weights_over_blocks(weight)), weight)
