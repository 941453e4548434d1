"""From the screen to the observation: every wrapper alone, on a game of a few frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
import pytest
from env_fakes import Frame, ScriptedGame
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mario_rl.config import EnvConfig
from mario_rl.envs import (
    AreaResize,
    ArticleGrayscale,
    ButtonActions,
    ClassicReturn,
    CopiedScreen,
    FrameReward,
    FrameSkip,
    FrameStack,
    Luma,
    NoopStart,
    NormalizeObservation,
    RecordButtons,
    ResumableEpisodes,
    ShowButtons,
    SnapshotStarts,
    StagePool,
    StallLimit,
    StepLimit,
    StickyActions,
    SummarizeEpisode,
    TrackProgress,
)
from mario_rl.types import Pixels

RGB = (240, 256, 3)
GRAY = (240, 256)
WRAPPERS: dict[str, tuple[Callable[[Any], gym.Env[Any, Any]], tuple[int, ...]]] = {
    "CopiedScreen": (CopiedScreen, RGB),
    "Luma": (Luma, RGB),
    "FrameSkip": (partial(FrameSkip, num_frames=4), RGB),
    "ArticleGrayscale": (ArticleGrayscale, RGB),
    "AreaResize": (AreaResize, GRAY),
    "ShowButtons": (ShowButtons, GRAY),
    "FrameStack": (partial(FrameStack, num_frames=4), GRAY),
    "NormalizeObservation": (NormalizeObservation, GRAY),
    "ButtonActions": (partial(ButtonActions, actions=(("right",), ("A", "B"))), GRAY),
    "RecordButtons": (RecordButtons, GRAY),
    "NoopStart": (partial(NoopStart, noop_max=30), GRAY),
    "SnapshotStarts": (
        lambda env: SnapshotStarts(
            NoopStart(RecordButtons(StagePool(["1-1"], open_stage=lambda stage: env)), noop_max=0),
            probability=0.0,
            rewind_frames=240,
        ),
        GRAY,
    ),
    "StickyActions": (partial(StickyActions, probability=0.25), GRAY),
    "TrackProgress": (TrackProgress, GRAY),
    "ClassicReturn": (ClassicReturn, GRAY),
    "FrameReward": (partial(FrameReward, config=EnvConfig()), GRAY),
    "StallLimit": (lambda env: StallLimit(TrackProgress(env), limit=3), GRAY),
    "StepLimit": (partial(StepLimit, limit=3), GRAY),
    "SummarizeEpisode": (SummarizeEpisode, GRAY),
    "ResumableEpisodes": (partial(ResumableEpisodes, action_names=("NOOP",)), GRAY),
    "StagePool": (lambda env: StagePool(["1-1"], open_stage=lambda stage: env), GRAY),
}


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version", "ignore:.*not having a spec")
@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_alone_passes_gymnasiums_checker(name: str) -> None:
    wrap, shape = WRAPPERS[name]
    check_env(wrap(ScriptedGame([Frame(value=10), Frame(value=20)], shape, live=False)))


def frames(*values: int, ends: bool = False) -> list[Frame]:
    """The reset's frame, 0, and then one frame per value, each paying its value; at the last the episode may end."""
    played = [Frame(value=value, reward=value) for value in values]
    if ends:
        played[-1] = Frame(value=values[-1], reward=values[-1], terminated=True)
    return [Frame(), *played]


class TestShowButtons:
    def test_a_white_square_is_a_button_held_in_the_step_that_led_here(self) -> None:
        env = ShowButtons(ScriptedGame([Frame(value=100)], (84, 84)))
        shown = [env.reset()[0], *(env.step(byte)[0] for byte in (0b1000_0001, 0b0100_0010, 0))]
        middles = [frame[7, 7:43:6].tolist() for frame in shown]  # A, B, up, down, left, right
        assert middles == [[0] * 6, [255, 0, 0, 0, 0, 255], [0, 255, 0, 0, 255, 0], [0] * 6]

    def test_the_rest_of_the_frame_is_left_as_it_is(self) -> None:
        game = ScriptedGame([Frame(value=100)], (84, 84))
        observation, _ = ShowButtons(game).reset()
        assert (observation[4:10, 4:40] == 0).all()
        assert (observation == 100).sum() == 84 * 84 - 6 * 36
        assert (game.screen == 100).all()


