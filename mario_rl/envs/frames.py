"""The game frame by frame, for whoever wants to see it: joypad bytes in, screens out."""

from __future__ import annotations

from typing import Any, SupportsInt

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete

from mario_rl.config import EnvConfig
from mario_rl.envs.native import MarioEnv
from mario_rl.game.actions import ALL_BYTES
from mario_rl.pixels import MAX_PIXEL
from mario_rl.types import Pixels

SCREEN_SHAPE = (240, 256, 3)


class _RawGame(MarioEnv):
    """It ends as gym-super-mario-bros 9 has it, which plays on in the stage that a warp zone leads to."""

    goes_on_after_warp = True


class FrameByFrame(gym.Env[Any, Any]):
    """One stage, one step a frame, as gym-super-mario-bros 9 has it: its info, its reward, its ends.

    Observation: uint8 (240, 256, 3), RGB, a copy. Action: Discrete(256), the joypad byte.

    Args:
        config: `stage` is one stage or the whole game; of the rest only `rom` counts.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 60}  # noqa: RUF012  (Gymnasium's own form)

    def __init__(self, config: EnvConfig) -> None:
        self.observation_space = Box(0, MAX_PIXEL, SCREEN_SHAPE, np.uint8)
        self.action_space = Discrete(256)
        self.render_mode = "rgb_array"
        frames = EnvConfig(
            stage=config.stage,
            rom=config.rom,
            action_set=ALL_BYTES,
            reward="shaped",
            reward_scale=1.0,
            frame_skip=1,
            frame_stack=1,
            noop_max=0,
            stall_limit=None,
            max_agent_steps=None,
        )
        self._game = _RawGame(frames, render_mode="rgb_array")

    @property
    def ram(self) -> Pixels:
        """uint8 (2048,), the console's memory; live."""
        return self._game.ram

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        _, info = self._game.reset(seed=seed, options=options)
        return self._game.render(), info

    def step(self, action: SupportsInt) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        _, reward, terminated, truncated, info = self._game.step(action)
        return self._game.render(), reward, terminated, truncated, info

    def render(self) -> Pixels:
        screen: Pixels = self._game.render()
        return screen

    def close(self) -> None:
        self._game.close()
