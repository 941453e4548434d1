"""Reward curves: run directories to a picture of how training went."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from mario_rl.config import Config, load_run_config
from mario_rl.config.schema import WHOLE_GAME, stages_behind
from mario_rl.errors import UserError
from mario_rl.files import printable
from mario_rl.report.drawing import MAX_NAME, as_text, save_png
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, METRIC_COLUMNS, RECENT_EPISODES, read_table
from mario_rl.wording import count_text

type Floats = NDArray[np.float64]
type Table = dict[str, NDArray[Any]]

WINDOW = RECENT_EPISODES  # in a running mean
MAX_DOTS = 5_000  # more raw episodes than this are thinned out: they only show the spread
FEW_DOTS = 300  # up to this many are drawn larger
MANY_EVALUATIONS = 40  # more than this are drawn smaller
MANY_STAGES = 6  # more than this are counted, not named
MAX_TITLE = 70  # characters of a name that there is room for above the panels
FLAG_X = 3_160  # pixels, where 1-1's flagpole stands

# The palette of Okabe and Ito (2008), told apart under every kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
RUN_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "#000000")
RUN_LINES = ("-", "--", ":")
GRAY = "#595959"

OVER = {"agent_steps": "agent steps", "minutes": "wall-clock time [min]"}
OF = {"return": "return per episode [points]", "x": "best x per episode [pixels]"}


@dataclass(frozen=True)
class Run:
    """What a run directory says; every table has a column `minutes` as well.

    evaluations: one row each: agent_steps, seconds, protocol, episodes, clears, clear_rate, the means of return and x,
        and of the stages cleared, which are 0 but in the whole game.
    """

    name: str
    config: Config | None
    episodes: Table
    metrics: Table
    evaluations: Table

    @property
    def on_first_stage(self) -> bool:
        """Whether every episode was played on 1-1."""
        return set(self.episodes["stage"]) == {"1-1"}


def draw_curves(run_dirs: Sequence[Path], output: Path) -> Path:
    """Write what `curve_figure` draws as a PNG and return where it is.

    Raises:
        UserError: a folder is not a run directory, or a file in it can't be read.
        StorageError: the picture can't be written; what was there before is untouched.
    """
    save_png(curve_figure(run_dirs), output)
    return output


def curve_figure(run_dirs: Sequence[Path]) -> Figure:
    """Draw how one run went, or the running means of several on the same axes.

    One run: return and x against agent steps and against wall-clock time; episodes as dots, their running mean as a
    line, the mean of each evaluation as a diamond; below, epsilon and clear rates. A line begins where the mean is of
    as many episodes as the legend says.

    Raises:
        UserError: a folder is not a run directory, or a file in it can't be read.
    """
    runs = [load_run(path) for path in run_dirs]
    figure = _draw_run(runs[0]) if len(runs) == 1 else _draw_runs(runs)
    FigureCanvasAgg(figure)  # becomes figure.canvas: nothing is shared with other figures, as pyplot would
    return as_text(figure)


def running_mean(values: ArrayLike, window: int = WINDOW) -> Floats:
    """Mean of each value and the `window - 1` before it; float64, as long as `values`, one-dimensional.

    Nan where there are not as many: a mean over few episodes that becomes one over many seems to rise or fall, whatever
    the episodes do.
    """
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    means = np.full(len(sums) - 1, np.nan)
    means[window - 1 :] = (sums[window:] - sums[:-window]) / window
    return means


def mean_window(episodes: int) -> int:
    """Over how many episodes the running mean of a run is taken: 100; half of them where it has fewer than that yet."""
    return WINDOW if episodes >= WINDOW else (episodes + 1) // 2 or 1


def mean_label(window: int = WINDOW) -> str:
    """What a running mean is called."""
    return f"mean of the last {window} episodes" if window > 1 else "every episode"


def load_run(path: Path) -> Run:
    """Read a run directory's tables, also while it is in training.

    Raises:
        UserError: not a run directory, or a file in it can't be read.
    """
    place = RunDir(path)
    if not place.episodes.is_file():
        raise UserError(f"{path}: not a run directory, it has no {place.episodes.name}")
    config = load_run_config(place.config) if place.config.is_file() else None
    whole_game = config is not None and config.env.stage == WHOLE_GAME
    try:
        evaluations = _mean_evaluations(read_table(place.evaluation, EVALUATION_COLUMNS), whole_game=whole_game)
    except ValueError as error:
        raise UserError(f"{place.evaluation}: column stage must hold stages such as 1-1 ({error})") from error
    return Run(
        name="/".join(path.resolve().parts[-2:]),  # the config's name and the time it was started, as `train` has them
        config=config,
        episodes=_with_minutes(read_table(place.episodes, EPISODE_COLUMNS)),
        metrics=_with_minutes(read_table(place.metrics, METRIC_COLUMNS)),
        evaluations=_with_minutes(evaluations),
    )


def _with_minutes(table: Table) -> Table:
    return table | {"minutes": table["seconds"] / 60}


def _mean_evaluations(table: Table, *, whole_game: bool) -> Table:
    """Reduce the rows of each evaluation, which share their agent steps and seconds, to one."""
    _, first, which = np.unique(
        np.stack([table["agent_steps"], table["seconds"]]), axis=1, return_index=True, return_inverse=True
    )
    episodes = np.bincount(which, minlength=len(first))
    clears = np.bincount(which, weights=table["end"] == "clear", minlength=len(first))
    means = {name: np.bincount(which, weights=table[name], minlength=len(first)) / episodes for name in OF}
    ahead = np.array([stages_behind(stage) if whole_game else 0 for stage in table["stage"]], dtype=np.float64)
    means["stages_cleared"] = np.bincount(which, weights=ahead, minlength=len(first)) / episodes
    moments = {name: table[name][first] for name in ("agent_steps", "seconds", "protocol")}
    return moments | means | {"clears": clears, "episodes": episodes, "clear_rate": clears / episodes}


def _draw_run(run: Run) -> Figure:
    figure = Figure(figsize=(12, 9), dpi=100, layout="constrained")
    figure.suptitle("\n".join([printable(run.name, MAX_TITLE), *_subtitles(run)]), fontsize=12)
    rows = figure.subplots(3, 2, sharex="col", sharey="row", height_ratios=(3, 3, 2))
    for column, time in zip(rows.T, OVER, strict=True):
        for axes, quantity in zip(column[:2], OF, strict=True):
            _draw_episodes(axes, run, quantity, time)
            _draw_evaluations(axes, run, quantity, time)
        if run.on_first_stage:
            _draw_flag(column[1])
        _draw_shares(column[2], run, time)
    _finish(rows, (*OF.values(), "clear rate, epsilon"))
    by_label = {line.get_label(): line for axes in rows[:, 0] for line in axes.get_legend_handles_labels()[0]}
    figure.legend(handles=list(by_label.values()), loc="outside lower center", ncols=len(by_label), fontsize=10)
    return figure


def _draw_episodes(axes: Axes, run: Run, quantity: str, time: str) -> None:
    """Draw every episode, or every few if there are very many, and the running mean of all."""
    times, values = run.episodes[time], run.episodes[quantity]
    if len(values) == 0:
        axes.text(0.5, 0.5, "no episode has ended yet", transform=axes.transAxes, ha="center", color=GRAY)
    size, alpha = (4, 0.4) if len(values) > FEW_DOTS else (7, 0.9)
    shown = slice(None, None, math.ceil(len(values) / MAX_DOTS) or 1)
    axes.plot(times[shown], values[shown], ".", color=SKY, alpha=alpha, markersize=size, label="episode")
    _draw_mean(axes, times, values, "-", color=BLUE, linewidth=2)


def _draw_mean(axes: Axes, times: Floats, values: Floats, line: str, label: str | None = None, **looks: Any) -> None:
    """Draw the running mean of all episodes, a dot where there is one as yet, named after what it is or by `label`."""
    window = mean_window(len(values))
    alone = len(values) == window
    axes.plot(
        times,
        running_mean(values, window),
        line,
        marker="o" if alone else "",
        markersize=4,
        label=mean_label(window) if label is None else label,
        **looks,
    )


def _draw_evaluations(axes: Axes, run: Run, quantity: str, time: str) -> None:
    times, values = run.evaluations[time], run.evaluations[quantity]
    if len(values):
        size = 6 if len(values) <= MANY_EVALUATIONS else 3
        axes.plot(times, values, "D:", color=VERMILLION, markersize=size, linewidth=1, label="evaluation, mean")


def _draw_shares(axes: Axes, run: Run, time: str) -> None:
    """Draw what lies between 0 and 1: epsilon, and how often the stage is cleared."""
    axes.plot(run.metrics[time], run.metrics["epsilon"], "--", color=GRAY, label="epsilon")
    _draw_mean(axes, run.episodes[time], run.episodes["end"] == "clear", "-", color=BLUE, linewidth=2)
    _draw_evaluations(axes, run, "clear_rate", time)
    axes.set_ylim(-0.04, 1.04)


def _draw_runs(runs: Sequence[Run]) -> Figure:
    figure = Figure(figsize=(12, 8), dpi=100, layout="constrained")
    figure.suptitle(f"{len(runs)} runs, {mean_label()}", fontsize=12)
    rows = figure.subplots(2, 2, sharex="col", sharey="row")
    for run, (line, colour) in zip(runs, _styles(runs), strict=True):
        for column, time in zip(rows.T, OVER, strict=True):
            for axes, quantity in zip(column, OF, strict=True):
                times, values, name = run.episodes[time], run.episodes[quantity], printable(run.name)
                _draw_mean(axes, times, values, line, name, color=colour, linewidth=1.8)
    if all(run.on_first_stage for run in runs):
        for axes in rows[1]:
            _draw_flag(axes)
    _finish(rows, tuple(OF.values()))
    lines, names = rows[0, 0].get_lines(), [_name_with_window(run) for run in runs]
    figure.legend(handles=lines, labels=names, loc="outside lower center", ncols=2, fontsize=10)
    return figure


def _name_with_window(run: Run) -> str:
    """Name a run, and what its line is a mean of where that is not what the title says."""
    count = len(run.episodes["x"])
    name = printable(run.name, MAX_NAME)
    if count >= WINDOW:
        return name
    return f"{name} (of the last {mean_window(count)})" if count else f"{name} (no episode ended)"


def _styles(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Give each run a line and a colour: a colour of its own, or that of its folder where several share folders."""
    folders = [run.name.split("/")[0] for run in runs]
    several = list(dict.fromkeys(folders))
    if len(several) in (1, len(runs)):
        yield from itertools.islice(itertools.cycle(itertools.product(RUN_LINES, RUN_COLOURS)), len(runs))
        return
    for index, folder in enumerate(folders):
        line = RUN_LINES[folders[:index].count(folder) % len(RUN_LINES)]
        yield line, RUN_COLOURS[several.index(folder) % len(RUN_COLOURS)]


