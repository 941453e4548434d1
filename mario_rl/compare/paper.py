"""The figures of a report as PNG, each panel as the page has it with all arms ticked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, PercentFormatter, StrMethodFormatter

from mario_rl.compare.looks import FAINT, INK, finish, new_figure
from mario_rl.compare.plots import BarPanel, CurvePanel, Figure, Line, Panel, RowPanel
from mario_rl.files import printable
from mario_rl.report.drawing import MAX_NAME, as_text, save_png

GREY = "#c4c8ce"
"""The curves of other panels: fainter than text, stronger than the grid."""

SEED_OFFSETS = (0.22, 0.4)  # rows: between these the seeds stand, under the value of all
LEAST_WIDTH = 9.5  # inches
MAX_TITLE, MAX_ROW = 90, 70  # characters of a figure's title, and of the name of a row


def write_png(shown: Figure, path: Path) -> None:
    """Write a figure on white, with its title.

    Raises:
        StorageError: the disk refused.
    """
    across = min(len(shown.panels), 2 if isinstance(shown.panels[0], RowPanel) else 3)
    down = math.ceil(len(shown.panels) / across)
    width, height = _size(shown.panels[0])
    figure = new_figure(max(LEAST_WIDTH, width * across), height * down + 0.9)
    share = not isinstance(shown.panels[0], RowPanel)
    grid = figure.subplots(down, across, sharex=share, sharey=True if share else "row", squeeze=False)
    for axes, panel in zip(grid.flat, shown.panels, strict=False):
        match panel:
            case CurvePanel():
                _draw_curves(axes, panel, shown.lines)
            case RowPanel():
                _draw_rows(axes, panel)
            case BarPanel():
                _draw_bars(axes, panel)
        axes.set_title(printable(panel.title, MAX_NAME), fontsize=10)
        finish(axes)
    for axes in grid.flat[len(shown.panels) :]:
        axes.set_visible(False)
    if keys := _keys(shown):
        figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    figure.suptitle(printable(shown.title, MAX_TITLE), color=INK)
    save_png(as_text(figure), path, dpi=110, facecolor="white")


def _size(panel: Panel) -> tuple[float, float]:
    """Width and height of a panel, inches."""
    match panel:
        case CurvePanel():
            return 4.3, 3.2
        case RowPanel():
            return 6.2, 0.7 + 0.42 * len(panel.rows)
        case BarPanel():
            return 4.3, 2.0


def _keys(shown: Figure) -> list[Line2D]:
    used = dict.fromkeys(
        number for panel in shown.panels if isinstance(panel, CurvePanel) and len(panel.own) > 1 for number in panel.own
    )
    looks = dict.fromkeys((line.label, line.colour, line.dash) for line in (shown.lines[number] for number in used))
    return [Line2D([], [], color=colour, linestyle=dash, label=label) for label, colour, dash in looks]


def _draw_curves(axes: Axes, panel: CurvePanel, lines: tuple[Line, ...]) -> None:
    for number in panel.rest:
        axes.plot(lines[number].shown.at, lines[number].shown.value, color=GREY, linewidth=0.9)
    for line in (lines[number] for number in panel.own):
        at, value, low, high = line.shown
        axes.plot(at, value, line.dash, color=line.colour, linewidth=1.7)
        if np.isfinite(low).all():
            axes.fill_between(at, low, high, color=line.colour, alpha=0.15, linewidth=0)
    for level in panel.levels:
        axes.axhline(level.at, color=FAINT, linewidth=0.8, linestyle="--")
        place = axes.get_yaxis_transform()
        axes.text(0.99, level.at, level.label, transform=place, ha="right", va="bottom", fontsize=8, color=FAINT)
    axes.set_xlim(left=0)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def _draw_rows(axes: Axes, panel: RowPanel) -> None:
    for number, row in enumerate(panel.rows):
        offsets = np.linspace(*SEED_OFFSETS, max(2, len(row.seeds)))
        for offset, seed in zip(offsets, row.seeds, strict=False):
            if np.isfinite(seed.low):
                axes.plot([seed.low, seed.high], [number + offset] * 2, color=GREY, linewidth=1)
            axes.plot([seed.value], [number + offset], ".", color=FAINT, markersize=4)
        if np.isfinite(row.shown.low):
            axes.plot(
                [row.shown.low, row.shown.high],
                [number, number],
                color=INK if row.colour == "ink" else row.colour,
                linewidth=2,
            )
        axes.plot(
            [row.shown.value], [number], row.marker, color=INK if row.colour == "ink" else row.colour, markersize=7
        )
        if row.base is not None:
            axes.plot([row.base], [number], "|", color=FAINT, markersize=14)
        place = axes.get_yaxis_transform()
        axes.text(1.01, number, row.note, transform=place, va="center", fontsize=8, color=INK)
    for level in panel.levels:
        axes.axvline(level.at, color=FAINT, linewidth=0.8, linestyle="--")
        top = axes.get_xaxis_transform()
        axes.text(level.at, 0.995, f"{level.label} ", transform=top, ha="right", va="top", fontsize=8, color=FAINT)
    axes.set_yticks(range(len(panel.rows)), [printable(row.label, MAX_ROW) for row in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.set_xlabel(panel.x_label)
    axes.set_xlim(*panel.limits)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0) if panel.percent else StrMethodFormatter("{x:,g}"))


def _draw_bars(axes: Axes, panel: BarPanel) -> None:
    edges = np.arange(len(panel.shares)) * panel.width
    axes.bar(edges, panel.shares, panel.width, align="edge", color=panel.colour)
    axes.text(0.02, 0.92, panel.note, transform=axes.transAxes, va="top", fontsize=8, color=INK)
    for level in panel.levels:
        axes.axvline(level.at, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
