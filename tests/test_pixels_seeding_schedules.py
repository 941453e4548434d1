"""The small pure pieces: pixel scaling, independent seeds, schedules."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.agents.schedules import linear, multiplicative
from mario_rl.pixels import to_unit
from mario_rl.seeding import episode_seeds, generator_state, restore_generator, spawn_streams
from mario_rl.tensors import draw_shifts, random_shift, tensor_to_unit

ALL_BYTES = np.arange(256, dtype=np.uint8)


def test_scaling_takes_all_256_values_to_different_ones_from_0_to_1():
    unit = to_unit(ALL_BYTES)
    assert unit.dtype == np.float32
    assert unit[0] == 0.0
    assert unit[255] == 1.0
    assert (np.diff(unit) > 0).all()


def test_tensors_are_scaled_like_arrays():
    assert (tensor_to_unit(torch.from_numpy(ALL_BYTES)).numpy() == to_unit(ALL_BYTES)).all()


def test_bfloat16_pixels_are_the_float32_ones_rounded():
    rounded = tensor_to_unit(torch.from_numpy(ALL_BYTES), torch.bfloat16)
    assert torch.equal(rounded, torch.from_numpy(to_unit(ALL_BYTES)).bfloat16())


def test_a_shifted_observation_is_a_crop_of_the_one_with_its_border_repeated_and_every_crop_is_drawn():
    frames = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
    padded = np.pad(frames, ((0, 0), (1, 1), (1, 1)), mode="edge")
    crops = {(y, x): padded[:, y : y + 5, x : x + 4].tobytes() for y in range(3) for x in range(3)}
    torch.manual_seed(0)
    shifted = random_shift(torch.from_numpy(frames).expand(200, 2, 5, 4), draw_shifts(200, 1, torch.device("cpu")))
    assert shifted.dtype == torch.uint8
    assert {observation.numpy().tobytes() for observation in shifted} == set(crops.values())


@given(seed=st.integers(0, 2**32 - 1), envs=st.integers(1, 16))
def test_a_run_has_as_many_different_seeds_as_it_needs_and_the_same_ones_again(seed, envs):
    streams = spawn_streams(seed, envs)
    seeds = [*streams.environments, streams.network, streams.exploration, streams.replay, streams.dropout]
    assert len(set(seeds)) == envs + 4
    assert streams == spawn_streams(seed, envs)


def test_more_environments_leave_the_other_streams_alone():
    few, many = spawn_streams(5, 2), spawn_streams(5, 8)
    assert many.environments[:2] == few.environments
    assert (many.network, many.exploration, many.replay) == (few.network, few.exploration, few.replay)


def test_an_evaluation_episode_has_the_same_seed_however_many_there_are():
    assert episode_seeds(7, 100)[:5] == episode_seeds(7, 5)
    assert len(set(episode_seeds(7, 100))) == 100


def test_a_generator_goes_on_from_its_saved_state():
    generator = np.random.default_rng(1)
    generator.integers(10, size=3)  # leaves half a word behind
    state = generator_state(generator)
    expected = generator.integers(1000, size=50)
    other = np.random.default_rng(99)
    restore_generator(other, state)
    assert (other.integers(1000, size=50) == expected).all()


def test_linear_decay_by_hand():
    assert [linear(1.0, 0.2, decay_steps=4, steps=s) for s in (0, 1, 2, 4, 9)] == [1.0, 0.8, 0.6, 0.2, 0.2]


def test_multiplicative_decay_by_hand():
    assert [multiplicative(1.0, 0.2, factor=0.5, count=c) for c in (0, 1, 2, 3)] == [1.0, 0.5, 0.25, 0.2]
