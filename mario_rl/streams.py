"""Standard output and error that may be closed, full or a broken pipe: words are lost then, and nothing else."""

from __future__ import annotations

import os
import sys
from typing import TextIO


class Screen:
    """Standard error, as whoever shows progress writes to it; what can't be written switches it off and ends nothing.

    The terminal was closed, a pipe's reader is gone, the disk that it was sent to is full: all of these are no reason
    to lose hours of training. Enough of a text file for `tqdm`.
    """

    @property
    def encoding(self) -> str:
        """What the stream takes: a bar is drawn with blocks only where it has them."""
        return getattr(sys.stderr, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        """Write, or lose, some text; returns its length."""
        stream = sys.stderr
        if stream is not None:
            try:
                stream.write(text)
            except (OSError, ValueError):  # ValueError: closed
                silence(stream)
        return len(text)

    def flush(self) -> None:
        """Let what was written be seen."""
        stream = sys.stderr
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                silence(stream)

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        try:
            return sys.stderr is not None and sys.stderr.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """As of a file; of a stream that has none, OSError."""
        if sys.stderr is None:
            raise OSError("standard error is closed")
        return sys.stderr.fileno()


SCREEN = Screen()
"""The one all share, so that lines and bars keep out of each other's way."""


def silence(stream: TextIO) -> None:
    """Have a standard stream that can't be written to lead nowhere, so that it does not fail once more at exit."""
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for the rest of the process
    if sys.stderr is stream:
        sys.stderr = nowhere
    if sys.stdout is stream:
        sys.stdout = nowhere


def open_standard_streams() -> None:
    """Give a process that was begun with closed standard streams some that lead nowhere.

    Otherwise the next file that is opened, such as a table of a run, becomes standard error, and warnings go into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for the rest of the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
