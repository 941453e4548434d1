"""The game with only the work somebody needs: the same frames, rewards and ends as the plain wrappers give, sooner."""

from __future__ import annotations

from typing import Any

import cv2
import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from mario_rl.envs.wrappers import luma
from mario_rl.pixels import MAX_PIXEL
from mario_rl.types import Pixels

DIAGNOSTICS = ("reward_components", "reward_total_unclipped", "reward_total_clipped")
"""What gym-super-mario-bros says of its own reward; worked out only where `env.reward` is shaped."""

PIXEL_STRIDES = (1024, 4, -1)
"""How the RGB screen lies in the memory of a little-endian nes-py: 256 pixels a row, each blue, green, red, unused."""


class LeanGame(gym.Wrapper[Any, int, Any, int]):
    """Step gym-super-mario-bros, one step a frame, without the parts of `info` and reward that nobody reads.

    observation: the game's live screen; copy what is kept.
    reward: the game's own if `shaped`, else 0: FrameReward replaces it.
    info: the game's own, less `DIAGNOSTICS` if not `shaped`. On a frame played while `brief` is True that doesn't end
        the episode, only what our wrappers read: x_pos, time, flag_get, is_dying, is_dead, DIAGNOSTICS if `shaped`.
    What the game writes to its memory between frames (it cuts short deaths, pipes and cut-scenes) is done as ever.

    brief: see info.
    pixels: the live screen, uint8 (240, 256, 4): blue, green, red and an unused byte, as it lies in memory.

    Args:
        env: a stage of gym-super-mario-bros 9.
        shaped: whether the game's own reward is wanted.
    """

    def __init__(self, env: gym.Env[Any, int], *, shaped: bool) -> None:
        super().__init__(env)
        game: Any = env.unwrapped
        self._game = game
        self._shaped = shaped
        self.brief = False
        screen: Pixels = self._game.screen
        assert screen.strides == PIXEL_STRIDES, f"a screen of unknown layout: strides {screen.strides}"
        self.pixels: Pixels = np.lib.stride_tricks.as_strided(screen[..., ::-1], (*screen.shape[:2], 4), (1024, 4, 1))

    @property
    def lean_game(self) -> LeanGame:
        """This wrapper, for those around it: `env.get_wrapper_attr("lean_game")`."""
        return self

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.brief = False
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._without_diagnostics(info)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        game = self._game
        if game.done:
            self.env.step(action)  # raises: the episode is over
        # From here on nes_py.NESEnv.step, line by line.
        game._frame_advance(action)
        reward = float(game._get_reward()) if self._shaped else 0.0
        game.done = terminated = bool(game._get_terminated())
        info = self._whole_info() if terminated or not self.brief else self._brief_info()
        game._did_step(terminated)
        low, high = game.reward_range
        return game.screen, max(low, min(high, reward)), terminated, False, info

    def grayscale(self, output: Pixels) -> None:
        """Write the screen as the emulator makes it gray, see `luma`, into uint8 (240, 256)."""
        self._game.observation("grayscale", output=output)

    def _whole_info(self) -> dict[str, Any]:
        if not self._shaped:
            # The reward that was left out would have seen to it.
            self._game._x_position_max = max(self._game._x_position_max, self._game._x_position)
        info: dict[str, Any] = self._game._get_info()
        return self._without_diagnostics(info)

    def _brief_info(self) -> dict[str, Any]:
        game = self._game
        info = {
            "x_pos": game._x_position,
            "time": game._time,
            "flag_get": game._flag_get,
            "is_dying": game._is_dying,
            "is_dead": game._is_dead,
        }
        if self._shaped:
            return {**info, **game._reward_info()}
        game._x_position_max = max(game._x_position_max, info["x_pos"])
        return info

    def _without_diagnostics(self, info: dict[str, Any]) -> dict[str, Any]:
        if not self._shaped:
            for key in DIAGNOSTICS:
                del info[key]
        return info


class LeanFrameSkip(gym.Wrapper[Any, Any, Any, Any]):
    """Do what FrameSkip does around CopiedScreen (and Luma if `gray`), with a `LeanGame` somewhere inside.

    Skipped frames are stepped with a brief info, and not turned into RGB or gray. A frame can be the last but one of a
    step without anybody knowing until the episode ends on the next, so each one's bytes are kept as they are: 5 us.

    Observation: uint8 (240, 256, 3), or (240, 256) if `gray`.
    """

    def __init__(self, env: gym.Env[Any, Any], *, num_frames: int, gray: bool) -> None:
        super().__init__(env)
        self._num_frames = num_frames
        self._gray = gray
        space = env.observation_space
        assert isinstance(space, Box)
        height, width, _ = space.shape
        # Frame k of a step is in [k % 2]; as bytes, or as gray already.
        self._pixels = np.empty((2, height, width, 4), np.uint8)
        self._grays = np.empty((2, height, width), np.uint8)
        self._brightest = np.empty((height, width, 4), np.uint8)
        if gray:
            self.observation_space = Box(0, MAX_PIXEL, (height, width), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        _, info = self.env.reset(seed=seed, options=options)
        self._game: LeanGame = self.env.get_wrapper_attr("lean_game")  # found anew: each stage has its own
        self._keep(0)
        return self._seen(0), info

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        total = 0.0
        for frame in range(self._num_frames):
            self._game.brief = frame < self._num_frames - 1
            _, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            self._keep(frame)
            if terminated or truncated:
                break
        self._game.brief = False
        return self._seen(frame), total, terminated, truncated, info

    def _keep(self, frame: int) -> None:
        if self._gray and frame >= self._num_frames - 2:
            self._game.grayscale(self._grays[frame % 2])
        else:
            np.copyto(self._pixels[frame % 2], self._game.pixels)

    def _seen(self, last: int) -> Pixels:
        """Return the maximum of the frames `last` and `last - 1`, both kept; of frame 0, that frame alone."""
        if self._gray:
            return self._gray_seen(last)
        pixels = np.maximum(self._pixels[0], self._pixels[1], out=self._brightest) if last > 0 else self._pixels[0]
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), dtype=np.uint8)

    def _gray_seen(self, last: int) -> Pixels:
        for frame in range(max(last - 1, 0), min(last + 1, self._num_frames - 2)):  # those kept as bytes
            self._grays[frame % 2] = luma(self._pixels[frame % 2, ..., 2::-1])
        gray: Pixels = self._grays.max(axis=0) if last > 0 else self._grays[0].copy()
        return gray
