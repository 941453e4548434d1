"""What a session counts: agent steps, episodes, updates and time, and the rows that say where it stands."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any

import numpy as np
import torch

from mario_rl.agents import LearnStats, QAgent
from mario_rl.config import Config
from mario_rl.errors import DivergedError
from mario_rl.runs.directory import RunDir
from mario_rl.runs.metrics import RunMetrics
from mario_rl.training.collect import FinishedEpisode, Played
from mario_rl.training.observer import RECENT_EPISODES, Observer, Progress

LEARNED_COLUMNS = ("loss", "mean_q", "gradient_norm")  # of LearnStats, as metrics.csv has them


class Counts:
    """How far a run has come. Made before a checkpoint is restored, which sets the counters; `start` begins the clock.

    agent_steps: over all environments. episodes: those from the stage's start, as in all that is reported but
    snapshots.csv; snapshot_episodes: the others. evaluated_at: agent steps of the last evaluation.
    initial_agent_steps, initial_seconds: of the agent that this one was before the run. seconds_before: of earlier
    sittings. recent: return, x and whether it was a clear, of the last episodes.
    """

    def __init__(self, config: Config, run_dir: RunDir, agent: QAgent) -> None:
        self._config, self._run_dir, self._agent = config, run_dir, agent
        self.agent_steps = 0
        self.episodes = 0
        self.snapshot_episodes = 0
        self.evaluated_at = 0
        self.initial_agent_steps, self.initial_seconds = 0, 0.0
        self.seconds_before = 0.0
        self.recent: deque[tuple[float, int, bool]] = deque(maxlen=RECENT_EPISODES)
        self.observer = Observer()
        """Told of every row, once all is counted."""

    def start(self, metrics: RunMetrics) -> None:
        """Begin a sitting, which writes its rows to `metrics`."""
        self._metrics = metrics
        self._started = time.monotonic()
        self._row_at = self.seconds
        self._steps_at_row, self._updates_at_row = self.agent_steps, self._agent.updates
        self._rates: tuple[float, float] | None = None  # agent steps and updates per second, of the last row
        self._learned, self._num_learned = torch.zeros(len(LEARNED_COLUMNS)), 0  # summed

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began, earlier sittings included, pauses between them not."""
        return self.seconds_before + time.monotonic() - self._started

    @property
    def epsilon(self) -> float:
        """The share of random actions at this moment."""
        return self._agent.epsilon(agent_steps=self.agent_steps, episodes=self.episodes)

    def count(self, played: Played) -> None:
        """Count agent steps, and episodes that ended."""
        self.agent_steps += played.agent_steps
        rows = [self._count_episode(finished) for finished in played.finished]
        for row in rows:  # when all are counted: an observer may end the run here, which is saved then
            if row is not None:
                self.observer.episode_ended(row)

    def count_update(self, stats: LearnStats) -> None:
        """Add what an update measured to the next row of metrics."""
        measured = torch.stack([getattr(stats, name) for name in LEARNED_COLUMNS])
        self._learned = measured + self._learned.to(measured.device)
        self._num_learned += 1

    def count_evaluation(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of an evaluation of this moment; the time it took belongs to no rate."""
        self.evaluated_at = self.agent_steps
        self._row_at = self.seconds
        common = {"agent_steps": self.agent_steps, "seconds": self.seconds}
        self._metrics.evaluation([common | row for row in rows])

    def require_finite(self) -> None:
        """See that learning has not run away, before anything is kept that would be worthless then.

        Raises:
            DivergedError: loss or weights are not finite numbers; says what to change.
        """
        if bool(self._learned.isfinite().all()) and self._agent.finite:
            return
        agent, latest = self._config.agent, self._run_dir.latest
        kept = f"; {latest} is from before" if latest.exists() else ""
        raise DivergedError(
            f"{self._run_dir.path}: learning diverged, loss or weights are not finite after {self._agent.updates:,} "
            f"updates; agent.learning_rate {agent.learning_rate} may be too high, or agent.gradient_clip "
            f"{agent.gradient_clip or 'null'}{kept}"
        )

    def write_row_when_due(self) -> None:
        """Write a row of metrics every `logging.every_seconds`."""
        if self.seconds - self._row_at >= self._config.logging.every_seconds:
            self.write_row()

    def write_row(self) -> None:
        """Write a row of metrics, if the last is not of this moment.

        Raises:
            DivergedError: as `require_finite`.
        """
        now = self.seconds
        if self.agent_steps == self._metrics.last_interval:
            return
        self.require_finite()
        self._rates = self._rates_since_row(now)
        mean_return, mean_x, clear_rate = self._recent_means()
        means = (self._learned / self._num_learned).tolist() if self._num_learned else [None] * len(LEARNED_COLUMNS)
        learned = dict(zip(LEARNED_COLUMNS, means, strict=True))
        row: dict[str, Any] = {
            "agent_steps": self.agent_steps,
            "updates": self._agent.updates,
            "episodes": self.episodes,
            "seconds": now,
            "epsilon": self.epsilon,
            **learned,
            "steps_per_second": self._rates[0],
            "updates_per_second": self._rates[1],
            "mean_return": mean_return if self.recent else None,
            "mean_x": mean_x if self.recent else None,
            "clear_rate": clear_rate if self.recent else None,
        }
        self._metrics.interval(row)
        self._learned, self._num_learned = torch.zeros_like(self._learned), 0
        self._row_at, self._steps_at_row, self._updates_at_row = now, self.agent_steps, self._agent.updates
        self.observer.measured(row)

    def progress(self, *, waited_seconds: float) -> Progress:
        """Say where the run stands."""
        mean_return, mean_x, _ = self._recent_means()
        rates = self._rates or self._rates_since_row(self.seconds)
        return Progress(
            agent_steps=self.agent_steps,
            updates=self._agent.updates,
            episodes=self.episodes,
            seconds=self.seconds,
            epsilon=self.epsilon,
            steps_per_second=rates[0],
            updates_per_second=rates[1],
            mean_return=mean_return,
            mean_x=mean_x,
            seconds_left=self._seconds_left(rates[0]),
            waited_seconds=waited_seconds,
        )

    def _count_episode(self, finished: FinishedEpisode) -> dict[str, Any] | None:
        """Count and write an episode; returns its row of episodes.csv, None of one from a snapshot."""
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
            self._metrics.snapshot_episode({"episode": self.snapshot_episodes, **row})
            return None
        self.episodes += 1
        self.recent.append((result.return_, result.x, result.end == "clear"))
        row = {"episode": self.episodes, **row}
        self._metrics.episode(row)
        return row

    def _rates_since_row(self, now: float) -> tuple[float, float]:
        """Agent steps and updates per second since the last row."""
        elapsed = max(now - self._row_at, 1e-9)
        return (
            (self.agent_steps - self._steps_at_row) / elapsed,
            (self._agent.updates - self._updates_at_row) / elapsed,
        )

    def _recent_means(self) -> tuple[float, float, float]:
        """Mean return, mean x and share of clears of the last 100 episodes."""
        if not self.recent:
            return math.nan, math.nan, math.nan
        returns, xs, clears = zip(*self.recent, strict=True)
        return float(np.mean(returns)), float(np.mean(xs)), float(np.mean(clears))

    def _seconds_left(self, steps_per_second: float) -> float | None:
        training, seconds = self._config.training, self.seconds
        left = []
        if training.minutes is not None:
            left.append(training.minutes * 60 - seconds)
        if training.agent_steps is not None and steps_per_second > 0:
            left.append((training.agent_steps - self.agent_steps) / steps_per_second)
        if training.episodes is not None and self.episodes:
            left.append((training.episodes - self.episodes) * seconds / self.episodes)
        return max(min(left), 0.0) if left else None
