"""Where everything in a run directory is: the contract between training and all that comes after it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from mario_rl.errors import GoneError, StorageError, UserError

RUNS = Path("checkpoints")
"""Where `mario-rl train` puts runs that are given no other place."""

LATEST = "latest"
"""The last part of a path that stands for the newest run in the directory before it."""

STUDY = "study.yaml"
"""The file of a study, in its directory."""

MAX_DEPTH = 8  # directories below one that runs are looked for in
BEGAN = re.compile(r"\d{8}-\d{6}")  # how the names that `mario-rl train` gives begin

STEP_CHECKPOINT = re.compile(r"step_([0-9]{9}|[1-9][0-9]{9,})\.pt")
REPLAY = re.compile(r"generation_([0-9]{6}|[1-9][0-9]{6,})\.npz")
"""The names of what a run writes and later deletes: nothing with another name is ever deleted."""


@dataclass(frozen=True)
class RunDir:
    """A run directory. Nothing is created by naming it.

    ```
    config.yaml      the resolved config, every key written out and explained
    episodes.csv     a row per training episode
    metrics.csv      a row every few seconds
    evaluation.csv   a row per evaluated episode
    snapshots.csv    a row per training episode that began at a snapshot, before a death or along a trajectory
    curve.png        the reward curve
    tensorboard/     the same numbers for TensorBoard
    wandb/           the same for Weights & Biases, and wandb_id.txt, under which name, where logging.trackers says so
    checkpoints/     latest.pt, best.pt, step_000200000.pt
    replay/          the replay of latest.pt
    final.csv        in a study, a row per episode of the evaluations at the end: there once the run is done
    run.json         in a study, what the run was done with and how long it took
    best.mp4         in a study, the greedy episode of best.pt
    ```
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def episodes(self) -> Path:
        return self.path / "episodes.csv"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.csv"

    @property
    def snapshot_episodes(self) -> Path:
        return self.path / "snapshots.csv"

    @property
    def curve(self) -> Path:
        return self.path / "curve.png"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def wandb(self) -> Path:
        return self.path / "wandb"

    @property
    def wandb_id(self) -> Path:
        return self.path / "wandb_id.txt"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def latest(self) -> Path:
        return self.checkpoints / "latest.pt"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.pt"

    @property
    def replay(self) -> Path:
        return self.path / "replay"

    @property
    def final(self) -> Path:
        return self.path / "final.csv"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def film(self) -> Path:
        return self.path / "best.mp4"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def resume_command(self) -> str:
        """What goes on with the run, for a shell."""
        return f"mario-rl train --resume {shlex.quote(str(self.path))}"

    def step_checkpoint(self, agent_steps: int) -> Path:
        """Name the checkpoint kept from one moment of training."""
        return self.checkpoints / f"step_{agent_steps:09d}.pt"

    def step_checkpoints(self) -> list[Path]:
        """List the kept checkpoints, oldest first; see `_written`."""
        return _written(self.checkpoints, STEP_CHECKPOINT)

    def all_checkpoints(self) -> list[Path]:
        """List what there is to evaluate or watch: the kept ones, oldest first, then `latest` and `best`."""
        return [*self.step_checkpoints(), *(path for path in (self.latest, self.best) if path.is_file())]

    def replay_file(self, generation: int) -> Path:
        """Name the replay that one save of the run writes."""
        return self.replay / f"generation_{generation:06d}.npz"

    def replay_files(self) -> list[Path]:
        """List the replays that are there, oldest first; see `_written`."""
        return _written(self.replay, REPLAY)

    def remove_replays(self, *, but: Collection[Path] = ()) -> None:
        """Delete the replays that the run wrote, all but some; what else is in their folder stays.

        A folder that is empty after that goes as well.
        """
        for file in self.replay_files():
            if file not in but:
                file.unlink(missing_ok=True)
        if not self.replay.is_symlink():
            with suppress(OSError):  # something is left in it
                self.replay.rmdir()

    def remove_step_checkpoints(self, *, but: Collection[Path] = ()) -> None:
        """Delete the kept checkpoints that the run wrote, all but some."""
        for file in self.step_checkpoints():
            if file not in but:
                file.unlink(missing_ok=True)

    def require_own_folders(self) -> None:
        """Refuse a directory whose folders are not its own, before anything is written or deleted in them.

        The directory itself may be a link: its user named it.

        Raises:
            UserError: one of its folders is a link or no folder, or its lock is a link.
        """
        for folder in (self.checkpoints, self.replay, self.tensorboard, self.wandb):
            if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
                kind = "a symbolic link" if folder.is_symlink() else "not a folder"
                raise UserError(
                    f"{folder}: {kind}, but a run writes and deletes files in it; it must be a folder of the run "
                    "directory, or not be there"
                )
        if self.lock.is_symlink():
            raise UserError(f"{self.lock}: a symbolic link; it must be a file of the run directory, or not be there")


