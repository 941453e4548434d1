"""What all figures share: names from outside are text, whatever is in them, and drawing them never fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from mario_rl.files import write_atomically

MAX_NAME = 44  # characters of a name in a legend, or beside a panel
MAX_TITLE = 70  # characters of a name that there is room for above the panels
FLAG_X = 3_160  # pixels, where 1-1's flagpole stands

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
