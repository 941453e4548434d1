"""The archive over the stage: the cells that were reached, drawn over a picture put together from their states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from mario_rl.explore.archive import Cells, Numbers, area_of, read_keys
from mario_rl.explore.compiled.layout import GRID
from mario_rl.explore.players import Errand
from mario_rl.explore.search import Search
from mario_rl.game.addresses import SCREEN_LEFT_PAGE, SCREEN_LEFT_X
from mario_rl.nes import palette
from mario_rl.nes.console import Console
from mario_rl.nes.layout import HEIGHT, WIDTH
from mario_rl.report.drawing import DPI, VERMILLION, as_text
from mario_rl.types import Pixels

STATUS_BAR = 32
"""Pixels at the top of the screen that show score and time."""

ROW_PIXELS = 1280
"""Of a stage that are drawn beside each other; what follows stands below."""

VIEWS_EVERY, VIEWS = 32, 5
"""So many states are looked at where the screen begins within so many pixels; what most of them show is drawn."""

SMALL = 16
"""Pixels that Mario's upper edge, by the game's count, is above the small Mario that is seen."""

PIXELS_PER_INCH = 124.0
"""Of the stage, so that a row is some 10 inches wide."""

LEFT, RIGHT, TOP, BOTTOM, GAP = 0.65, 0.2, 0.45, 1.15, 0.68
"""Inches around the rows, and between two of them."""

COLOURS = "viridis"
FAINT = 0.55
"""How strongly the stage is mixed with white, so that the cells stand out."""

KINDS = ("water", "ground", "underground", "castle")
"""What the game's area types are."""


class _Row(NamedTuple):
    """A part of an area, drawn beside each other: x from left to right, pixels."""

    area: int
    left: int
    right: int


def draw_archive(search: Search, clear: bytes | None) -> Figure:
    """Draw all cells of an archive by how often they were entered, and the way that clears the stage.

    Args:
        search: its archive is drawn.
        clear: actions of the way to draw, a byte per agent step; None for none.
    """
    archive = search.archive
    cells = read_keys(archive.keys)
    areas, firsts = np.unique(cells.areas, return_index=True)
    stages = {area: _stitch(search, cells, area) for area in areas[np.argsort(firsts)].tolist()}
    rows = [row for area, stage in stages.items() for row in _rows(area, cells.x[cells.areas == area], stage)]
    visits = None if clear is None else _visits(search, clear)
    norm = LogNorm(1, max(10, int(archive.seen.max())))
    figure, panels, bar = _lay_out(rows)
    for number, (row, axes) in enumerate(zip(rows, panels, strict=True)):
        _draw_row(axes, row, stages[row.area], cells, archive.seen, norm)
        if visits is not None:
            _draw_way(axes, row.area, visits)
        if number == 0 or rows[number - 1].area != row.area:
            axes.set_title(_area_name(row.area, list(stages)), loc="left", fontsize="small")
    figure.colorbar(
        ScalarMappable(norm, COLOURS), cax=bar, orientation="horizontal", format=StrMethodFormatter("{x:,.0f}")
    )
    bar.set_xlabel("times a cell was entered", fontsize="small")
    bar.tick_params(labelsize="small")
    figure.suptitle(_title(search, clear), x=LEFT / figure.get_figwidth(), ha="left", fontsize="medium")
    return as_text(figure)


def _lay_out(rows: Sequence[_Row]) -> tuple[Figure, list[Axes], Axes]:
    """Make a figure with a panel for each row, all to one scale, and one for the colours below."""
    panel = (HEIGHT - STATUS_BAR) / PIXELS_PER_INCH
    width = LEFT + RIGHT + max(5.0, max(row.right - row.left for row in rows) / PIXELS_PER_INCH)
    height = TOP + BOTTOM + len(rows) * (panel + GAP)
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    panels = []
    for number, row in enumerate(rows):
        bottom = height - TOP - (number + 1) * (panel + GAP) + GAP / 2
        across = (row.right - row.left) / PIXELS_PER_INCH
        panels.append(figure.add_axes((LEFT / width, bottom / height, across / width, panel / height)))
    bar = figure.add_axes((LEFT / width, 0.6 / height, 3.5 / width, 0.13 / height))
    return figure, panels, bar


