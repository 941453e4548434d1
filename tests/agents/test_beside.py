"""A second core that may or may not be there: what is asked of it is done, and nobody waits for what has not begun."""

import threading

import pytest

from mario_rl.agents.beside import Beside


@pytest.mark.parametrize("cores", [1, 2])
def test_a_task_is_done_once_and_its_result_comes_back(cores):
    done = []
    result = Beside(cores).begin(lambda: done.append(1) or 7)
    assert result() == 7
    assert done == [1]


@pytest.mark.parametrize("cores", [1, 2])
def test_both_parts_are_done_and_come_back_in_order(cores):
    assert Beside(cores).both(lambda part: 10 + part) == [10, 11]


def test_with_two_cores_another_thread_does_it():
    beside, began = Beside(2), threading.Event()
    result = beside.begin(lambda: (began.set(), threading.current_thread().name)[1])
    assert began.wait(10)
    assert result().startswith("learner")


def test_what_the_thread_has_not_begun_the_caller_does():
    beside, go_on = Beside(2), threading.Event()
    began = threading.Event()
    stuck = beside.begin(lambda: (began.set(), go_on.wait(10)))
    assert began.wait(10)
    assert beside.begin(lambda: threading.current_thread())() is threading.current_thread()
    go_on.set()
    stuck()


@pytest.mark.parametrize("cores", [1, 2])
def test_what_goes_wrong_is_raised_where_the_result_is_asked_for(cores):
    result = Beside(cores).begin(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        result()
