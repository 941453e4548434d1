"""Observations as blocks: the same pixels in another order, and a network that makes the same of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pixel_unshuffle

from mario_rl.agents.blocks import to_blocks
from mario_rl.agents.networks import build_network
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


@pytest.mark.parametrize(("dueling", "quantiles", "stack"), [(False, 1, 4), (True, 8, 4), (False, 1, 2)])
def test_a_network_values_blocks_as_it_values_observations_and_learns_the_same_from_them(dueling, quantiles, stack):
    config = NetworkConfig(hidden_size=16, dueling=dueling, quantiles=quantiles)
    network = build_network(config, num_actions=3, frame_stack=stack, seed=1)
    observation = observations(stack=stack)
    plain = network.quantiles(tensor_to_unit(observation))
    of_blocks = network.quantiles_of_blocks(to_blocks(observation, None, torch.float32))
    torch.testing.assert_close(of_blocks, plain)
    parameters = list(network.parameters())
    for one, other in zip(
        torch.autograd.grad(plain.square().sum(), parameters),
        torch.autograd.grad(of_blocks.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
