"""Reward curves: run directories to a picture of how training went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from mario_rl.files import printable
from mario_rl.names import TimeAxis
from mario_rl.report.drawing import (
    BLUE,
    DPI,
    GRAY,
    GREEN,
    MAX_NAME,
    MAX_TITLE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    as_text,
    draw_flag,
    save_png,
    tidy,
)
from mario_rl.report.means import WINDOW, mean_window, running_mean
from mario_rl.runs.run import Run, load_run
from mario_rl.types import Floats
from mario_rl.wording import count_text

MAX_DOTS = 5_000  # more raw episodes than this are thinned out: they only show the spread
FEW_DOTS = 300  # up to this many are drawn larger
MANY_EVALUATIONS = 40  # more than this are drawn smaller
MANY_STAGES = 4  # more than this are counted, not named
MINUTE_TICKS = 8  # at most
TICKS_APART = 0.06  # of the axis, at least

type Line = Literal["-", "--", ":", "-."]

RUN_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000")
RUN_LINES: tuple[Line, ...] = ("-", "--", ":")

OVER: dict[TimeAxis, str] = {"agent_steps": "agent steps", "minutes": "wall-clock time [minutes]"}
"""What the panels' common axis may be, and its label."""

PANELS = {
    "x": "best x per episode\n[pixels]",
    "clear_rate": "clear rate\n[%]",
    "return": "return per episode\n[points]",
    "epsilon": "epsilon",
}
"""What is drawn, from top to bottom, and the label of its axis."""

HEIGHTS = (3, 2, 2, 1)


@dataclass(frozen=True)
class Moment:
    """A moment of training worth a mark, and where it is in the panel of x."""

    agent_steps: float
    minutes: float
    x: float

    def __str__(self) -> str:
        return f"{count_text(int(self.agent_steps), 'agent step')}, {_minutes_text(self.minutes)}"


def draw_curves(run_dirs: Sequence[Path], output: Path, over: TimeAxis = "agent_steps") -> Path:
    """Write what `curve_figure` draws as a PNG and return where it is.

    Raises:
        UserError: a folder is not a run directory, or a file in it can't be read.
        StorageError: the picture can't be written; what was there before is untouched.
    """
    save_png(curve_figure(run_dirs, over), output)
    return output


