"""A sitting of training: a run begun in a new directory, or gone on with, until it ends or is interrupted.

What needs torch is imported once nothing is left to refuse, so that what is refused is refused at once.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from mario_rl.config import Config, load_run_config, parse_config, with_absolute_paths
from mario_rl.errors import CheckpointError, UserError
from mario_rl.machine import keep_freed_memory
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir, find_run
from mario_rl.training.begin import begin, new_run_dir, write_config
from mario_rl.training.checks import check_machine
from mario_rl.training.interrupts import Interrupts
from mario_rl.training.observer import Heard, Observer, ObserverFailed, Progress
from mario_rl.training.resuming import refuse_changes, warn_of_versions


class TrainingResult(NamedTuple):
    """How a sitting of training ended.

    stop: the config key of the stop condition that was met, or the name of the signal that came.
    """

    run_dir: RunDir
    stop: str
    progress: Progress
    signal: signal.Signals | None


def train(config: Config, run_dir: str | Path, *, observer: Observer | None = None) -> TrainingResult:
    """Begin a run in a new or empty directory and train until a stop condition is met, SIGINT, SIGTERM or SIGHUP.

    What an observer raises ends the run as well, but only after it has been saved.

    Raises:
        RunDirTaken: something is there already.
        UserError: the directory can't be made, or the machine lacks the device, the memory or the disk space.
        StorageError: the disk refused a write; the last checkpoint is intact.
        DivergedError: loss or weights are not finite any more; the last checkpoint is from before.
    """
    config = with_absolute_paths(config)
    directory = new_run_dir(Path(run_dir))
    check_machine(config, directory)
    begin(directory, config)
    return _sit(config, directory, observer or Observer())


def resume(run_dir: str | Path, overrides: Sequence[str] = (), *, observer: Observer | None = None) -> TrainingResult:
    """Go on with a run from its last checkpoint, or from its beginning if it has none yet.

    Args:
        run_dir: a directory that `train` made, or one with such below it: the newest, as `DIR/latest`.
        overrides: `key=value` pairs; only stop conditions, logging and evaluation may change.
        observer: hears how it goes.

    Raises:
        UserError: not a run directory, in use by another process, something else would change, or a file of it is
            damaged (CheckpointError) or refused (ConfigError).
        StorageError: the disk refused a write; the last checkpoint is intact.
        DivergedError: loss or weights are not finite any more; the last checkpoint is from before.
    """
    directory = find_run(Path(run_dir), has=lambda run: run.config.is_file())
    if directory is None:
        raise CheckpointError(f"{run_dir}: not a run directory, it has no config.yaml")
    observer = observer or Observer()
    config = load_run_config(directory.config, overrides)
    if overrides:
        refuse_changes(load_run_config(directory.config), config)
    if directory.latest.exists():
        state = load_checkpoint(directory.latest)
        # Through the schema, so that a key younger than the run counts as its default.
        begun = with_absolute_paths(parse_config(state["config"], str(directory.latest)))
        refuse_changes(begun, config)
        warn_of_versions(state["versions"], observer)
    check_machine(config, directory)
    return _sit(config, directory, observer, rewrite_config=bool(overrides))


def _sit(config: Config, directory: RunDir, observer: Observer, *, rewrite_config: bool = False) -> TrainingResult:
    import torch

    from mario_rl.devices import denormals_flushed, one_thread, resolve_device
    from mario_rl.training.loop import play_and_learn
    from mario_rl.training.session import Session

    try:
        keep_freed_memory()
        gpus = [torch.device("cuda")] if resolve_device(config.device).type == "cuda" else []
        with (
            FileLock(directory.lock, timeout=0),
            Interrupts() as interrupts,
            torch.random.fork_rng(devices=gpus),
            denormals_flushed(),
            one_thread(),
        ):
            if rewrite_config:
                write_config(directory, config)
            session = Session(config, directory, warn=observer.warned)
            try:
                stop = play_and_learn(session, Heard(observer), interrupts)
                ended_by = interrupts.received.name if interrupts.received is not None else stop
                return TrainingResult(directory, ended_by or "", session.progress(), interrupts.received)
            except ObserverFailed as failure:
                session.save_and_draw(Observer())
                raise failure.reason from None
            finally:
                session.close()
    except Timeout as error:
        raise UserError(f"{directory.path}: in use, another process trains in it") from error
