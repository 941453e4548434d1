"""On the real game: the compiled environment gives what the plain wrappers give, and keeps to Gymnasium's interface."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from env_fakes import CLEAR_1_1, unroll
from gymnasium.error import Error, ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import check_env, data_equivalence

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.envs import MarioEnv, env_id, make_env, make_game, make_games
from mario_rl.envs.nes_py import make_plain_env
from mario_rl.errors import ConfigError, UserError
from mario_rl.seeding import generator_state
from mario_rl.types import State

pytestmark = pytest.mark.emulator

BUSY: dict[str, Any] = {
    "action_set": "complex",
    "noop_max": 30,
    "sticky_probability": 0.25,
    "stall_limit": 15,
    "max_agent_steps": 25,
}
LONG: dict[str, Any] = {"stall_limit": 100, "max_agent_steps": 200}  # long enough to die, and leave a snapshot
RIGHT, RIGHT_B = 1, 3


def changed(**keys: Any) -> EnvConfig:
    """`BUSY`, some keys changed."""
    return EnvConfig(**BUSY | keys)


CONFIGS = {
    "article": changed(),
    "plain, buttons shown": changed(grayscale="plain", show_buttons=True),
    "article, buttons shown": changed(show_buttons=True),
    "right only, nothing at random": EnvConfig(noop_max=0, max_agent_steps=25, grayscale="plain"),
    "simple": changed(action_set="simple", grayscale="plain"),
    "actions of one's own": changed(action_set=(("right", "B"), ("start",), ("right", "A"), ("left", "down"))),
    "shaped": changed(reward="shaped", clear_bonus=50.0, death_penalty=25.0, grayscale="plain"),
    "rewards unbounded": changed(reward="shaped", reward_clip=None, reward_scale=1.0, grayscale="plain"),
    "two stages": changed(stage=("1-1", "8-2", "1-1"), grayscale="plain"),
    "whole game": changed(stage="game", grayscale="plain"),
    "soon stalled": changed(stall_limit=3, grayscale="plain"),
    "both limits at once": changed(stall_limit=5, max_agent_steps=5, sticky_probability=1.0, grayscale="plain"),
    "no limits": changed(stall_limit=None, max_agent_steps=None, grayscale="plain"),
    "sticky always": changed(sticky_probability=1.0, grayscale="plain"),
    "one frame in the stack": changed(frame_stack=1, grayscale="plain"),
    "snapshots": changed(snapshot_probability=0.7, sticky_probability=0.0, grayscale="plain", **LONG),
    "snapshots in the whole game": changed(
        snapshot_probability=0.7, snapshot_rewind_steps=20, stage="game", grayscale="plain", **LONG
    ),
} | {
    f"{num_frames} frames a step": changed(frame_skip=num_frames, grayscale="article" if num_frames % 2 else "plain")
    for num_frames in (1, 2, 3, 5, 6, 7, 8)
}


def actions_of(config: EnvConfig, seed: int) -> Iterator[int]:
    """Right and running more often than not, so that pits and enemies are met."""
    num_actions, rng = MarioEnv(config).action_space.n, np.random.default_rng(seed)
    while True:
        often = rng.random() < 0.7 and num_actions >= 5
        yield int(rng.choice([RIGHT_B, 4])) if often else int(rng.integers(num_actions))


def assert_same_steps(config: EnvConfig, *, frames: int, seed: int = 1) -> int:
    """Play the same with both, and compare all there is to see, step by step; returns how many episodes ended."""
    native, plain = MarioEnv(config), make_plain_env(config)
    assert native.observation_space == plain.observation_space
    assert native.action_space == plain.action_space
    assert native.action_names == plain.action_names
    ends, over, reset_seed = 0, True, seed
    for step, action in zip(range(frames // config.frame_skip), actions_of(config, seed), strict=False):
        if over:
            observation, info = native.reset(seed=reset_seed)
            expected, expected_info = plain.reset(seed=reset_seed)
            assert np.array_equal(observation, expected), step
            assert info == expected_info, step
            reset_seed = None  # the next episode draws on
        observation, *outcome, info = native.step(action)
        expected, *expected_outcome, expected_info = plain.step(action)
        assert np.array_equal(observation, expected), step
        assert outcome == expected_outcome, step
        assert info == expected_info, step
        assert np.array_equal(native.ram, plain.unwrapped.ram), step
        assert generator_state(native.np_random) == generator_state(plain.np_random), step
        if not info["from_snapshot"]:
            assert native.buttons_sent == plain.buttons_sent, step
        over = outcome[1] or outcome[2]
        ends += over
    native.close()
    plain.close()
    return ends


@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_what_the_plain_wrappers_give(name: str) -> None:
    assert assert_same_steps(CONFIGS[name], frames=900 if "snapshots" in name else 240) or name == "no limits"


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_it_is_so_for_long(name: str) -> None:
    assert assert_same_steps(CONFIGS[name], frames=8_000, seed=2) > 1


@pytest.mark.slow
@pytest.mark.parametrize("grayscale", ["article", "plain"])
@pytest.mark.parametrize("stage", STAGES)
def test_it_is_so_on_every_stage(stage: str, grayscale: Any) -> None:
    assert_same_steps(changed(stage=stage, grayscale=grayscale, **LONG), frames=3_000)


def test_it_is_so_over_the_flag_and_the_scenes_behind_it_in_the_whole_game() -> None:
    config = EnvConfig(stage="game", noop_max=0, grayscale="plain", stall_limit=None, clear_bonus=1.0)
    native, plain = MarioEnv(config), make_plain_env(config)
    native.reset()
    plain.reset()
    for action in [*unroll(CLEAR_1_1), *[RIGHT_B] * 50]:
        observation, *outcome, info = native.step(action)
        expected, *expected_outcome, expected_info = plain.step(action)
        assert np.array_equal(observation, expected)
        assert outcome == expected_outcome
        assert info == expected_info
    assert (info["stage_reached"], info["life"]) == ("1-2", 0)  # lives were lost there as well


@pytest.mark.parametrize("grayscale", ["article", "plain"])
def test_an_end_on_any_frame_of_a_step_shows_what_the_plain_wrappers_show(grayscale: Any) -> None:
    """These no-ops at the start of 8-1 move the death to each of the four frames of its agent step."""
    config = EnvConfig(stage="8-1", grayscale=grayscale, frame_stack=1)
    native, plain = MarioEnv(config), make_plain_env(config)
    lengths = set()
    for noop_frames in (0, 1, 8, 9):
        native.reset(options={"noop_frames": noop_frames})
        plain.reset(options={"noop_frames": noop_frames})
        ended = False
        while not ended:
            observation, *outcome, info = native.step(RIGHT)  # into the first enemy
            expected, *expected_outcome, expected_info = plain.step(RIGHT)
            assert np.array_equal(observation, expected)
            assert outcome == expected_outcome
            assert info == expected_info
            ended = outcome[1]
        lengths.add((len(native.buttons_sent) - noop_frames) % config.frame_skip)
    assert lengths == {0, 1, 2, 3}  # frames played in the last step, modulo 4


@pytest.mark.parametrize("opening", [b"", bytes([0x82]), bytes([0x82] * 50 + [0x83] * 31 + [0x80] * 6)])
def test_an_episode_begins_after_the_bytes_it_is_given_as_with_the_plain_wrappers(opening: bytes) -> None:
    config = EnvConfig(show_buttons=True)
    native, plain = MarioEnv(config, render_mode="rgb_array"), make_plain_env(config)
    observation, info = native.reset(seed=0, options={"opening": opening})
    expected, expected_info = plain.reset(seed=0, options={"opening": opening})
    screen: Any = plain.unwrapped
    for _ in range(6):
        assert np.array_equal(observation, expected)
        assert info == expected_info
        assert np.array_equal(native.render(), screen.screen)
        observation, *_, info = native.step(3)
        expected, *_, expected_info = plain.step(3)
    assert bytes(native.buttons_sent) == bytes(plain.buttons_sent) == opening + bytes([0x82] * 24)
    native.reset(seed=0, options={"noop_frames": len(opening)})
    assert bytes(native.buttons_sent) == bytes(len(opening))  # the bytes are of one reset


def test_bytes_that_end_the_episode_are_not_played() -> None:
    native, plain = MarioEnv(EnvConfig()), make_plain_env(EnvConfig())
    for env in (native, plain):
        env.reset(options={"opening": bytes([0x80] * 400)})  # into the first enemy
        assert env.buttons_sent == []


@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_what_is_to_be_rendered_is_on_either_emulator(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator), render_mode="rgb_array")
    env.reset(seed=1)
    screen: Any = env.render()
    assert (screen.shape, screen.dtype) == ((240, 256, 3), np.uint8)
    env.close()
    with pytest.raises(ValueError, match="render_mode 'text' is not allowed; must be rgb_array or None"):
        make_env(EnvConfig(emulator=emulator), render_mode="text")


def test_a_rendered_screen_is_the_emulators_own() -> None:
    config = EnvConfig(noop_max=0)
    native, plain = MarioEnv(config, render_mode="rgb_array"), make_plain_env(config)
    game: Any = plain.unwrapped
    native.reset()
    plain.reset()
    assert np.array_equal(native.render(), game.screen)
    ended = False
    while not ended:
        before = native.ram.copy()
        assert np.array_equal(native.render(), game.screen)
        assert np.array_equal(native.ram, before), "to look changes nothing"
        ended = native.step(RIGHT)[2]
        plain.step(RIGHT)
    assert np.array_equal(native.render(), game.screen)


# --- Gymnasium's interface. ---


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("grayscale", ["article", "plain"])
def test_gymnasiums_checker_passes_without_a_warning(grayscale: str, normalize: bool) -> None:
    keys = {"grayscale": grayscale, "normalize": normalize, "sticky_probability": 0.25}
    check_env(gym.make(env_id("1-1"), render_mode="rgb_array", **keys).unwrapped)


@pytest.mark.filterwarnings("ignore:.*not having a spec")
def test_gymnasiums_checker_passes_without_an_id_too() -> None:
    check_env(MarioEnv(EnvConfig(stage=("1-1", "1-2"), snapshot_probability=0.5), render_mode="rgb_array"))


def test_spaces_are_the_configs() -> None:
    env = MarioEnv(EnvConfig(frame_stack=2, action_set="simple"), normalize=True)
    assert env.observation_space == Box(0.0, 1.0, (2, 84, 84), np.float32)
    assert env.action_space == Discrete(7)
    assert env.reset()[0] in env.observation_space


def test_options_take_the_place_of_the_configs_keys() -> None:
    env = MarioEnv(EnvConfig(stage="1-2", frame_skip=2), action_set="complex", noop_max=0)
    assert (env.config.stage, env.config.frame_skip, env.config.noop_max) == ("1-2", 2, 0)
    assert env.action_space == Discrete(12)
    assert env.metadata["render_fps"] == 30
    assert MarioEnv.metadata["render_fps"] == 15, "the class's own is left alone"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "9-1"}, "env: stage: '9-1' is not allowed"),
        ({"frame_skips": 4}, r"env: frame_skips: unknown key; did you mean frame_skip\?"),
        ({"emulator": "nes_py"}, r"env\.emulator: nes_py is what make_env makes"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MarioEnv(**options)


EVERY_ENVIRONMENT: dict[str, Callable[[], Any]] = {
    "native": lambda: make_env(EnvConfig(max_agent_steps=1)),
    "nes_py": lambda: make_env(EnvConfig(emulator="nes_py", max_agent_steps=1, snapshot_probability=0.5)),
    "native, frame by frame": lambda: make_game(EnvConfig()),
    "nes_py, frame by frame": lambda: make_game(EnvConfig(emulator="nes_py")),
    "by id": lambda: gym.make(env_id("1-1")),
    "several by id": lambda: gym.make_vec(env_id("1-1"), num_envs=1),
}


@pytest.mark.parametrize("make", EVERY_ENVIRONMENT.values(), ids=EVERY_ENVIRONMENT)
def test_a_step_before_the_first_reset_is_gymnasiums_error(make: Callable[[], Any]) -> None:
    env = make()
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.reset()
    env.step(env.action_space.sample())
    env.close()


@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_a_step_after_the_last_one_is_gymnasiums_error(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, max_agent_steps=1))
    env.reset()
    assert env.step(0)[3] is True
    with pytest.raises(ResetNeeded, match=r"call env\.reset\(\) before env\.step\(\): no episode is in progress"):
        env.step(0)
    env.close()


@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_a_pool_refuses_steps_before_the_first_reset(emulator: Any) -> None:
    games = make_games(EnvConfig(emulator=emulator), 2)
    with pytest.raises(ResetNeeded, match="no episode is in progress"):
        games.step([0, 0])
    with pytest.raises(RuntimeError, match="no episode has ended yet in game 1"):
        games.result(1)
    games.close()


def test_errors_are_gymnasiums() -> None:
    env = MarioEnv(EnvConfig(max_agent_steps=1), render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        env.step(0)
    with pytest.raises(ResetNeeded):
        env.render()
    env.reset()
    assert env.step(0)[3] is True
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset()
    for action in (-1, 5):
        with pytest.raises(ValueError, match=f"action {action} is not one of 0 to 4"):
            env.step(action)
    with pytest.raises(Error, match="Seed must be"):
        env.reset(seed=-1)
    with pytest.raises(ValueError, match="render_mode 'human' is not allowed"):
        MarioEnv(render_mode="human")
    assert MarioEnv().render() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "1-3"}, "reset option stage: '1-3' is not allowed; must be one of 1-1, 1-2"),
        ({"noop_frames": -1}, "reset option noop_frames: -1 is not allowed"),
    ],
)
def test_wrong_reset_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MarioEnv(EnvConfig(stage=("1-1", "1-2"))).reset(options=options)


def test_everything_at_random_draws_from_np_random() -> None:
    env, other = MarioEnv(), MarioEnv()
    assert isinstance(env.np_random_seed, int)
    env.reset()
    other.np_random = np.random.default_rng(env.np_random_seed)
    other.reset()
    assert generator_state(env.np_random) == generator_state(other.np_random)
    assert np.array_equal(env.ram, other.ram)
    assert other.np_random_seed == -1, "unknown, as Gymnasium has it"
    env.reset(seed=3)
    assert env.np_random_seed == 3


def play(env: MarioEnv, steps: int, seed: int = 0) -> list[Any]:
    """All there is to see of so many steps, episodes begun where they end."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        step = env.step(int(rng.choice([RIGHT, RIGHT_B, 4])))
        seen.append((*step, generator_state(env.np_random), list(env.buttons_sent)))
        if step[2] or step[3]:
            seen.append(env.reset())
    return seen


