"""The parts of one training run, its counters, and how all of it is saved and restored."""

from __future__ import annotations

import math
import textwrap
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mario_rl.agents import LearnStats, QAgent
from mario_rl.agents.schedules import exploration_exponents
from mario_rl.config import Config
from mario_rl.devices import (
    describe_machine,
    resolve_device,
    restore_torch_generators,
    software_versions,
    torch_generators,
)
from mario_rl.envs import num_actions
from mario_rl.errors import CheckpointError, DivergedError, StorageError, UserError
from mario_rl.evaluation import EvaluationReport
from mario_rl.files import remove_partials
from mario_rl.game.rom import load_rom
from mario_rl.replay import ReplayBuffer
from mario_rl.report.curve import draw_curves
from mario_rl.runs.checkpoint import TRAINING_KEY, load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import MAX_REASON, RunMetrics
from mario_rl.seeding import generator_state, restore_generator, spawn_streams
from mario_rl.training.collect import Collector, FinishedEpisode, Played
from mario_rl.training.initial import load_initial
from mario_rl.training.observer import RECENT_EPISODES, Progress
from mario_rl.types import State

LEARNED_COLUMNS = ("loss", "mean_q", "gradient_norm")  # of LearnStats, as metrics.csv has them


class Session:
    """A training run between two sittings: what the loop works on.

    Args:
        config: what was asked for; `check_machine` has found nothing against it.
        run_dir: where its files are; must hold config.yaml, and nobody else trains in it.
        warn: told, in one line, of what is amiss but no reason to stop.

    Raises:
        CheckpointError: there is a checkpoint, but it or the replay it names can't be used.
        UserError: the machine has no memory for the replay, or a table of the run can't be read.
    """

    def __init__(self, config: Config, run_dir: RunDir, *, warn: Callable[[str], None]) -> None:
        self.config = config
        self.run_dir = run_dir
        self._warn = warn
        with ExitStack() as opened:  # whatever is refused on the way, nothing stays open
            self._assemble(opened)
            self._opened = opened.pop_all()

    def _assemble(self, opened: ExitStack) -> None:
        config, run_dir = self.config, self.run_dir
        for folder in (run_dir.path, run_dir.checkpoints, run_dir.replay):
            remove_partials(folder)
        streams = spawn_streams(config.seed, config.training.envs)
        device = resolve_device(config.device)
        self._rom = load_rom(config.env.rom).sha256
        self.replay = make_replay(config, np.random.default_rng(streams.replay))
        self.agent = QAgent(
            config.agent,
            config.network,
            num_actions=num_actions(config.env.action_set),
            frame_stack=config.env.frame_stack,
            seed=streams.network,
            device=device,
        )
        self.initial_agent_steps, self.initial_seconds = 0, 0.0  # of the agent this one was before the run
        if not run_dir.latest.exists() and (initial := load_initial(config)) is not None:
            self.agent.begin_with(initial.policy.network.state_dict())
            self.initial_agent_steps, self.initial_seconds = initial.agent_steps, initial.seconds
        self.collector = Collector(
            config.env,
            seeds=streams.environments,
            generator=np.random.default_rng(streams.exploration),
            exponents=exploration_exponents(config.training.envs, config.agent.epsilon.spread),
        )
        opened.callback(self.collector.close)
        torch.manual_seed(streams.dropout)  # dropout draws from the global generator
        self.agent_steps = 0
        self.episodes = 0  # from the stage's start, as in all that is reported but snapshots.csv
        self.snapshot_episodes = 0
        self.evaluated_at = 0
        self.checkpointed_at = 0
        self.best: tuple[float, ...] | None = None  # the highest merit under the config's protocol
        self._kept_best: tuple[float, ...] | None = None  # that of best.pt; higher if a kill came before latest.pt
        self._generation = 0
        self._saved_at: tuple[int, int] | None = None  # agent_steps and evaluated_at as latest.pt has them
        self._recent: deque[tuple[float, int, bool]] = deque(maxlen=RECENT_EPISODES)
        self._seconds_before = 0.0
        if run_dir.latest.exists():
            self._restore()
        else:
            self.collector.start()
        self.metrics = RunMetrics(
            run_dir,
            tensorboard=config.logging.tensorboard,
            snapshots=config.env.snapshot_probability > 0,
            resume_at=self.agent_steps,
            evaluated_at=self.evaluated_at,
            warn=self._warn,
        )
        opened.callback(self.metrics.close)
        self._started = time.monotonic()
        self._row_at, self._curve_at = self.seconds, self.seconds
        self._curve_took = 0.0  # seconds
        self._curve_failed = False
        self._steps_at_row, self._updates_at_row = self.agent_steps, self.agent.updates
        self._rates: tuple[float, float] | None = None  # agent steps and updates per second, of the last row
        self._learned, self._num_learned = torch.zeros(len(LEARNED_COLUMNS)), 0  # summed

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began, earlier sittings included, pauses between them not."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def epsilon(self) -> float:
        """The share of random actions at this moment."""
        return self.agent.epsilon(agent_steps=self.agent_steps, episodes=self.episodes)

    @property
    def updates_due(self) -> int:
        """Updates to make while the next agent step is played: one per `agent.steps_per_update` since the warm-up.

        They count that step as well, so that none is owed when it ends, and sample what came before it.
        """
        since_warmup = self.agent_steps + self.config.training.envs - self.config.replay.warmup_steps
        if since_warmup <= 0 or len(self.replay) == 0:
            return 0
        return since_warmup // self.config.agent.steps_per_update - self.agent.updates

    @property
    def evaluation_due(self) -> bool:
        every = self.config.evaluation.every_steps
        return every is not None and self.agent_steps // every > self.evaluated_at // every

    @property
    def last_evaluation_due(self) -> bool:
        """Whether a run that ends here still has to evaluate the agent it leaves."""
        return self.config.evaluation.every_steps is not None and self.evaluated_at < self.agent_steps

    @property
    def unsaved(self) -> bool:
        """Whether anything has happened that latest.pt does not have."""
        return self._saved_at != (self.agent_steps, self.evaluated_at)

    @property
    def checkpoint_due(self) -> bool:
        every = self.config.training.checkpoint_every_steps
        return self.agent_steps // every > self.checkpointed_at // every

    @property
    def stop_reason(self) -> str | None:
        """Name the config key of the stop condition that is met."""
        training = self.config.training
        limits = {
            "training.agent_steps": (self.agent_steps, training.agent_steps),
            "training.episodes": (self.episodes, training.episodes),
            "training.minutes": (self.seconds / 60, training.minutes),
            "training.clear_rate": (self.best[0] if self.best else 0.0, training.clear_rate),
        }
        return next((key for key, (now, limit) in limits.items() if limit is not None and now >= limit), None)

    def count(self, played: Played) -> None:
        """Count agent steps, and episodes that ended."""
        self.agent_steps += played.agent_steps
        for finished in played.finished:
            self._count_episode(finished)

    def count_update(self, stats: LearnStats) -> None:
        """Add what an update measured to the next row of metrics."""
        measured = torch.stack([getattr(stats, name) for name in LEARNED_COLUMNS])
        self._learned = measured + self._learned.to(measured.device)
        self._num_learned += 1

    def require_finite(self) -> None:
        """See that learning has not run away, before anything is kept that would be worthless then.

        Raises:
            DivergedError: loss or weights are not finite numbers; says what to change.
        """
        if bool(self._learned.isfinite().all()) and self.agent.finite:
            return
        agent, latest = self.config.agent, self.run_dir.latest
        kept = f"; {latest} is from before" if latest.exists() else ""
        raise DivergedError(
            f"{self.run_dir.path}: learning diverged, loss or weights are not finite after {self.agent.updates:,} "
            f"updates; agent.learning_rate {agent.learning_rate} may be too high, or agent.gradient_clip "
            f"{agent.gradient_clip or 'null'}{kept}"
        )

    def log(self) -> None:
        """Write a row of metrics, and redraw the curve, when it is time."""
        if self.seconds - self._row_at >= self.config.logging.every_seconds:
            self.write_row()
        # Not more than a hundredth of the time, however slow the machine and long the run.
        if self.seconds - self._curve_at >= max(self.config.logging.curve_every_seconds, 100 * self._curve_took):
            self.draw_curve()

    def write_row(self) -> None:
        """Write a row of metrics, if the last is not of this moment.

        Raises:
            DivergedError: as `require_finite`.
        """
        now = self.seconds
        if self.agent_steps == self.metrics.last_interval:
            return
        self.require_finite()
        self._rates = self._rates_since_row(now)
        mean_return, mean_x, clear_rate = self._recent_means()
        means = (self._learned / self._num_learned).tolist() if self._num_learned else [None] * len(LEARNED_COLUMNS)
        learned = dict(zip(LEARNED_COLUMNS, means, strict=True))
        row: dict[str, Any] = {
            "agent_steps": self.agent_steps,
            "updates": self.agent.updates,
            "episodes": self.episodes,
            "seconds": now,
            "epsilon": self.epsilon,
            **learned,
            "steps_per_second": self._rates[0],
            "updates_per_second": self._rates[1],
            "mean_return": mean_return if self._recent else None,
            "mean_x": mean_x if self._recent else None,
            "clear_rate": clear_rate if self._recent else None,
        }
        self.metrics.interval(row)
        self._learned, self._num_learned = torch.zeros_like(self._learned), 0
        self._row_at, self._steps_at_row, self._updates_at_row = now, self.agent_steps, self.agent.updates

    def draw_curve(self) -> None:
        """Draw curve.png anew; a picture that can't be drawn, whyever, is no reason to end a run: one warning."""
        began = self.seconds
        try:
            draw_curves([self.run_dir.path], self.run_dir.curve)
        except Exception as error:
            if not self._curve_failed:
                self._curve_failed = True
                said = isinstance(error, StorageError | UserError)
                reason = str(error) if said else f"{type(error).__name__}: {error}"
                reason = textwrap.shorten(reason, MAX_REASON, placeholder=" ...")
                self._warn(f"the curve can't be drawn, training goes on without it ({reason})")
        self._curve_at = self.seconds
        self._curve_took = self._curve_at - began

    def count_evaluation(self, report: EvaluationReport) -> bool:
        """Write an evaluation's rows and keep the agent as `best` if none before was better; returns whether so.

        What counts is the evaluation in best.pt itself, which a killed process may have written after latest.pt.
        """
        self.evaluated_at = self.agent_steps
        self._row_at = self.seconds  # the time it took belongs to no rate
        common = {"agent_steps": self.agent_steps, "seconds": self.seconds}
        self.metrics.evaluation([common | row for row in report.rows()])
        if self.best is not None and report.merit < self.best:  # of equals the newer: it has learned from more
            return False
        self.best = report.merit
        if self._kept_best is not None and report.merit < self._kept_best:
            return False
        self._kept_best = report.merit
        summary = {key: value for key, value in report.summary().items() if key != "results"}
        save_checkpoint(
            self.run_dir.best, self._policy_state() | {"evaluation": summary | {"merit": list(report.merit)}}
        )
        return True

    def progress(self) -> Progress:
        """Say where the run stands."""
        mean_return, mean_x, _ = self._recent_means()
        rates = self._rates or self._rates_since_row(self.seconds)
        return Progress(
            agent_steps=self.agent_steps,
            updates=self.agent.updates,
            episodes=self.episodes,
            seconds=self.seconds,
            epsilon=self.epsilon,
            steps_per_second=rates[0],
            updates_per_second=rates[1],
            mean_return=mean_return,
            mean_x=mean_x,
            seconds_left=self._seconds_left(rates[0]),
            waited_seconds=self.collector.waited_seconds,
        )

    def save(self) -> Path:
        """Write `latest.pt` and the replay it names, then let the replay before it go; between two rounds of the loop.

        In this order, whatever moment a kill or a second Ctrl-C comes at, latest.pt names a replay that is complete.

        Raises:
            DivergedError: as `require_finite`. StorageError: the disk refused; the last checkpoint is intact.
        """
        self.require_finite()
        self.checkpointed_at = self.agent_steps
        previous, self._generation = self._generation, self._generation + 1
        try:
            self.replay.save(self._replay_file)
            save_checkpoint(self.run_dir.latest, self._policy_state() | {TRAINING_KEY: self._training_state()})
        except StorageError:  # nothing else: after any other interruption latest.pt may name the new one already
            self._replay_file.unlink(missing_ok=True)
            self._generation = previous
            raise
        self._saved_at = self.agent_steps, self.evaluated_at
        for file in self.run_dir.replay.iterdir():
            if file != self._replay_file:
                file.unlink()
        return self.run_dir.latest

    def keep_step_checkpoint(self) -> None:
        """Keep this moment's weights beside `latest` and `best`, and only the last few of such moments.

        Raises:
            DivergedError: as `require_finite`. StorageError: the disk refused.
        """
        self.require_finite()
        keep = self.config.training.keep_checkpoints
        if keep:
            save_checkpoint(self.run_dir.step_checkpoint(self.agent_steps), self._policy_state())
        kept = self.run_dir.step_checkpoints()
        for old in kept[: max(len(kept) - keep, 0)]:
            old.unlink()

    def close(self) -> None:
        """Close the emulators and the metrics."""
        self._opened.close()

    @property
    def _replay_file(self) -> Path:
        return self.run_dir.replay / f"generation_{self._generation:06d}.npz"

    def _policy_state(self) -> State:
        return {
            "config": self.config.model_dump(mode="json"),
            "versions": software_versions(),
            "machine": describe_machine(self.agent.device),
            "rom": self._rom,
            "agent_steps": self.agent_steps,
            "updates": self.agent.updates,
            "episodes": self.episodes,
            "seconds": self.seconds,
            "initial_agent_steps": self.initial_agent_steps,
            "initial_seconds": self.initial_seconds,
            "network": self.agent.averaged.state_dict(),
        }

    def _training_state(self) -> State:
        return {
            "agent": self.agent.state_dict(),
            "collector": self.collector.state_dict(),
            "replay_generation": self._generation,
            "replay_generator": generator_state(self.replay.rng),
            "torch_generators": torch_generators(self.agent.device),
            "evaluated_at": self.evaluated_at,
            "best": self.best,
            "best_protocol": self.config.evaluation.protocol,
            "recent": list(self._recent),
            "snapshot_episodes": self.snapshot_episodes,
        }

    def _restore(self) -> None:
        path = self.run_dir.latest
        state = load_checkpoint(path)
        if TRAINING_KEY not in state:
            raise CheckpointError(f"{path}: holds weights only; training can't go on from it")
        try:
            self._restore_from(state, state[TRAINING_KEY])
        except UserError:
            raise
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise CheckpointError(f"{path}: damaged, training can't go on from it ({reason})") from error

    def _restore_from(self, state: State, training: State) -> None:
        if state.get("rom", self._rom) != self._rom:
            raise CheckpointError(
                f"{self.run_dir.path}: was begun with the ROM of SHA-256 {state['rom']}, env.rom is now {self._rom}"
            )
        self.agent_steps, self.episodes = state["agent_steps"], state["episodes"]
        self._seconds_before = state["seconds"]
        self.initial_agent_steps = state.get("initial_agent_steps", 0)  # older checkpoints began from nothing
        self.initial_seconds = state.get("initial_seconds", 0.0)
        self.agent.load_state_dict(training["agent"])
        self._generation = training["replay_generation"]
        self.replay.load(self._replay_file)
        if "starts" in training["collector"]:  # of actor processes, which older versions had: they kept no games
            self._warn("this run was played by actor processes, which are no more: its episodes begin anew")
            self.collector.start()
            self.replay.cut()
        else:
            self.collector.load_state_dict(training["collector"])
        restore_generator(self.replay.rng, training["replay_generator"])
        restore_torch_generators(self.agent.device, training["torch_generators"])
        self.evaluated_at, self.checkpointed_at = training["evaluated_at"], self.agent_steps
        self._saved_at = self.agent_steps, self.evaluated_at
        protocol = self.config.evaluation.protocol
        if training["best"] is not None and training["best_protocol"] == protocol:
            self.best = tuple(training["best"])
        elif training["best"] is not None:
            self._warn(
                f"the best so far was found under {training['best_protocol']} and doesn't compare with {protocol}: "
                "the next evaluation's will take its place"
            )
        self._kept_best = self._merit_of_best(protocol)
        self.snapshot_episodes = training["snapshot_episodes"]
        self._recent.extend(tuple(entry) for entry in training["recent"])

    def _merit_of_best(self, protocol: str) -> tuple[float, ...] | None:
        """The merit of best.pt; None where there is none to compare with."""
        if not self.run_dir.best.exists():
            return None
        try:
            evaluation = load_checkpoint(self.run_dir.best)["evaluation"]
            if evaluation["protocol"] != protocol:
                return None
            # Older files have no merit: it was written so that the middle number counts in the whole game alone.
            return tuple(evaluation.get("merit", (evaluation["clear_rate"], 0.0, evaluation["mean_x"])))
        except (CheckpointError, KeyError, TypeError) as error:
            self._warn(f"{self.run_dir.best}: can't be read, the next evaluation's will take its place ({error})")
            return None

    def _count_episode(self, finished: FinishedEpisode) -> None:
        result = finished.result
        row = {
            "agent_steps": self.agent_steps,
            "seconds": self.seconds,
            "env": finished.env,
            "stage": result.stage,
            "return": result.return_,
            "x": result.x,
            "length": result.length,
            "clock": result.clock,
            "end": result.end,
        }
        if result.from_snapshot:
            self.snapshot_episodes += 1
            self.metrics.snapshot_episode({"episode": self.snapshot_episodes, **row})
            return
        self.episodes += 1
        self._recent.append((result.return_, result.x, result.end == "clear"))
        self.metrics.episode({"episode": self.episodes, **row})

    def _rates_since_row(self, now: float) -> tuple[float, float]:
        """Agent steps and updates per second since the last row."""
        elapsed = max(now - self._row_at, 1e-9)
        return (
            (self.agent_steps - self._steps_at_row) / elapsed,
            (self.agent.updates - self._updates_at_row) / elapsed,
        )

    def _recent_means(self) -> tuple[float, float, float]:
        """Mean return, mean x and share of clears of the last 100 episodes."""
        if not self._recent:
            return math.nan, math.nan, math.nan
        returns, xs, clears = zip(*self._recent, strict=True)
        return float(np.mean(returns)), float(np.mean(xs)), float(np.mean(clears))

    def _seconds_left(self, steps_per_second: float) -> float | None:
        training, seconds = self.config.training, self.seconds
        left = []
        if training.minutes is not None:
            left.append(training.minutes * 60 - seconds)
        if training.agent_steps is not None and steps_per_second > 0:
            left.append((training.agent_steps - self.agent_steps) / steps_per_second)
        if training.episodes is not None and self.episodes:
            left.append((training.episodes - self.episodes) * seconds / self.episodes)
        return max(min(left), 0.0) if left else None


def make_replay(config: Config, rng: np.random.Generator) -> ReplayBuffer:
    """Make an empty replay as a config asks for it.

    Raises:
        UserError: the machine has no memory for it.
    """
    return ReplayBuffer(
        config.replay.capacity,
        num_envs=config.training.envs,
        frame_stack=config.env.frame_stack,
        n_step=config.agent.n_step,
        gamma=config.agent.gamma,
        rng=rng,
        priority_exponent=config.replay.priority_exponent,
        importance_exponent=config.replay.importance_exponent,
        device=torch.device(config.replay.device),
        learner_device=resolve_device(config.device),
    )
