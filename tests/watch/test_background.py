"""What takes long is made once for all who ask, one at a time, and keeps nobody from ending the program."""

from __future__ import annotations

import asyncio
import signal
import threading
from itertools import count

import pytest
from own_loop import run_async

from mario_rl.cli.watch import _leave_what_hangs
from mario_rl.watch.background import Closing, Newest, in_background, unfinished


def test_what_thirty_ask_for_is_made_once_until_it_is_too_old():
    numbers = count()
    newest = Newest("counting", lambda: ((number := next(numbers)), f"made {number}"))

    async def ask() -> list[str]:
        first = await asyncio.gather(*(newest.get(0) for _ in range(30)))
        second = await asyncio.gather(*(newest.get(1) for _ in range(30)))
        return [*first, *second]

    assert run_async(ask()) == ["made 0"] * 30 + ["made 1"] * 30
    assert next(numbers) == 2


def test_who_asks_while_an_older_one_is_made_shares_the_next():
    ages, made = iter([1, 5]), []
    begun, may_end = threading.Event(), threading.Event()

    def make() -> tuple[int, int]:
        begun.set()
        may_end.wait(30)
        made.append(age := next(ages))
        return age, age

    async def ask() -> list[int]:
        newest = Newest("waiting", make)
        asked = [asyncio.ensure_future(newest.get(1))]
        await asyncio.to_thread(begun.wait, 30)
        asked += [asyncio.ensure_future(newest.get(oldest)) for oldest in (2, 3, 4, 5)]
        await asyncio.sleep(0)
        may_end.set()
        return await asyncio.gather(*asked)

    assert run_async(ask()) == [1, 5, 5, 5, 5]
    assert made == [1, 5]


def test_what_fails_is_told_to_who_asked_and_tried_again_for_the_next():
    outcomes = iter([OSError("full"), None])

    def make() -> tuple[int, str]:
        if (error := next(outcomes)) is not None:
            raise error
        return 0, "made"

    async def ask() -> str:
        newest = Newest("failing", make)
        with pytest.raises(OSError, match="full"):
            await newest.get(0)
        return await newest.get(0)

    assert run_async(ask()) == "made"


def test_once_it_is_closed_nobody_waits():
    may_end = threading.Event()
    newest = Newest("hanging", lambda: (0, may_end.wait(30)))

    async def ask() -> list[bool | BaseException]:
        asked = [asyncio.ensure_future(newest.get(0)) for _ in range(3)]
        await asyncio.sleep(0)
        newest.close()
        return await asyncio.gather(*asked, newest.get(0), return_exceptions=True)

    assert [type(one) for one in run_async(ask())] == [Closing] * 4
    assert "hanging" in unfinished(seconds=0.0)
    may_end.set()
    assert "hanging" not in unfinished(seconds=30.0)


def test_a_program_that_a_thread_would_keep_ends_with_a_line(monkeypatch, capsys):
    raised: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    may_end = threading.Event()
    hanging = in_background("loading a checkpoint", lambda: may_end.wait(30))
    _leave_what_hangs()
    assert raised == [signal.SIGINT]
    assert capsys.readouterr().err == "mario-rl: interrupted while still loading a checkpoint\n"
    may_end.set()
    hanging.result(30)
    _leave_what_hangs()
    assert raised == [signal.SIGINT]
