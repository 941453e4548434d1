"""What training tells whoever watches it; the loop itself prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mario_rl.config import Config
from mario_rl.runs.tables import RECENT_EPISODES as RECENT_EPISODES

if TYPE_CHECKING:  # what is shown needs no torch
    from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport


SECONDS_BETWEEN_WORDS = 5.0
"""How often is said how far a preparation is; one that takes less is not worth a word."""


class Progress(NamedTuple):
    """Where a run stands.

    Rates are per second of wall-clock since the last row of metrics; means are over the last RECENT_EPISODES, fewer
    while there are not as many, nan before the first; seconds_left is None while it can't be told. waited_seconds: how
    long the learner has waited for the games in this sitting.
    """

    agent_steps: int
    updates: int
    episodes: int
    seconds: float
    epsilon: float
    steps_per_second: float
    updates_per_second: float
    mean_return: float
    mean_x: float
    seconds_left: float | None
    waited_seconds: float


class Observer:
    """Hears of everything and does nothing; override what you want to show."""

    def preparing(self, message: str) -> None:
        """Something takes its time before training can begin: what, and how far it is, in one line."""

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        """Training is about to begin, or to go on from `agent_steps`."""

    def warned(self, message: str) -> None:
        """Something the user should know, in one line."""

    def progressed(self, progress: Progress) -> None:
        """Another round of agent steps and updates was made."""

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        """One episode of an evaluation ended."""

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        """An evaluation ended."""

    def saved(self, path: Path, agent_steps: int) -> None:
        """A checkpoint was written."""


class ObserverFailed(Exception):  # what it failed with is its cause
    """An observer raised an exception, between two steps of training."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Heard(Observer):
    """Passes everything on to an observer, and tells its failures from those of training.

    Every method raises ObserverFailed where the observer raises an exception.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def preparing(self, message: str) -> None:
        with _its_own_failures():
            self._observer.preparing(message)

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        with _its_own_failures():
            self._observer.started(config, run_dir, agent_steps)

    def warned(self, message: str) -> None:
        with _its_own_failures():
            self._observer.warned(message)

    def progressed(self, progress: Progress) -> None:
        with _its_own_failures():
            self._observer.progressed(progress)

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        with _its_own_failures():
            self._observer.evaluating(episode, total)

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        with _its_own_failures():
            self._observer.evaluated(report, agent_steps, best=best)

    def saved(self, path: Path, agent_steps: int) -> None:
        with _its_own_failures():
            self._observer.saved(path, agent_steps)


def now_and_then(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Pass a count on every SECONDS_BETWEEN_WORDS, the first time after as many."""
    told_at = time.monotonic()

    def count(number: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= SECONDS_BETWEEN_WORDS:
            told_at = time.monotonic()
            tell(number)

    return count


@contextmanager
def _its_own_failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ObserverFailed(error) from error
