"""What all figures share: names from outside are text, whatever is in them, and drawing them never fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from mario_rl.files import write_atomically

MAX_NAME = 44  # characters of a name in a legend, or beside a panel
MAX_TITLE = 48  # characters of a name that there is room for above the panels
FLAG_X = 3_160  # pixels, where 1-1's flagpole stands

DPI = 150
"""Pixels an inch of the pictures of a run: 8 inches wide, they are still read at 800 pixels, with letters 14 high."""

# The palette of Okabe and Ito (2008), told apart under every kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GRAY = "#595959"


def as_text(figure: Figure) -> Figure:
    """Let no text of a figure be read as mathematics, in which a name such as `a$x_$b` is a mistake; returns it."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_usetex(False)
        text.set_parse_math(False)
    return figure


def draw_flag(axes: Axes, *, named: bool = True) -> None:
    """Draw where the flag stands on an axis of x that begins at 0, with room above for its name."""
    axes.axhline(FLAG_X, color=GRAY, linewidth=0.8, linestyle="--")
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.15 * FLAG_X))
    if not named:
        return
    axes.annotate(
        f"flag, x ≈ {FLAG_X:,}",
        (0.008, FLAG_X),  # on the left: what ends at the flag comes later
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 6),  # above a mark on the line
        textcoords="offset points",
        color=GRAY,
        fontsize="small",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        zorder=4,
    )


def tidy(axes: Axes) -> None:
    """Give a panel the grid and the two sides that all of them have."""
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


@contextmanager
def drawing() -> Iterator[None]:
    """While a figure is drawn: letters that no font here has become boxes, without a word on the terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def save_png(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as a PNG; `options` are those of `Figure.savefig`.

    Raises:
        StorageError: the disk refused; what was there before is untouched.
    """
    with drawing():
        write_atomically(path, lambda partial: figure.savefig(partial, format="png", **options))