RESTORED = EnvConfig(stage=("1-1", "1-2"), sticky_probability=0.25, stall_limit=40, snapshot_probability=0.5)
COPIES = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_goes_on_like_the_original(name: str) -> None:
    env = MarioEnv(RESTORED, render_mode="rgb_array", normalize=True)
    env.reset(seed=3)
    play(env, 150)
    env.action_space.seed(5)
    other = COPIES[name](env)
    assert (other.config, other.np_random_seed, other.render_mode) == (env.config, 3, "rgb_array")
    assert np.array_equal(other.render(), env.render())
    if name != "copy":  # a shallow one shares the spaces
        assert [env.action_space.sample() for _ in range(5)] == [other.action_space.sample() for _ in range(5)]
    expected = play(env, 150, seed=1)
    assert data_equivalence(play(other, 150, seed=1), expected, exact=True)
    assert len(expected) > 150, "episodes have ended"


def test_a_copy_made_before_the_first_reset_draws_the_same() -> None:
    env = MarioEnv(RESTORED)
    other = copy.deepcopy(env)
    with pytest.raises(ResetNeeded):
        other.step(0)
    assert data_equivalence(env.reset(), other.reset(), exact=True)


def test_an_environment_of_an_id_is_copied_with_its_wrappers() -> None:
    env = gym.make(env_id("1-2"))
    env.reset(seed=1)
    other = pickle.loads(pickle.dumps(env))
    assert other.spec == env.spec
    assert data_equivalence(env.step(1), other.step(1), exact=True)


