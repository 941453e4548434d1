"""Threads that do what they are given, and waits for them that end: nobody waits for ever for what never answers."""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import count
from typing import Any

from mario_rl.errors import UnansweredError

LOOK_SECONDS = 1.0
"""How long a wait goes on before it looks round."""

PATIENCE, PATIENCE_AT_THE_END = 600, 30
"""Looks before what does not answer is given up, and the same once a signal has asked for the end.

Looks are counted, not time: a process that was stopped, or a laptop that slept, has not looked meanwhile.
"""

LOOKS_AT_EXIT = 2
"""The same for threads that work while the program ends."""

type _Tasks = queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


_LIVING: weakref.WeakKeyDictionary[threading.Thread, _Tasks] = weakref.WeakKeyDictionary()
"""All threads there are, and what tells them to end."""


class Workers:
    """Threads that do tasks in the order in which they come; the first task starts them.

    They end once nobody has the object any more, and before the program does; what one of them is stuck in keeps no
    program from its end.

    Args:
        number: how many threads.
        name: of each of them.
    """

    def __init__(self, number: int, name: str) -> None:
        self._tasks: _Tasks = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=_work, args=(self._tasks,), name=name, daemon=True) for _ in range(number)
        ]
        self._begun = False
        _LIVING.update(dict.fromkeys(self._threads, self._tasks))
        weakref.finalize(self, _end, self._tasks, number)

    @property
    def native_ids(self) -> list[int]:
        """What the system calls the threads; none before the first task."""
        return [one.native_id for one in self._threads if one.native_id is not None]

    def submit[Result](self, task: Callable[[], Result]) -> Future[Result]:
        """Have a task done; what it raises is raised where its result is asked for."""
        if not self._begun:
            self._begun = True
            for thread in self._threads:
                thread.start()
        future: Future[Result] = Future()
        self._tasks.put((future, task))
        return future

    def close(self, *, looks: int) -> bool:
        """Let the threads end what they do, and end; returns whether they did within some looks.

        Those that did not are not waited for again.
        """
        _end(self._tasks, len(self._threads))
        ended = _joined(self._threads, looks=looks)
        for thread in self._threads:
            _LIVING.pop(thread, None)
        return ended


def answer[Result](future: Future[Result], *, of: str, should_stop: Callable[[], bool] = lambda: False) -> Result:
    """Wait for the result of a task.

    Args:
        future: its result.
        of: what works on it, for the message.
        should_stop: whether somebody wants the end, so that the wait is a short one.

    Raises:
        UnansweredError: it does not come. Whatever else the task raised.
    """
    for looks in count(1):
        try:
            future.exception(LOOK_SECONDS)
        except TimeoutError:
            if looks >= (PATIENCE_AT_THE_END if should_stop() else PATIENCE):
                raise UnansweredError(f"no answer from {of} for {looks * LOOK_SECONDS:.0f} s") from None
        else:
            break
    return future.result()


def _work(tasks: _Tasks) -> None:
    while (one := tasks.get()) is not None:
        _do(*one)
        del one  # or it would be kept until the next one comes


def _do(future: Future[Any], task: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(task())
    except BaseException as error:  # it belongs to whoever asks for the result
        future.set_exception(error)


def _end(tasks: _Tasks, number: int) -> None:
    for _ in range(number):
        tasks.put(None)


def _joined(threads: Iterable[threading.Thread], *, looks: int) -> bool:
    """Wait for threads that have been told to end; returns whether all have, or never began."""
    for thread in threads:
        while thread.is_alive():
            if looks == 0:
                return False
            thread.join(LOOK_SECONDS)
            looks -= thread.is_alive()
    return True


@atexit.register
def _end_all() -> None:
    """Let no thread run while the interpreter goes: one that has used PyTorch would abort the process then."""
    living = dict(_LIVING)
    for tasks in living.values():
        tasks.put(None)
    _joined(living, looks=LOOKS_AT_EXIT)
