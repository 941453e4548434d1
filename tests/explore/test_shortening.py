"""What becomes of a clear: all that is not needed is left out."""

from __future__ import annotations

import numpy as np

from mario_rl.explore import shortening
from mario_rl.explore.compiled import layout
from mario_rl.explore.players import NO_NUMBERS, Errand, Way
from mario_rl.explore.shortening import Pruning

NEEDED, NEEDLESS = 1, 0


class Counter:
    """A game that is cleared by the fifth action that is needed; its machine is how many there were."""

    def play(self, errands: list[Errand], known: None = None) -> list[Way]:
        return [self._play(errand) for errand in errands]

    def _play(self, errand: Errand) -> Way:
        done = int(errand.state[0])
        for place, action in enumerate(errand.script):
            done += action == NEEDED
            if done == 5:
                return self._way(layout.CLEAR, errand.script[: place + 1], done)
        return self._way(layout.OUT_OF_STEPS, errand.script, done)

    def _way(self, end: int, taken: bytes, done: int) -> Way:
        return Way(end, taken, NO_NUMBERS, np.array([done], dtype=np.uint8), [])


def pruned(clear: bytes, **options) -> bytes:
    return Pruning(clear, np.zeros(1, dtype=np.uint8), Counter(), **options).run()


def test_all_that_is_not_needed_is_left_out():
    clear = bytes([NEEDLESS] * 70 + [NEEDED, NEEDED] + [NEEDLESS] * 33 + [NEEDED] + [NEEDLESS] * 5 + [NEEDED, NEEDED])
    assert pruned(clear) == bytes([NEEDED] * 5)


def test_what_is_needed_stays():
    assert pruned(bytes([NEEDED] * 5)) == bytes([NEEDED] * 5)


def test_it_can_be_stopped_and_then_the_clear_is_as_long_as_it_is():
    clear = bytes([NEEDLESS] * 10 + [NEEDED] * 5)
    assert pruned(clear, should_stop=lambda: True) == clear


def test_it_ends_after_so_many_agent_steps(monkeypatch):
    monkeypatch.setattr(shortening, "MOST_STEPS", 1)
    told = []
    clear = bytes([NEEDLESS] * 100 + [NEEDED] * 5)
    assert NEEDLESS in pruned(clear, progressed=told.append)
    assert len(told) == 1