class Whereabouts:
    """Which directory a run's path led to when a sitting began, so that it is noticed when it does so no more.

    It is kept open: its number can't be given to another meanwhile, and the system knows where it has gone to.

    Raises:
        GoneError: there is none already.
    """

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._open: int | None = None
        try:
            if hasattr(os, "O_DIRECTORY"):  # elsewhere, a directory that is in use can't be moved or deleted
                self._open = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
            self._known = os.stat(run.path) if self._open is None else os.fstat(self._open)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._gone() from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def require(self) -> None:
        """See that the path still leads there.

        Raises:
            GoneError: the directory was deleted, moved or replaced; says where it is, where that can be known.
        """
        try:
            there = os.path.samestat(os.stat(self._run.path), self._known)
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if not there:
            raise self._gone()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """See to it around a write: where the directory has gone nothing is made anew, and that is said, not the rest.

        Raises:
            GoneError: as `require`.
        """
        self.require()
        try:
            yield
        except (StorageError, OSError):
            self.require()
            raise

    def _gone(self) -> GoneError:
        place = self._moved_to()
        if place is None:
            return GoneError(
                f"{self._run.path}: deleted, moved or replaced while training went on, which has ended; nothing was "
                "made anew there. If it was moved, it can be resumed where it is now"
            )
        latest = RunDir(place).latest
        kept = f" from {latest}" if latest.is_file() else ""
        return GoneError(
            f"{self._run.path}: moved to {place} while training went on, which has ended; it can be resumed there{kept}"
        )

    def _moved_to(self) -> Path | None:
        """Where the directory is now, as Linux can tell."""
        try:
            place = Path(os.readlink(f"/proc/self/fd/{self._open}"))
            return place if os.path.samestat(place.stat(), self._known) else None
        except (OSError, AttributeError):
            return None


def _written(folder: Path, names: re.Pattern[str]) -> list[Path]:
    """List the files of a folder that have a name which a run gives, by the number in it; no links, none behind one."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [
            (int(named[1]), folder / entry.name)
            for entry in entries
            if (named := names.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)
        ]
    return [file for _, file in sorted(found)]


def find_run(path: Path, *, has: Callable[[RunDir], bool]) -> RunDir | None:
    """Find the run that a path stands for, among those that have what is needed.

    That is the run directory itself; of a directory that is none, the newest run below it. `DIR/latest`, where there is
    no such thing, is the newest run below `DIR`, and `latest` alone below `checkpoints`.

    Args:
        path: which.
        has: whether a run has what is needed.

    Returns:
        None where there is none.
    """
    run = RunDir(path)
    if has(run):
        return run
    below = directory_of_latest(path)
    if below is not None:
        path = below
    elif run.config.is_file():  # a run, but one that lacks it
        return None
    return max((one for one in runs_below(path) if has(one)), key=_began, default=None)


def directory_of_latest(path: Path) -> Path | None:
    """Name the directory whose newest run a path asks for by ending in `latest`; None where it does not."""
    if path.name != LATEST or path.exists():
        return None
    return RUNS if path == Path(LATEST) else path.parent


def runs_below(path: Path) -> Iterator[RunDir]:
    """List the run directories at or below a directory: those with a config.yaml. Links are not followed.

    The directory of a study may have one too: the base that its file names.
    """
    for place, folders, files in os.walk(path):
        if "config.yaml" in files and STUDY not in files:
            yield RunDir(Path(place))
            folders.clear()
        deep = len(Path(place).parts) - len(path.parts) >= MAX_DEPTH
        folders[:] = [] if deep else [one for one in folders if not one.startswith(".")]


def _began(run: RunDir) -> tuple[int, int]:
    """When a run began: by its name, which a copy keeps and a resume leaves, else by when its config was written."""
    written = run.config.stat().st_mtime_ns
    named = BEGAN.match(run.path.name)
    try:
        began = datetime.strptime(named[0], "%Y%m%d-%H%M%S").timestamp() if named else written / 1e9
    except ValueError:  # digits, but no date
        began = written / 1e9
    return int(began), written
