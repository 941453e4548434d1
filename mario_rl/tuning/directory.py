"""Where everything in the directory of a search is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mario_rl.runs.study import StudyDir


@dataclass(frozen=True)
class SearchDir(StudyDir):
    """A search's directory. Nothing is created by naming it.

    ```
    search.yaml                   the search, as it was last asked for
    search.db                     its trials, as Optuna keeps them
    runs/trial_NNNN/seed_N/       an ordinary run directory; of a trial that was pruned only its tables stay
    runs/trial_NNNN/seed_N.error  why it failed, where it did
    trials.csv                    what was tried, and what became of it
    best.yaml                     the best settings, as a config
    history.png, importance.png   how the search went, and which settings mattered
    ```
    """

    @property
    def study(self) -> Path:
        return self.path / "search.yaml"

    @property
    def database(self) -> Path:
        return self.path / "search.db"

    @property
    def trials(self) -> Path:
        return self.path / "trials.csv"

    @property
    def best(self) -> Path:
        return self.path / "best.yaml"

    @property
    def history(self) -> Path:
        return self.path / "history.png"

    @property
    def importance(self) -> Path:
        return self.path / "importance.png"


def trial_name(number: int) -> str:
    """Name a trial, as its folder is called."""
    return f"trial_{number:04d}"
