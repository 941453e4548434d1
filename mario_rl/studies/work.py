"""The work on one run of a study: train it to the end, evaluate its last weights, keep what the report needs.

What needs torch is imported where the work is done: who hands it out, and refuses what can't be, has no need of it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mario_rl.config import Config, load_run_config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.evaluation.finals import Finals, look_at_finals
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import json_text, sha256_of, staged
from mario_rl.runs.checkpoint import TRAINING_KEY, load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.record import read_record, require_unchanged
from mario_rl.runs.tables import EVALUATION_COLUMNS, write_table
from mario_rl.source import source_commit
from mario_rl.training import Observer, Progress, resume, train

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode

SECONDS_BETWEEN_SIGNS = 60.0


class RunStopped(Exception):
    """A signal ended the run before it was done; it is saved and can be gone on with."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.number = number


def perform(config: Config, run_dir: RunDir, final: FinalConfig, *, threads: int, observer: Observer) -> None:
    """Begin a run, or go on with it, and see it through: training, `best.mp4`, `run.json`, `final.csv`.

    A run is done once `final.csv` has what the study asks for, see `look_at_finals`. Where it has others or is damaged
    the last weights are evaluated again; training is not repeated. What only goes on with training needs is removed at
    the end, which is most of a run's size: the replay, the step checkpoints, and the training state in `latest.pt`,
    which keeps the last weights.

    Args:
        config: of the run.
        run_dir: where it is or shall be.
        final: the evaluations at its end.
        threads: cores that the caller gives it, for the record: how many are used is said by OMP_NUM_THREADS.
        observer: hears how it goes.

    Raises:
        RunStopped: SIGINT, SIGTERM or SIGHUP came while it trained; it has been saved.
        UserError, FailedError: as for `train` and `evaluate`; or evidence of the run was changed, or others are asked
            for than were made and the weights are gone.
    """
    finals = look_at_finals(run_dir, config, final)
    if finals.state != "done":
        if not _is_trained(run_dir, finals):
            begun = run_dir.config.is_file()
            result = (
                resume(run_dir.path, observer=observer) if begun else train(config, run_dir.path, observer=observer)
            )
            if result.signal is not None:
                raise RunStopped(result.signal)
        record = _record(run_dir, config, threads, observer)
        _write_finals(run_dir, _evaluate(run_dir, final, observer), record)
    _remove_what_only_training_needs(run_dir)


def _is_trained(run_dir: RunDir, finals: Finals) -> bool:
    """Tell whether the weights that are there are the last, of a run that was done once.

    Raises:
        UserError: it was done once, but its evidence was changed or its weights are gone, so nothing can mend it.
    """
    if finals.state == "missing" and not run_dir.record.exists():
        return False
    require_unchanged(run_dir, read_record(run_dir), but=run_dir.final)
    if not run_dir.latest.is_file():
        why = finals.why or f"{run_dir.final}: is gone"
        raise UserError(f"{why}; it can't be evaluated again, its weights are gone (there is no {run_dir.latest})")
    return TRAINING_KEY not in load_checkpoint(run_dir.latest)


def _evaluate(run_dir: RunDir, final: FinalConfig, observer: Observer) -> list[dict[str, Any]]:
    from mario_rl.evaluation import evaluate

    state = load_checkpoint(run_dir.latest)
    return [
        {"agent_steps": state["agent_steps"], "seconds": state["seconds"], **row}
        for protocol in final.protocols
        for row in evaluate(
            run_dir.latest,
            protocol=protocol,
            episodes=final.episodes if PROTOCOLS[protocol].fixed_episodes is None else None,
            seed=final.seed,
            on_episode=observer.evaluating,
        ).rows()
    ]