def test_a_restored_episode_goes_on_like_the_one_never_interrupted() -> None:
    env, other = MarioEnv(RESTORED), MarioEnv(RESTORED)
    env.reset(seed=3)
    play(env, 150)
    observation = env.step(0)[0]
    state: State = pickle.loads(pickle.dumps(env.episode_state()))
    other.reset(seed=9)
    other.step(1)
    assert np.array_equal(other.restore_episode(state), observation)
    expected = play(env, 150, seed=1)
    assert data_equivalence(play(other, 150, seed=1), expected, exact=True)

    other.restore_episode(state)  # and once more: playing on has not changed the state
    assert data_equivalence(play(other, 150, seed=1), expected, exact=True)


@pytest.mark.parametrize(
    "keys", [{"stage": "1-1"}, {"frame_skip": 2}, {"frame_stack": 2}, {"action_set": "simple"}, {"grayscale": "plain"}]
)
def test_an_episode_of_another_config_is_refused_and_nothing_changed(keys: dict[str, Any]) -> None:
    env = MarioEnv(RESTORED)
    env.reset(seed=1)
    other = MarioEnv(RESTORED, **keys)
    other.reset(seed=2)
    before = other.episode_state()
    with pytest.raises(ValueError, match="the episode is of another config"):
        other.restore_episode(env.episode_state())
    assert data_equivalence(other.episode_state(), before, exact=True)


