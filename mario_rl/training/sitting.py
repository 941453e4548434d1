"""A sitting of training: a run begun in a new directory, or gone on with, until it ends or is interrupted.

What needs torch is imported once nothing is left to refuse, so that what is refused is refused at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock, Timeout

from mario_rl.config import Config, load_run_config, parse_config, with_absolute_paths
from mario_rl.errors import CheckpointError, FailedError, StorageError, UnansweredError, UserError
from mario_rl.machine import keep_freed_memory
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir, Whereabouts, find_run
from mario_rl.training.begin import begin, new_run_dir, write_config
from mario_rl.training.checks import check_machine
from mario_rl.training.interrupts import Interrupts, Stopped
from mario_rl.training.observer import Heard, Observer, ObserverFailed, Progress, own_observers
from mario_rl.training.resuming import refuse_changes, warn_of_versions
from mario_rl.training.trackers import make_trackers

if TYPE_CHECKING:
    from mario_rl.training.session import Session


class TrainingResult(NamedTuple):
    """How a sitting of training ended.

    stop: the config key of the stop condition that was met, or the name of the signal that came.
    progress: None where the signal came before the first agent step could be taken, and there was nothing to save.
    """

    run_dir: RunDir
    stop: str
    progress: Progress | None
    signal: signal.Signals | None


def train(config: Config, run_dir: str | Path, *, observer: Observer | None = None) -> TrainingResult:
    """Begin a run in a new or empty directory and train until a stop condition is met, SIGINT, SIGTERM or SIGHUP.

    What an observer raises ends the run as well, but only after it has been saved.

    Raises:
        RunDirTaken: something is there already.
        UserError: the directory can't be made, or the machine lacks the device, the memory or the disk space.
        StorageError: the disk refused a write; the last checkpoint is intact.
        GoneError: somebody deleted or moved the directory or a table in it.
        UnansweredError: the games don't answer any more; the last checkpoint is from before.
        DivergedError: loss or weights are not finite any more; the last checkpoint is from before.
    """
    config = with_absolute_paths(config)
    directory = new_run_dir(Path(run_dir))

    def begun() -> Config:
        check_machine(config, directory)
        begin(directory, config)
        return config

    return _sit(directory, begun, observer or Observer())


def resume(run_dir: str | Path, overrides: Sequence[str] = (), *, observer: Observer | None = None) -> TrainingResult:
    """Go on with a run from its last checkpoint, or from its beginning if it has none yet.

    Args:
        run_dir: a directory that `train` made, or one with such below it: the newest, as `DIR/latest`.
        overrides: `key=value` pairs; only stop conditions, observers, logging and evaluation may change.
        observer: hears how it goes.

    Raises:
        UserError: not a run directory, in use by another process, something else would change, or a file of it is
            damaged (CheckpointError), refused (ConfigError) or somewhere else (a link).
        StorageError, GoneError, UnansweredError, DivergedError: as `train`.
    """
    directory = find_run(Path(run_dir), has=lambda run: run.config.is_file())
    if directory is None:
        raise CheckpointError(f"{run_dir}: not a run directory, it has no config.yaml")
    observer = observer or Observer()

    def found() -> Config:
        directory.require_own_folders()
        config = load_run_config(directory.config, overrides)
        if overrides:
            refuse_changes(load_run_config(directory.config), config)
        if directory.latest.exists():
            state = load_checkpoint(directory.latest)
            # Through the schema, so that a key younger than the run counts as its default.
            begun = with_absolute_paths(parse_config(state["config"], str(directory.latest)))
            refuse_changes(begun, config)
            warn_of_versions(state["versions"], config, observer)
        check_machine(config, directory)
        return config

    return _sit(directory, found, observer, rewrite_config=bool(overrides))


def _sit(
    directory: RunDir, prepare: Callable[[], Config], observer: Observer, *, rewrite_config: bool = False
) -> TrainingResult:
    """Prepare a run and train, within reach of signals; `prepare` makes or checks its directory."""
    with Interrupts() as interrupts, ExitStack() as opened:
        try:
            with interrupts.at_once():
                config = prepare()
                observer.placed(directory.path)
                session = opened.enter_context(_session(config, directory, observer, interrupts, rewrite_config))
        except Stopped:
            assert interrupts.received is not None
            return TrainingResult(directory, interrupts.received.name, None, interrupts.received)
        from mario_rl.training.loop import play_and_learn

        heard = Heard(observer, [*make_trackers(config, observer.warned), *own_observers(config)])
        session.counts.observer = heard
        try:
            stop = play_and_learn(session, heard, interrupts)
            heard.ended()
        except ObserverFailed as failure:
            session.save_and_draw(Observer())
            if not failure.named:
                raise failure.reason from None
            raise FailedError(
                f"{failure.reason}; the run is saved, go on with: {directory.resume_command}"
            ) from failure.__cause__
        finally:
            with suppress(ObserverFailed):  # something else ended it, or this very failure
                heard.ended()
        ended_by = interrupts.received.name if interrupts.received is not None else stop
        return TrainingResult(directory, ended_by or "", session.progress(), interrupts.received)


@contextmanager
def _session(
    config: Config, directory: RunDir, observer: Observer, interrupts: Interrupts, rewrite_config: bool
) -> Iterator[Session]:
    """Hold a run's directory, this process's random numbers and threads, and all that the loop works on."""
    import torch

    from mario_rl.devices import denormals_flushed, one_thread, resolve_device
    from mario_rl.training.session import Session

    keep_freed_memory()
    gpus = [torch.device("cuda")] if resolve_device(config.device).type == "cuda" else []
    with (
        _said_how_to_go_on(directory),
        Whereabouts(directory) as whereabouts,
        _locked(directory),
        torch.random.fork_rng(devices=gpus),
        denormals_flushed(),
        one_thread(),
    ):
        whereabouts.require()  # or the lock has made a directory anew
        if rewrite_config:
            write_config(directory, config)
        session = Session(config, directory, whereabouts=whereabouts, observer=observer, should_stop=interrupts.came)
        with closing(session):
            yield session


@contextmanager
def _locked(directory: RunDir) -> Iterator[None]:
    """Keep other processes out of a run directory."""
    try:
        held = FileLock(directory.lock).acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{directory.path}: in use, another process trains in it") from error
    with held:
        yield


@contextmanager
def _said_how_to_go_on(directory: RunDir) -> Iterator[None]:
    """Add to what ends a run without a fault of its own what goes on with it."""
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{error}; once it can be written, go on with: {directory.resume_command}") from error
    except UnansweredError as error:
        raise UnansweredError(
            f"{directory.path}: {error}; go on from its last checkpoint with: {directory.resume_command}"
        ) from error
