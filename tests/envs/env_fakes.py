"""A game of a few scripted frames, and real button scripts: what the environment tests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete

from mario_rl.types import Pixels


@dataclass(frozen=True)
class Frame:
    """What the game shows and says after one step; `value` fills the screen."""

    value: int = 0
    x: int = 40
    clock: int = 400
    stage: str = "1-1"
    area: tuple[int, int] = (1, 5)
    life: int = 2
    reward: float = 0.0
    shaped: float = 0.0
    flag: bool = False
    dying: bool = False
    terminated: bool = False
    truncated: bool = False


class ScriptedGame(gym.Env[Any, Any]):
    """Shows `frames[0]` at reset and the others step by step, the last one for ever.

    Like the emulator, it draws every frame into one screen, and returns a view of it; a copy unless `live`. Keeps the
    actions it was sent.
    """

    def __init__(
        self, frames: Sequence[Frame] = (Frame(),), shape: tuple[int, ...] = (2, 2), *, live: bool = True
    ) -> None:
        self.live = live
        self.observation_space = Box(0, 255, shape, np.uint8)
        self.action_space = Discrete(256)
        self.frames = list(frames)
        self.screen = np.zeros(shape, dtype=np.uint8)
        self.ram = np.zeros(2048, dtype=np.uint8)
        self.actions: list[int] = []
        self.resets = 0
        self.closed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Pixels, dict[str, Any]]:
        super().reset(seed=seed)
        self.actions = []
        self.resets += 1
        return self._show(self.frames[0])

    def step(self, action: Any) -> tuple[Pixels, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        frame = self.frames[min(len(self.actions), len(self.frames) - 1)]
        screen, info = self._show(frame)
        return screen, frame.reward, frame.terminated, frame.truncated, info

    def observation(self, mode: str) -> Pixels:
        assert mode == "rgb_array_contiguous"
        return self.screen.copy()

    def close(self) -> None:
        self.closed += 1

    def _show(self, frame: Frame) -> tuple[Pixels, dict[str, Any]]:
        self.screen[...] = frame.value
        self.ram[[0x075F, 0x075C]] = [int(number) - 1 for number in frame.stage.split("-")]
        self.ram[[0x074E, 0x074F]] = frame.area
        self.ram[0x075A] = frame.life
        self.ram[[0x006D, 0x0086]] = divmod(frame.x, 256)
        return self.screen[...] if self.live else self.screen.copy(), game_info(frame)


def game_info(frame: Frame) -> dict[str, Any]:
    """What the game says of a frame, under the names it uses."""
    return {
        "x_pos": frame.x,
        "time": frame.clock,
        "flag_get": frame.flag,
        "is_dying": frame.dying,
        "is_dead": False,
        "reward_total_unclipped": frame.shaped,
    }


type Script = tuple[tuple[int, int], ...]
"""What to press and for how long: (button byte or action, times), one after the other."""

# fmt: off
CLEAR_1_1: Script = (
    (1, 7), (4, 2), (1, 1), (4, 11), (3, 5), (2, 7), (3, 8), (4, 10), (3, 8), (2, 2), (3, 7), (1, 1), (3, 3), (2, 4),
    (3, 4), (2, 4), (4, 12), (3, 7), (1, 1), (2, 12), (4, 7), (3, 7), (4, 3), (3, 5), (4, 4), (1, 2), (3, 6), (4, 6),
    (2, 2), (1, 5), (3, 1), (4, 12), (1, 3), (2, 6), (1, 7), (3, 3), (2, 3), (3, 7), (4, 5), (1, 1), (3, 5), (2, 5),
    (4, 7), (3, 8), (4, 7), (3, 4), (4, 6), (3, 1), (2, 3), (3, 5), (4, 19), (1, 6), (3, 3), (4, 9), (3, 2), (4, 6),
    (1, 2), (3, 7), (4, 9), (3, 3), (1, 3), (3, 6), (2, 3),
)
"""right_only actions, 4 frames each, no no-op frames: from the start of 1-1 to the flag. Found by random search."""

INTO_BONUS_ROOM: Script = (
    (130, 21), (129, 29), (128, 24), (0, 24), (129, 14), (128, 28), (131, 15), (129, 25), (131, 21), (130, 6), (131, 5),
    (129, 20), (0, 15), (131, 15), (0, 11), (129, 5), (131, 22), (129, 26), (128, 5), (129, 27), (131, 11), (0, 6),
    (131, 26), (129, 5), (131, 26), (0, 24), (129, 27), (130, 17), (128, 24), (131, 23), (0, 18), (128, 17), (0, 20),
    (129, 36), (0, 4), (32, 30),
)
"""Joypad bytes, 1 frame each: from the start of 1-1 onto its fourth pipe and, holding down, into the bonus room."""
# fmt: on

ACROSS_BONUS_ROOM: Script = ((128, 120), (129, 30), (128, 300))
"""Joypad bytes, 1 frame each: from there to the pipe that leads out, and back into the stage."""


def unroll(script: Script) -> list[int]:
    """Write a script out, one entry per press."""
    return [press for press, times in script for _ in range(times)]
