"""Where everything in a run directory is: the contract between training and all that comes after it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

RUNS = Path("checkpoints")
"""Where `mario-rl train` puts runs that are given no other place."""

LATEST = "latest"
"""The last part of a path that stands for the newest run in the directory before it."""

MAX_DEPTH = 8  # directories below one that runs are looked for in
BEGAN = re.compile(r"\d{8}-\d{6}")  # how the names that `mario-rl train` gives begin


@dataclass(frozen=True)
class RunDir:
    """A run directory. Nothing is created by naming it.

    ```
    config.yaml      the resolved config, every key written out and explained
    episodes.csv     a row per training episode
    metrics.csv      a row every few seconds
    evaluation.csv   a row per evaluated episode
    snapshots.csv    a row per training episode that began at a snapshot, where env.snapshot_probability asks for them
    curve.png        the reward curve
    tensorboard/     the same numbers for TensorBoard
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

    def step_checkpoint(self, agent_steps: int) -> Path:
        """Name the checkpoint kept from one moment of training."""
        return self.checkpoints / f"step_{agent_steps:09d}.pt"

    def step_checkpoints(self) -> list[Path]:
        """List the kept checkpoints, oldest first."""
        return sorted(self.checkpoints.glob("step_*.pt"))


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
    """List the run directories at or below a directory: those with a config.yaml. Links are not followed."""
    for place, folders, files in os.walk(path):
        if "config.yaml" in files:
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
