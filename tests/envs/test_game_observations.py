"""On the real game, on both emulators: observations pixel for pixel, and the checker on the plain environment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.env_checker import check_env
from nes_py.wrappers import JoypadSpace

from mario_rl.config import EnvConfig
from mario_rl.envs import action_buttons, make_env, num_actions
from mario_rl.envs.nes_py import make_game, make_plain_env
from mario_rl.types import Pixels

pytestmark = pytest.mark.emulator

UNDISTURBED: dict[str, Any] = {"noop_max": 0, "stall_limit": None, "max_agent_steps": None}


@pytest.fixture(params=["native", "nes_py"])
def emulator(request: pytest.FixtureRequest) -> Any:
    return request.param


@cache
def expected_stacks(
    action_set: str, actions: tuple[int, ...], capture: Callable[[Any], Pixels], shrink: Callable[[Pixels], Pixels]
) -> list[tuple[Pixels, bool]]:
    """Play the raw game, once, and keep the stack after each action, and whether the episode ended there.

    `capture` copies what one frame shows; `shrink` makes 84x84 of the maximum over the last two captures of a step.
    """
    stacks = []
    game = JoypadSpace(make_game("1-1"), [list(buttons) for buttons in action_buttons(action_set)])
    nothing = np.zeros((84, 84), dtype=np.uint8)
    ended = True
    for action in actions:
        if ended:
            game.reset()
            stack = deque([nothing, nothing, nothing, shrink(capture(game))], maxlen=4)
        captured = []
        for _ in range(4):
            *_, ended, _, _ = game.step(action)
            captured.append(capture(game))
            if ended:
                break
        stack.append(shrink(np.max(captured[-2:], axis=0)))
        stacks.append((np.stack(stack), ended))
    game.close()
    return stacks


def assert_observations_equal(config: EnvConfig, steps: int, **pipeline: Any) -> None:
    assert isinstance(config.action_set, str)
    env = make_env(config)
    actions = tuple(np.random.default_rng(0).integers(num_actions(config.action_set), size=steps).tolist())
    env.reset()
    compared = 0
    for action, (expected, ended) in zip(actions, expected_stacks(config.action_set, actions, **pipeline), strict=True):
        observation, _, terminated, truncated, _ = env.step(action)
        assert np.array_equal(observation, expected)
        assert (terminated, truncated) == (ended, False)
        if ended:
            observation, _ = env.reset()
            assert observation[:3].max() == 0
        compared += 1
    assert compared == steps
    env.close()


def capture_rgb(game: Any) -> Pixels:
    return np.array(game.unwrapped.screen)


def article(rgb: Pixels) -> Pixels:
    img = rgb.astype(np.float32)
    luma = img[:, :, 0] * 0.299 + img[:, :, 1] * 0.587 + img[:, :, 2] * 0.114
    cropped: Pixels = cv2.resize(luma, (84, 110), interpolation=cv2.INTER_AREA)[18:102].astype(np.uint8)
    return cropped


@pytest.mark.parametrize("action_set", ["right_only", "simple", "complex"])
def test_article_observations_are_the_articles_pixel_for_pixel(action_set: str, emulator: Any) -> None:
    config = EnvConfig(emulator=emulator, grayscale="article", action_set=action_set, **UNDISTURBED)
    assert_observations_equal(config, steps=90, capture=capture_rgb, shrink=article)


def capture_gray(game: Any) -> Pixels:
    return np.array(game.unwrapped.observation("grayscale"))


def shrink_whole_screen(gray: Pixels) -> Pixels:
    return np.asarray(cv2.resize(gray, (84, 84), interpolation=cv2.INTER_AREA))


def test_plain_observations_are_the_emulators_own_gray_pixel_for_pixel(emulator: Any) -> None:
    config = EnvConfig(emulator=emulator, grayscale="plain", action_set="simple", **UNDISTURBED)
    assert_observations_equal(config, steps=90, capture=capture_gray, shrink=shrink_whole_screen)


def test_normalised_observations_are_the_same_in_float32_255ths(emulator: Any) -> None:
    raw, unit = (make_env(EnvConfig(emulator=emulator), normalize=normalize) for normalize in (False, True))
    pairs = [(raw.reset(seed=1)[0], unit.reset(seed=1)[0])]
    pairs += [(raw.step(action)[0], unit.step(action)[0]) for action in (1, 2, 3)]
    for pixels, units in pairs:
        assert units.dtype == np.float32
        assert np.array_equal(units, pixels / np.float32(255))
    raw.close()
    unit.close()


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version", "ignore:.*not having a spec")
@pytest.mark.parametrize(
    ("normalize", "space"),
    [(False, Box(0, 255, (4, 84, 84), np.uint8)), (True, Box(0.0, 1.0, (4, 84, 84), np.float32))],
)
@pytest.mark.parametrize("grayscale", ["article", "plain"])
def test_the_plain_environment_passes_gymnasiums_checker(grayscale: Any, normalize: bool, space: Box) -> None:
    config = EnvConfig(stage=("1-1", "1-2"), sticky_probability=0.25, grayscale=grayscale)
    env = make_plain_env(config, normalize=normalize)
    check_env(env)
    assert env.observation_space == space
    assert env.action_space == Discrete(5)
    env.close()
    env.close()


def test_stack_and_skip_are_the_configs(emulator: Any) -> None:
    own = (("right",), ("A",))
    env = make_env(EnvConfig(emulator=emulator, frame_stack=2, frame_skip=3, action_set=own, noop_max=0))
    observation, _ = env.reset()
    env.step(1)
    assert observation.shape == (2, 84, 84)
    assert env.action_space == Discrete(2)
    assert env.action_names == ("right", "A")
    assert env.buttons_sent == [1, 1, 1]
    env.close()
