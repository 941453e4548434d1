"""The training loop, and how a run is begun and gone on with.

What needs torch is imported once nothing is left to refuse, so that what is refused is refused at once.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from mario_rl.config import Config, load_run_config, parse_config, with_absolute_paths
from mario_rl.errors import CheckpointError, ConfigError, UserError
from mario_rl.machine import keep_freed_memory
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir, find_run
from mario_rl.training.begin import begin, new_run_dir, write_config
from mario_rl.training.checks import check_machine
from mario_rl.training.interrupts import Interrupts
from mario_rl.training.observer import Heard, Observer, ObserverFailed, Progress

if TYPE_CHECKING:
    from mario_rl.training.session import Session

RESUMABLE_SECTIONS = ("logging", "evaluation")
RESUMABLE = "only stop conditions (training.agent_steps, episodes, minutes, clear_rate), logging.* and evaluation.*"
RESUMABLE_KEYS = ("training.agent_steps", "training.episodes", "training.minutes", "training.clear_rate")


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
        _refuse_changes(load_run_config(directory.config).model_dump(mode="json"), config.model_dump(mode="json"))
    if directory.latest.exists():
        state = load_checkpoint(directory.latest)
        # Through the schema, so that a key younger than the run counts as its default.
        begun = with_absolute_paths(parse_config(state["config"], str(directory.latest)))
        _refuse_changes(begun.model_dump(mode="json"), config.model_dump(mode="json"))
        _warn_of_versions(state["versions"], observer)
    check_machine(config, directory)
    return _sit(config, directory, observer, rewrite_config=bool(overrides))


def _sit(config: Config, directory: RunDir, observer: Observer, *, rewrite_config: bool = False) -> TrainingResult:
    import torch

    from mario_rl.devices import denormals_flushed, one_thread, resolve_device
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
                return _loop(session, Heard(observer), interrupts)
            except ObserverFailed as failure:
                _save(session, Observer())
                raise failure.reason from None
            finally:
                session.close()
    except Timeout as error:
        raise UserError(f"{directory.path}: in use, another process trains in it") from error


def _loop(session: Session, observer: Observer, interrupts: Interrupts) -> TrainingResult:
    config, agent, collector, replay = session.config, session.agent, session.collector, session.replay
    observer.started(config, session.run_dir.path, session.agent_steps)
    if not session.run_dir.latest.exists():  # from its first moment on, a run can be watched and gone on with
        _save(session, observer)
    if session.evaluation_due:  # a signal cut it off in the sitting before
        _evaluate(session, observer, interrupts)
    stop = session.stop_reason
    while stop is None and interrupts.received is None:
        collector.begin(agent.acting_policy, epsilon=session.epsilon)
        for _ in range(session.updates_due):  # while the games play
            batch = replay.sample(config.agent.batch_size)
            stats = agent.learn(batch)
            replay.prioritize(batch.slot, stats.td_error)
            session.count_update(stats)
        session.count(collector.finish(replay))
        session.log()
        observer.progressed(session.progress())
        if session.evaluation_due:
            _evaluate(session, observer, interrupts)
        if session.checkpoint_due:
            session.keep_step_checkpoint()
            observer.saved(session.save(), session.agent_steps)
        stop = session.stop_reason
    if stop is not None and session.last_evaluation_due:
        _evaluate(session, observer, interrupts)
    _save(session, observer)
    ended_by = interrupts.received.name if interrupts.received is not None else stop
    return TrainingResult(session.run_dir, ended_by or "", session.progress(), interrupts.received)


def _save(session: Session, observer: Observer) -> None:
    """Leave everything as a run should be left: saved first, drawn after."""
    session.write_row()
    if session.unsaved:
        observer.saved(session.save(), session.agent_steps)
    session.draw_curve()


def _evaluate(session: Session, observer: Observer, interrupts: Interrupts) -> None:
    """Evaluate the agent as it is; when a signal comes meanwhile the evaluation is left for the next sitting."""
    from mario_rl.evaluation import EvaluationInterrupted, evaluate_policy

    session.write_row()
    evaluation = session.config.evaluation
    try:
        report = evaluate_policy(
            session.agent.averaged_policy,
            session.config,
            protocol=evaluation.protocol,
            seed=evaluation.seed,
            should_stop=lambda: interrupts.received is not None,
            on_episode=observer.evaluating,
        )
    except EvaluationInterrupted:
        return
    best = session.count_evaluation(report)
    observer.evaluated(report, session.agent_steps, best=best)
    session.draw_curve()


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _refuse_changes(begun: dict[str, Any], wanted: dict[str, Any]) -> None:
    before, after = _flatten(begun), _flatten(wanted)
    for key in sorted(before.keys() | after.keys()):
        may_change = key in RESUMABLE_KEYS or key.split(".")[0] in RESUMABLE_SECTIONS
        if not may_change and before.get(key) != after.get(key):
            raise ConfigError(
                f"{key}: {after.get(key)!r} is not allowed on --resume, the run was begun with {before.get(key)!r}; "
                f"{RESUMABLE} may change"
            )


def _warn_of_versions(begun: dict[str, str], observer: Observer) -> None:
    from mario_rl.devices import software_versions

    now = software_versions()
    changed = [f"{name} {then} -> {now.get(name)}" for name, then in begun.items() if now.get(name) != then]
    if changed:
        observer.warned(f"resuming with other versions, so not bit for bit: {', '.join(changed)}")
