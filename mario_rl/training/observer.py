"""What training tells whoever watches it; the loop itself prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mario_rl.config import Config
from mario_rl.errors import ConfigError, FailedError
from mario_rl.extensions import blamed, described, find_class
from mario_rl.runs.tables import RECENT_EPISODES as RECENT_EPISODES
from mario_rl.runs.tables import Row

if TYPE_CHECKING:  # what is shown needs no torch
    from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport


OBSERVERS_KEY = "training.observers"

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
    """Hears how training goes; every method does nothing until you override it.

    For one of your own, derive from this class, which is `mario_rl.Observer`, and name it in `training.observers` as
    `package.module:Name`; it is made without arguments when a sitting begins, anew after a resume. Its methods are
    called between two steps of training, which waits for them. What they do can't change the run: they get numbers,
    not the agent. An exception ends the run, which has been saved then; the message names the observer.
    """

    def preparing(self, message: str) -> None:
        """Something takes its time before training can begin: what, and how far it is, in one line.

        Called for the observer that `train` was given alone.
        """

    def placed(self, run_dir: Path) -> None:
        """The run's directory is there, and nothing is left to refuse; what takes its time comes next.

        Called for the observer that `train` was given alone.
        """

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        """Training is about to begin, or to go on from `agent_steps`; once per sitting, before all that follows."""

    def warned(self, message: str) -> None:
        """Something the user should know, in one line; called for the observer that `train` was given alone."""

    def progressed(self, progress: Progress) -> None:
        """Another round was made: an agent step in every environment, and the updates that were due; very often."""

    def episode_ended(self, row: Row) -> None:
        """A training episode ended, not one from a snapshot: its row of episodes.csv.

        row: `episode`, `agent_steps`, `seconds`, `env`, `stage`, `return`, `x`, `length`, `clock`, `end`.
        """

    def measured(self, row: Row) -> None:
        """A row of metrics.csv was written, every `logging.every_seconds`; None where there is no value yet.

        row: `agent_steps`, `updates`, `episodes`, `seconds`, `epsilon`, `loss`, `mean_q`, `gradient_norm`,
            `steps_per_second`, `updates_per_second`, and means of the last 100 episodes: `mean_return`, `mean_x`,
            `clear_rate`.
        """

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        """One episode of an evaluation ended, of `total`."""

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        """An evaluation ended; `best` says whether none before was better."""

    def saved(self, path: Path, agent_steps: int) -> None:
        """A checkpoint was written."""

    def ended(self) -> None:
        """The sitting is over, whatever ended it, and all is saved that can be; nothing follows. Close files here."""


class ObserverFailed(Exception):
    """An observer raised an exception, between two steps of training.

    reason: what it raised, or of an observer that a config names, the line that says so; named: whether it is one.
    """

    def __init__(self, reason: Exception, *, named: bool = False) -> None:
        super().__init__(str(reason))
        self.reason, self.named = reason, named


class Heard(Observer):
    """Passes everything on to several observers, and tells their failures from those of training.

    Every method raises ObserverFailed where an observer raises an exception; from then on nothing is passed on but the
    end.

    Args:
        observer: whoever began the training, who hears warnings and preparations without this class.
        named: those that the config names, by their names; and trackers, which don't fail.
    """

    def __init__(self, observer: Observer, named: Iterable[tuple[str, Observer]] = ()) -> None:
        self._observers: list[tuple[str | None, Observer]] = [(None, observer), *named]
        self._failed = False

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._tell(lambda one: one.started(config, run_dir, agent_steps), "started")

    def progressed(self, progress: Progress) -> None:
        self._tell(lambda one: one.progressed(progress), "progressed")

    def episode_ended(self, row: Row) -> None:
        self._tell(lambda one: one.episode_ended(dict(row)), "episode_ended")

    def measured(self, row: Row) -> None:
        self._tell(lambda one: one.measured(dict(row)), "measured")

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        self._tell(lambda one: one.evaluating(episode, total), "evaluating")

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        self._tell(lambda one: one.evaluated(report, agent_steps, best=best), "evaluated")

    def saved(self, path: Path, agent_steps: int) -> None:
        self._tell(lambda one: one.saved(path, agent_steps), "saved")

    def ended(self) -> None:
        """Tell each once; a second time does nothing. The first failure is raised when all have been told."""
        observers, self._observers = self._observers, []
        failures = []
        for name, observer in observers:
            try:
                observer.ended()
            except Exception as error:
                failures.append(_failure(error, name, "ended"))
        if failures and not self._failed:
            raise failures[0]

    def _tell(self, tell: Callable[[Observer], None], what: str) -> None:
        if self._failed:
            return
        for name, observer in self._observers:
            try:
                tell(observer)
            except Exception as error:
                self._failed = True
                raise _failure(error, name, what) from error


def own_observers(config: Config) -> list[tuple[str, Observer]]:
    """Make the observers that a config names.

    Raises:
        ConfigError: one is not there, is no Observer or can't be made.
    """
    made = []
    for name in config.training.observers:
        observer_class = find_class(name, Observer, key=OBSERVERS_KEY, base_name="mario_rl.Observer")
        with blamed(OBSERVERS_KEY, name, "being made", kind=ConfigError):
            made.append((name, observer_class()))
    return made


def _failure(error: Exception, name: str | None, what: str) -> ObserverFailed:
    if name is None:
        return ObserverFailed(error)
    return ObserverFailed(FailedError(f"{OBSERVERS_KEY}: {name}: failed in {what} ({described(error)})"), named=True)


def now_and_then(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Pass a count on every SECONDS_BETWEEN_WORDS, the first time after as many."""
    told_at = time.monotonic()

    def count(number: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= SECONDS_BETWEEN_WORDS:
            told_at = time.monotonic()
            tell(number)

    return count
