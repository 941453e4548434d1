"""What takes long, beside the game and the page: in threads that the end of the program waits for, but not for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future


class Closing(Exception):
    """What was asked for is not made any more, since the page is being closed."""


class Background(threading.Thread):
    """A thread of ours, named after what it does."""

    def __init__(self, what: str, work: Callable[[], None]) -> None:
        super().__init__(target=work, name=what, daemon=True)


def in_background[T](what: str, work: Callable[[], T]) -> Future[T]:
    """Begin something in a thread of its own; `what` it is completes "still"."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # a thread can't be called off, so neither can this

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    Background(what, run).start()
    return future


def unfinished(seconds: float) -> list[str]:
    """Wait until all threads of ours have ended, at most so long; name those that have not."""
    until = time.monotonic() + seconds
    for thread in _ours():
        thread.join(max(0.0, until - time.monotonic()))
    return [thread.name for thread in _ours()]


def _ours() -> list[Background]:
    return [thread for thread in threading.enumerate() if isinstance(thread, Background)]


class Newest[T]:
    """Something slow to make, of which the newest is wanted: one is made at a time, and once for all who ask.

    Args:
        what: making it is, as `in_background` has it.
        make: it; returns its age as well, a number that is larger for newer ones.
    """

    def __init__(self, what: str, make: Callable[[], tuple[float, T]]) -> None:
        self._what, self._make = what, make
        self._turn = asyncio.Lock()
        self._made: tuple[float, T] | None = None
        self._making: asyncio.Future[tuple[float, T]] | None = None
        self._closed = False

    async def get(self, oldest: float) -> T:
        """Hand out the newest; if that is older than `oldest`, make another first.

        Raises:
            Closing: the page is. Exception: whatever making it raised.
        """
        async with self._turn:
            if self._closed:
                raise Closing
            if self._made is None or self._made[0] < oldest:
                self._making = asyncio.wrap_future(in_background(self._what, self._make))
                try:
                    self._made = await self._making
                except asyncio.CancelledError:
                    raise Closing from None
            return self._made[1]

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        if self._making is not None:
            self._making.cancel()