@pytest.mark.parametrize(
    "broken",
    [
        lambda games: {},
        lambda games: {"episodes": []},
        lambda games: games | {"buttons": []},
        lambda games: games | {"buttons": ["zz"]},
        lambda games: games | {"generators": ["{}"]},
        lambda games: games | {"generators": []},
    ],
)
def test_what_is_no_state_of_an_episode_is_refused_and_nothing_changed(broken: Any) -> None:
    env = MarioEnv(RESTORED)
    env.reset(seed=1)
    env.step(1)
    before = env.episode_state()
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
        env.restore_episode(before | {"games": broken(before["games"])})
    assert data_equivalence(env.episode_state(), before, exact=True)
    env.step(1)


def test_there_is_no_episode_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match="call reset first"):
        MarioEnv().episode_state()


def test_episodes_can_be_recorded_as_videos(tmp_path: Path) -> None:
    pytest.importorskip("moviepy", reason="RecordVideo writes its files with moviepy, which is not installed")
    env = gym.wrappers.RecordVideo(gym.make(env_id("1-1"), render_mode="rgb_array"), str(tmp_path))
    env.reset(seed=0)
    for _ in range(20):
        env.step(1)
    env.close()
    assert [path.stat().st_size > 1_000 for path in tmp_path.glob("*.mp4")] == [True]


def test_a_frame_that_was_returned_is_the_callers() -> None:
    env = MarioEnv(render_mode="rgb_array")
    first, _ = env.reset(seed=1)
    screen = env.render()
    kept, kept_screen = first.copy(), screen.copy()
    for _ in range(10):
        env.step(1)
        env.render()
    assert np.array_equal(first, kept)
    assert np.array_equal(screen, kept_screen)
