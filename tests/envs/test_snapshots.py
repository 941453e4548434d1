"""Starting near deaths, on the real game: where such episodes begin, that they go on as the game does, and resuming."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mario_rl.config import EnvConfig
from mario_rl.envs import MarioEnv, ResumableEpisodes, make_env
from mario_rl.envs.episodes import NoopStart, RecordButtons
from mario_rl.envs.nes_py import make_game
from mario_rl.envs.snapshots import PERIOD_FRAMES, SnapshotStarts
from mario_rl.envs.stages import StagePool

pytestmark = pytest.mark.emulator
SLOW_ON_NES_PY = pytest.mark.parametrize("emulator", ["native", pytest.param("nes_py", marks=pytest.mark.slow)])

RIGHT = 1 << 7  # the joypad byte; without a jump the first Goomba ends it at x 297
REWIND = 3 * PERIOD_FRAMES


@pytest.fixture(params=["native", "nes_py"])
def emulator(request: pytest.FixtureRequest) -> Any:
    return request.param


def game_with_snapshots(probability: float = 1.0) -> SnapshotStarts:
    game = NoopStart(RecordButtons(StagePool(["1-1"], open_stage=make_game)), noop_max=30)
    return SnapshotStarts(game, probability=probability, rewind_frames=REWIND)


def run_into_goomba(env: gym.Env[Any, Any]) -> tuple[list[int], dict[str, Any]]:
    """Walk right until dead; returns the x of each frame, and the last info."""
    xs, over = [], False
    while not over:
        _, _, over, _, info = env.step(RIGHT)
        xs.append(info["x_pos"])
    return xs, info


def test_episodes_begin_before_the_last_death() -> None:
    env = game_with_snapshots()
    _, info = env.reset(seed=3)
    assert info["from_snapshot"] is False, "nobody has died yet"
    began_at = info["x_pos"]
    xs, info = run_into_goomba(env)
    assert info["from_snapshot"] is False
    frames = env.get_wrapper_attr("buttons_sent").copy()

    observation, info = env.reset()

    assert info["from_snapshot"] is True
    sent = env.get_wrapper_attr("buttons_sent")
    assert sent == frames[: len(sent)], "the way there is a beginning of the episode that ended"
    assert PERIOD_FRAMES <= len(frames) - len(sent) <= REWIND + PERIOD_FRAMES
    assert info["x_pos"] == xs[len(sent) - (len(frames) - len(xs)) - 1] > began_at
    assert np.array_equal(observation, env.unwrapped.screen)
    *_, info = env.step(RIGHT)
    assert info["from_snapshot"] is True


@pytest.mark.parametrize("played_to", [False, True], ids=["from the emulator's state", "from the buttons"])
def test_an_episode_from_a_snapshot_goes_on_as_the_game_did(played_to: bool) -> None:
    env = game_with_snapshots()
    env.reset(seed=3)
    run_into_goomba(env)
    if played_to:
        other = game_with_snapshots()
        other.restore_snapshots(env.snapshots_state())
        env = other
    _, info = env.reset(seed=4)
    assert info["from_snapshot"]
    plain = make_game("1-1")
    plain.reset()
    for byte in env.get_wrapper_attr("buttons_sent"):
        _, _, _, _, expected = plain.step(byte)
    assert {key: info[key] for key in expected} == expected, "what the game keeps in Python is restored as well"

    rng = np.random.default_rng(0)
    for _ in range(200):
        byte = RIGHT | int(rng.integers(2))  # now and then a jump
        observation, reward, over, _, info = env.step(byte)
        expected_observation, *expected_rest, expected = plain.step(byte)
        assert np.array_equal(observation, expected_observation)
        assert np.array_equal(env.unwrapped.ram, plain.unwrapped.ram)
        assert [reward, over, False] == expected_rest
        assert {key: info[key] for key in expected} == expected


def test_without_the_option_nothing_is_drawn_or_kept() -> None:
    env, plain = game_with_snapshots(probability=0.0), NoopStart(StagePool(["1-1"], open_stage=make_game), noop_max=30)
    env.reset(seed=1)
    plain.reset(seed=1)
    assert env.snapshots_state() == {}
    run_into_goomba(env)
    run_into_goomba(plain)
    assert env.snapshots_state() == {}
    assert env.np_random.bit_generator.state == plain.np_random.bit_generator.state


def test_the_result_says_so_and_counts_from_the_snapshot(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, snapshot_probability=1.0, noop_max=0))
    results = []
    env.reset(seed=0)
    for _ in range(2):
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(3)  # right+B
            over = terminated or truncated
        results.append(info["episode_result"])
        env.reset()
    assert [result.from_snapshot for result in results] == [False, True]
    assert results[1].length < results[0].length
    assert results[1].return_ < results[0].return_
    assert results[1].x >= results[0].x - 5


def play(env: MarioEnv | ResumableEpisodes, steps: int, seed: int) -> list[tuple[float, bool, int]]:
    rng, seen = np.random.default_rng(seed), []
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(int(rng.choice([1, 3, 4])))
        seen.append((reward, info["from_snapshot"], info["x_pos"]))
        if terminated or truncated:
            env.reset()
    return seen


@SLOW_ON_NES_PY
def test_a_resumed_environment_draws_the_same_snapshots(emulator: Any) -> None:
    config = EnvConfig(emulator=emulator, snapshot_probability=0.7, grayscale="plain")
    env, resumed = make_env(config), make_env(config)
    env.reset(seed=5)
    episodes = (play(env, 50, seed=seed)[-1][1] for seed in range(100))
    assert any(episodes), "the episode in progress is one from a snapshot"

    observation = resumed.restore_episode(env.episode_state())

    assert np.array_equal(observation, env.restore_episode(env.episode_state()))
    seen = play(env, 600, seed=2)
    assert play(resumed, 600, seed=2) == seen
    assert {from_snapshot for _, from_snapshot, _ in seen} == {False, True}
