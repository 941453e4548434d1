"""A sitting of a search: begun in a new directory or gone on with, until the stage is cleared, or time or a signal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from mario_rl import __version__
from mario_rl.errors import FailedError, UserError
from mario_rl.explore.compiled.layout import FRAME_SKIP
from mario_rl.explore.directory import SEARCH, ExploreDir, held
from mario_rl.explore.observer import ExploreObserver, Standing
from mario_rl.explore.picture import draw_archive
from mario_rl.explore.saved import Saved, load_search, save_search
from mario_rl.explore.search import Search, Settings
from mario_rl.explore.shortening import Pruning, explore_along
from mario_rl.files import json_text, write_atomically
from mario_rl.game.rom import load_rom
from mario_rl.machine import available_memory_bytes, processor_name, usable_cores
from mario_rl.nes.console import row_bytes
from mario_rl.report.drawing import save_png
from mario_rl.training.interrupts import Interrupts, Stopped
from mario_rl.trajectories import Made, Trajectory, make_trajectory, replay, require_end, write_trajectory

CONSOLE_FRAMES_PER_SECOND = 60.0988
"""Of a NES, for times that people compare: 39,375,000 / 655,171 (NTSC)."""

SECONDS_BETWEEN_SAVES = 60.0
"""What a kill costs at most."""

COLUMNS = (
    "stage",
    "end",
    "minutes",
    "agent_steps",
    "cells",
    "first_frames",
    "frames",
    "clear_seconds",
    "areas",
    "best_x",
    "total_minutes",
    "total_agent_steps",
    "archive_mb",
    "seed",
    "action_set",
    "jobs",
    "machine",
    "version",
)
"""Of a result. minutes, agent_steps, cells: up to the first clear, or in all where there is none. first_frames, frames:
emulator frames of the first clear and of the shortest. total_...: with what shortening took. best_x: by area."""

type End = Literal["clear", "limit", "interrupted"]


class Limits(NamedTuple):
    """When a search ends that clears nothing: minutes and agent steps of all its sittings; None for no such limit."""

    minutes: float | None = None
    agent_steps: int | None = None


class Outcome(NamedTuple):
    """How a sitting ended.

    end: clear, limit, or interrupted by `signal`. row: by COLUMNS; empty where a signal came before the search began.
    files: what was written, besides the search itself.
    """

    end: End
    row: dict[str, Any]
    files: list[Path]
    signal: signal.Signals | None


def begin(
    directory: ExploreDir,
    settings: Settings,
    limits: Limits,
    *,
    jobs: int | None = None,
    observer: ExploreObserver | None = None,
    interrupts: Interrupts | None = None,
) -> Outcome:
    """Search a stage in a new or empty directory until it is cleared, a limit is met, SIGINT, SIGTERM or SIGHUP.

    Args:
        directory: where its files go.
        settings: what to search.
        limits: when to give up.
        jobs: threads; None for all cores.
        observer: hears how it goes.
        interrupts: entered already, where several stages are searched.

    Raises:
        UserError: something is there already, or the machine lacks the memory. StorageError: the disk refused.
        FailedError: what the search took for a clear is none when it is played.
    """
    settings.check()
    directory.require_free()
    _require_memory(settings)
    with held(directory.path):
        directory.require_free()
        return _sit(directory, lambda: Search(settings, jobs=_jobs(jobs)), limits, jobs, observer, interrupts)


def resume(
    path: Path,
    limits: Limits,
    *,
    jobs: int | None = None,
    observer: ExploreObserver | None = None,
    interrupts: Interrupts | None = None,
) -> Outcome:
    """Go on with a search; it ends as it would have without a break.

    Raises:
        UserError: there is none, its file is refused, it has cleared its stage, or is of another ROM.
        StorageError, FailedError: as `begin`.
    """
    cartridge = load_rom(None)
    file = path / SEARCH
    read, saved = _version(file), load_search(file, row_bytes(cartridge))
    with held(path):
        if _version(file) != read:  # another process has gone on meanwhile
            saved = load_search(file, row_bytes(cartridge))
        directory = ExploreDir(path, saved.settings.stage)
        if saved.rom != cartridge.sha256:
            raise UserError(
                f"{path}: a search of the ROM {saved.rom[:12]}..., and this one is {cartridge.sha256[:12]}..."
            )
        if directory.trajectory.exists():
            raise UserError(f"{path}: has cleared {saved.settings.stage} already, by {directory.trajectory}")
        _require_memory(saved.settings)
        return _sit(directory, lambda: _gone_on_with(saved, _jobs(jobs)), limits, jobs, observer, interrupts)


def _version(file: Path) -> tuple[int, int] | None:
    """What tells a file from the one that takes its place; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _require_memory(settings: Settings) -> None:
    free = available_memory_bytes()
    if settings.most_bytes > free:
        raise UserError(
            f"--memory: {settings.most_bytes / 1e6:,.0f} MB are more than the {free / 1e6:,.0f} MB that this "
            "machine has left; allow less"
        )


