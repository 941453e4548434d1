"""Threads that do what they are given: what is waited for, for how long, and that they keep no program from its end."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from mario_rl import workers
from mario_rl.errors import UnansweredError
from mario_rl.workers import Workers, answer


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that take no second each."""
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.001)


def test_tasks_are_done_in_order_by_another_thread() -> None:
    one = Workers(1, "helper")
    done: list[int] = []
    for number in range(50):
        last = one.submit(lambda number=number: done.append(number) or threading.current_thread().name)
    assert answer(last, of="it") == "helper"
    assert done == list(range(50))


def test_several_threads_share_the_tasks() -> None:
    both, met = Workers(2, "helper"), threading.Barrier(2)
    futures = [both.submit(lambda: met.wait(10)) for _ in range(2)]
    assert sorted(answer(future, of="it") for future in futures) == [0, 1]


def test_what_a_task_raises_comes_where_its_result_is_asked_for_and_the_thread_goes_on() -> None:
    one = Workers(1, "helper")
    failed = one.submit(lambda: 1 / 0)
    assert answer(one.submit(lambda: 7), of="it") == 7
    with pytest.raises(ZeroDivisionError):
        answer(failed, of="it")


def test_a_tasks_own_time_out_is_not_one_of_the_wait(quick_looks: None) -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        answer(Workers(1, "helper").submit(fail), of="it")


@pytest.mark.parametrize(("ending", "looks"), [(False, 600), (True, 30)])
def test_what_never_answers_is_given_up_sooner_once_the_end_is_wanted(
    quick_looks: None, monkeypatch: pytest.MonkeyPatch, ending: bool, looks: int
) -> None:
    """Counted in looks: a process that was stopped for an hour has not looked in that hour."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return ending

    with pytest.raises(UnansweredError, match=r"^no answer from the games for "):
        answer(Future(), of="the games", should_stop=should_stop)
    assert asked == looks


def test_its_threads_end_when_it_is_gone_or_closed() -> None:
    one, other = Workers(3, "gone"), Workers(3, "closed")
    for each in (one, other):
        answer(each.submit(int), of="it")
    assert other.close(looks=5)
    assert other.close(looks=5)
    del one, each
    gc.collect()
    deadline = time.monotonic() + 10
    while (left := [t for t in threading.enumerate() if t.name in ("gone", "closed")]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == []


def test_closing_says_where_a_thread_does_not_end(quick_looks: None) -> None:
    one, go_on = Workers(1, "helper"), threading.Event()
    stuck = one.submit(lambda: go_on.wait(10))
    assert not one.close(looks=2)
    go_on.set()
    assert answer(stuck, of="it")


def test_what_a_thread_is_stuck_in_keeps_no_program_from_its_end() -> None:
    code = (
        "import sys, threading\n"
        "from mario_rl import workers\n"
        "workers.LOOK_SECONDS = 0.05\n"
        "one = workers.Workers(1, 'stuck')\n"
        "one.submit(threading.Event().wait)\n"
        "sys.exit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 3
