"""Work done on a second core beside the caller's: by another thread, or by the caller where that has not come to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Beside:
    """One more thread for parts of an update; what is computed is the same, bit for bit, whoever computes it.

    A part is begun by the thread or, if a busy machine has not let it begin by the time its result is wanted, by the
    caller: the update then takes as long as on one core, and no longer. Nobody waits in a loop, as OpenMP's threads do,
    two of which took 900 ms for an update of 20 ms beside one other busy process. See docs/performance.md.

    Args:
        cores: processors to keep busy; with one, the caller does everything.
    """

    def __init__(self, cores: int) -> None:
        # Its thread begins with the first task, and so with the floating-point settings that hold then.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="learner") if cores > 1 else None

    def begin[Result](self, task: Callable[[], Result]) -> Callable[[], Result]:
        """Have something done; call what is returned for its result, once.

        The task draws no random numbers, and touches nothing that the caller does before it has the result.
        """
        if self._thread is None:
            return task
        future = self._thread.submit(task)
        return lambda: task() if future.cancel() else future.result()

    def both(self, part: Callable[[int], Any]) -> list[Any]:
        """Do part 0 and part 1 of something at once; returns both results."""
        second = self.begin(lambda: part(1))
        return [part(0), second()]
