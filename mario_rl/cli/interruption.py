"""Ctrl-C in a command that does not ask for it: one KeyboardInterrupt, one line, exit code 130, never a traceback."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


class Interruption:
    """While entered, Ctrl-C raises KeyboardInterrupt, once: the next one ends the process as a signal does, silently.

    Commands that save put `Interrupts` in its place for as long as they work. Where Ctrl-C is ignored, or outside the
    main thread, nothing is changed.

    came: whether it was raised, also where something on its way (a module that is being imported, say) made another
        exception of it.
    """

    def __init__(self) -> None:
        self.came = False
        self._previous: Any = None
        self._report: Callable[[UnraisableHookArgs], Any] = sys.unraisablehook

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):
            self._report, sys.unraisablehook = sys.unraisablehook, self._end_unseen
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            # Nothing can come between and be raised in the middle of this: it is caught, and means that it came.
            with contextlib.suppress(KeyboardInterrupt):
                signal.signal(signal.SIGINT, self._previous)
            sys.unraisablehook = self._report

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def _end_unseen(self, unraisable: UnraisableHookArgs) -> None:
        """End the process where KeyboardInterrupt was raised in a place that Python lets no exception out of."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._report(unraisable)
            return
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
