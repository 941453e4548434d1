"""One seed to independent generators, which are saved and restored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.seeding import episode_seeds, generator_state, restore_generator, spawn_streams


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
