"""What the figures of a report share: how an arm looks in all of them, and what figures for paper are made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mario_rl.compare.runs import Arm
from mario_rl.report.drawing import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

INK, RULE, FAINT = "#1c1e21", "#d8dade", "#70757c"
"""Text, grid and what stands back, on paper; the page has its own, light and dark."""

TARGET_COLOURS = {"none": GREEN, "target": BLUE, "double": VERMILLION}
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
type Dash = Literal["-", "--", ":", "-."]
LINES: tuple[Dash, ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Style:
    """How an arm looks in every figure."""

    colour: str
    line: Dash
    marker: str


def styles(arms: Sequence[Arm]) -> dict[str, Style]:
    """Colours tell targets apart, lines and markers the rest; where no two arms differ in the target alone, arms."""
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    if not targets_meet(arms):
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


def targets_meet(arms: Sequence[Arm]) -> bool:
    """Whether any two arms have the same settings but for the target."""
    return len({arm.setting for arm in arms}) < len(arms)


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