class TestFrameSkip:
    def test_holds_the_action_and_sums_the_rewards(self) -> None:
        game = ScriptedGame(frames(1, 2, 3, 4, 50))
        env = FrameSkip(game, num_frames=4)
        env.reset()
        _, reward, *_ = env.step(7)
        assert game.actions == [7, 7, 7, 7]
        assert reward == 10.0

    @pytest.mark.parametrize(("values", "shown"), [((9, 9, 5, 3), 5), ((9, 9, 3, 5), 5)])
    def test_shows_the_maximum_of_the_last_two_frames(self, values: tuple[int, ...], shown: int) -> None:
        env = FrameSkip(ScriptedGame(frames(*values)), num_frames=4)
        env.reset()
        assert (env.step(0)[0] == shown).all()

    def test_the_maximum_is_taken_pixel_by_pixel(self) -> None:
        class Blink(ScriptedGame):
            """Draws its sprite left on odd frames and right on even ones."""

            def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
                _, reward, terminated, truncated, info = super().step(action)
                self.screen[:] = [[8, 0], [0, 0]] if len(self.actions) % 2 else [[0, 6], [0, 0]]
                return self.screen, reward, terminated, truncated, info

        env = FrameSkip(Blink(), num_frames=4)
        env.reset()
        assert env.step(0)[0].tolist() == [[8, 6], [0, 0]]

    def test_an_episode_that_ends_on_the_first_frame_shows_that_frame_alone(self) -> None:
        game = ScriptedGame([Frame(value=200), Frame(value=5, terminated=True)])
        env = FrameSkip(game, num_frames=4)
        env.reset()
        observation, _, terminated, truncated, _ = env.step(0)
        assert (observation == 5).all()
        assert (terminated, truncated) == (True, False)
        assert len(game.actions) == 1

    def test_an_episode_that_ends_inside_the_skip_ends_the_step(self) -> None:
        game = ScriptedGame([*frames(9, 4), Frame(value=2, reward=-1.0, truncated=True, clock=123)])
        env = FrameSkip(game, num_frames=4)
        env.reset()
        observation, reward, terminated, truncated, info = env.step(0)
        assert (observation == 4).all()  # the last two played are 4 and 2
        assert reward == 12.0  # 9 + 4 - 1
        assert (terminated, truncated) == (False, True)
        assert info["time"] == 123
        assert len(game.actions) == 3

    def test_frames_of_the_step_before_do_not_count(self) -> None:
        env = FrameSkip(ScriptedGame([*frames(0, 0, 0, 99), Frame(value=1, terminated=True)]), num_frames=4)
        env.reset()
        env.step(0)
        assert (env.step(0)[0] == 1).all()

    def test_one_frame_is_shown_alone(self) -> None:
        env = FrameSkip(ScriptedGame(frames(9, 3)), num_frames=1)
        env.reset()
        assert [int(env.step(0)[0].max()) for _ in range(2)] == [9, 3]

    @pytest.mark.parametrize("num_frames", [1, 4])
    def test_what_it_returns_outlives_the_next_frame(self, num_frames: int) -> None:
        env = FrameSkip(ScriptedGame(frames(*[7] * num_frames, 1)), num_frames=num_frames)
        first, _ = env.reset()
        second, *_ = env.step(0)
        env.step(0)
        assert (first == 0).all()
        assert (second == 7).all()


