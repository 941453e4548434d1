"""Ctrl-C, SIGTERM and a closed terminal as a question the loop asks, so that a run ends between two steps and saves."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a run. SIGHUP is what a terminal sends when it is closed; Windows has none."""


class Interrupts:
    """While entered, note SIGINT, SIGTERM and SIGHUP instead of dying; a second SIGINT raises KeyboardInterrupt.

    A SIGHUP that was ignored before, as `nohup` has it, stays ignored. Outside the main thread, where Python allows no
    handlers, nothing is caught.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
