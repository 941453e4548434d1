"""The death map: where on the stage a run's episodes ended, over the course of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from mario_rl.errors import UserError
from mario_rl.files import printable
from mario_rl.report.drawing import (
    BLUE,
    DPI,
    GRAY,
    GREEN,
    MAX_TITLE,
    ORANGE,
    VERMILLION,
    as_text,
    draw_flag,
    save_png,
    tidy,
)
from mario_rl.runs.run import Run, load_run
from mario_rl.wording import count_text

BIN_PIXELS = 32  # two blocks of the stage
RECENT = 500  # episodes in the histogram

STYLES = {
    "death": ("x", VERMILLION),
    "stall": ("s", ORANGE),
    "limit": ("D", GRAY),
    "warp": ("v", BLUE),
    "clear": ("^", GREEN),
}
"""Marker and colour of what ended an episode; the shapes tell them apart where colours don't."""


def draw_ends(run_dir: Path, output: Path) -> Path:
    """Write what `ends_figure` draws as a PNG and return where it is.

    Raises:
        UserError: not a run directory, a file in it can't be read, or no episode has ended yet.
        StorageError: the picture can't be written; what was there before is untouched.
    """
    save_png(ends_figure(run_dir), output)
    return output


def ends_figure(run_dir: Path) -> Figure:
    """Draw the best x of every training episode against agent steps, marked by what ended it.

    Beside it how many of the last 500 ended where, in steps of 32 pixels.

    Raises:
        UserError: not a run directory, a file in it can't be read, or no episode has ended yet.
    """
    run = load_run(run_dir)
    count = len(run.episodes["x"])
    if count == 0:
        raise UserError(f"{run_dir}: no episode has ended yet, so there is nothing to draw")
    figure = Figure(figsize=(8, 5), dpi=DPI, layout="constrained")
    name = printable(run.name, MAX_TITLE)
    figure.suptitle(f"{name}\nwhere {count_text(count, 'episode')} ended", fontsize="medium")
    course, recent = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    _draw_course(course, run)
    _draw_recent(recent, run)
    if run.on_first_stage:
        draw_flag(course)
        draw_flag(recent, named=False)
    figure.legend(
        handles=course.get_lines()[: len(set(run.episodes["end"]))],
        loc="outside lower center",
        ncols=len(STYLES),
        frameon=False,
        markerscale=1.5,
    )
    FigureCanvasAgg(figure)
    return as_text(figure)


def _draw_course(axes: Axes, run: Run) -> None:
    for end, (marker, colour) in STYLES.items():
        here = run.episodes["end"] == end
        if here.any():
            axes.plot(
                run.episodes["agent_steps"][here],
                run.episodes["x"][here],
                marker,
                color=colour,
                markersize=3,
                alpha=0.7,
                label=f"{end} ({np.count_nonzero(here):,})",
            )
    tidy(axes)
    axes.set(xlabel="agent steps", ylabel="best x per episode [pixels]", xlim=(0, None), ylim=(0, None))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _draw_recent(axes: Axes, run: Run) -> None:
    x, ends = run.episodes["x"][-RECENT:], run.episodes["end"][-RECENT:]
    edges = np.arange(0, int(x.max()) + 2 * BIN_PIXELS, BIN_PIXELS)
    beside = np.zeros(len(edges) - 1)
    for end, (_, colour) in STYLES.items():
        counts, _ = np.histogram(x[ends == end], edges)
        there = counts.nonzero()[0]  # a bar of nothing takes as long to draw
        axes.barh(edges[there], counts[there], BIN_PIXELS, left=beside[there], align="edge", color=colour)
        beside += counts
    tidy(axes)
    axes.set_xlabel(f"how many of the\nlast {count_text(len(x), 'episode')}" if len(x) > 1 else "how many of 1 episode")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
