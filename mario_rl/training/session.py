"""The parts of one training run, its counters, and how all of it is saved and restored."""

from __future__ import annotations

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mario_rl.agents import LearnStats, QAgent
from mario_rl.checkpoint import TRAINING_KEY, load_checkpoint, save_checkpoint
from mario_rl.config import Config
from mario_rl.devices import (
    describe_machine,
    resolve_device,
    restore_torch_generators,
    software_versions,
    torch_generators,
)
from mario_rl.envs import num_actions
from mario_rl.errors import CheckpointError, StorageError, UserError
from mario_rl.evaluation import EvaluationReport
from mario_rl.files import remove_partials
from mario_rl.game.rom import load_rom
from mario_rl.machine import usable_cores
from mario_rl.metrics import RunMetrics
from mario_rl.replay import check_memory, estimate_bytes, replay_layout
from mario_rl.report.curve import draw_curves
from mario_rl.rundir import RunDir
from mario_rl.schedules import exploration_exponents
from mario_rl.seeding import generator_state, restore_generator, spawn_streams
from mario_rl.sharing import SharedArrays
from mario_rl.training.actors import ActorPool, make_replay, resolve_actors
from mario_rl.training.collect import Collector, FinishedEpisode, Played
from mario_rl.training.initial import load_initial
from mario_rl.training.observer import RECENT_EPISODES, Progress
from mario_rl.types import State

