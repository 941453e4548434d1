"""On the real game: the vector environment gives what Gymnasium's SyncVectorEnv of single ones gives, in every mode."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from mario_rl.config import EnvConfig
from mario_rl.envs import MarioEnv, MarioVectorEnv, env_id
from mario_rl.envs.nes_py import make_plain_env
from mario_rl.errors import ConfigError, UserError
from mario_rl.game.addresses import WORLD

pytestmark = pytest.mark.emulator

N = 3
MODES = list(AutoresetMode)
# Each game ends by itself, stalls and meets the limit within some steps.
CONFIG = EnvConfig(
    stage=("1-1", "8-1"),
    action_set="complex",
    sticky_probability=0.25,
    snapshot_probability=0.3,
    stall_limit=6,
    max_agent_steps=60,
)
DERIVED = {  # what MarioEnv makes of the other numbers, or what never changes
    *(
        "level",
        "y_pos",
        "powerup_level",
        "status",
        "clear",
        "death",
        "lives",
        "progress",
        "progress_max",
        "world_label",
    ),
    *("game", "game_family", "rom_mode", "task_id", "single_stage", "target_stage", "target_world", "timeout"),
    *("reward_components", "reward_total_unclipped", "reward_total_clipped", "stage_reached"),
}


def some_actions(steps: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).choice([0, 1, 3, 3, 4, 4, 5, 10], size=(steps, N)))


def assert_same_infos(infos: dict[str, Any], expected: dict[str, Any], left_out: set[str] = DERIVED) -> None:
    """Compare keys, masks, types and values, where both have them."""
    assert set(infos) == {key for key in expected if key.removeprefix("_") not in left_out}
    for key, values in infos.items():
        there = expected[key]
        if key == "final_info":
            assert_same_infos(values, there, DERIVED | {"new_bests"})
        elif key == "enemy_types":  # tuples, in an array of objects
            has = expected["_enemy_types"]
            assert values[has].tolist() == [list(types) for types in there[has]]
            assert not values[~has].any()
        else:
            assert values.dtype == there.dtype, key
            assert data_equivalence(values, there, exact=True), key


@pytest.mark.parametrize("mode", MODES)
def test_it_is_what_a_sync_vector_env_gives_step_by_step(mode: AutoresetMode) -> None:
    env = MarioVectorEnv(CONFIG, N, threads=2, autoreset_mode=mode)
    sync = SyncVectorEnv([lambda: MarioEnv(CONFIG)] * N, autoreset_mode=mode)
    assert env.metadata == sync.metadata
    for name in ("single_observation_space", "observation_space", "single_action_space", "action_space"):
        assert getattr(env, name) == getattr(sync, name)
    (observations, infos), (expected, expected_infos) = env.reset(seed=4), sync.reset(seed=4)
    assert np.array_equal(observations, expected)
    assert_same_infos(infos, expected_infos)
    assert env.np_random_seed == sync.np_random_seed == (4, 5, 6)
    ends: set[str] = set()
    for actions in some_actions(400):
        observations, *outcome, infos = env.step(actions)
        expected, *expected_outcome, expected_infos = sync.step(actions)
        assert np.array_equal(observations, expected)
        assert data_equivalence(outcome, expected_outcome, exact=True)
        assert_same_infos(infos, expected_infos)
        ended = outcome[1] | outcome[2]
        if ended.any():
            of_the_end = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
            ends |= {result.end for result in of_the_end["episode_result"][ended]}
            if mode is AutoresetMode.DISABLED:
                observations, infos = env.reset(options={"reset_mask": ended})
                expected, expected_infos = sync.reset(options={"reset_mask": ended})
                assert np.array_equal(observations, expected)
                assert_same_infos(infos, expected_infos)
        assert [g.bit_generator.state for g in env.np_random] == [g.bit_generator.state for g in sync.np_random]
    assert ends == {"death", "stall", "limit"}
    env.close()
    sync.close()


def test_it_says_of_a_warp_what_a_sync_vector_env_says() -> None:
    config = EnvConfig(stage="1-2", stall_limit=3)
    env, sync = MarioVectorEnv(config, N), SyncVectorEnv([lambda: MarioEnv(config)] * N)
    env.reset(seed=4)
    sync.reset(seed=4)
    env._games.ram(1)[WORLD] = sync.envs[1].unwrapped.ram[WORLD] = 3
    for _ in range(3):  # the others stall, so that both kinds of ends are there
        *outcome, infos = env.step([0] * N)
        *expected_outcome, expected_infos = sync.step([0] * N)
        assert data_equivalence(outcome, expected_outcome, exact=True)
        assert_same_infos(infos, expected_infos)
    env.close()
    sync.close()


def test_it_is_what_the_plain_wrappers_give() -> None:
    config = EnvConfig(max_agent_steps=20)
    env = MarioVectorEnv(config, N, threads=1)
    sync = SyncVectorEnv([lambda: make_plain_env(config)] * N)
    assert np.array_equal(env.reset(seed=1)[0], sync.reset(seed=1)[0])
    for actions in some_actions(45):
        observations, *outcome, infos = env.step(actions % 5)
        expected, *expected_outcome, expected_infos = sync.step(actions % 5)
        assert np.array_equal(observations, expected)
        assert data_equivalence(outcome, expected_outcome, exact=True)
        assert_same_infos(infos, expected_infos)


@pytest.mark.parametrize("mode", MODES)
def test_threads_change_nothing(mode: AutoresetMode) -> None:
    envs = [MarioVectorEnv(CONFIG, N, threads=threads, autoreset_mode=mode) for threads in (1, 2, None)]
    one, *others = [play(env, env.reset(seed=7), 100) for env in envs]
    for other in others:
        assert data_equivalence(other, one, exact=True)


def play(env: MarioVectorEnv, first: Any, steps: int, seed: int = 0) -> list[Any]:
    """All there is to see of so many steps."""
    seen = [first]
    for actions in some_actions(steps, seed):
        seen.append(env.step(actions))
        ended = seen[-1][2] | seen[-1][3]
        if env.autoreset_mode is AutoresetMode.DISABLED and ended.any():
            seen.append(env.reset(options={"reset_mask": ended}))
    return seen


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "copied",
    [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_copy_goes_on_like_the_original(copied: Any, mode: AutoresetMode) -> None:
    env = MarioVectorEnv(CONFIG, N, threads=2, autoreset_mode=mode, render_mode="rgb_array")
    play(env, env.reset(seed=2), 60)
    if mode is AutoresetMode.NEXT_STEP:  # a game is over, and about to be begun by the next step
        while not (env.step(np.zeros(N, np.int64))[3]).any():
            pass
    other = copied(env)
    assert (other.config, other.metadata, other.np_random_seed) == (env.config, env.metadata, (2, 3, 4))
    assert data_equivalence(play(other, other.render(), 60, seed=1), play(env, env.render(), 60, seed=1), exact=True)


def test_a_copy_made_before_the_first_reset_draws_the_same() -> None:
    env = MarioVectorEnv(CONFIG, N)
    assert data_equivalence(copy.deepcopy(env).reset(), env.reset(), exact=True)


def test_what_was_returned_is_the_callers() -> None:
    env = MarioVectorEnv(CONFIG, N, threads=1, autoreset_mode="SameStep")
    returned = play(env, env.reset(seed=1), 40)
    kept = copy.deepcopy(returned)
    play(env, None, 40)
    assert data_equivalence(returned, kept, exact=True)


@pytest.mark.parametrize(
    ("seed", "seeds"), [(5, (5, 6, 7)), ([9, 1, 4], (9, 1, 4)), ([9, None, 4], (9, 101, 4)), (None, (100, 101, 102))]
)
def test_seeds_are_one_per_game(seed: Any, seeds: tuple[int, ...]) -> None:
    env = MarioVectorEnv(CONFIG, N)
    env.reset(seed=100)
    env.reset(seed=seed)
    assert env.np_random_seed == seeds


def test_seeds_are_the_single_environments() -> None:
    observations, infos = MarioVectorEnv(CONFIG, N).reset(seed=[8, 8, 3])
    single = MarioEnv(CONFIG)
    for number, seed in enumerate((8, 8, 3)):
        observation, info = single.reset(seed=seed)
        assert np.array_equal(observations[number], observation)
        assert infos["x_pos"][number] == info["x_pos"]


def test_reset_options_are_those_of_every_game() -> None:
    env = MarioVectorEnv(CONFIG, N)
    options = {"stage": "8-1", "noop_frames": 0}
    _, infos = env.reset(options=options)
    assert infos["world"].tolist() == [8, 8, 8]
    assert options == {"stage": "8-1", "noop_frames": 0}, "left as it was"


def test_floats_are_the_same_in_255ths_in_final_observations_too() -> None:
    raw, unit = (
        MarioVectorEnv(CONFIG, N, autoreset_mode="SameStep", normalize=normalize) for normalize in (False, True)
    )
    assert unit.reset(seed=1)[0] in unit.observation_space
    raw.reset(seed=1)
    for actions in some_actions(40):
        (pixels, *_, infos), (units, *_, unit_infos) = raw.step(actions), unit.step(actions)
        assert units.dtype == np.float32
        assert np.array_equal(units, pixels / np.float32(255))
    ended = infos.get("_final_obs", np.zeros(N, np.bool_))
    for number in np.flatnonzero(ended):
        assert np.array_equal(unit_infos["final_obs"][number], infos["final_obs"][number] / np.float32(255))


def test_rendering_gives_a_screen_per_game() -> None:
    env = MarioVectorEnv(CONFIG, N, render_mode="rgb_array")
    singles = [MarioEnv(CONFIG, render_mode="rgb_array") for _ in range(N)]
    with pytest.raises(ResetNeeded):
        env.render()
    env.reset(seed=3)
    env.step([1, 2, 3])
    for number, single in enumerate(singles):
        single.reset(seed=3 + number)
        single.step(number + 1)
        assert np.array_equal(env.render()[number], single.render())
    assert MarioVectorEnv(CONFIG, N).render() is None


# --- Errors. ---


def test_a_step_before_the_first_reset_is_refused() -> None:
    env = MarioVectorEnv(CONFIG, N)
    with pytest.raises(ResetNeeded, match="no episode is in progress"):
        env.step(np.zeros(N, np.int64))
    with pytest.raises(ResetNeeded, match="must begin all games"):
        env.reset(options={"reset_mask": np.array([True, False, False])})


def test_a_step_after_an_end_is_refused_where_nothing_is_reset_by_itself() -> None:
    env = MarioVectorEnv(EnvConfig(max_agent_steps=2), N, autoreset_mode="Disabled")
    env.reset()
    env.step([0, 0, 0])
    env.reset(options={"reset_mask": np.array([False, True, False])})
    assert env.step([0, 0, 0])[3].tolist() == [True, False, True]
    with pytest.raises(ResetNeeded, match=r"games \[0, 2\] are over"):
        env.step([0, 0, 0])
    env.reset(options={"reset_mask": np.array([True, False, True])})
    assert env.step([0, 0, 0])[3].tolist() == [False, True, False]


@pytest.mark.parametrize("actions", [[0, 0], [0, 5, 0], [0, -1, 0], [0.0, 1.0, 0.0], 1, [[0], [0], [0]]])
def test_wrong_actions_are_refused_and_nothing_is_played(actions: Any) -> None:
    env, other = MarioVectorEnv(EnvConfig(), N), MarioVectorEnv(EnvConfig(), N)
    env.reset(seed=0)
    other.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(actions)
    assert data_equivalence(env.step([1, 2, 3]), other.step([1, 2, 3]), exact=True)


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        ([True, True, True], TypeError),
        (np.array([1, 1, 1]), TypeError),
        (np.array([True, True]), ValueError),
        (np.array([False, False, False]), ValueError),
    ],
)
def test_a_wrong_mask_is_refused(mask: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="reset_mask"):
        MarioVectorEnv(EnvConfig(), N).reset(options={"reset_mask": mask})


def test_other_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key; did you mean frame_skip"):
        MarioVectorEnv(num_envs=2, frame_skips=3)
    with pytest.raises(ValueError, match="render_mode 'human'"):
        MarioVectorEnv(num_envs=2, render_mode="human")
    with pytest.raises(ValueError, match="'sometimes' is not a valid AutoresetMode"):
        MarioVectorEnv(num_envs=2, autoreset_mode="sometimes")
    env = MarioVectorEnv(num_envs=2)
    with pytest.raises(ValueError, match="3 seeds for 2 games"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(Error, match="Seed must be"):
        env.reset(seed=-3)
    with pytest.raises(UserError, match="reset option stage"):
        env.reset(options={"stage": "1-2"})


# --- By id. ---


@pytest.mark.filterwarnings("error")
def test_make_vec_makes_it_and_gymnasiums_wrappers_take_it() -> None:
    env = gym.make_vec(env_id("1-2"), num_envs=2, max_agent_steps=3, render_mode="rgb_array", threads=1)
    assert isinstance(env.unwrapped, MarioVectorEnv)
    assert env.unwrapped.config == EnvConfig(stage="1-2", max_agent_steps=3)
    assert repr(env) == "MarioVectorEnv(mario_rl/SuperMarioBros-1-2-v0, num_envs=2)"
    counted = RecordEpisodeStatistics(env)
    counted.reset(seed=0)
    for _ in range(3):
        *_, infos = counted.step(counted.action_space.sample())
    assert infos["episode"]["l"].tolist() == [3, 3]
    counted.close()
    counted.close()
