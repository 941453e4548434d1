"""Standard output and error that may be closed, full, or left by their reader: words are lost, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class Guarded:
    """A text stream that notes the first error of writing and swallows what comes after it.

    error: that error; None as long as all was written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of a stream, the stream itself answers."""
        return getattr(self._stream, name)

    @property
    def lost(self) -> bool:
        """Whether words were lost that somebody waits for; a reader that has left (`| head`) wants no more."""
        return self.error is not None and getattr(self.error, "errno", None) != errno.EPIPE

    def write(self, text: str) -> int:
        """Write text; what the stream's encoding lacks, such as a byte of a file's name, is written as an escape."""
        if self.error is None:
            try:
                self._write(text)
            except (OSError, ValueError) as error:  # ValueError: it was closed
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        if self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        try:
            return self.error is None and self._stream.isatty()
        except ValueError:  # closed
            return False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def _give_up(self, error: Exception) -> None:
        self.error = error
        # What is still buffered is written when Python ends, which then fails again, and is said again.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())
            finally:
                os.close(nowhere)


class Screen:
    """Standard error, whichever it is at the moment, as whoever shows progress writes to it; never raises.

    The terminal was closed, a pipe's reader is gone, the disk that it was sent to is full: all of these are no reason
    to lose hours of training. Enough of a text file for `tqdm`.
    """

    def __init__(self) -> None:
        self._guarded: Guarded | None = None
        self._stream: object = None

    @property
    def encoding(self) -> str:
        """What the stream takes: a bar is drawn with blocks only where it has them."""
        return getattr(sys.stderr, "encoding", None) or "ascii"

    def write(self, text: str) -> int:
        """Write, or lose, some text; returns its length."""
        guarded = self._now()
        return len(text) if guarded is None else guarded.write(text)

    def flush(self) -> None:
        """Let what was written be seen."""
        if (guarded := self._now()) is not None:
            guarded.flush()

    def isatty(self) -> bool:
        """Whether a person may be looking."""
        return (guarded := self._now()) is not None and guarded.isatty()

    def fileno(self) -> int:
        """As of a file; of a stream that has none, OSError."""
        if sys.stderr is None:
            raise OSError("standard error is closed")
        return sys.stderr.fileno()

    def _now(self) -> Guarded | None:
        if sys.stderr is not self._stream:
            self._stream, self._guarded = sys.stderr, None if sys.stderr is None else Guarded(sys.stderr)
        return self._guarded


SCREEN = Screen()
"""The one all share, so that lines and bars keep out of each other's way."""


@contextlib.contextmanager
def guarded_output() -> Iterator[Guarded]:
    """As long as this is entered `sys.stdout` and `sys.stderr` can be written to, whatever they are; yields stdout."""
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # closed below
    out, err = (Guarded(stream or nowhere) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
        nowhere.close()


def _fill_closed_descriptors() -> None:
    """Put /dev/null where a standard stream is closed (`>&-`).

    Otherwise the next file that is opened, such as a table of a run, becomes standard error, and warnings go into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