def curve_figure(run_dirs: Sequence[Path], over: TimeAxis = "agent_steps") -> Figure:
    """Draw how one run went, or several on the same axes: x, clear rate, return and epsilon, one below the other.

    Of each run the running mean over its episodes, which begins where it is of as many episodes as the legend says, and
    the mean of each evaluation as a diamond; where it first cleared a stage is marked, and in the legend in words. Of
    one run also every episode as a dot, its best evaluation, and the minutes above its agent steps.

    Raises:
        UserError: a folder is not a run directory, or a file in it can't be read.
    """
    runs = [load_run(path) for path in run_dirs]
    rows = len(runs) + 1 if len(runs) > 1 else 3
    figure = Figure(figsize=(8, 7 + 0.19 * rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(PANELS), 1, sharex=True, height_ratios=HEIGHTS)
    panels: dict[str, Axes] = dict(zip(PANELS, axes, strict=True))
    if len(runs) == 1:
        _draw_run(figure, panels, runs[0], over)
    else:
        _draw_runs(figure, panels, runs, over)
    begun = [run for run in runs if len(run.episodes["x"])]
    if begun and all(run.on_first_stage for run in begun):
        draw_flag(panels["x"])
    if not begun:
        for quantity in ("x", "clear_rate", "return"):
            _say(panels[quantity], "no episode has ended yet")
    if not any(len(run.metrics["epsilon"]) for run in runs):
        _say(panels["epsilon"], "not recorded yet")
    _finish(panels, over)
    if len(runs) == 1 and over == "agent_steps":
        _draw_minutes(panels["x"], runs[0])
    FigureCanvasAgg(figure)  # becomes figure.canvas: nothing is shared with other figures, as pyplot would
    return as_text(figure)


def mean_label(window: int = WINDOW) -> str:
    """What a running mean is called."""
    return f"mean of the last {window} episodes"


def first_clear(run: Run) -> Moment | None:
    """Find the end of the first training episode that cleared its stage; None where there is none yet."""
    cleared = np.flatnonzero(run.episodes["end"] == "clear")
    return _moment(run.episodes, int(cleared[0])) if len(cleared) else None


def best_evaluation(run: Run) -> int | None:
    """Find the evaluation that best.pt was kept for, by its row; None where there is none yet.

    Of those under the protocol of the last one, since others don't compare: most clears, then most stages, then most x,
    of equals the newest.
    """
    found = run.evaluations
    if len(found["x"]) == 0:
        return None
    compared = found["protocol"] == found["protocol"][-1]
    return int(np.lexsort((found["x"], found["stages_cleared"], found["clear_rate"], compared))[-1])


def _moment(table: dict[str, Floats], row: int) -> Moment:
    return Moment(*(float(table[name][row]) for name in ("agent_steps", "minutes", "x")))


def _minutes_text(minutes: float) -> str:
    return count_text(round(minutes), "minute") if minutes >= 1 else "under 1 minute"


def _draw_run(figure: Figure, panels: dict[str, Axes], run: Run, over: TimeAxis) -> None:
    figure.suptitle("\n".join([printable(run.name, MAX_TITLE), *_subtitles(run)]), fontsize="medium")
    averaged = mean_window(len(run.episodes["x"])) > 1
    for quantity in ("x", "clear_rate", "return"):
        if quantity != "clear_rate" or not averaged:
            _draw_episodes(panels[quantity], run, quantity, over)
        if averaged:
            _draw_mean(panels[quantity], run, quantity, over, "-", BLUE)
        _draw_evaluations(panels[quantity], run, quantity, over)
    _draw_epsilon(panels["epsilon"], run, over, "-", BLUE)
    for words, moment, colour, line in _moments(run):
        for axes in panels.values():
            axes.axvline(getattr(moment, over), color=colour, linestyle=line, label=words)
    by_label = {line.get_label(): line for axes in panels.values() for line in axes.get_legend_handles_labels()[0]}
    if by_label:
        _draw_legend(figure, list(by_label.values()), [str(label) for label in by_label])


def _moments(run: Run) -> Iterator[tuple[str, Moment, str, Line]]:
    """Name the moments of a run worth a line across all panels: words, moment, colour and line."""
    if (first := first_clear(run)) is not None:
        yield f"first clear: after {first}", first, GREEN, "-."
    if (best := best_evaluation(run)) is not None:
        found, moment = run.evaluations, _moment(run.evaluations, best)
        words = (
            f"best evaluation: after {moment};\n"
            f"{found['clears'][best]:.0f} of {count_text(int(found['episodes'][best]), 'episode')} cleared, "
            f"mean x {moment.x:,.0f} (protocol {found['protocol'][best]})"
        )
        yield words, moment, VERMILLION, "--"


def _draw_runs(figure: Figure, panels: dict[str, Axes], runs: Sequence[Run], over: TimeAxis) -> None:
    folders = {run.name.split("/")[0] for run in runs}
    shared = folders.pop() if len(folders) == 1 else None
    title = f"{len(runs)} runs, {mean_label()}"
    figure.suptitle(title if shared is None else f"{printable(shared, MAX_NAME)}: {title}", fontsize="large")
    looks = list(_styles(runs))
    for run, (line, colour) in zip(runs, looks, strict=True):
        for quantity in ("x", "clear_rate", "return"):
            _draw_mean(panels[quantity], run, quantity, over, line, colour)
        for quantity in ("x", "clear_rate"):
            _draw_evaluation_marks(panels[quantity], run, quantity, over, colour)
        _draw_epsilon(panels["epsilon"], run, over, line, colour)
        if (first := first_clear(run)) is not None:
            at = getattr(first, over)
            panels["x"].plot([at], [first.x], "^", color=colour, markersize=8, markeredgecolor="white", zorder=3)
    _draw_table(figure, [_name_with_window(run, shared) for run in runs], runs, looks)


def _draw_table(figure: Figure, names: Sequence[str], runs: Sequence[Run], looks: Sequence[tuple[Line, str]]) -> None:
    """Put the runs below the panels: names on the left, first clears on the right, above them what the marks are."""
    nothing = Line2D([], [], linestyle="")
    evaluated = any(len(run.evaluations["x"]) for run in runs)
    diamond = Line2D([], [], linestyle="", marker="D", color=GRAY, markersize=4) if evaluated else nothing
    triangle = Line2D([], [], linestyle="", marker="^", color=GRAY, markersize=8)
    lines = [Line2D([], [], linestyle=line, color=colour) for line, colour in looks]
    head = "evaluation, mean; outlined: the best of a run" if evaluated else ""
    handles = [diamond, *lines, triangle, *[nothing] * len(runs)]
    _draw_legend(figure, handles, [head, *names, "first clear", *map(_first_clear_text, runs)])


def _first_clear_text(run: Run) -> str:
    if (first := first_clear(run)) is not None:
        return f"after {first}"
    count = len(run.episodes["x"])
    return f"none in {count_text(count, 'episode')}" if count else "no episode has ended yet"


def _draw_legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put a legend of two columns below the panels, the first filled first."""
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # dots of many episodes are faint


def _of_episodes(run: Run, quantity: str) -> Floats:
    return 100.0 * (run.episodes["end"] == "clear") if quantity == "clear_rate" else run.episodes[quantity]


def _of_evaluations(run: Run, quantity: str) -> Floats:
    return run.evaluations[quantity] * (100.0 if quantity == "clear_rate" else 1.0)


def _draw_episodes(axes: Axes, run: Run, quantity: str, over: TimeAxis) -> None:
    """Draw every episode, or every few if there are very many."""
    times, values = run.episodes[over], _of_episodes(run, quantity)
    size, alpha = (3, 0.4) if len(values) > FEW_DOTS else (6, 0.9)
    shown = slice(None, None, math.ceil(len(values) / MAX_DOTS) or 1)
    if len(values):
        axes.plot(times[shown], values[shown], ".", color=SKY, alpha=alpha, markersize=size, label="episode")


def _draw_mean(axes: Axes, run: Run, quantity: str, over: TimeAxis, line: Line, colour: str) -> None:
    """Draw the running mean of all episodes, a dot where there is one as yet."""
    values = _of_episodes(run, quantity)
    if len(values) == 0:
        return
    window = mean_window(len(values))
    axes.plot(
        run.episodes[over],
        running_mean(values, window),
        line,
        color=colour,
        linewidth=1.6,
        marker="o" if len(values) == window else "",
        markersize=4,
        label=mean_label(window),
    )


def _draw_epsilon(axes: Axes, run: Run, over: TimeAxis, line: Line, colour: str) -> None:
    times, values = run.metrics[over], run.metrics["epsilon"]
    axes.plot(times, values, line, color=colour, marker="o" if len(values) == 1 else "", markersize=4)


def _draw_evaluations(axes: Axes, run: Run, quantity: str, over: TimeAxis) -> None:
    times, values = run.evaluations[over], _of_evaluations(run, quantity)
    if len(values):
        size = 5 if len(values) <= MANY_EVALUATIONS else 2.5
        axes.plot(times, values, "D:", color=VERMILLION, markersize=size, linewidth=1, label="evaluation, mean")


def _draw_evaluation_marks(axes: Axes, run: Run, quantity: str, over: TimeAxis, colour: str) -> None:
    """Draw the evaluations of one run among several: small, and the best of them outlined."""
    times, values = run.evaluations[over], _of_evaluations(run, quantity)
    axes.plot(times, values, "D", color=colour, markersize=3.5, alpha=0.7, markeredgewidth=0)
    if (best := best_evaluation(run)) is not None:
        axes.plot([times[best]], [values[best]], "D", color=colour, markersize=5, markeredgecolor="black", zorder=3)


def _draw_minutes(axes: Axes, run: Run) -> None:
    """Say above the panels after how many minutes the agent steps below them were made."""
    minutes = np.maximum.accumulate(np.append(0.0, run.episodes["minutes"]))
    steps = np.append(0.0, run.episodes["agent_steps"])
    if minutes[-1] == 0:
        return
    ticks = np.asarray(MaxNLocator(MINUTE_TICKS, steps=[1, 2, 5, 10]).tick_values(0, float(minutes[-1])))
    ticks = ticks[(ticks >= 0) & (ticks <= minutes[-1])]
    apart, shown = TICKS_APART * axes.get_xlim()[1], list[tuple[float, float]]()
    for at, tick in zip(np.interp(ticks, minutes, steps).tolist(), ticks.tolist(), strict=True):
        if not shown or at - shown[-1][0] >= apart:
            shown.append((at, tick))
    above = axes.secondary_xaxis("top")
    above.set_xticks([at for at, _ in shown], [f"{tick:,g}" for _, tick in shown])
    above.set_xlabel(OVER["minutes"])


def _say(axes: Axes, words: str) -> None:
    """Say in a panel why it is empty; no numbers stand beside it, but where its range is known."""
    axes.set_yticks([])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=GRAY)


def _name_with_window(run: Run, shared: str | None) -> str:
    """Name a run without the folder that the title names, and what its line is a mean of where that is its own."""
    count = len(run.episodes["x"])
    name = printable(run.name if shared is None else run.name.removeprefix(f"{shared}/"), MAX_NAME)
    window = mean_window(count)
    words = f" (of the last {window})" if window > 1 else " (every episode)"
    return f"{name}{words}" if 0 < count < WINDOW else name


def _styles(runs: Sequence[Run]) -> Iterator[tuple[Line, str]]:
    """Give each run a line and a colour: a colour of its own, or that of its folder where a few share each folder."""
    folders = [run.name.split("/")[0] for run in runs]
    several = list(dict.fromkeys(folders))
    if len(several) in (1, len(runs)) or max(map(folders.count, several), default=0) > len(RUN_LINES):
        yield from itertools.islice(itertools.cycle(itertools.product(RUN_LINES, RUN_COLOURS)), len(runs))
        return
    for index, folder in enumerate(folders):
        line = RUN_LINES[folders[:index].count(folder)]
        yield line, RUN_COLOURS[several.index(folder) % len(RUN_COLOURS)]


def _finish(panels: dict[str, Axes], over: TimeAxis) -> None:
    """Put on what all panels share: names, scales and grid."""
    for axes, name in zip(panels.values(), PANELS.values(), strict=True):
        tidy(axes)
        axes.set_ylabel(name)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panels["x"].set_ylim(bottom=0)
    panels["clear_rate"].set_ylim(-4, 104)
    panels["clear_rate"].set_yticks([0, 25, 50, 75, 100])
    panels["epsilon"].set_ylim(-0.08, 1.08)
    panels["epsilon"].set_yticks([0, 0.5, 1])
    last = panels["epsilon"]
    last.set_xlabel(OVER[over])
    # Before there is data, ticks in whole agent steps.
    last.set_xlim(0, max(last.get_xlim()[1], 100 if over == "agent_steps" else 0.1))
    last.xaxis.set_major_formatter(EngFormatter(sep="") if over == "agent_steps" else StrMethodFormatter("{x:,g}"))
    last.figure.align_ylabels()


def _subtitles(run: Run) -> list[str]:
    """Say what was trained on what, where that is known, and how far it has come."""
    lines = []
    if run.config is not None:
        env, agent = run.config.env, run.config.agent
        actions = (
            env.action_set
            if isinstance(env.action_set, str)
            else f"{count_text(len(env.action_set), 'action')} of its own"
        )
        stage = ", ".join(env.stages) if len(env.stages) <= MANY_STAGES else f"{len(env.stages)} stages"
        lines.append(f"target: {agent.target}, action set: {actions}, stage: {stage}, seed: {run.config.seed}")
    if (count := len(run.episodes["x"])) > 0:
        there = {
            "mean": mean_window(count) > 1,
            "clear": first_clear(run) is not None,
            "evaluation": len(run.evaluations["x"]) > 0,
        }
        missing = ", ".join(f"no {what}" for what, is_there in there.items() if not is_there)
        far = f"{count_text(count, 'episode')} in {_moment(run.episodes, -1)}"
        lines.append(f"{far}; {missing} yet" if missing else far)
    return lines