class TestGray:
    def test_article_pixels_are_the_articles_arithmetic(self) -> None:
        rgb = np.random.default_rng(0).integers(0, 256, RGB, dtype=np.uint8)
        img = rgb.astype(np.float32)
        luma = img[:, :, 0] * 0.299 + img[:, :, 1] * 0.587 + img[:, :, 2] * 0.114
        expected = cv2.resize(luma, (84, 110), interpolation=cv2.INTER_AREA)[18:102].astype(np.uint8)
        assert np.array_equal(ArticleGrayscale(ScriptedGame(shape=RGB)).observation(rgb), expected)

    def test_article_truncates(self) -> None:
        env = ArticleGrayscale(ScriptedGame([Frame(value=0)], RGB))
        pixels = np.zeros(RGB, dtype=np.uint8)
        pixels[..., 2] = 35  # luma 3.99
        assert (env.observation(pixels) == 3).all()

    def test_article_drops_the_upper_and_lower_edge_of_the_screen(self) -> None:
        pixels = np.full(RGB, 255, dtype=np.uint8)
        pixels[: 18 * 240 // 110] = 0  # what shrinks to rows 0 to 17 of 110
        pixels[-(8 * 240 // 110) :] = 0  # and to rows 102 to 109
        observation = ArticleGrayscale(ScriptedGame(shape=RGB)).observation(pixels)
        assert observation.min() > 150

    @pytest.mark.parametrize(
        ("rgb", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 149), ((0, 0, 255), 28), ((255, 255, 255), 255)]
    )
    def test_luma_weighs_red_77_green_150_and_blue_29_of_256(self, rgb: tuple[int, int, int], gray: int) -> None:
        env = Luma(ScriptedGame(shape=RGB))
        assert env.observation_space == Box(0, 255, (240, 256), np.uint8)
        assert (env.observation(np.full(RGB, rgb, dtype=np.uint8)) == gray).all()

    def test_area_resize_keeps_the_whole_screen(self) -> None:
        pixels = np.zeros((168, 168), dtype=np.uint8)
        pixels[0, 0], pixels[-1, -1] = 200, 100  # each 2 x 2 block becomes one pixel
        observation = AreaResize(ScriptedGame(shape=(168, 168))).observation(pixels)
        assert (observation[0, 0], observation[-1, -1], int(observation.sum())) == (50, 25, 75)


def test_copied_screen_outlives_the_next_frame() -> None:
    env = CopiedScreen(ScriptedGame(frames(5, 6), RGB))
    first, _ = env.reset()
    second, *_ = env.step(0)
    env.step(0)
    assert (first == 0).all()
    assert (second == 5).all()


class TestFrameStack:
    def test_is_oldest_first_with_zeros_before_the_episode(self) -> None:
        env = FrameStack(ScriptedGame([Frame(value=value) for value in (1, 2, 3, 4)]), num_frames=3)
        observations = [env.reset()[0], *(env.step(0)[0] for _ in range(3))]
        assert [stack[:, 0, 0].tolist() for stack in observations] == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]

    def test_forgets_at_reset(self) -> None:
        env = FrameStack(ScriptedGame([Frame(value=1), Frame(value=2)]), num_frames=3)
        env.reset()
        env.step(0)
        assert env.reset()[0][:, 0, 0].tolist() == [0, 0, 1]

    def test_what_the_caller_does_to_a_stack_stays_with_the_caller(self) -> None:
        env = FrameStack(ScriptedGame([Frame(value=1), Frame(value=2)]), num_frames=2)
        observation, _ = env.reset()
        observation[:] = 99
        assert env.step(0)[0][:, 0, 0].tolist() == [1, 2]

    @pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 4, 3)])
    def test_takes_observations_of_any_shape(self, shape: tuple[int, ...]) -> None:
        env = FrameStack(ScriptedGame(shape=shape), num_frames=6)
        assert env.observation_space == Box(0, 255, (6, *shape), np.uint8)
        assert env.reset()[0].shape == (6, *shape)


@given(arrays(np.uint8, (2, 2), elements=st.integers(0, 255)))
def test_normalised_pixels_are_the_255th_parts_in_float32(pixels: Pixels) -> None:
    env = NormalizeObservation(ScriptedGame())
    unit = env.observation(pixels)
    assert unit.dtype == np.float32
    assert np.array_equal(unit, pixels / np.float32(255))
    assert env.observation_space.contains(unit)
