"""Ctrl-C, SIGTERM and a closed terminal as a question the loop asks, so that a run ends between two steps and saves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a run. SIGHUP is what a terminal sends when it is closed; Windows has none."""


class Stopped(BaseException):  # no Exception: what goes on without something that fails must not go on without this
    """A signal came while there was nothing yet that would have to be saved."""


class Interrupts:
    """While entered, note SIGINT, SIGTERM and SIGHUP instead of dying; a second SIGINT raises KeyboardInterrupt.

    A SIGHUP that was ignored before, as `nohup` has it, stays ignored. Outside the main thread, where Python allows no
    handlers, nothing is caught.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at_once = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While entered, a signal ends what is being done wherever it comes, as Ctrl-C does in any program.

        For preparations: imports, compiling, loading and beginning games ask nobody whether to go on.

        Raises:
            Stopped: one came, also if some library took the exception for a failure of its own.
        """
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
        if self.received is not None:
            raise Stopped

    def came(self) -> bool:
        """Whether a signal came."""
        return self.received is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        first = self.received is None
        if not first and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if first and self._at_once:
            raise Stopped