LEARNED_COLUMNS = ("loss", "mean_q", "gradient_norm")  # of LearnStats, as metrics.csv has them
ROOM_BESIDES_REPLAY = 200_000_000  # bytes of checkpoints, metrics and curve


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
        for folder in (run_dir.path, run_dir.checkpoints, run_dir.replay):
            remove_partials(folder)
        streams = spawn_streams(config.seed, config.training.envs)
        device = resolve_device(config.device)
        self._rom = load_rom(config.env.rom).sha256
        actors = resolve_actors(config, device)
        shared = SharedArrays(replay_layout(config.replay.capacity, config.training.envs)) if actors else None
        self.replay = make_replay(config, np.random.default_rng(streams.replay), shared)
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
        self.collector: Collector | ActorPool
        self._threads_before = torch.get_num_threads()
        if shared is None:
            self.collector = Collector(
                config.env,
                seeds=streams.environments,
                generator=np.random.default_rng(streams.exploration),
                exponents=exploration_exponents(config.training.envs, config.agent.epsilon.spread),
            )
        else:
            self.collector = ActorPool(
                config,
                num_actors=actors,
                streams=streams,
                shared=shared,
                replay=self.replay,
                agent=self.agent,
                warn=warn,
            )
            # Each actor has a core; more threads than are left would wait for each other.
            torch.set_num_threads(max(1, usable_cores() - actors))
        torch.manual_seed(streams.dropout)  # dropout draws from the global generator
        self.agent_steps = 0
        self.episodes = 0  # from the stage's start, as in all that is reported but snapshots.csv
        self.snapshot_episodes = 0
        self.evaluated_at = 0
        self.checkpointed_at = 0
        self.best: tuple[float, ...] | None = None  # the merit of best.pt under the config's protocol
        self._generation = 0
        self._saved_at = (0, 0)  # agent_steps and evaluated_at as latest.pt has them
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
            warn=warn,
        )
        self._started = time.monotonic()
        self._row_at, self._curve_at = self.seconds, self.seconds
        self._curve_took = 0.0  # seconds
        self._steps_at_row, self._updates_at_row = self.agent_steps, self.agent.updates
        self._rates: tuple[float, float] | None = None  # agent steps and updates per second, of the last row
        self._learned: list[LearnStats] = []

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
        """Updates to make now so that there is one per `agent.steps_per_update` agent steps since the warm-up."""
        since_warmup = self.agent_steps - self.config.replay.warmup_steps
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
        """Keep what an update measured for the next row of metrics."""
        self._learned.append(stats)

    def log(self) -> None:
        """Write a row of metrics, and redraw the curve, when it is time."""
        if self.seconds - self._row_at >= self.config.logging.every_seconds:
            self.write_row()
        # Not more than a hundredth of the time, however slow the machine and long the run.
        if self.seconds - self._curve_at >= max(self.config.logging.curve_every_seconds, 100 * self._curve_took):
            self.draw_curve()

    def write_row(self) -> None:
        """Write a row of metrics, if anything has happened since the last."""
        now = self.seconds
        if self.agent_steps == self._steps_at_row:
            return
        self._rates = self._rates_since_row(now)
        mean_return, mean_x, clear_rate = self._recent_means()
        learned = {
            name: torch.stack([getattr(stats, name) for stats in self._learned]).mean().item()
            if self._learned
            else None
            for name in LEARNED_COLUMNS
        }
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
        self._learned.clear()
        self._row_at, self._steps_at_row, self._updates_at_row = now, self.agent_steps, self.agent.updates

    def draw_curve(self) -> None:
        """Draw curve.png anew; a picture that can't be drawn is no reason to end a run."""
        began = self.seconds
        try:
            draw_curves([self.run_dir.path], self.run_dir.curve)
        except (StorageError, UserError) as error:
            self._warn(str(error))
        self._curve_at = self.seconds
        self._curve_took = self._curve_at - began

    def count_evaluation(self, report: EvaluationReport) -> bool:
        """Write an evaluation's rows and keep the agent as `best` if none before was better; returns whether so."""
        self.evaluated_at = self.agent_steps
        self._row_at = self.seconds  # the time it took belongs to no rate
        common = {"agent_steps": self.agent_steps, "seconds": self.seconds}
        self.metrics.evaluation([common | row for row in report.rows()])
        if self.best is not None and report.merit < self.best:  # of equals the newer: it has learned from more
            return False
        self.best = report.merit
        summary = {key: value for key, value in report.summary().items() if key != "results"}
        save_checkpoint(self.run_dir.best, self._policy_state() | {"evaluation": summary})
        return True

    def progress(self) -> Progress:
        """Say where the run stands."""
        mean_return, mean_x, _ = self._recent_means()
        rates = self._rates or self._rates_since_row(self.seconds)
        waited = self.collector.waited
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
            learner_waited=waited.learner,
            environments_waited=waited.environments,
        )

    def save(self) -> Path:
        """Write `latest.pt` and the replay it names, then let the replay before it go; to be called while paused.

        In this order, whatever moment a kill or a second Ctrl-C comes at, latest.pt names a replay that is complete.
        """
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
        """Keep this moment's weights beside `latest` and `best`, and only the last few of such moments."""
        keep = self.config.training.keep_checkpoints
        if keep:
            save_checkpoint(self.run_dir.step_checkpoint(self.agent_steps), self._policy_state())
        kept = self.run_dir.step_checkpoints()
        for old in kept[: max(len(kept) - keep, 0)]:
            old.unlink()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody plays as long as this is entered, and all that was played is counted."""
        with self.collector.paused() as played:
            self.count(played)
            yield

    def close(self) -> None:
        """Close the emulators and the metrics."""
        self.collector.close()
        torch.set_num_threads(self._threads_before)
        self.metrics.close()

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
        self.collector.load_state_dict(training["collector"])
        self._generation = training["replay_generation"]
        self.replay.load(self._replay_file)
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
        self.snapshot_episodes = training["snapshot_episodes"]
        self._recent.extend(tuple(entry) for entry in training["recent"])

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


def check_machine(config: Config, run_dir: RunDir) -> None:
    """Refuse a run that can't be carried out here, before anything is allocated or written.

    Raises:
        UserError: the device, the memory, the disk space or the checkpoint to begin with is not there, or that one does
            not fit (CheckpointError, ConfigError); says which key to change.
    """
    resolve_device(config.device)
    if not run_dir.latest.exists():
        load_initial(config)
    check_memory(config.replay.capacity)
    # A new replay is complete before the old one goes; what an earlier sitting left there will be replaced.
    needed = 2 * estimate_bytes(config.replay.capacity) + ROOM_BESIDES_REPLAY
    existing = next(path for path in (run_dir.path, *run_dir.path.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free + sum(file.stat().st_size for file in run_dir.replay.glob("*"))
    if free < needed:
        raise UserError(
            f"{run_dir.path}: a run with replay.capacity {config.replay.capacity} needs {needed / 1e9:.1f} GB of disk, "
            f"{free / 1e9:.1f} GB is free; lower replay.capacity or give --run-dir on another disk"
        )
