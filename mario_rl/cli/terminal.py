"""What a terminal shows of training, evaluations and studies: bars with the time left, or a line now and then."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mario_rl.config import Config
from mario_rl.explore.observer import ExploreObserver
from mario_rl.streams import SCREEN
from mario_rl.studies.runner import StudyObserver
from mario_rl.training import RECENT_EPISODES, Observer, Progress
from mario_rl.tuning.directory import trial_name
from mario_rl.tuning.runner import SearchObserver
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluationReport
    from mario_rl.explore.directory import ExploreDir
    from mario_rl.explore.observer import Standing
    from mario_rl.runs.study import StudyDir
    from mario_rl.studies.arms import StudyRun
    from mario_rl.tuning.trials import Trial

SECONDS_BETWEEN_REFRESHES = 0.2
SECONDS_BETWEEN_LINES = 10.0

LAYOUTS = (("{percentage:3.0f}%|{bar:12}| {desc}", 19), ("{percentage:3.0f}% {desc}", 5), ("{desc}", 0))
"""Formats of tqdm's bar, from wide to narrow, and the columns that each takes besides the text."""


class TerminalObserver(Observer):
    """Shows a run on stderr: one bar on a terminal, elsewhere a line every `logging.every_seconds`.

    Args:
        on_place: called with the run's directory as soon as it is there.
    """

    def __init__(self, on_place: Callable[[Path], None] = lambda _: None) -> None:
        self._on_place = on_place
        self._bar: tqdm[Any] | None = None
        self._seconds_between_lines = SECONDS_BETWEEN_LINES
        self._shown_at = time.monotonic()

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._seconds_between_lines = config.logging.every_seconds
        verb = f"resuming at {count_text(agent_steps, 'agent step')} in" if agent_steps else "training in"
        _say(f"{verb} {run_dir}")
        if SCREEN.isatty():
            self._bar = tqdm(file=SCREEN, total=1.0, bar_format=LAYOUTS[0][0], dynamic_ncols=True)

    def placed(self, run_dir: Path) -> None:
        self._on_place(run_dir)

    def preparing(self, message: str) -> None:
        _say(message)

    def warned(self, message: str) -> None:
        _say(f"warning: {message}")

    def progressed(self, progress: Progress) -> None:
        seconds_between = SECONDS_BETWEEN_REFRESHES if self._bar is not None else self._seconds_between_lines
        if time.monotonic() - self._shown_at < seconds_between:
            return
        self._shown_at = time.monotonic()
        if self._bar is None:
            _say(_line(progress))
            return
        self._bar.n = _share_done(progress) or 0.0
        self._bar.bar_format, text = _bar_line(progress, _columns())
        self._bar.set_description_str(text)

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        _say(
            f"evaluation at {count_text(agent_steps, 'agent step')}, {report.protocol}: cleared {report.clears} of "
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
            self._bar = tqdm(
                file=SCREEN,
                total=total,
                unit=self._unit,
                desc=self._doing,
                dynamic_ncols=True,
                disable=None,
                leave=False,
            )
        self._bar.update(1)
        if self._bar.n >= total:
            self.close()

    def close(self) -> None:
        """Take the bar off the terminal; what is counted next has one of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class TerminalStudyObserver(StudyObserver):
    """Shows a study on stderr: one bar over all agent steps, and a line for every run that ends."""

    whole, part = "study", "run"

    def __init__(self, directory: StudyDir) -> None:
        self._directory = directory
        self._bar: tqdm[Any] | None = None
        self._steps: dict[tuple[str, int], int] = {}
        self._total = 0  # agent steps of this sitting

    def started(self, done: int, agent_steps: int) -> None:
        tqdm.write(f"{self.whole} in {self._directory.path}, {count_text(done, self.part)} done already", file=SCREEN)
        # As many units as agent steps in all: the rate is what the machine makes, all runs together.
        self._total = agent_steps
        self._bar = tqdm(
            file=SCREEN, total=agent_steps, unit=" agent steps", unit_scale=True, dynamic_ncols=True, disable=None
        )

    def progressed(self, run: StudyRun, agent_steps: int) -> None:
        assert self._bar is not None
        if self._bar.disable:  # no terminal, no bar
            return
        key = (run.arm, run.seed)
        if key not in self._steps:
            self._total -= agent_steps  # made in an earlier sitting: not of this one's rate
            self._bar.total = self._total
        self._bar.update(agent_steps - self._steps.get(key, agent_steps))
        self._steps[key] = agent_steps

    def finished(self, run: StudyRun) -> None:
        tqdm.write(f"done: {run}: {self._directory.run(run.arm, run.seed).path}", file=SCREEN)

    def failed(self, run: StudyRun, reason: str) -> None:
        tqdm.write(f"failed: {run}: {reason} ({self._directory.error(run.arm, run.seed)})", file=SCREEN)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


class TerminalSearchObserver(TerminalStudyObserver, SearchObserver):
    """Shows a search on stderr: one bar over all agent steps that are left, and a line for every trial that ends."""

    whole, part = "search", "trial"

    def ended(self, trial: Trial, reason: str, unmade: int) -> None:
        assert self._bar is not None
        value = "" if trial.value is None else f" {trial.value:,.4g}"
        settings = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in trial.values.items())
        why = f" ({reason})" if reason else ""
        tqdm.write(f"{trial.state}{value}: {trial_name(trial.number)}: {settings}{why}", file=SCREEN)
        if not self._bar.disable:
            self._total -= unmade
            self._bar.total = self._total
            self._bar.refresh()


class TerminalExploreObserver(ExploreObserver):
    """Shows a search of stages on stderr: one bar on a terminal, elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""
        self._shown_at = time.monotonic()

    def begun(self, directory: ExploreDir, standing: Standing) -> None:
        verb = "going on with" if standing.agent_steps else "searching"
        _say(f"{verb} {directory.stage} in {directory.path}")
        self._stage = directory.stage
        if self._bar is None and SCREEN.isatty():
            self._bar = tqdm(file=SCREEN, total=1.0, bar_format=LAYOUTS[0][0], dynamic_ncols=True)

    def progressed(self, standing: Standing) -> None:
        between = SECONDS_BETWEEN_REFRESHES if self._bar is not None else SECONDS_BETWEEN_LINES
        if time.monotonic() - self._shown_at < between:
            return
        self._shown_at = time.monotonic()
        parts = _describe_search(self._stage, standing)
        if self._bar is None:
            _say(", ".join(parts))
            return
        self._bar.n = standing.share
        layout, taken = next((one for one in LAYOUTS if len(parts[0]) <= _columns() - one[1]), LAYOUTS[-1])
        self._bar.bar_format = layout
        self._bar.set_description_str(_fitted(parts, _columns() - taken))

    def said(self, message: str) -> None:
        _say(message)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


def _describe_search(stage: str, standing: Standing) -> list[str]:
    """Say where a search stands: the parts of a line, the most important first."""
    (first, *others) = standing.best.values()
    further = f" ({', '.join(f'{x:,} in area {number}' for number, x in enumerate(others, 2))})" if others else ""
    parts = [f"{stage}: best x {first:,}{further}"]
    if standing.clear_steps is not None:
        parts = [f"{stage}: cleared in {standing.clear_steps:,} agent steps, {standing.doing}"]
    return [
        *parts,
        count_text(standing.cells, "cell"),
        f"archive {standing.num_bytes / 1e6:.1f} MB",
        f"{count_text(standing.agent_steps, 'agent step')} ({standing.steps_per_second:,.0f}/s)",
        f"{tqdm.format_interval(standing.seconds)} so far",
    ]


def _describe(progress: Progress) -> list[str]:
    """Say where a run stands: the parts of a line, the most important first."""
    parts = ["no episode ended yet"]
    if progress.episodes:
        recent = count_text(min(progress.episodes, RECENT_EPISODES), "episode")
        parts = [f"last {recent}: return {progress.mean_return:.0f}, x {progress.mean_x:.0f}"]
    if progress.seconds_left is not None:
        parts.append(f"{tqdm.format_interval(progress.seconds_left)} left")
    return [
        *parts,
        f"{count_text(progress.agent_steps, 'agent step')} ({progress.steps_per_second:.0f}/s)",
        f"epsilon {progress.epsilon:.2f}",
        f"{count_text(progress.updates, 'update')} ({progress.updates_per_second:.0f}/s)",
        f"{tqdm.format_interval(progress.seconds)} so far",
    ]


def _share_done(progress: Progress) -> float | None:
    """Work out how much of the run is over, from 0 to 1; None where that can't be told."""
    left = progress.seconds_left
    return None if left is None else progress.seconds / max(progress.seconds + left, 1e-9)


def _line(progress: Progress) -> str:
    """Lay all parts out on one line, however long that is."""
    parts, share = _describe(progress), _share_done(progress)
    if share is not None:
        parts[1] += f" ({share:.0%} done)"
    return ", ".join(parts)


def _bar_line(progress: Progress, columns: int) -> tuple[str, str]:
    """Lay a line out for a terminal: the format of tqdm's bar, and the text beside it.

    Where not all has room, the bar goes first; then whole parts do, from the last one on. What is left at the end are
    the two means, even where a terminal is too narrow for them.
    """
    first, *others = _describe(progress)
    left = [part for part in others[:1] if progress.seconds_left is not None]
    for layout, taken in LAYOUTS:
        if len(", ".join([first, *left])) <= columns - taken:
            return layout, _fitted([first, *others], columns - taken)
    shortest = first.rpartition(": ")[2]
    for layout, taken in LAYOUTS[1:]:
        if len(shortest) <= columns - taken:
            return layout, _fitted([first if len(first) <= columns - taken else shortest, *others], columns - taken)
    return LAYOUTS[-1][0], shortest


def _fitted(parts: list[str], room: int) -> str:
    """Join the first part and as many of those after it as have room, in characters."""
    text, *others = parts
    for part in others:
        if len(text) + len(", ") + len(part) > room:
            break
        text = f"{text}, {part}"
    return text


def _columns() -> int:
    """Measure the terminal, less the last column: what is written there makes some begin another line."""
    try:
        columns = os.get_terminal_size(SCREEN.fileno()).columns
    except (OSError, ValueError, AttributeError):  # no terminal, or none that says so
        columns = 0
    return (columns or shutil.get_terminal_size().columns) - 1


def _say(line: str) -> None:
    tqdm.write(line, file=SCREEN)