def _gone_on_with(saved: Saved, jobs: int) -> Search:
    return Search(saved.settings, jobs=jobs, archive=saved.archive, tally=saved.tally)


def _jobs(jobs: int | None) -> int:
    return jobs or usable_cores()


def _sit(
    directory: ExploreDir,
    prepare: Callable[[], Search],
    limits: Limits,
    jobs: int | None,
    observer: ExploreObserver | None,
    interrupts: Interrupts | None,
) -> Outcome:
    if interrupts is None:
        with Interrupts() as own:
            return _sit(directory, prepare, limits, jobs, observer, own)
    try:
        with interrupts.at_once():
            search = prepare()
    except Stopped:
        return Outcome("interrupted", {}, [], interrupts.received)
    return _Sitting(directory, search, limits, _jobs(jobs), observer or ExploreObserver(), interrupts).run()


class _Sitting:
    """One sitting, from its first round to its files."""

    def __init__(
        self,
        directory: ExploreDir,
        search: Search,
        limits: Limits,
        jobs: int,
        observer: ExploreObserver,
        interrupts: Interrupts,
    ) -> None:
        self._directory, self._search, self._limits, self._jobs = directory, search, limits, jobs
        self._observer, self._interrupts = observer, interrupts
        self._begun = self._clock = self._saved = time.monotonic()
        self._pruned = 0  # agent steps
        self._steps_before = search.tally.agent_steps
        self._said_full = False

    def run(self) -> Outcome:
        search, tally = self._search, self._search.tally
        self._observer.begun(self._directory, self._standing())
        self._save()
        while tally.clear is None and not self._over():
            search.play_round()
            self._played()
        clear = None
        if tally.clear is not None:
            clear = self._shorten()
        self._save()
        if self._interrupts.came():
            return Outcome("interrupted", self._row("interrupted", None), [], self._interrupts.received)
        return self._write(clear)

    def _over(self) -> bool:
        tally, (minutes, steps) = self._search.tally, self._limits
        return (
            self._interrupts.came()
            or (minutes is not None and tally.seconds >= 60 * minutes)
            or (steps is not None and tally.agent_steps >= steps)
        )

    def _played(self) -> None:
        """A round is over."""
        search, tally = self._search, self._search.tally
        self._tick()
        if tally.clear is not None and tally.first is None:
            search.note_first_clear()
            self._observer.said(f"cleared {search.settings.stage} in {len(tally.clear):,} agent steps; shortening")
        if tally.is_full and not self._said_full:
            self._said_full = True
            limit = search.settings.most_bytes / 1e6
            self._observer.said(f"the archive has reached {limit:,.0f} MB; cells that are new are not kept any more")
        self._observer.progressed(self._standing())
        if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
            self._save()

    def _shorten(self) -> bytes:
        """Make the clear as short as it gets, and note what that took."""
        search, tally = self._search, self._search.tally
        explore_along(search, should_stop=self._interrupts.came, progressed=self._played)
        assert tally.clear is not None
        pruning = Pruning(
            tally.clear,
            search.start,
            search.players,
            should_stop=self._interrupts.came,
            progressed=lambda steps: self._observer.progressed(self._standing()._replace(clear_steps=steps)),
        )
        clear = pruning.run()
        self._pruned = pruning.agent_steps
        if not self._interrupts.came():  # else it begins anew, and counts then
            self._tick()
        return clear

    def _tick(self) -> None:
        now = time.monotonic()
        self._search.tally.seconds += now - self._clock
        self._clock = now

    def _save(self) -> None:
        search = self._search
        save_search(self._directory.search, search.settings, search.cartridge.sha256, search.archive, search.tally)
        self._saved = time.monotonic()

    def _trajectory(self, clear: bytes) -> Trajectory:
        """Make a trajectory of a clear, and see that it is one, on both emulators if both are there.

        Raises:
            FailedError: it is none.
        """
        settings = self._search.settings
        made = Made(by="search", name="Go-Explore", seed=settings.seed)
        trajectory = make_trajectory(settings.stage, buttons_of(clear, settings), made)
        if trajectory.ending.end != "clear":
            raise FailedError(f"{settings.stage}: the search's clear {trajectory.ending} when it is played")
        if find_spec("nes_py") and find_spec("gym_super_mario_bros"):
            require_end(trajectory, replay(trajectory, emulator="nes_py"))
        return trajectory

    def _write(self, clear: bytes | None) -> Outcome:
        directory, search = self._directory, self._search
        trajectory = None if clear is None else self._trajectory(clear)
        end: End = "limit" if trajectory is None else "clear"
        files = [directory.result, directory.picture]
        row = self._row(end, trajectory)
        save_png(draw_archive(search, clear), directory.picture)
        text = json_text(row, indent=1) + "\n"
        write_atomically(directory.result, lambda partial: partial.write_text(text, encoding="utf-8"))
        if trajectory is not None:  # last: where it is, all is
            write_trajectory(directory.trajectory, trajectory)
            files.insert(0, directory.trajectory)
        return Outcome(end, row, files, None)

    def _row(self, end: End, trajectory: Trajectory | None) -> dict[str, Any]:
        search, tally = self._search, self._search.tally
        first, frames = tally.first, None if trajectory is None else trajectory.ending.frames
        best = search.best()
        values = (
            search.settings.stage,
            end,
            (first.seconds if first else tally.seconds) / 60,
            first.agent_steps if first else tally.agent_steps,
            first.cells if first else len(search.archive),
            first.length * FRAME_SKIP if first else None,
            frames,
            None if frames is None else frames / CONSOLE_FRAMES_PER_SECOND,
            len(best),
            " ".join(map(str, best.values())),
            tally.seconds / 60,
            tally.agent_steps + self._pruned,
            search.archive.num_bytes / 1e6,
            search.settings.seed,
            search.settings.action_set,
            self._jobs,
            f"{usable_cores()} cores of {processor_name()}",
            __version__,
        )
        return dict(zip(COLUMNS, values, strict=True))

    def _standing(self) -> Standing:
        search, tally = self._search, self._search.tally
        seconds = time.monotonic() - self._begun
        minutes, steps = self._limits
        shares = [tally.seconds / (60 * minutes)] if minutes else []
        shares += [tally.agent_steps / steps] if steps else []
        return Standing(
            "searching" if tally.clear is None else "shortening",
            len(search.archive),
            search.best(),
            search.archive.num_bytes,
            tally.agent_steps,
            (tally.agent_steps - self._steps_before) / max(seconds, 1e-9),
            tally.seconds,
            None if tally.clear is None else len(tally.clear),
            min(max(shares, default=0.0), 1.0),
        )


def buttons_of(actions: bytes, settings: Settings) -> bytes:
    """Turn actions, a byte per agent step, into joypad bytes, one per emulator frame."""
    return np.repeat(settings.joypad[np.frombuffer(actions, dtype=np.uint8)], FRAME_SKIP).tobytes()
