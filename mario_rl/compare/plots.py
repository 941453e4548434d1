"""What a figure of a report shows, as plain values: the page draws it by its script, `paper.py` as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mario_rl.compare.looks import Dash
from mario_rl.compare.runs import Arm
from mario_rl.compare.statistics import Curve, Estimate
from mario_rl.types import Floats


class Level(NamedTuple):
    """A line across a panel, to read values against: where it stands, and its name."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve with its interval: the grid and the values on it, as many each; nan where there is no interval."""

    arm: str
    label: str
    shown: Curve
    colour: str
    dash: Dash = "-"


@dataclass(frozen=True)
class CurvePanel:
    """Curves over one quantity: its own in their colours, the rest in grey, both as places in `Figure.lines`."""

    title: str
    own: tuple[int, ...]
    rest: tuple[int, ...]
    x_label: str
    y_label: str
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Row:
    """A value with its interval, and those of each seed beside it.

    arms: the names of the arms that it is of; it is shown while all are. note: the value in words. base: what a
    random policy comes to.
    """

    label: str
    arms: tuple[str, ...]
    shown: Estimate
    note: str
    colour: str
    marker: str = "o"
    seeds: tuple[Estimate, ...] = ()
    base: float | None = None


@dataclass(frozen=True)
class RowPanel:
    """Rows below each other over one axis; limits: its ends, None where the values decide."""

    title: str
    rows: tuple[Row, ...]
    x_label: str
    limits: tuple[float | None, float | None] = (None, None)
    percent: bool = False
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class BarPanel:
    """A histogram of one arm: bins of one width from 0 on, and the share in each."""

    title: str
    arm: str
    width: float
    shares: tuple[float, ...]
    note: str
    colour: str
    x_label: str
    y_label: str
    levels: tuple[Level, ...] = ()


type Panel = CurvePanel | RowPanel | BarPanel


@dataclass(frozen=True)
class Figure:
    """Panels of one kind, which share their scales where they are of curves or bars.

    folded: whether the page shows it only when asked. lines: what panels of curves refer to.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    lines: tuple[Line, ...] = ()
    folded: bool = False


KINDS = {CurvePanel: "curves", RowPanel: "rows", BarPanel: "bars"}


def plain(figure: Figure) -> dict[str, Any]:
    """Turn a figure into what JSON holds, numbers to five digits, None for what is none; captions stay behind."""
    lines = [
        {"arm": line.arm, "label": line.label, "colour": line.colour, "dash": line.dash, **line.shown._asdict()}
        for line in figure.lines
    ]
    shown: dict[str, Any] = _plain(
        {
            "title": figure.title,
            "kind": KINDS[type(figure.panels[0])],
            "panels": [{key: getattr(panel, key) for key in panel.__dataclass_fields__} for panel in figure.panels],
            "lines": lines,
        }
    )
    return shown


def _plain(value: Any) -> Any:
    match value:
        case Row():
            return {key: _plain(getattr(value, key)) for key in value.__dataclass_fields__}
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case Estimate() | Level():
            return _plain(value._asdict())
        case list() | tuple() | np.ndarray():
            return [_plain(one) for one in value]
        case float():
            return float(f"{value:.5g}") if math.isfinite(value) else None
        case _:
            return value


def alone(values: Floats | Sequence[float]) -> tuple[Estimate, ...]:
    """Values without intervals, as those of seeds are."""
    return tuple(Estimate(float(value), float("nan"), float("nan")) for value in values)


def names_of(arms: Sequence[Arm]) -> tuple[str, ...]:
    """Name the arms that something is of, each once."""
    return tuple(dict.fromkeys(arm.name for arm in arms))
