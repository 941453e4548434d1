"""Sees a search through: several trials at once, each a run per seed, ended early where most others did better."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import numpy as np
from filelock import FileLock, Timeout

from mario_rl.config import Config
from mario_rl.config.search import Objective, Search
from mario_rl.errors import UserError
from mario_rl.evaluation.finals import look_at_finals
from mario_rl.files import require_writable, write_atomically
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import RECENT_EPISODES, read_episodes, read_evaluations
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.runner import Executor, Outcome, RunDiverged, RunFailed, StudyObserver, do_at_once, refuse_another
from mario_rl.studies.work import RunStopped
from mario_rl.training import Interrupts
from mario_rl.tuning.directory import SearchDir, trial_name
from mario_rl.tuning.trials import LOOKS, Ended, Trial, Trials
from mario_rl.wording import count_text


class SearchObserver(StudyObserver):
    """Hears of a search as well; its runs are those of trials."""

    def ended(self, trial: Trial, reason: str, unmade: int) -> None:
        """A trial is complete, pruned or failed.

        reason: why, where it did not come to its end. unmade: agent steps that it was to make, and will not.
        """


def run_search(
    search: Search,
    trials: Trials,
    directory: SearchDir,
    config_of: Callable[[Trial], Config],
    executor: Callable[[], Executor],
    *,
    jobs: int,
    observer: SearchObserver,
) -> Outcome:
    """Work on all trials of a search that are left, `jobs` at once.

    SIGINT, SIGTERM and SIGHUP let all runs save; their trials are gone on with in the next sitting. A trial whose run
    fails stops no other; another is tried in its place in the next sitting.

    Args:
        search: what it asks for.
        trials: those there are.
        directory: where the runs are or shall be; nobody else works there, see `only_one`.
        config_of: makes the config of a trial; raises UserError where its values are none together.
        executor: makes what works on one run; each run has one of its own, so that it can be stopped alone.
        jobs: how many trials at once.
        observer: hears how it goes.

    Raises:
        UserError: a run that is there was begun with other settings. StorageError: the database can't be written.
    """
    sitting = _Sitting(search, trials, directory, config_of, executor, observer)
    with Interrupts() as interrupts:
        tried = sum(one.state in ("complete", "pruned") for one in trials.all())
        observer.started(tried, trials.left * len(search.seeds) * search.agent_steps)
        do_at_once([sitting.work] * jobs, sitting, jobs=jobs, interrupts=interrupts)
        return Outcome(sitting.failed, interrupts.received)


def only_one(directory: SearchDir) -> AbstractContextManager[object]:
    """Keep other processes out of a search's directory while this is entered.

    Raises:
        UserError: one works there, or the directory can't be made or written to.
    """
    require_writable(directory.lock)
    directory.path.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(directory.lock).acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{directory.path}: in use, another process works on this search") from error


class _Ended(Exception):
    """A trial has ended before its end, and that is noted."""


class _Sitting:
    """What the threads of a sitting share; `work` is what each does. Stops all runs, or kills them."""

    def __init__(
        self,
        search: Search,
        trials: Trials,
        directory: SearchDir,
        config_of: Callable[[Trial], Config],
        executor: Callable[[], Executor],
        observer: SearchObserver,
    ) -> None:
        self._search, self._trials, self._directory = search, trials, directory
        self._config_of, self._new_executor, self._observer = config_of, executor, observer
        self._turn = threading.Lock()  # for the observer
        self._lock = threading.Lock()
        self._working: set[Executor] = set()
        self._stopped = False
        self._made: dict[int, int] = {}  # agent steps of each trial
        self.failed: dict[StudyRun, str] = {}

    def work(self) -> None:
        """See one trial after the other through, until there are enough or all is stopped."""
        while not self._stopped and (trial := self._trials.next()) is not None:
            try:
                value = float(np.mean([self._see_through(trial, index) for index in range(len(self._search.seeds))]))
            except RunStopped:
                return  # the trial stays open
            except _Ended:
                continue
            self._end(trial, "complete", value=value)

    def stop(self) -> None:
        """Let all runs save and end, and begin no more."""
        with self._lock:
            self._stopped = True
            for executor in self._working:
                executor.stop()

    def kill(self) -> None:
        """End all runs at once, and begin no more."""
        with self._lock:
            self._stopped = True
            for executor in self._working:
                executor.kill()

    def _see_through(self, trial: Trial, index: int) -> float:
        """Make the run of a trial's seed, or what is left of it; returns the objective's value.

        Raises:
            RunStopped: all is stopped. _Ended: the trial was pruned or has failed.
        """
        seed = self._search.seeds[index]
        try:
            config = self._config_of(trial).model_copy(update={"seed": seed})
        except UserError as error:  # values that are fine alone, and none together
            self._end(trial, "pruned", str(error))
            raise _Ended from error
        run = StudyRun(trial_name(trial.number), seed, config)
        place, error_file = self._directory.run(run.arm, seed), self._directory.error(run.arm, seed)
        refuse_another(run, self._directory, of="search")
        try:
            if look_at_finals(place, config, self._search.final).state != "done":
                self._train(trial, index, run, place)
            self._progressed(trial, index, run, self._search.agent_steps)
            value = objective_value(place, self._search.objective)
        except RunDiverged as diverged:
            self._end(trial, "pruned", str(diverged).splitlines()[-1])
            _keep_tables(place)
            raise _Ended from diverged
        except (RunFailed, UserError) as error:
            content = f"{error}\n".encode(errors="backslashreplace")
            if self._directory.path.is_dir():  # where it was moved or deleted, nothing is made anew
                write_atomically(error_file, lambda partial: partial.write_bytes(content))
            reason = str(error).splitlines()[-1]
            self.failed[run] = reason
            self._end(trial, "failed", reason)
            raise _Ended from error
        error_file.unlink(missing_ok=True)
        return value

    def _train(self, trial: Trial, index: int, run: StudyRun, place: RunDir) -> None:
        """Make a run; at each look it comes to, report how it stands, and stop it if it is to be pruned.

        How it stands is read from its tables, as far as the agent step of the look: when it is read changes nothing.
        """
        executor = self._new_executor()
        with self._lock:
            if self._stopped:
                raise RunStopped(signal.SIGTERM)
            self._working.add(executor)
        looks = [look for look in range(1, LOOKS) if index * LOOKS + look not in trial.reported]
        pruned = False
        try:
            for agent_steps in executor.execute(run, place):
                self._progressed(trial, index, run, agent_steps)
                while not pruned and looks and agent_steps >= (at := looks[0] * self._search.agent_steps // LOOKS):
                    step = index * LOOKS + looks.pop(0)
                    x = training_x(place, until=at)
                    if x is not None and self._trials.report(trial.number, step, x):
                        pruned = True
                        self._end(trial, "pruned", f"worse than others at {count_text(at, 'agent step')}")
                        executor.stop()
        except (RunStopped, RunFailed):  # also where a run that is to be stopped takes too long to save
            if not pruned:
                raise
        finally:
            with self._lock:
                self._working.discard(executor)
        if pruned:
            _keep_tables(place)
            raise _Ended

    def _progressed(self, trial: Trial, index: int, run: StudyRun, agent_steps: int) -> None:
        with self._turn:
            self._made[trial.number] = index * self._search.agent_steps + agent_steps
            self._observer.progressed(run, agent_steps)

    def _end(self, trial: Trial, state: Ended, reason: str = "", value: float | None = None) -> None:
        """Note what became of a trial."""
        self._trials.tell(trial.number, state, value)
        with self._turn:
            unmade = len(self._search.seeds) * self._search.agent_steps - self._made.get(trial.number, 0)
            self._observer.ended(trial._replace(state=state, value=value), reason, max(0, unmade))


def objective_value(run: RunDir, objective: Objective) -> float:
    """Work out what a run that is done is judged by, see OBJECTIVES.

    Raises:
        UserError: its tables can't be read, or it made no whole episode.
    """
    if objective == "training_x":
        x = training_x(run)
        if x is None:
            raise UserError(f"{run.episodes}: no episode ended, so the run has no training_x; raise agent_steps")
        return x
    table = read_evaluations(run.final)
    return float(np.mean(table["x"] if objective == "final_x" else table["end"] == "clear"))


def training_x(run: RunDir, *, until: int | None = None) -> float | None:
    """Work out the mean x [pixels] of the last 100 training episodes that ended by an agent step.

    Of fewer where there are no more; None where there is none.
    """
    table = read_episodes(run.episodes)
    x = table["x"] if until is None else table["x"][table["agent_steps"] <= until]
    return float(np.mean(x[-RECENT_EPISODES:])) if len(x) else None


def _keep_tables(run: RunDir) -> None:
    """Remove the weights and the replay of a run that nobody goes on with."""
    run.remove_replays()
    run.remove_step_checkpoints()
    for checkpoint in (run.latest, run.best):
        checkpoint.unlink(missing_ok=True)
    with suppress(OSError):  # something else is in it
        run.checkpoints.rmdir()
