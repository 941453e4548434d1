"""A second core that may or may not be there: what is asked of it is done, and nobody waits for what has not begun."""

import threading

import pytest
import torch

from mario_rl.agents import beside as beside_module
from mario_rl.agents.beside import TRIED, TRY_EVERY, Beside

CPU = torch.device("cpu")


@pytest.mark.parametrize("cores", [1, 2])
def test_a_task_is_done_once_and_its_result_comes_back(cores):
    done = []
    result = Beside(cores, CPU).begin(lambda: done.append(1) or 7)
    assert result() == 7
    assert done == [1]


@pytest.mark.parametrize("cores", [1, 2])
def test_both_parts_are_done_and_come_back_in_order(cores):
    assert Beside(cores, CPU).both(lambda part: 10 + part) == [10, 11]


def test_with_two_cores_another_thread_does_it():
    beside, began = Beside(2, CPU), threading.Event()
    result = beside.begin(lambda: (began.set(), threading.current_thread().name)[1])
    assert began.wait(10)
    assert result().startswith("learner")


def test_what_the_thread_has_not_begun_the_caller_does():
    beside, go_on = Beside(2, CPU), threading.Event()
    began = threading.Event()
    stuck = beside.begin(lambda: (began.set(), go_on.wait(10)))
    assert began.wait(10)
    assert beside.begin(lambda: threading.current_thread())() is threading.current_thread()
    go_on.set()
    stuck()


@pytest.mark.parametrize("cores", [1, 2])
def test_what_goes_wrong_is_raised_where_the_result_is_asked_for(cores):
    result = Beside(cores, CPU).begin(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result()


@pytest.mark.parametrize(("slower", "expected"), [("alone", False), ("beside", True)])
def test_whether_on_one_core_or_on_two_the_faster_way_is_taken_and_the_other_tried_now_and_then(
    slower, expected, monkeypatch
):
    beside, clock, alone = Beside(2, CPU), [0.0], []
    monkeypatch.setattr(beside_module.time, "perf_counter", lambda: clock[0])

    def work() -> None:
        thread = beside.begin(threading.current_thread)()
        alone.append(beside._alone)
        assert thread is threading.current_thread() or not beside._alone
        clock[0] += 2.0 if ("alone" if beside._alone else "beside") == slower else 1.0

    for _ in range(10 * TRY_EVERY):
        beside.whole(work)
    later = alone[TRY_EVERY:]
    assert later.count(not expected) == 9 * TRIED  # of 64 rounds five


def test_a_machine_that_becomes_busy_is_noticed(monkeypatch):
    beside, clock, alone = Beside(2, CPU), [0.0], []
    monkeypatch.setattr(beside_module.time, "perf_counter", lambda: clock[0])
    took = {True: 2.0, False: 1.0}

    def work() -> None:
        alone.append(beside._alone)
        clock[0] += took[beside._alone]

    for _ in range(4 * TRY_EVERY):
        beside.whole(work)
    assert not alone[-10]
    took[False] = 9.0
    for _ in range(TRY_EVERY):
        beside.whole(work)
    alone.clear()
    for _ in range(TRY_EVERY):
        beside.whole(work)
    assert alone.count(False) <= TRIED


def test_beside_a_gpu_one_core_does_everything():
    assert Beside(2, torch.device("cuda")).begin(threading.current_thread)() is threading.current_thread()
