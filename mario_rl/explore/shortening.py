"""A clear made shorter: by exploring from the cells it passes, and by leaving out what is not needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import batched
from typing import NamedTuple

from mario_rl.explore.compiled import layout
from mario_rl.explore.players import Errand, Players
from mario_rl.explore.search import Search
from mario_rl.types import Pixels

MOST_WAYS, PATIENT_WAYS = 60, 10
"""Ways from each cell of the clear, at most, and how many of them in a row that bring no shorter one."""

LENGTHS = (64, 32, 16, 8, 4, 2, 1)
"""Agent steps that are left out at once, from long pieces to single steps."""

AT_ONCE = 16
"""Candidates that are played side by side; the first of them that clears is taken, on however many threads."""

MOST_STEPS = 100_000
"""Agent steps played at most to see what can be left out; more bring next to nothing."""

STATE_EVERY = 16
"""Agent steps between two states of the clear, from which candidates are played."""


def explore_along(
    search: Search, *, should_stop: Callable[[], bool] = lambda: False, progressed: Callable[[], object] = lambda: None
) -> None:
    """Find shorter clears by rounds from the cells that the clear passes; `search.tally` has the shortest.

    It can be stopped and gone on with.

    Args:
        search: of a stage that it has cleared.
        should_stop: asked between two rounds.
        progressed: called after each round.
    """
    tally = search.tally
    assert tally.clear is not None
    places = search.adopt(tally.clear)
    while not should_stop():
        ways = search.ways_per_round / len(places)  # from each cell, in a round
        if tally.rounds_along * ways >= MOST_WAYS or tally.rounds_in_vain * ways >= PATIENT_WAYS:
            return
        before = tally.clear
        search.play_round(places)
        tally.rounds_along += 1
        tally.rounds_in_vain += 1
        if tally.clear != before:
            tally.rounds_in_vain = 0
            places = search.adopt(tally.clear)
        progressed()


class Candidate(NamedTuple):
    """A way that may clear: what leads to a state, and what is to be played from there."""

    before: bytes
    state: Pixels
    rest: bytes


class Pruning:
    """A clear of which agent steps are left out: many at once, then few, as long as what is left still clears.

    clear: actions, a byte per agent step. agent_steps: played for it.

    Args:
        clear: what to begin with.
        start: uint8 (row bytes,), the machine at the stage's start.
        players: who play.
        should_stop: asked between two tries; then the clear stays as it is.
        progressed: called with the length of the clear, agent steps, after each try.
    """

    def __init__(
        self,
        clear: bytes,
        start: Pixels,
        players: Players,
        *,
        should_stop: Callable[[], bool] = lambda: False,
        progressed: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.clear, self.agent_steps = clear, 0
        self._players, self._should_stop, self._progressed = players, should_stop, progressed
        self._states: list[Pixels] = [start]

    def run(self) -> bytes:
        """Leave out what can be; returns what is left."""
        before = len(self.clear) + 1
        while len(self.clear) < before and not self._is_over():
            before = len(self.clear)
            for length in LENGTHS:
                place: int | None = len(self.clear)
                while place is not None:
                    place = self._leave_one_out(length, place)
        return self.clear

    def _leave_one_out(self, length: int, end: int) -> int | None:
        """Try the places before `end`, the last first; returns the one that was left out, None where there is none."""
        places = list(range(end - length, -1, -length))
        taken = self._take_first(self._without(place, length) for place in places)
        return None if taken is None else places[taken]

    def _without(self, place: int, length: int) -> Candidate:
        """Leave out so many agent steps from a place on."""
        state = min(place // STATE_EVERY, len(self._states) - 1)
        while (state + 1) * STATE_EVERY <= place:
            script = self.clear[state * STATE_EVERY : (state + 1) * STATE_EVERY]
            (way,) = self._players.play([Errand(self._states[state], 0, script, len(script))])
            self._states.append(way.machine)
            state += 1
        begin = state * STATE_EVERY
        return Candidate(
            self.clear[:begin], self._states[state], self.clear[begin:place] + self.clear[place + length :]
        )

    def _take_first(self, candidates: Iterator[Candidate]) -> int | None:
        """Take the first candidate that clears in fewer agent steps; returns its number, None where none does."""
        tried = 0
        for some in batched(candidates, AT_ONCE):
            if self._is_over():
                return None
            errands = [Errand(one.state, 0, one.rest, len(one.rest)) for one in some]
            ways = self._players.play(errands)
            self.agent_steps += sum(len(way.taken) for way in ways)
            self._progressed(len(self.clear))
            for number, (one, way) in enumerate(zip(some, ways, strict=True)):
                if way.end == layout.CLEAR and len(one.before) + len(way.taken) < len(self.clear):
                    self._take(one.before + way.taken)
                    return tried + number
            tried += len(some)
        return None

    def _take(self, clear: bytes) -> None:
        pairs = enumerate(zip(clear, self.clear, strict=False))
        same = next((place for place, (ours, theirs) in pairs if ours != theirs), len(clear))
        del self._states[same // STATE_EVERY + 1 :]
        self.clear = clear

    def _is_over(self) -> bool:
        return self.agent_steps >= MOST_STEPS or self._should_stop()