def film(run_dir: RunDir, observer: Observer) -> EvaluatedEpisode | None:
    """Film the greedy episode of a run's best checkpoint; None where it has none, having made no evaluation.

    Of a run on several stages, the best of one episode each.

    A film that can't be made is a warning to the observer, and no reason to lose the run.

    Raises:
        CheckpointError: the checkpoint can't be read.
    """
    if not run_dir.best.is_file():
        return None
    from mario_rl.evaluation import evaluate
    from mario_rl.report.endings import caption
    from mario_rl.report.video import Recording, write_video

    episode = evaluate(run_dir.best, protocol="greedy").best
    rom = load_run_config(run_dir.config).env.rom
    ended = caption(episode.result.end, episode.result.x)
    title = f"{run_dir.path.parent.name} {run_dir.path.name}, greedy: {ended}"
    try:
        write_video(run_dir.film, [Recording(episode.stage, episode.buttons, title, rom, banner=ended)])
    except Exception as error:
        observer.warned(f"{run_dir.film}: could not be made ({' '.join(str(error).split())})")
    return episode


class CountingObserver(Observer):
    """Passes on the agent steps made, for every `every` of them and every minute; calls when a checkpoint is saved.

    While `on_saved` runs nothing is written in the run directory.
    """

    def __init__(
        self, on_steps: Callable[[int], None], *, every: int = 200, on_saved: Callable[[], None] = lambda: None
    ) -> None:
        self._on_steps, self._every, self._on_saved = on_steps, every, on_saved
        self._told, self._told_at = 0, time.monotonic()

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._tell(agent_steps)

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        self._tell(self._told)  # a sign of life: evaluations take minutes

    def saved(self, path: Path, agent_steps: int) -> None:
        self._tell(agent_steps)
        self._on_saved()

    def progressed(self, progress: Progress) -> None:
        if progress.agent_steps >= self._told + self._every or time.monotonic() - self._told_at > SECONDS_BETWEEN_SIGNS:
            self._tell(progress.agent_steps)

    def _tell(self, agent_steps: int) -> None:
        self._told, self._told_at = agent_steps, time.monotonic()
        self._on_steps(agent_steps)


def _record(run_dir: RunDir, config: Config, threads: int, observer: Observer) -> dict[str, Any]:
    """Say what the run was done with, and make its film; of one that was done once, what its record says."""
    if run_dir.record.exists():
        return read_record(run_dir).model_dump(mode="json", exclude_unset=True)
    from mario_rl.devices import describe_machine, resolve_device, training_versions

    filmed = film(run_dir, observer)  # now: a published study keeps tables and films, not checkpoints
    state = load_checkpoint(run_dir.latest)
    best = None
    if filmed is not None:
        kept = load_checkpoint(run_dir.best)
        best = {
            "agent_steps": kept["agent_steps"],
            **{key: kept["evaluation"][key] for key in ("clear_rate", "mean_x")},
            "film": {"end": filmed.result.end, "x": filmed.result.x},
        }
    device = resolve_device(config.device)
    return {
        "machine": describe_machine(device),
        "versions": training_versions(config.agent.bfloat16, device),
        "commit": source_commit(),
        "rom": state.get("rom"),
        "threads": threads,
        "agent_steps": state["agent_steps"],
        "updates": state["updates"],
        "seconds": state["seconds"],
        "best": best,
    }


def _write_finals(run_dir: RunDir, rows: list[dict[str, Any]], record: dict[str, Any]) -> None:
    """Write `final.csv`, by which a run is done, and just before it `run.json`, which says what the evidence was."""
    with staged(run_dir.record, run_dir.final) as (new_record, new_final):
        write_table(new_final, EVALUATION_COLUMNS, rows)
        evidence = {one.name: one for one in (run_dir.config, run_dir.episodes, run_dir.evaluation) if one.is_file()}
        files = {name: sha256_of(one) for name, one in {**evidence, run_dir.final.name: new_final}.items()}
        new_record.write_text(json_text({**record, "files": files}, indent=2) + "\n", encoding="utf-8")


def _remove_what_only_training_needs(run_dir: RunDir) -> None:
    state = load_checkpoint(run_dir.latest)
    if state.pop(TRAINING_KEY, None) is not None:
        save_checkpoint(run_dir.latest, {key: value for key, value in state.items() if key != "format"})
    run_dir.remove_step_checkpoints()
    run_dir.remove_replays()
