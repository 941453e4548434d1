"""What the figures of a report share: how an arm looks in all of them, and a figure for paper and for the page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mario_rl.compare.runs import Arm
from mario_rl.compare.statistics import Curve, Estimate
from mario_rl.files import printable
from mario_rl.report.drawing import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, as_text, drawing, save_png

INK, RULE, FAINT = "#1c1e21", "#d8dade", "#70757c"
"""Text, grid and what stands back; the page puts its own colours, light or dark, in their place."""

TARGET_COLOURS = {"none": GREEN, "target": BLUE, "double": VERMILLION}
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
LINES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
MAX_TITLE, MAX_ROW = 90, 70  # characters of a figure's title, and of the name of a row


@dataclass
class Drawn:
    """A figure, what it shows in words, and its curves for the page to read values from.

    panels: for each set of axes its place and range, and its curves; plain values.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    panels: list[dict[str, Any]] = field(default_factory=list)

    def write_png(self, path: Path) -> None:
        """Write the figure on white, with its title: the last thing to do with it, since that moves the panels.

        Raises:
            StorageError: the disk refused.
        """
        self.figure.suptitle(printable(self.title, MAX_TITLE), color=INK)
        save_png(as_text(self.figure), path, dpi=110, facecolor="white")

    def svg(self) -> str:
        """Render it for a page: no background, the page's own colours for text and grid, a group per arm."""
        text = io.StringIO()
        with drawing(), mpl.rc_context({"svg.hashsalt": self.name}):  # the same figure is the same text
            self.figure.savefig(text, format="svg", transparent=True)
        svg = text.getvalue()
        # Arms become classes; of the ids those that are referred to stay, the figure's own on a page of many.
        svg = re.sub(r'id="(arm\d+)"', r'class="\1"', svg)
        used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
        svg = re.sub(r' id="([^"]+)"', lambda one: f' id="{self.name}-{one[1]}"' if one[1] in used else "", svg)
        svg = re.sub(r'(url\(|href=")#', rf"\1#{self.name}-", svg)
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt" ', "", svg, count=1)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        for colour, variable in ((INK, "--ink"), (RULE, "--rule"), (FAINT, "--faint")):
            svg = svg.replace(colour, f"var({variable})")
        width = self.figure.get_figwidth() * 96  # CSS pixels an inch
        label = html.escape(self.title)
        return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="max-width: {width:.0f}px" ', 1)


@dataclass(frozen=True)
class Style:
    """How an arm looks in every figure."""

    colour: str
    line: Literal["-", "--", ":", "-."]
    marker: str


def styles(arms: Sequence[Arm]) -> dict[str, Style]:
    """Colours tell targets apart, lines and markers the rest; with one target or none else, colours tell arms."""
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    if of_one_target(arms):
        return {
            arm.name: Style(COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % 4], MARKERS[number % 4])
            for number, arm in enumerate(arms)
        }
    return {
        arm.name: Style(
            TARGET_COLOURS[arm.target],
            LINES[settings.index(arm.setting) % 4],
            MARKERS[settings.index(arm.setting) % 4],
        )
        for arm in arms
    }


def of_one_target(arms: Sequence[Arm]) -> bool:
    """Tell whether colours are free to tell arms apart."""
    return len({arm.target for arm in arms}) == 1


def draw_band(axes: Axes, arm: Arm, shown: Curve, style: Style) -> None:
    """Draw a curve with its interval, where there is one."""
    axes.plot(shown.at, shown.value, style.line, color=style.colour, linewidth=1.6, gid=arm.name)
    if np.isfinite(shown.low).all():
        axes.fill_between(shown.at, shown.low, shown.high, color=style.colour, alpha=0.15, linewidth=0, gid=arm.name)


def curve_values(arm: Arm, shown: Curve, label: str) -> dict[str, Any]:
    """Plain values for the page; None where there is no interval."""
    plain = {
        name: [float(f"{one:.5g}") if np.isfinite(one) else None for one in numbers]
        for name, numbers in shown._asdict().items()
    }
    return {"arm": arm.name, "label": label, **plain}


def draw_point(axes: Axes, shown: Estimate, row: int, arm: Arm | None, look: dict[str, Style]) -> None:
    """Draw a value with its interval: in the looks of an arm, or of none where it is of several."""
    style, name = (look[arm.name], arm.name) if arm else (Style(INK, "-", "X"), None)
    if np.isfinite(shown.low):
        axes.plot([shown.low, shown.high], [row, row], color=style.colour, linewidth=2, gid=name)
    axes.plot([shown.value], [row], style.marker, color=style.colour, markersize=7, gid=name)


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a dot plot, the first on top."""
    axes.set_yticks(range(len(labels)), [printable(label, MAX_ROW) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    for one in axes.figure.axes:
        finish(one)


def draw_legend(figure: Figure, arms: Sequence[Arm], look: dict[str, Style]) -> None:
    """Name the arms below a figure."""
    handles = [
        Line2D([], [], color=look[arm.name].colour, linestyle=look[arm.name].line, label=arm.label) for arm in arms
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, handlelength=3.2)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, width and height in inches, that shares nothing with others as pyplot's would."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def finish(axes: Axes) -> None:
    """Put on what all panels share: grid and colours."""
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)


def laid_out(drawn: Drawn) -> Drawn:
    """Lay the figure out, and only then note where its panels are: shares of width and height, from the top left."""
    with drawing():
        as_text(drawn.figure).canvas.draw()
    for panel in drawn.panels:
        axes = panel.pop("axes")
        box = axes.get_position()
        panel["box"] = [round(number, 5) for number in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)]
        panel["xlim"] = [float(number) for number in axes.get_xlim()]
    return drawn
