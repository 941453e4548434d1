"""Training and evaluation as a terminal sees them: a bar with rates and the time left, or a line now and then."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mario_rl.config import Config
from mario_rl.training import RECENT_EPISODES, Observer, Progress

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluationReport

SECONDS_BETWEEN_REFRESHES = 0.2


class TerminalObserver(Observer):
    """Shows a run on stderr: one bar on a terminal, elsewhere a line every `logging.every_seconds`."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._seconds_between_lines = 10.0
        self._shown_at = time.monotonic()

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._seconds_between_lines = config.logging.every_seconds
        verb = f"resuming at {agent_steps:,} agent steps in" if agent_steps else "training in"
        _say(f"{verb} {run_dir}")
        if sys.stderr.isatty():
            self._bar = tqdm(total=1.0, bar_format="{percentage:3.0f}%|{bar:12}| {desc}", dynamic_ncols=True)

    def warned(self, message: str) -> None:
        _say(f"warning: {message}")

    def progressed(self, progress: Progress) -> None:
        seconds_between = SECONDS_BETWEEN_REFRESHES if self._bar is not None else self._seconds_between_lines
        if time.monotonic() - self._shown_at < seconds_between:
            return
        self._shown_at = time.monotonic()
        if self._bar is None:
            _say(_describe(progress))
            return
        left = progress.seconds_left
        self._bar.n = progress.seconds / (progress.seconds + left) if left is not None else 0.0
        self._bar.set_description_str(_describe(progress))

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        _say(
            f"evaluation at {agent_steps:,} agent steps, {report.protocol}: cleared {report.clears} of "
            f"{len(report.episodes)}, mean x {report.mean_x:,.0f}{', the best so far' if best else ''}"
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


class CountingBar:
    """Counts on stderr what is done, such as the episodes of an evaluation: called with each and their total.

    Args:
        doing: what goes on, such as "evaluating".
        unit: what is counted.
    """

    def __init__(self, doing: str, unit: str) -> None:
        self._doing, self._unit = doing, unit
        self._bar: tqdm[Any] | None = None

    def __call__(self, done: object, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(total=total, unit=self._unit, desc=self._doing, disable=None, leave=False)
        self._bar.update(1)
        if self._bar.n >= total:
            self.close()

    def close(self) -> None:
        """Take the bar off the terminal; what is counted next has one of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _describe(progress: Progress) -> str:
    left = "?" if progress.seconds_left is None else tqdm.format_interval(progress.seconds_left)
    recent = "no episode ended yet"
    if progress.episodes:
        recent = f"last {min(progress.episodes, RECENT_EPISODES)} episodes: "
        recent += f"return {progress.mean_return:.0f}, x {progress.mean_x:.0f}"
    return (
        f"{tqdm.format_interval(progress.seconds)}<{left}, "
        f"{progress.agent_steps:,} agent steps ({progress.steps_per_second:.0f}/s), "
        f"{progress.updates:,} updates ({progress.updates_per_second:.0f}/s), "
        f"epsilon {progress.epsilon:.2f}, {recent}"
    )


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
