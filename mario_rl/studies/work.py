"""The work on one run of a study: train it to the end, evaluate its last weights, keep what the report needs.

What needs torch is imported where the work is done: who hands it out, and refuses what can't be, has no need of it.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.config import Config, load_run_config
from mario_rl.config.study import FinalConfig
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import json_text, write_atomically
from mario_rl.runs.checkpoint import TRAINING_KEY, load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import Observer, Progress, resume, train

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


class RunStopped(Exception):
    """A signal ended the run before it was done; it is saved and can be gone on with."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.number = number


def perform(config: Config, run_dir: RunDir, final: FinalConfig, *, threads: int, observer: Observer) -> None:
    """Begin a run, or go on with it, and see it through: training, `best.mp4`, `run.json`, `final.csv`.

    A run is done once `final.csv` is there. What only goes on with training needs is then removed, which is most of its
    size: the replay, the step checkpoints, and the training state in `latest.pt`, which keeps the last weights.

    Args:
        config: of the run.
        run_dir: where it is or shall be.
        final: the evaluations at its end.
        threads: cores that the caller gives it, for the record: how many are used is said by OMP_NUM_THREADS.
        observer: hears how training goes.

    Raises:
        RunStopped: SIGINT, SIGTERM or SIGHUP came while it trained; it has been saved.
        UserError, FailedError: as for `train` and `evaluate`.
    """
    from mario_rl.evaluation import evaluate
    from mario_rl.runs.tables import EVALUATION_COLUMNS, write_table

    if not run_dir.final.exists():
        begun = run_dir.config.is_file()
        result = resume(run_dir.path, observer=observer) if begun else train(config, run_dir.path, observer=observer)
        if result.signal is not None:
            raise RunStopped(result.signal)
        filmed = film(run_dir, observer)  # now: a published study keeps tables and films, not checkpoints
        state = load_checkpoint(run_dir.latest)
        rows = [
            {"agent_steps": state["agent_steps"], "seconds": state["seconds"], **row}
            for protocol in final.protocols
            for row in evaluate(
                run_dir.latest,
                protocol=protocol,
                episodes=final.episodes if PROTOCOLS[protocol].fixed_episodes is None else None,
                seed=final.seed,
            ).rows()
        ]
        _write_record(run_dir, config, threads, filmed)
        write_table(run_dir.final, EVALUATION_COLUMNS, rows)
    _remove_what_only_training_needs(run_dir)


def film(run_dir: RunDir, observer: Observer) -> EvaluatedEpisode | None:
    """Film the greedy episode of a run's best checkpoint; None where it has none, having made no evaluation.

    A film that can't be made is a warning to the observer, and no reason to lose the run.

    Raises:
        CheckpointError: the checkpoint can't be read.
    """
    if not run_dir.best.is_file():
        return None
    from mario_rl.evaluation import evaluate
    from mario_rl.report.video import Recording, write_video

    (episode,) = evaluate(run_dir.best, protocol="greedy").episodes
    rom = load_run_config(run_dir.config).env.rom
    caption = f"{run_dir.path.parent.name} {run_dir.path.name}, greedy: {episode.result.end} at x {episode.result.x}"
    try:
        write_video(run_dir.film, [Recording(episode.stage, episode.buttons, caption, rom)])
    except Exception as error:
        observer.warned(f"{run_dir.film}: could not be made ({' '.join(str(error).split())})")
    return episode


class CountingObserver(Observer):
    """Passes on the agent steps made, at most once for every `every` of them, and calls when a checkpoint is saved.

    While `on_saved` runs nothing is written in the run directory.
    """

    def __init__(
        self, on_steps: Callable[[int], None], *, every: int = 200, on_saved: Callable[[], None] = lambda: None
    ) -> None:
        self._on_steps, self._every, self._on_saved = on_steps, every, on_saved
        self._told = 0

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._tell(agent_steps)

    def evaluating(self, episode: EvaluatedEpisode, total: int) -> None:
        self._on_steps(self._told)  # a sign of life: evaluations take minutes

    def saved(self, path: Path, agent_steps: int) -> None:
        self._tell(agent_steps)
        self._on_saved()

    def progressed(self, progress: Progress) -> None:
        if progress.agent_steps >= self._told + self._every:
            self._tell(progress.agent_steps)

    def _tell(self, agent_steps: int) -> None:
        self._told = agent_steps
        self._on_steps(agent_steps)


def _write_record(run_dir: RunDir, config: Config, threads: int, filmed: EvaluatedEpisode | None) -> None:
    from mario_rl.devices import describe_machine, resolve_device, software_versions

    state = load_checkpoint(run_dir.latest)
    best = None
    if filmed is not None:
        kept = load_checkpoint(run_dir.best)
        best = {
            "agent_steps": kept["agent_steps"],
            **{key: kept["evaluation"][key] for key in ("clear_rate", "mean_x")},
            "film": {"end": filmed.result.end, "x": filmed.result.x},
        }
    record = {
        "machine": describe_machine(resolve_device(config.device)),
        "versions": software_versions(),
        "rom": state.get("rom"),
        "threads": threads,
        "agent_steps": state["agent_steps"],
        "updates": state["updates"],
        "seconds": state["seconds"],
        "best": best,
    }
    write_atomically(run_dir.record, lambda partial: partial.write_text(json_text(record, indent=2) + "\n"))


def _remove_what_only_training_needs(run_dir: RunDir) -> None:
    state = load_checkpoint(run_dir.latest)
    if state.pop(TRAINING_KEY, None) is not None:
        save_checkpoint(run_dir.latest, {key: value for key, value in state.items() if key != "format"})
    for path in run_dir.step_checkpoints():
        path.unlink()
    shutil.rmtree(run_dir.replay, ignore_errors=True)