def _draw_flag(axes: Axes) -> None:
    axes.axhline(FLAG_X, color=GRAY, linewidth=0.8, linestyle="--")
    beside_right_edge = axes.get_yaxis_transform()
    axes.text(0.995, FLAG_X, f"flag, x ≈ {FLAG_X:,}", transform=beside_right_edge, ha="right", va="bottom", color=GRAY)
    axes.margins(y=0.1)  # room for the words
    axes.set_ylim(bottom=0)


def _finish(rows: NDArray[Any], names: Sequence[str]) -> None:
    """Put on what all panels share: names, scales and grid."""
    for axes in rows.flat:
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    for axes, name in zip(rows[:, 0], names, strict=True):
        axes.set_ylabel(name)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    for axes, name, shortest in zip(rows[-1], OVER.values(), (100, 0.1), strict=True):
        axes.set_xlabel(name)
        axes.set_xlim(0, max(axes.get_xlim()[1], shortest))  # before there is data, ticks in whole agent steps
    rows[-1, 0].xaxis.set_major_formatter(EngFormatter(sep=""))
    rows[-1, 1].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _subtitles(run: Run) -> list[str]:
    """Say what was trained on what, and how its best evaluation went; nothing where that is unknown."""
    lines = []
    if run.config is not None:
        env, agent = run.config.env, run.config.agent
        actions = (
            env.action_set
            if isinstance(env.action_set, str)
            else f"{count_text(len(env.action_set), 'action')} of its own"
        )
        stages = (env.stage,) if isinstance(env.stage, str) else env.stage
        stage = ", ".join(stages) if len(stages) <= MANY_STAGES else f"{len(stages)} stages"
        lines.append(f"target: {agent.target}, action set: {actions}, stage: {stage}, seed: {run.config.seed}")
    found = run.evaluations
    if len(found["x"]):
        # Most clears, then most stages, then most x: as best.pt is chosen.
        best = np.lexsort((found["x"], found["stages_cleared"], found["clear_rate"]))[-1]
        lines.append(
            f"best evaluation: {found['clears'][best]:.0f} of {count_text(int(found['episodes'][best]), 'episode')} "
            f"cleared, mean x {found['x'][best]:,.0f}, after "
            f"{count_text(int(found['agent_steps'][best]), 'agent step')} (protocol {found['protocol'][best]})"
        )
    return lines