def _area_name(area: int, areas: list[int]) -> str:
    kind, _ = area_of(area)
    return f"area {areas.index(area) + 1} of {len(areas)}, {KINDS[kind]}" if len(areas) > 1 else KINDS[kind]


def _title(search: Search, clear: bytes | None) -> str:
    found = f"{search.settings.stage}: {len(search.archive):,} cells in {search.tally.agent_steps:,} agent steps"
    return f"{found}; the line is the way that clears it" if clear is not None else f"{found}; not cleared"


def _rows(area: int, x: Numbers, stage: Pixels) -> Iterator[_Row]:
    """Divide an area into rows: as much of it as has cells, x int64 (N,), and a little of what is seen behind them."""
    first = max(0, int(x.min()) // WIDTH * WIDTH)
    end = max(min(int(x.max()) + WIDTH // 2, stage.shape[1]), first + WIDTH)
    for begin in range(first, end, ROW_PIXELS):
        yield _Row(area, begin, min(begin + ROW_PIXELS, end))


def _draw_row(axes: Axes, row: _Row, stage: Pixels, cells: Cells, seen: Numbers, norm: LogNorm) -> None:
    axes.imshow(stage, extent=(0, stage.shape[1], HEIGHT, STATUS_BAR), interpolation="nearest", aspect="equal")
    here = (cells.areas == row.area) & (cells.x > row.left - GRID) & (cells.x < row.right)
    places, which = np.unique(np.stack([cells.x[here], cells.y[here]], axis=1), axis=0, return_inverse=True)
    counts = np.bincount(which.reshape(-1), weights=seen[here], minlength=len(places))
    boxes = [Rectangle((x, y + SMALL), GRID, GRID) for x, y in places.tolist()]
    drawn = PatchCollection(boxes, cmap=COLOURS, norm=norm, alpha=0.6, linewidth=0)
    drawn.set_array(np.maximum(counts, 1))
    axes.add_collection(drawn)
    axes.set_xlim(row.left, row.right)
    axes.set_ylim(HEIGHT, STATUS_BAR)
    axes.set_xlabel("x in the area [pixels]", fontsize="small", labelpad=1)
    axes.set_ylabel("y [pixels]", fontsize="small")
    axes.tick_params(labelsize="small")


def _visits(search: Search, clear: bytes) -> Cells:
    (way,) = search.players.play([Errand(search.start, 0, clear, len(clear))])
    return read_keys(way.visits[:, 0])


def _draw_way(axes: Axes, area: int, visits: Cells) -> None:
    """Draw the cells that a way passes, one after the other; where it leaves the area or jumps, the line is broken."""
    x, y = visits.x + GRID / 2, visits.y + SMALL + GRID / 2
    away = (visits.areas != area) | (np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])) > 6 * GRID)
    x = np.where(away, np.nan, x)
    axes.plot(x, y, color="white", linewidth=3.2)
    axes.plot(x, y, color=VERMILLION, linewidth=1.6)


def _stitch(search: Search, cells: Cells, area: int) -> Pixels:
    """Put an area together from what is seen at the states in it: uint8 (208, W, 3), mixed with white."""
    archive = search.archive
    views: dict[int, list[tuple[int, Pixels]]] = {}
    for place in np.flatnonzero(cells.areas == area).tolist():
        state = archive.state(place)
        left = int(state[SCREEN_LEFT_PAGE]) * WIDTH + int(state[SCREEN_LEFT_X])
        if len(views.setdefault(left // VIEWS_EVERY, [])) < VIEWS:
            views[left // VIEWS_EVERY].append((left, state))
    seen = [view for some in views.values() for view in some]
    width = max(left for left, _ in seen) + WIDTH
    votes = np.zeros((len(palette.RGB), HEIGHT - STATUS_BAR, width), dtype=np.uint8)
    rows, columns = np.indices((HEIGHT - STATUS_BAR, WIDTH), sparse=True)
    console = Console(search.cartridge)
    for left, state in seen:
        console.row[:] = state
        console.play(0)
        votes[console.indices[STATUS_BAR:], rows, columns + left] += 1
    colours: NDArray[np.float64] = palette.RGB[votes.argmax(axis=0)].astype(np.float64)
    colours[votes.max(axis=0) == 0] = 255  # nobody has looked there
    return (FAINT * colours + (1 - FAINT) * 255).astype(np.uint8)
