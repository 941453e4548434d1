"""Where Mario is and how far he has come: the best x per area, read from the game's memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym

from mario_rl.game.addresses import (
    AREA_OFFSET,
    AREA_TYPE,
    LEVEL,
    LIVES,
    PLAYER_PAGE,
    PLAYER_X,
    SCREEN_LEFT_PAGE,
    SCREEN_LEFT_X,
    WORLD,
)
from mario_rl.types import Pixels

PAGE_PIXELS = 256


class Position(NamedTuple):
    """Where Mario is between two frames.

    stage: such as "1-1". area: AreaType and AreaAddrsLOffset, the map that is loaded. life: lives left, 255 for none.
    x: pixels from the left end of the area, which has coordinates of its own.
    """

    stage: str
    area: tuple[int, int]
    life: int
    x: int


def read_position(ram: Pixels) -> Position:
    """Read Mario's position from the emulator's memory, uint8 (2048,).

    info["x_pos"] won't do: the environment skips the frames inside a pipe after it has made the info, so on that frame
    info still has the x of the area that was left, while the memory has area and x of the one that was entered.
    """
    return Position(
        stage=f"{int(ram[WORLD]) + 1}-{int(ram[LEVEL]) + 1}",
        area=(int(ram[AREA_TYPE]), int(ram[AREA_OFFSET])),
        life=int(ram[LIVES]),
        x=int(ram[PLAYER_PAGE]) * PAGE_PIXELS + int(ram[PLAYER_X]),
    )


def read_screen_left(ram: Pixels) -> int:
    """Read the x at the left edge of the screen from the emulator's memory, uint8 (2048,): pixels in the area.

    The next frame's screen is drawn with it.
    """
    return int(ram[SCREEN_LEFT_PAGE]) * PAGE_PIXELS + int(ram[SCREEN_LEFT_X])


class StageProgress:
    """How far Mario has come since `start`.

    stage: the stage he is in. best_x: the best x in the area that stage started in.
    new_bests: on how many frames he was further right than ever before in the area he was in. A new stage and a new
        life begin anew (and count one), so it stands still only while Mario makes no progress.
    """

    def __init__(self, start: Position) -> None:
        self.stage = start.stage
        self.best_x = start.x
        self.new_bests = 0
        self._life = start.life
        self._starting_area = start.area
        self._best_by_area = {start.area: start.x}

    def update(self, now: Position) -> None:
        """Take one frame into account."""
        if now.stage != self.stage:
            self.stage, self.best_x, self._starting_area = now.stage, now.x, now.area
            self._best_by_area.clear()
        elif now.life != self._life:
            self._best_by_area.clear()
        self._life = now.life
        if now.x > self._best_by_area.get(now.area, -1):
            self._best_by_area[now.area] = now.x
            self.new_bests += 1
        if now.area == self._starting_area:
            self.best_x = max(self.best_x, now.x)


class TrackProgress(gym.Wrapper[Any, Any, Any, Any]):
    """Report Mario's progress after every frame; observation and reward pass unchanged.

    Adds to info: `best_x`, int, the best x in the starting area of the stage, pixels; `stage_reached`, such as "1-1";
    `new_bests`, int, see `StageProgress`. The unwrapped environment has the memory as `ram`.

    An episode of one stage ends where Mario gets to another one, which the warp zones of 1-2 and 4-2 lead to:
    terminated, with `info["cut_by"]` "warp", and the progress is that of the frame before.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._progress = StageProgress(self._position())
        return observation, info | self._report()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        now = self._position()
        begun = f"{info['target_world']}-{info['target_stage']}" if info.get("single_stage") else now.stage
        if now.stage != begun and not terminated:
            terminated, info = True, info | {"cut_by": "warp"}
        else:
            self._progress.update(now)
        return observation, float(reward), terminated, truncated, info | self._report()

    def _position(self) -> Position:
        game: Any = self.env.unwrapped
        return read_position(game.ram)

    def _report(self) -> dict[str, Any]:
        progress = self._progress
        return {"best_x": progress.best_x, "stage_reached": progress.stage, "new_bests": progress.new_bests}
