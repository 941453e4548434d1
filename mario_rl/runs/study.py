"""Where everything in the directory of a study is: its file, its runs, its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mario_rl.runs.directory import STUDY, RunDir


@dataclass(frozen=True)
class StudyDir:
    """A study's directory. Nothing is created by naming it.

    ```
    study.yaml              the study, as it was last asked for
    runs/ARM/seed_N/        an ordinary run directory, with final.csv, run.json and best.mp4 when it is done
    runs/ARM/seed_N.error   why it failed, where it did
    runs.zip                the tables of all runs in one file, where they have been packed, see `runs/packed.py`
    index.html              the report; its figures are in figures/, its tables in tables/
    ```
    """

    path: Path

    @property
    def study(self) -> Path:
        return self.path / STUDY

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def run(self, arm: str, seed: int) -> RunDir:
        """Name the directory of one run."""
        return RunDir(self.runs / arm / f"seed_{seed}")

    def error(self, arm: str, seed: int) -> Path:
        """Name the file that says why a run failed."""
        return self.runs / arm / f"seed_{seed}.error"
