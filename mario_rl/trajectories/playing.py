"""Trajectories played: where they end, on either emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mario_rl.config import EnvConfig
from mario_rl.envs import make_game
from mario_rl.envs.progress import StageProgress, read_position
from mario_rl.errors import FailedError, UserError
from mario_rl.game.rom import VARIABLE, load_rom
from mario_rl.trajectories.coding import MOST_FRAMES
from mario_rl.trajectories.file import Emulator, Ending, Made, Trajectory


class Ends:
    """Where an episode has come to, told frame by frame.

    Args:
        game: what `make_game` made, just reset; its memory is read.
    """

    def __init__(self, game: Any) -> None:
        self._ram = game.unwrapped.ram
        self._progress = StageProgress(read_position(self._ram))
        self._frames = 0
        self._end: str = "unfinished"

    def update(self, terminated: bool, info: dict[str, Any]) -> None:
        """Take into account what the game said of a frame."""
        self._frames += 1
        self._progress.update(read_position(self._ram))
        if terminated:
            self._end = "clear" if info["flag_get"] else "death"

    @property
    def ending(self) -> Ending:
        """Where it would end if this were the last frame."""
        progress = self._progress
        return Ending.model_validate(
            {"end": self._end, "x": progress.best_x, "frames": self._frames, "stage": progress.stage}
        )


def replay(
    trajectory: Trajectory,
    *,
    emulator: Emulator = "native",
    rom: str | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> Ending:
    """Play a trajectory from the stage's start; returns where it ends.

    Both emulators give the same. That it is what the file says is `require_end`'s to see.

    Args:
        trajectory: what to play.
        emulator: which plays it.
        rom: `env.rom`.
        on_frame: called after each frame.

    Raises:
        UserError: the ROM is another than the trajectory's, or can't be played. Exception: whatever `on_frame` raised.
    """
    require_rom(trajectory, rom)
    return _play(trajectory.stage, trajectory.buttons, emulator, rom, on_frame)


def make_trajectory(
    stage: str, buttons: bytes, made: Made, *, emulator: Emulator = "native", rom: str | None = None
) -> Trajectory:
    """Make a trajectory of what was pressed, by playing it, which tells where it ends.

    Args:
        stage: where it begins, or "game".
        buttons: one joypad byte per emulator frame since the reset, as an environment has them in `buttons_sent`. Those
            after the end of the episode are left out.
        made: how they came to be.
        emulator: they were made on, and are played on now.
        rom: `env.rom`.

    Raises:
        UserError: there is no such stage, the ROM can't be played, or there are more than MOST_FRAMES.
    """
    if len(buttons) > MOST_FRAMES:
        raise UserError(f"a trajectory has at most {MOST_FRAMES:,} frames, not {len(buttons):,}")
    ending = _play(stage, buttons, emulator, rom, lambda: None)
    kept = bytes(buttons[: ending.frames])
    return Trajectory(stage=stage, rom=load_rom(rom).sha256, emulator=emulator, made=made, ending=ending, buttons=kept)


def require_rom(trajectory: Trajectory, rom: str | None = None) -> None:
    """Refuse to play a trajectory on another ROM than the one it was made on.

    Raises:
        UserError: this is another; says which it has to be.
    """
    here = load_rom(rom).sha256
    if here != trajectory.rom:
        raise UserError(
            f"the trajectory was made on the ROM with SHA-256 {trajectory.rom[:12]}..., and this one is "
            f"{here[:12]}...; name its file by {VARIABLE}"
        )


def require_end(trajectory: Trajectory, ending: Ending) -> None:
    """See that a trajectory ended where its file says.

    Raises:
        FailedError: it did not; says both.
    """
    if ending != trajectory.ending:
        raise FailedError(f"it {ending}, and its file says that it {trajectory.ending}")


def _play(stage: str, buttons: bytes, emulator: Emulator, rom: str | None, on_frame: Callable[[], object]) -> Ending:
    game: Any = make_game(EnvConfig(stage=stage, rom=rom, emulator=emulator))
    try:
        game.reset()
        ends = Ends(game)
        for byte in buttons:
            _, _, terminated, _, info = game.step(byte)
            ends.update(terminated, info)
            on_frame()
            if terminated:
                break
        return ends.ending
    finally:
        game.close()
