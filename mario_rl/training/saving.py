"""What a session saves, and goes on from: `latest.pt` with the replay it names, `best.pt`, step checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mario_rl.agents import QAgent
from mario_rl.config import Config, parse_config
from mario_rl.devices import describe_machine, restore_torch_generators, torch_generators, training_versions
from mario_rl.errors import CheckpointError, ConfigError, StorageError, UserError
from mario_rl.evaluation import EvaluationReport
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import printable
from mario_rl.replay import ReplayBuffer
from mario_rl.runs.checkpoint import TRAINING_KEY, load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir, Whereabouts
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.training.collect import Collector
from mario_rl.training.counts import Counts
from mario_rl.types import State
from mario_rl.wording import count_text

MAX_REASON = 200  # characters of what is wrong with a checkpoint


class Checkpoints:
    """Writes the checkpoints of a run, and restores its parts from the last.

    best: the highest merit by the config's way of evaluating; None before the first evaluation.
    saved_at: agent steps of the last `save`, or of what was restored.

    Args:
        config, run_dir, rom: of the run; rom as the SHA-256 of its ROM.
        whereabouts: where the run directory was when the sitting began; nothing is saved anywhere else.
        agent, replay, collector, counts: the parts whose state is saved and restored.
        warn: told, in one line, of what is amiss but no reason to stop.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDir,
        *,
        rom: str,
        whereabouts: Whereabouts,
        agent: QAgent,
        replay: ReplayBuffer,
        collector: Collector,
        counts: Counts,
        warn: Callable[[str], None],
    ) -> None:
        self._config, self._run_dir, self._rom, self._warn = config, run_dir, rom, warn
        self._whereabouts = whereabouts
        self._agent, self._replay, self._collector, self._counts = agent, replay, collector, counts
        self.saved_at = 0
        self.best: tuple[float, ...] | None = None
        self._kept_best: tuple[float, ...] | None = None  # that of best.pt; higher if a kill came before latest.pt
        self._generation = 0
        self._latest_at: tuple[int, ...] | None = None  # what latest.pt has, see `_now_at`

    @property
    def unsaved(self) -> bool:
        """Whether anything has happened that latest.pt does not have."""
        return self._latest_at != self._now_at

    def save(self) -> Path:
        """Write `latest.pt` and the replay it names, then let the replay before it go; between two rounds of the loop.

        In this order, whatever moment a kill or a second Ctrl-C comes at, latest.pt names a replay that is complete.

        Raises:
            DivergedError: as `require_finite`. StorageError: the disk refused; the last checkpoint is intact.
            GoneError: the run directory is not there any more.
        """
        self._counts.require_finite()
        self.saved_at = self._counts.agent_steps
        previous, self._generation = self._generation, self._generation + 1
        try:
            with self._whereabouts.kept():
                self._replay.save(self._replay_file)
            state = self._policy_state() | {TRAINING_KEY: self._training_state()}
            with self._whereabouts.kept():
                save_checkpoint(self._run_dir.latest, state)
        except StorageError:  # nothing else: after any other interruption latest.pt may name the new one already
            self._replay_file.unlink(missing_ok=True)
            self._generation = previous
            raise
        self._latest_at = self._now_at
        self._run_dir.remove_replays(but=[self._replay_file])
        return self._run_dir.latest

    def keep_step(self) -> None:
        """Keep this moment's weights beside `latest` and `best`, and only the last few of such moments.

        Raises:
            DivergedError: as `require_finite`. StorageError: the disk refused.
            GoneError: the run directory is not there any more.
        """
        self._counts.require_finite()
        keep = self._config.training.keep_checkpoints
        if keep:
            with self._whereabouts.kept():
                save_checkpoint(self._run_dir.step_checkpoint(self._counts.agent_steps), self._policy_state())
        kept = self._run_dir.step_checkpoints()
        self._run_dir.remove_step_checkpoints(but=kept[max(len(kept) - keep, 0) :])

    def keep_if_best(self, report: EvaluationReport) -> bool:
        """Keep the agent as `best` if none before was better; returns whether so.

        What counts is the evaluation in best.pt itself, which a killed process may have written after latest.pt.

        Raises:
            StorageError: the disk refused. GoneError: the run directory is not there any more.
        """
        if self.best is not None and report.merit < self.best:  # of equals the newer: it has learned from more
            return False
        self.best = report.merit
        if self._kept_best is not None and report.merit < self._kept_best:
            return False
        self._kept_best = report.merit
        summary = {key: value for key, value in report.summary().items() if key != "results"}
        with self._whereabouts.kept():
            save_checkpoint(
                self._run_dir.best, self._policy_state() | {"evaluation": summary | {"merit": list(report.merit)}}
            )
        return True

    def restore(self) -> None:
        """Go on from `latest.pt`.

        Raises:
            CheckpointError: it, or the replay it names, can't be used.
        """
        path = self._run_dir.latest
        state = load_checkpoint(path)
        if TRAINING_KEY not in state:
            raise CheckpointError(f"{path}: holds weights only; training can't go on from it")
        try:
            self._restore_from(state, state[TRAINING_KEY])
        except UserError:
            raise
        except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise CheckpointError(
                f"{path}: damaged, training can't go on from it ({printable(reason.splitlines()[0], MAX_REASON)})"
            ) from error

    @property
    def _now_at(self) -> tuple[int, ...]:
        """What tells this moment from all others: agent steps, updates, the last evaluation."""
        return self._counts.agent_steps, self._agent.updates, self._counts.evaluated_at

    @property
    def _replay_file(self) -> Path:
        return self._run_dir.replay_file(self._generation)

    def _policy_state(self) -> State:
        return {
            "config": self._config.model_dump(mode="json"),
            "versions": training_versions(self._config.agent.bfloat16, self._agent.device),
            "machine": describe_machine(self._agent.device),
            "rom": self._rom,
            "agent_steps": self._counts.agent_steps,
            "updates": self._agent.updates,
            "episodes": self._counts.episodes,
            "seconds": self._counts.seconds,
            "initial_agent_steps": self._counts.initial_agent_steps,
            "initial_seconds": self._counts.initial_seconds,
            "network": self._agent.averaged.state_dict(),
        }

    def _training_state(self) -> State:
        return {
            "agent": self._agent.state_dict(),
            "collector": self._collector.state_dict(),
            "replay_generation": self._generation,
            "replay_generator": generator_state(self._replay.rng),
            "torch_generators": torch_generators(self._agent.device),
            "evaluated_at": self._counts.evaluated_at,
            "best": self.best,
            "recent": list(self._counts.recent),
            "snapshot_episodes": self._counts.snapshot_episodes,
        }

    def _restore_from(self, state: State, training: State) -> None:
        if state.get("rom", self._rom) != self._rom:
            raise CheckpointError(
                f"{self._run_dir.path}: was begun with the ROM of SHA-256 {state['rom']}, env.rom is now {self._rom}"
            )
        self._counts.agent_steps, self._counts.episodes = state["agent_steps"], state["episodes"]
        self._counts.seconds_before = state["seconds"]
        self._counts.initial_agent_steps = state.get("initial_agent_steps", 0)  # older checkpoints began from nothing
        self._counts.initial_seconds = state.get("initial_seconds", 0.0)
        self._agent.load_state_dict(training["agent"])
        self._generation = training["replay_generation"]
        self._replay.load(self._replay_file)
        if "starts" in training["collector"]:  # of actor processes, which older versions had: they kept no games
            self._warn("this run was played by actor processes, which are no more: its episodes begin anew")
            self._collector.start()
            self._replay.cut()
        else:
            self._collector.load_state_dict(training["collector"])
        restore_generator(self._replay.rng, training["replay_generator"])
        restore_torch_generators(self._agent.device, training["torch_generators"])
        self._counts.evaluated_at, self.saved_at = training["evaluated_at"], self._counts.agent_steps
        self._latest_at = self._now_at
        before, now = _measure(parse_config(state["config"], str(self._run_dir.latest))), _measure(self._config)
        if training["best"] is not None and before == now:
            self.best = tuple(training["best"])
        elif training["best"] is not None:
            self._warn(
                f"the best so far was found under {before} and doesn't compare with {now}: "
                "the next evaluation's will take its place"
            )
        self._kept_best = self._merit_of_best()
        self._counts.snapshot_episodes = training["snapshot_episodes"]
        self._counts.recent.extend(tuple(entry) for entry in training["recent"])

    def _merit_of_best(self) -> tuple[float, ...] | None:
        """The merit of best.pt; None where there is none to compare with."""
        path = self._run_dir.best
        if not path.exists():
            return None
        try:
            state = load_checkpoint(path)
            evaluation = state["evaluation"]
            if _measure(parse_config(state["config"], str(path))) != _measure(self._config):
                return None
            # Older files have no merit: it was written so that the middle number counts in the whole game alone.
            return tuple(evaluation.get("merit") or (evaluation["clear_rate"], 0.0, evaluation["mean_x"]))
        except (CheckpointError, ConfigError, KeyError) as error:
            self._warn(f"{path}: can't be read, the next evaluation's will take its place ({error})")
            return None


def _measure(config: Config) -> str:
    """Say what an agent is evaluated by while it trains: two evaluations compare where this is the same."""
    evaluation = config.evaluation
    if PROTOCOLS[evaluation.protocol].fixed_episodes is not None:
        return evaluation.protocol
    return f"{evaluation.protocol}, {count_text(evaluation.episodes, 'episode')} with seed {evaluation.seed}"
