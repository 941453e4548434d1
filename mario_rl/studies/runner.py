"""Sees a study through: what is left of it, several runs at once; interrupted at any time, gone on with later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple, Protocol

from filelock import FileLock, Timeout

from mario_rl.config import Config, load_run_config, render_config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import ConfigError, UserError
from mario_rl.files import write_atomically
from mario_rl.runs.directory import RunDir
from mario_rl.runs.study import StudyDir
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.left import what_is_left
from mario_rl.studies.work import RunStopped
from mario_rl.training import Interrupts

SECONDS_BETWEEN_LOOKS = 0.2


class RunFailed(Exception):
    """A run that can't be seen through; says why."""


class RunDiverged(RunFailed):
    """A run whose settings let learning run away, so that trying again would not help."""


class Stoppable(Protocol):
    """What works on runs, and can be told to end."""

    def stop(self) -> None:
        """Let all runs save and end, and begin no more; `execute` ends within a limit of its own."""
        ...

    def kill(self) -> None:
        """End all runs at once, as they are, and begin no more."""
        ...


class Executor(Stoppable, Protocol):
    """Where runs are worked on: this machine's processes, or a cluster."""

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        """Work on one run until it is done; yields the agent steps made. Raises RunStopped or RunFailed."""
        ...


class StudyObserver:
    """Hears of everything and does nothing; override what you want to show. Called from several threads, in turn."""

    def started(self, done: int, agent_steps: int) -> None:
        """Work is about to begin, or to go on: so many runs are done, and so many agent steps are to be made in all."""

    def progressed(self, run: StudyRun, agent_steps: int) -> None:
        """A run has made so many agent steps."""

    def finished(self, run: StudyRun) -> None:
        """A run is done."""

    def failed(self, run: StudyRun, reason: str) -> None:
        """A run has failed."""


class Outcome(NamedTuple):
    """How a sitting of a study ended.

    failed: what failed, and why in one line. signal: what ended it before its end, or None.
    """

    failed: dict[StudyRun, str]
    signal: signal.Signals | None


def run_study(
    runs: Sequence[StudyRun],
    directory: StudyDir,
    executor: Executor,
    final: FinalConfig,
    *,
    jobs: int,
    study: str | None = None,
    observer: StudyObserver | None = None,
) -> Outcome:
    """Work on all runs of a study that are not done, `jobs` at once.

    A run that fails stops no other; it is tried again in the next sitting. SIGINT, SIGTERM and SIGHUP let all runs
    save; a second SIGINT ends them at once.

    Args:
        runs: all of the study.
        directory: where they are or shall be.
        executor: what works on them.
        final: the evaluations at a run's end, by which it is done.
        jobs: how many at once.
        study: the text of the study file, kept beside the runs once the directory is this process's alone.
        observer: hears how it goes.

    Raises:
        UserError: the directory holds runs with other settings, or another process works on it.
    """
    observer = observer or StudyObserver()
    for run in runs:
        refuse_another(run, directory)
    directory.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory.lock, timeout=0), Interrupts() as interrupts:
            if study is not None:
                write_atomically(directory.study, lambda file: file.write_bytes(study.encode()))
            left = what_is_left(runs, directory, final)
            observer.started(
                len(runs) - len(left.runs), sum(run.config.training.agent_steps or 0 for run in left.train)
            )
            failed = _work(left.runs, directory, executor, jobs, observer, interrupts)
            return Outcome(failed, interrupts.received)
    except Timeout as error:
        raise UserError(f"{directory.path}: in use, another process works on this study") from error


def _work(
    left: Sequence[StudyRun],
    directory: StudyDir,
    executor: Executor,
    jobs: int,
    observer: StudyObserver,
    interrupts: Interrupts,
) -> dict[StudyRun, str]:
    turn = threading.Lock()
    failed: dict[StudyRun, str] = {}

    def see_through(run: StudyRun) -> None:
        place, error = directory.run(run.arm, run.seed), directory.error(run.arm, run.seed)
        try:
            for agent_steps in executor.execute(run, place):
                with turn:
                    observer.progressed(run, agent_steps)
        except RunStopped:
            return
        except RunFailed as failure:
            reason = str(failure)
            content = f"{reason}\n".encode(errors="backslashreplace")  # it may name a file whose name is no text
            if directory.path.is_dir():  # where it was moved or deleted, nothing is made anew
                write_atomically(error, lambda file: file.write_bytes(content))
            with turn:
                failed[run] = reason.splitlines()[-1]
                observer.failed(run, failed[run])
            return
        error.unlink(missing_ok=True)
        with turn:
            observer.finished(run)

    do_at_once([partial(see_through, run) for run in left], executor, jobs=jobs, interrupts=interrupts)
    return failed


def do_at_once(tasks: Iterable[Callable[[], None]], executor: Stoppable, *, jobs: int, interrupts: Interrupts) -> None:
    """Do tasks that wait for runs, `jobs` at once, until all are done or a signal has let their runs save and end.

    Args:
        tasks: what to do.
        executor: told to stop by the first signal and by what a task raises, to kill by the second Ctrl-C.
        jobs: how many at once.
        interrupts: entered.
    """
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            _wait_for({pool.submit(task) for task in tasks}, executor, interrupts)
        except Exception:  # what nobody expected
            executor.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except KeyboardInterrupt:  # the second Ctrl-C
            executor.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _wait_for(waiting: set[Future[None]], executor: Stoppable, interrupts: Interrupts) -> None:
    """Wait until all runs have ended; from a signal on, until those that work have saved, which `execute` limits."""
    stopped = False
    while waiting:
        done, waiting = wait(waiting, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()  # what nobody expected is raised here
        if interrupts.received is not None and not stopped:
            stopped = True
            executor.stop()
            waiting = {future for future in waiting if not future.cancel()}


def refuse_another(run: StudyRun, directory: StudyDir, *, of: str = "study") -> None:
    """Refuse to mix runs: one that is there already must have been begun with the settings asked for.

    Args:
        run: the one asked for.
        directory: where it is or shall be.
        of: what messages call that which asks for it.

    Raises:
        UserError: it was begun with others.
    """
    existing = directory.run(run.arm, run.seed).config
    if not existing.is_file():
        return
    try:
        begun = load_run_config(existing)
    except ConfigError:  # damaged: said of this run alone, by who works on it or reports on it
        return
    if begun != run.config:
        before, after = _lines(begun), _lines(run.config)
        was, now = next((old, new) for old, new in zip(before, after, strict=True) if old != new)
        raise UserError(
            f"{existing}: begun with {was.strip()}, the {of} says {now.strip()}; give it another --out, or the {of} "
            "its settings back"
        )


def _lines(config: Config) -> list[str]:
    return [line for line in render_config(config).splitlines() if not line.lstrip().startswith("#")]
