"""Training and evaluation as a terminal sees them: a bar with rates and the time left, or a line now and then."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mario_rl.config import Config
from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport
from mario_rl.training import Observer, Progress


class TerminalObserver(Observer):
    """Shows a run on stderr: one bar on a terminal, elsewhere a line every `logging.every_seconds`."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._seconds_between_lines = 10.0
        self._line_at = time.monotonic()

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._seconds_between_lines = config.logging.every_seconds
        verb = f"resuming at {agent_steps:,} agent steps in" if agent_steps else "training in"
        _say(f"{verb} {run_dir}")
        if sys.stderr.isatty():
            self._bar = tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar:16}| {postfix}", dynamic_ncols=True)

    def warned(self, message: str) -> None:
        _say(f"warning: {message}")

    def progressed(self, progress: Progress) -> None:
        if self._bar is not None:
            left = progress.seconds_left
            self._bar.n = progress.seconds / (progress.seconds + left) if left is not None else 0.0
            self._bar.postfix = _describe(progress)
            self._bar.update(0)
        elif time.monotonic() - self._line_at >= self._seconds_between_lines:
            self._line_at = time.monotonic()
            _say(_describe(progress))

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        _say(
            f"evaluation at {agent_steps:,} agent steps, {report.protocol}: cleared {report.clears} of "
            f"{len(report.episodes)}, mean x {report.mean_x:,.0f}{', the best so far' if best else ''}"
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


class EvaluationBar:
    """Counts an evaluation's episodes on stderr."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def __call__(self, episode: EvaluatedEpisode, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, unit="episode", desc="evaluating", disable=None, leave=False)
        self._bar.update(1)
        if self._bar.n >= total:
            self._bar.close()


def _describe(progress: Progress) -> str:
    left = "?" if progress.seconds_left is None else tqdm.format_interval(progress.seconds_left)
    recent = "no episode ended yet"
    if progress.episodes:
        means = f"return {progress.mean_return:.0f}, x {progress.mean_x:.0f}"
        recent = f"last {min(progress.episodes, 100)} of {progress.episodes:,} episodes: {means}"
    parts = [
        f"{progress.agent_steps:,} agent steps",
        f"{tqdm.format_interval(progress.seconds)}<{left}",
        f"{progress.steps_per_second:.0f} agent steps/s",
        f"{progress.updates_per_second:.0f} updates/s",
        f"epsilon {progress.epsilon:.2f}",
        recent,
    ]
    return ", ".join(parts)


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
