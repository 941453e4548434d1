"""Where everything in a run directory is: the contract between training and all that comes after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
