"""The picture of a run in training, `curve.png`: drawn anew from time to time, and never a reason to end the run."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable

from mario_rl.errors import GoneError, StorageError, UserError
from mario_rl.report.curve import curve_figure
from mario_rl.report.drawing import save_png
from mario_rl.runs.directory import RunDir, Whereabouts

MAX_REASON = 300  # characters of what a library says


class Curve:
    """Draws the curve of a run.

    Args:
        run_dir: of the run.
        whereabouts: where it was when the sitting began; nowhere else is a picture put.
        every_seconds: how often `draw_when_due` draws; less often where drawing takes more than a hundredth of the
            time, however slow the machine and long the run.
        warn: told, once, where it can't be drawn.
    """

    def __init__(
        self, run_dir: RunDir, *, whereabouts: Whereabouts, every_seconds: float, warn: Callable[[str], None]
    ) -> None:
        self._run_dir, self._whereabouts = run_dir, whereabouts
        self._every_seconds, self._warn = every_seconds, warn
        self._drawn_at = time.monotonic()
        self._took = 0.0  # seconds
        self._failed = False

    def draw_when_due(self) -> None:
        """Draw it if the last is old enough."""
        if time.monotonic() - self._drawn_at >= max(self._every_seconds, 100 * self._took):
            self.draw()

    def draw(self) -> None:
        """Draw curve.png anew; a picture that can't be drawn, whyever, is no reason to end a run: one warning.

        Raises:
            GoneError: the run directory is not there any more.
        """
        began = time.monotonic()
        try:
            self._draw()
        except GoneError:
            raise
        except Exception as error:
            if not self._failed:
                self._failed = True
                said = isinstance(error, StorageError | UserError)
                reason = str(error) if said else f"{type(error).__name__}: {error}"
                reason = textwrap.shorten(reason, MAX_REASON, placeholder=" ...")
                self._warn(f"the curve can't be drawn, training goes on without it ({reason})")
        self._drawn_at = time.monotonic()
        self._took = self._drawn_at - began

    def _draw(self) -> None:
        with self._whereabouts.kept():
            figure = curve_figure([self._run_dir.path])
        with self._whereabouts.kept():  # looked at again: drawing takes its time, and saving would make the folder anew
            save_png(figure, self._run_dir.curve)
