"""Standard output and error that may be closed, full, or left by their reader: writing to them never raises."""

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
    """Put /dev/null where a standard stream is closed (`>&-`): else the next file opened would be taken for it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
