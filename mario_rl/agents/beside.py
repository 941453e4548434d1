"""Work done on a second core beside the caller's: by another thread, or by the caller where that has not come to it."""

from __future__ import annotations

import ctypes
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from statistics import median
from typing import Any

import torch

from mario_rl.machine import computing_cores
from mario_rl.workers import Workers, answer

TRY_EVERY, TRIED = 64, 5
"""Of so many rounds so many are done the other way, on one core or on two, to see which is faster."""


class Beside:
    """One more thread for parts of an update; what is computed is the same, bit for bit, whoever computes it.

    A part is begun by the thread or, if a busy machine has not let it begin by the time its result is wanted, by the
    caller: the update then takes as long as on one core, and no longer. Nobody waits in a loop, as OpenMP's threads do,
    two of which took 900 ms for an update of 20 ms beside one other busy process. And whether the second core is worth
    having is looked at again and again: beside other busy programs it may not be. See docs/performance.md.

    Args:
        cores: processors to keep busy; with one, the caller does everything. None: all that may be computed on.
        device: where is computed; but for the CPU, one core keeps it busy.
    """

    def __init__(self, cores: int | None, device: torch.device) -> None:
        if device.type != "cpu":
            cores = 1
        elif cores is None:
            cores = computing_cores()
        # Its thread begins with the first task, and so with the floating-point settings that hold then.
        self._thread = Workers(1, "learner") if cores > 1 else None
        self._apart_from: int | None = None  # the processor that the thread keeps off
        self._alone, self._faster_alone = False, False
        self._rounds = 0
        self._seconds: dict[bool, deque[float]] = {alone: deque(maxlen=TRIED) for alone in (False, True)}

    def whole[Result](self, work: Callable[[], Result]) -> Result:
        """Do a whole piece of work, which begins its parts here, on two cores or on one: as was faster lately."""
        if self._thread is None:
            return work()
        self._rounds += 1
        trying = self._rounds % TRY_EVERY < TRIED
        self._alone = self._faster_alone != trying  # either the faster way, or the other one, to see
        began = time.perf_counter()
        result = work()
        self._seconds[self._alone].append(time.perf_counter() - began)
        if all(self._seconds.values()):
            self._faster_alone = median(self._seconds[True]) < median(self._seconds[False])
        return result

    def begin[Result](self, task: Callable[[], Result]) -> Callable[[], Result]:
        """Have something done; call what is returned for its result, once; UnansweredError where it never comes.

        The task draws no random numbers, and touches nothing that the caller does before it has the result.
        """
        if self._thread is None or self._alone:
            return task
        self._keep_apart(self._thread.native_ids)
        future = self._thread.submit(lambda: _computed(task))
        return lambda: task() if future.cancel() else answer(future, of="the second core")

    def both(self, part: Callable[[int], Any]) -> list[Any]:
        """Do part 0 and part 1 of something at once; returns both results."""
        second = self.begin(lambda: part(1))
        return [part(0), second()]

    def _keep_apart(self, threads: list[int]) -> None:
        """Keep the thread off the processor that the caller is on.

        Linux likes to wake a thread where the one that wakes it runs, and leaves it there for the few milliseconds that
        its task takes, with the other processor idle: in every second run an update took as long as on one core.
        """
        here = _processor()
        if not threads or here is None or here == self._apart_from:
            return
        others = os.sched_getaffinity(0) - {here}
        with suppress(OSError):  # the processors that are allowed have changed meanwhile: next time
            for thread in threads:
                os.sched_setaffinity(thread, others or {here})
            self._apart_from = here


def _computed[Result](task: Callable[[], Result]) -> Result:
    """Do a task with as many threads of PyTorch's as were set for the program.

    A thread learns of that when it asks, or in some operations, but not in convolutions and products of matrices: they
    took two threads of their own, which sum in another order.
    """
    torch.get_num_threads()
    return task()


def _processor() -> int | None:
    """The processor that the caller is on; None where that can't be told."""
    function = _sched_getcpu()
    number = -1 if function is None else function()
    return number if number >= 0 else None


@cache
def _sched_getcpu() -> Callable[[], int] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        function: Callable[[], int] = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError, TypeError):
        return None
    return function
