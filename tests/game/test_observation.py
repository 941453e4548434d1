"""The compiled observation equals, byte for byte, what the wrappers make of the same two frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gym_super_mario_bros  # noqa: F401  # registers the stages
import gymnasium as gym
import numpy as np
import pytest
from env_fakes import Frame, ScriptedGame
from hypothesis import given, settings
from hypothesis import strategies as st

from mario_rl.envs import AreaResize, ArticleGrayscale, FrameSkip, Luma, ShowButtons
from mario_rl.envs.wrappers import luma
from mario_rl.game.observation import (
    article_observation,
    paint_buttons,
    plain_observation,
)
from mario_rl.game.tables import SCRATCH_BYTES, article_tables
from mario_rl.types import Pixels

# fmt: off
PALETTE = np.array([
    0x7C7C7C, 0x0000FC, 0x0000BC, 0x4428BC, 0x940084, 0xA80020, 0xA81000, 0x881400,
    0x503000, 0x007800, 0x006800, 0x005800, 0x004058, 0x000000, 0x000000, 0x000000,
    0xBCBCBC, 0x0078F8, 0x0058F8, 0x6844FC, 0xD800CC, 0xE40058, 0xF83800, 0xE45C10,
    0xAC7C00, 0x00B800, 0x00A800, 0x00A844, 0x008888, 0x000000, 0x000000, 0x000000,
    0xF8F8F8, 0x3CBCFC, 0x6888FC, 0x9878F8, 0xF878F8, 0xF85898, 0xF87858, 0xFCA044,
    0xF8B800, 0xB8F818, 0x58D854, 0x58F898, 0x00E8D8, 0x787878, 0x000000, 0x000000,
    0xFCFCFC, 0xA4E4FC, 0xB8B8F8, 0xD8B8F8, 0xF8B8F8, 0xF8A4C0, 0xF0D0B0, 0xFCE0A8,
    0xF8D878, 0xD8F878, 0xB8F8B8, 0xB8F8D8, 0x00FCFC, 0xF8D8F8, 0x000000, 0x000000,
])
# fmt: on
RGB = np.stack([PALETTE >> 16, PALETTE >> 8 & 255, PALETTE & 255], axis=-1).astype(np.uint8)
LUMA = luma(RGB[None])[0]
TABLES = article_tables(RGB)

GUARD = 64
"""Bytes before and after the memory that a function may write to."""


class Guarded:
    """Memory between two guards, which must not change."""

    def __init__(self, size: int) -> None:
        self._all = np.full(GUARD + size + GUARD, 0xA5, np.uint8)
        self.content = self._all[GUARD:-GUARD]

    @property
    def address(self) -> int:
        return self.content.ctypes.data

    def check(self) -> None:
        assert (self._all[:GUARD] == 0xA5).all()
        assert (self._all[-GUARD:] == 0xA5).all()


def plain(before: Pixels, last: Pixels) -> Pixels:
    scratch, output = Guarded(SCRATCH_BYTES), Guarded(84 * 84)
    plain_observation(before.ctypes.data, last.ctypes.data, scratch.address, output.address)
    scratch.check()
    output.check()
    return output.content.reshape(84, 84)


def article(before: Pixels, last: Pixels) -> Pixels:
    scratch, output = Guarded(SCRATCH_BYTES), Guarded(84 * 84)
    article_observation(before.ctypes.data, last.ctypes.data, TABLES.ctypes.data, scratch.address, output.address)
    scratch.check()
    output.check()
    return output.content.reshape(84, 84)


def shown(before: Pixels, last: Pixels) -> ScriptedGame:
    """Make a game that shows these two frames after its reset."""
    frames: list[Any] = [np.zeros_like(before), before, last]
    return ScriptedGame([Frame(value=frame) for frame in frames], before.shape)


def observe(env: gym.Env[Any, Any]) -> Pixels:
    env.reset()
    observation: Pixels = env.step(0)[0]
    return observation


def plain_by_wrappers(before: Pixels, last: Pixels) -> Pixels:
    return observe(AreaResize(FrameSkip(shown(before, last), num_frames=2)))


def article_by_wrappers(before: Pixels, last: Pixels) -> Pixels:
    return observe(ArticleGrayscale(FrameSkip(shown(RGB[before], RGB[last]), num_frames=2)))


@st.composite
def images(draw: st.DrawFn, levels: int) -> Pixels:
    """Rectangles of equal size in a few levels, cut anywhere: noise where they are single pixels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.sampled_from([1, 2, 3, 5, 8, 16, 240])), draw(st.sampled_from([1, 2, 3, 5, 8, 16, 256]))
    used = rng.choice(levels, draw(st.sampled_from([1, 2, 4, 13, levels])), replace=False).astype(np.uint8)
    rectangles = rng.choice(used, (240 // height + 2, 256 // width + 2))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    pixels = rectangles.repeat(height, axis=0).repeat(width, axis=1)[top : top + 240, left : left + 256]
    return np.ascontiguousarray(pixels)


@pytest.fixture(scope="module")
def screens() -> list[Pixels]:
    """Run and jump through the beginning of 1-1, scrolling included: uint8 (240, 256) palette numbers per frame."""
    number_of = np.zeros(1 << 24, np.uint8)
    number_of[PALETTE] = np.arange(64)
    game = gym.make("SuperMarioBros-1-1-v0")
    played = [game.reset()[0].copy()]
    for frame in range(300):
        screen, _, terminated, *_ = game.step(0b1000_0010 + frame // 25 % 2)
        played.append(screen.copy())
        if terminated:
            game.reset()
    game.close()
    return [number_of[screen.astype(np.int64) @ [1 << 16, 1 << 8, 1]] for screen in played]


class TestPlainObservation:
    @settings(max_examples=150)
    @given(images(256), images(256))
    def test_any_two_frames_give_what_the_wrappers_give(self, before: Pixels, last: Pixels) -> None:
        assert np.array_equal(plain(before, last), plain_by_wrappers(before, last))

    @given(images(256))
    def test_a_single_frame_is_passed_twice(self, frame: Pixels) -> None:
        assert np.array_equal(plain(frame, frame), AreaResize(ScriptedGame(shape=frame.shape)).observation(frame))

    def test_ties_go_where_the_float32_sum_of_cv2_goes(self) -> None:
        """The first cell: column 3 weighs 1/64, its rows 7/20, 7/20 and 6/20; 64, 0 and 32 more are half a gray level.

        All of these would go to even, were it not that four float32 sums fall short of the half below an even level.
        """
        levels = np.arange(192, dtype=np.uint8)
        frames = np.tile(levels[:, None, None], (1, 240, 256))
        frames[:, :3, 3] += np.array([64, 0, 32], np.uint8)
        rounded = np.array([plain(frame, frame)[0, 0] for frame in frames])
        assert rounded.tolist() == [plain_by_wrappers(frame, frame)[0, 0] for frame in frames]
        to_even = np.round(levels + 0.5)
        assert (to_even - rounded).sum() == (rounded != to_even).sum() == 4

    @pytest.mark.emulator
    def test_real_screens_give_what_the_wrappers_give(self, screens: list[Pixels]) -> None:
        for before, last in pairwise(screens):
            expected = observe(AreaResize(FrameSkip(Luma(shown(RGB[before], RGB[last])), num_frames=2)))
            assert np.array_equal(plain(LUMA[before], LUMA[last]), expected)


class TestArticleObservation:
    @settings(max_examples=150)
    @given(images(64), images(64))
    def test_any_two_frames_give_what_the_wrappers_give(self, before: Pixels, last: Pixels) -> None:
        assert np.array_equal(article(before, last), article_by_wrappers(before, last))

    @given(images(64))
    def test_a_single_frame_is_passed_twice(self, frame: Pixels) -> None:
        expected = ArticleGrayscale(ScriptedGame(shape=(240, 256, 3))).observation(RGB[frame])
        assert np.array_equal(article(frame, frame), expected)

    @pytest.mark.parametrize("color", range(64))
    def test_one_color_all_over_is_truncated_as_cv2_leaves_it(self, color: int) -> None:
        """Whites and grays are whole numbers that float32 sums may just miss."""
        frame = np.full((240, 256), color, np.uint8)
        assert np.array_equal(article(frame, frame), article_by_wrappers(frame, frame))

    def test_the_maximum_is_taken_color_by_color(self) -> None:
        """Blue 0x0000FC and green 0x00B800 make 0x00B8FC: 0.587 x 184 + 0.114 x 252 = 136.7."""
        blue, green = np.full((240, 256), 0x01, np.uint8), np.full((240, 256), 0x19, np.uint8)
        assert (article(blue, green) == 136).all()

    @pytest.mark.emulator
    def test_real_screens_give_what_the_wrappers_give(self, screens: list[Pixels]) -> None:
        for before, last in pairwise(screens):
            assert np.array_equal(article(before, last), article_by_wrappers(before, last))


class TestPaintButtons:
    def test_every_joypad_byte_is_painted_as_the_wrapper_does(self) -> None:
        env = ShowButtons(ScriptedGame([Frame(value=100)], (84, 84)))
        env.reset()
        for byte in range(256):
            output = Guarded(84 * 84)
            output.content[:] = 100
            paint_buttons(output.address, byte)
            output.check()
            assert np.array_equal(output.content.reshape(84, 84), env.step(byte)[0])
