"""From the emulator's screen to the agent's observation: copy, gray, skip, resize, stack, normalise."""

from __future__ import annotations

from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from mario_rl.game.actions import BUTTON_BITS, NO_BUTTONS
from mario_rl.pixels import MAX_PIXEL, to_unit
from mario_rl.types import Pixels, UnitPixels

SIDE = 84
"""Height and width of an observation, pixels (Mnih et al. 2015)."""

LUMA_WEIGHTS = tuple(np.float32(weight) for weight in (0.299, 0.587, 0.114))
"""Red, green, blue, in the order in which the article adds them."""

ARTICLE_HEIGHT = 110
ARTICLE_ROWS = slice(18, 102)
"""The article shrinks the screen to 110 rows and keeps these."""

SHOWN_BUTTONS = ("A", "B", "up", "down", "left", "right")
SQUARE_SIDE = 6  # pixels
SQUARE_MARGIN = 4  # pixels from the left and the upper border, so that shifted observations show all of them
SQUARE_ROWS = slice(SQUARE_MARGIN, SQUARE_MARGIN + SQUARE_SIDE)


class CopiedScreen(gym.ObservationWrapper[Any, Any, Any]):
    """Copy each screen: uint8 (240, 256, 3), contiguous.

    The emulator's own is a live view of its memory that the next frame overwrites; strided backwards, it also costs
    NumPy five times the emulator's own copy. The unwrapped environment is a nes-py environment.
    """

    def observation(self, observation: Pixels) -> Pixels:
        game: Any = self.env.unwrapped
        screen: Pixels = game.observation("rgb_array_contiguous")
        return screen


def luma(rgb: Pixels) -> Pixels:
    """Make RGB gray as the emulator does: uint8 (H, W, 3) to uint8 (H, W), `(77 R + 150 G + 29 B) >> 8`."""
    red, green, blue = (rgb[..., channel].astype(np.uint16) for channel in range(3))
    # At most 256 x 255, so uint16 is enough.
    gray: Pixels = ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)
    return gray


class Luma(gym.ObservationWrapper[Any, Any, Any]):
    """Make each screen gray, see `luma`."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        height, width, _ = _shape(env)
        self.observation_space = _pixel_space(height, width)

    def observation(self, observation: Pixels) -> Pixels:
        return luma(observation)


class FrameSkip(gym.Wrapper[Any, Any, Any, Any]):
    """Hold each action for `num_frames` frames.

    Observation: the pixelwise maximum of the last two frames played in this step (the NES draws some sprites on every
        other frame only); where only one was played, because num_frames is 1 or the episode ended on the first, that
        frame alone. A copy in either case, as what reset returns.
    Reward: the sum over the frames played.
    The end of an episode ends the step; info is the last frame's.
    """

    def __init__(self, env: gym.Env[Any, Any], *, num_frames: int) -> None:
        super().__init__(env)
        self._num_frames = num_frames

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return observation.copy(), info

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        frame, reward, terminated, truncated, info = self.env.step(action)
        observation, total = frame.copy(), float(reward)
        for _ in range(self._num_frames - 1):
            if terminated or truncated:
                break
            # Copied, since the environment may draw every frame into the same memory.
            before = frame.copy()
            frame, reward, terminated, truncated, info = self.env.step(action)
            observation = np.maximum(before, frame)
            total += float(reward)
        return observation, total, terminated, truncated, info


class ArticleGrayscale(gym.ObservationWrapper[Any, Any, Any]):
    """Make the article's 84x84 of an RGB screen: uint8 (H, W, 3) to uint8 (84, 84).

    Luma 0.299 R + 0.587 G + 0.114 B in float32, added in that order; area interpolation to 110 rows of 84; rows 18 to
    101; truncated to bytes.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        height, width, _ = _shape(env)
        self.observation_space = _pixel_space(SIDE, SIDE)
        # Reused: to allocate these anew would cost as much as all the rest.
        self._channels = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._luma, self._term = np.empty((2, height, width), np.float32)

    def observation(self, observation: Pixels) -> Pixels:
        cv2.split(np.ascontiguousarray(observation), self._channels)
        self._luma[:] = 0
        for channel, weight in zip(self._channels, LUMA_WEIGHTS, strict=True):
            self._term[:] = channel  # converted first, then multiplied: in one go NumPy takes three times as long
            self._term *= weight
            self._luma += self._term
        resized = cv2.resize(self._luma, (SIDE, ARTICLE_HEIGHT), interpolation=cv2.INTER_AREA)
        cropped: Pixels = resized[ARTICLE_ROWS].astype(np.uint8)
        return cropped


class AreaResize(gym.ObservationWrapper[Any, Any, Any]):
    """Shrink a gray screen, the whole of it, by area interpolation: uint8 (H, W) to uint8 (84, 84)."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = _pixel_space(SIDE, SIDE)

    def observation(self, observation: Pixels) -> Pixels:
        return np.asarray(cv2.resize(observation, (SIDE, SIDE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


class ShowButtons(gym.Wrapper[Any, int, Any, int]):
    """Paint which buttons the last step held down into the frame: uint8 (H, W), six squares in the sky.

    From the left: A, B, up, down, left, right; white where it is held, else black; all black after a reset. Mario jumps
    when A is pressed, not while it stays pressed: without them the frames don't say whether A makes him jump now. The
    last action as input of the network: Kapturowski et al. 2019 (R2D2).
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._painted(observation, NO_BUTTONS), info

    def step(self, action: int) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._painted(observation, action), float(reward), terminated, truncated, info

    def _painted(self, observation: Pixels, action: int) -> Pixels:
        painted = observation.copy()
        for place, button in enumerate(SHOWN_BUTTONS):
            left = SQUARE_MARGIN + place * SQUARE_SIDE
            held = action & BUTTON_BITS[button]
            painted[SQUARE_ROWS, left : left + SQUARE_SIDE] = MAX_PIXEL if held else 0
        return painted


class FrameStack(gym.Wrapper[Any, Any, Any, Any]):
    """Stack the last `num_frames` observations: (...) to (num_frames, ...), oldest first, of the same dtype.

    Zeros stand for what was before the episode's first. Each array is a new one.
    """

    def __init__(self, env: gym.Env[Any, Any], *, num_frames: int) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, Box)
        low, high = min(float(space.low.min()), 0.0), max(float(space.high.max()), 0.0)  # zeros belong to the space
        self.observation_space = Box(low, high, (num_frames, *space.shape), space.dtype.type)
        self._stack = np.zeros((num_frames, *space.shape), dtype=space.dtype)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._stack[:] = 0
        return self._push(observation), info

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._push(observation), float(reward), terminated, truncated, info

    def _push(self, observation: Pixels) -> Pixels:
        self._stack[:-1] = self._stack[1:]
        self._stack[-1] = observation
        return self._stack.copy()


class NormalizeObservation(gym.ObservationWrapper[Any, Any, Any]):
    """Scale pixels to [0, 1]: uint8 to float32, any shape. Replay and agent want bytes; this is for everyone else."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = Box(0.0, 1.0, _shape(env), np.float32)

    def observation(self, observation: Pixels) -> UnitPixels:
        return to_unit(observation)


def _pixel_space(height: int, width: int) -> Box:
    return Box(0, MAX_PIXEL, (height, width), np.uint8)


def _shape(env: gym.Env[Any, Any]) -> tuple[int, ...]:
    shape = env.observation_space.shape
    assert shape is not None
    return shape
