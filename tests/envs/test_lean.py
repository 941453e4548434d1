"""On the real game: the lean environment gives what the plain wrappers give, over thousands of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mario_rl.config import EnvConfig
from mario_rl.envs import make_env
from mario_rl.envs.factory import make_game
from mario_rl.envs.lean import DIAGNOSTICS, LeanFrameSkip, LeanGame
from mario_rl.envs.stages import StagePool

pytestmark = pytest.mark.emulator

FRAMES = 2_000
RIGHT = 1 << 7  # the joypad byte
BUSY: dict[str, Any] = {"action_set": "complex", "noop_max": 30, "sticky_probability": 0.25, "stall_limit": 40}

CONFIGS = {
    "article": EnvConfig(**BUSY),
    "plain": EnvConfig(**BUSY, grayscale="plain"),
    "shaped": EnvConfig(**BUSY, reward="shaped", clear_bonus=50, death_penalty=25),
    "two stages": EnvConfig(**BUSY, stage=("1-1", "8-2"), grayscale="plain"),
    "whole game": EnvConfig(**(BUSY | {"stall_limit": None}), stage="game"),  # lives, and the scenes between them
    "no skip": EnvConfig(**BUSY, frame_skip=1, grayscale="plain"),
    "skip 2": EnvConfig(**BUSY, frame_skip=2),
    "skip 7": EnvConfig(**BUSY, frame_skip=7, grayscale="plain"),
}


def assert_same_info(lean: dict[str, Any], plain: dict[str, Any], *, shaped: bool) -> None:
    assert lean == {key: value for key, value in plain.items() if shaped or key not in DIAGNOSTICS}


@pytest.mark.parametrize("name", CONFIGS)
def test_lean_is_what_the_plain_wrappers_give(name: str) -> None:
    config = CONFIGS[name]
    shaped = config.reward == "shaped"
    lean, plain = make_env(config, lean=True), make_env(config, lean=False)
    assert lean.observation_space == plain.observation_space
    rng = np.random.default_rng(1)
    seed: int | None = 5
    ends, over = 0, True
    for _ in range(FRAMES // config.frame_skip):
        if over:
            (observation, info), (expected, expected_info) = lean.reset(seed=seed), plain.reset(seed=seed)
            seed = None
            assert np.array_equal(observation, expected)
            assert_same_info(info, expected_info, shaped=shaped)
        # Right and running more often than not, so that pits and enemies are met.
        action = int(rng.choice([3, 4])) if rng.random() < 0.7 else int(rng.integers(12))
        observation, reward, terminated, truncated, info = lean.step(action)
        expected, *expected_rest, expected_info = plain.step(action)
        assert np.array_equal(observation, expected)
        assert [reward, terminated, truncated] == expected_rest
        assert_same_info(info, expected_info, shaped=shaped)
        assert lean.buttons_sent == plain.buttons_sent
        over = terminated or truncated
        ends += over
    assert ends > 1 or name == "whole game"  # ends are where the two could differ
    if name == "whole game":
        assert info["life"] < 2  # a life was lost, and the scene between two lives cut short
    assert np.array_equal(lean.unwrapped.ram, plain.unwrapped.ram)
    lean.close()
    plain.close()


@pytest.mark.parametrize("grayscale", ["article", "plain"])
def test_an_end_on_any_frame_of_a_step_shows_what_the_plain_wrappers_show(grayscale: Any) -> None:
    """These no-ops at the start of 8-1 move the death to each of the four frames of its agent step."""
    config = EnvConfig(stage="8-1", grayscale=grayscale, frame_stack=1)
    lean, plain = make_env(config, lean=True), make_env(config, lean=False)
    lengths = set()
    for noop_frames in (0, 1, 8, 9):
        ended = False
        lean.reset(options={"noop_frames": noop_frames})
        plain.reset(options={"noop_frames": noop_frames})
        while not ended:
            observation, *rest, _ = lean.step(1)  # to the right, into the first enemy
            expected, *expected_rest, _ = plain.step(1)
            assert np.array_equal(observation, expected)
            assert rest == expected_rest
            ended = rest[1]
        lengths.add((len(lean.buttons_sent) - noop_frames) % config.frame_skip)
    assert lengths == {0, 1, 2, 3}  # frames played in the last step, modulo 4


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version", "ignore:.*not having a spec")
@pytest.mark.parametrize("shaped", [False, True])
def test_the_lean_game_passes_gymnasiums_checker(shaped: bool) -> None:
    games = StagePool(["1-1"], open_stage=lambda stage: LeanGame(make_game(stage), shaped=shaped))
    check_env(LeanFrameSkip(games, num_frames=4, gray=True), skip_render_check=True)


def test_a_brief_frame_says_only_what_the_wrappers_read_and_the_last_frame_says_all() -> None:
    env = LeanGame(make_game("1-1"), shaped=False)
    env.reset()
    env.brief = True
    *_, info = env.step(RIGHT)
    assert set(info) == {"x_pos", "time", "flag_get", "is_dying", "is_dead"}
    terminated = False
    while not terminated:
        _, reward, terminated, _, info = env.step(RIGHT)
        assert reward == 0
    assert {"coins", "score", "status"} < set(info)
    with pytest.raises(ValueError, match="done environment"):
        env.step(RIGHT)
