"""The search: rounds of ways from cells of the archive, merged in a fixed order, until the stage is cleared.

Ecoffet et al. 2021, "First return, then explore", Nature 590, phase 1, with states in place of ways to return by.
Nothing here knows a stage: which cells there are is found out, and what counts is how often each was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mario_rl.errors import UserError
from mario_rl.explore.archive import Archive, Area, Numbers, area_of, read_keys
from mario_rl.explore.compiled import layout
from mario_rl.explore.compiled.kernels import KERNELS
from mario_rl.explore.pieces import ROOT
from mario_rl.explore.players import Errand, Players, Way
from mario_rl.game.actions import ACTION_SETS, action_bytes
from mario_rl.game.kernels import load_emulator
from mario_rl.game.rom import load_rom, stage_start, stage_target
from mario_rl.nes.cartridge import Cartridge
from mario_rl.types import Pixels

WAYS_PER_ROUND = 64
STEPS_PER_WAY = 100
"""Agent steps, as in the paper (k)."""

FORGET_FACTOR, FORGET_MORE = 2, 5_000
"""Pieces that nothing needs any more are dropped when there are so many times as many as after the last time."""

MOST_BYTES = 1_000_000_000
"""Of an archive in memory, unless another limit is given; 1-1 takes 4 MB, an hour in a maze some 50."""


@dataclass(frozen=True)
class Settings:
    """What decides what a search finds, round by round; how many threads play it does not.

    stage: to clear, such as 1-1. seed: of all that is drawn. action_set: what is pressed. most_bytes: about what the
    archive may take in memory; when it takes that, cells that are new are not kept any more.
    """

    stage: str
    seed: int = 0
    action_set: str = "complex"
    most_bytes: int = MOST_BYTES

    @property
    def joypad(self) -> Pixels:
        """uint8 (number of actions,): the joypad byte of each."""
        return np.array(action_bytes(self.action_set), dtype=np.uint8)

    def check(self) -> None:
        """Refuse what can't be searched.

        Raises:
            UserError: there is no action set of that name.
        """
        if self.action_set not in ACTION_SETS:
            allowed = ", ".join(ACTION_SETS)
            raise UserError(f"--action-set: {self.action_set} is not allowed; must be one of {allowed}")


@dataclass
class Tally:
    """What a search has come to, besides its archive.

    rounds, agent_steps: played. seconds: spent on it, all sittings together. clear: actions of the shortest way found
    that clears the stage, a byte per agent step. first: what it had come to when the stage was cleared first.
    is_full: whether the memory limit was reached. kept_pieces: how many were left when some were dropped last.
    rounds_along, rounds_in_vain: see `shortening.explore_along`.
    """

    rounds: int = 0
    agent_steps: int = 0
    seconds: float = 0.0
    clear: bytes | None = None
    first: First | None = None
    is_full: bool = False
    kept_pieces: int = 0
    rounds_along: int = 0
    rounds_in_vain: int = 0


class First(NamedTuple):
    """What a search had come to after the round in which it first cleared its stage.

    length: of the clear, agent steps. The others are those of `Tally`, and of the archive.
    """

    rounds: int
    agent_steps: int
    seconds: float
    cells: int
    length: int


class Search:
    """A search of one stage, from its start or gone on with.

    archive, tally: what it has found. players: its threads. start: the machine at the stage's start. ways_per_round:
    that are played before what they bring is put together.

    Args:
        settings: what is searched.
        jobs: threads that play.
        archive, tally: of a search that is gone on with.

    Raises:
        UserError: the ROM can't be played.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        jobs: int = 1,
        archive: Archive | None = None,
        tally: Tally | None = None,
    ) -> None:
        settings.check()
        load_emulator()
        self.settings = settings
        self.cartridge: Cartridge = load_rom(None)
        self.start = stage_start(self.cartridge, settings.stage).machine
        self._stage = stage_target(settings.stage) >> 8
        self.players = Players(self.cartridge, self._stage, settings.joypad, jobs, STEPS_PER_WAY)
        if archive is None:
            archive = Archive(self.start, KERNELS["key_of"](self.start.ctypes.data))
        self.archive = archive
        self.tally = tally or Tally()
        self.ways_per_round = WAYS_PER_ROUND

    def play_round(self, among: Numbers | None = None) -> None:
        """Return to some cells, explore from each, and keep what is new or reached sooner.

        Args:
            among: int64 (N,), places in the archive to return to; None for all of them, the less seen the more likely.
        """
        archive = self.archive
        generator = np.random.default_rng([self.settings.seed, self.tally.rounds])
        if among is None:
            places = archive.choose(generator, self.ways_per_round)
        else:
            places = among[generator.integers(0, len(among), self.ways_per_round)]
        randoms = generator.integers(1, 1 << 62, self.ways_per_round)
        errands = [
            Errand(archive.state(place), int(archive.steps[place]), b"", STEPS_PER_WAY, int(random))
            for place, random in zip(places.tolist(), randoms, strict=True)
        ]
        origins = archive.pieces[places].tolist()  # before any of them is replaced
        ways = self.players.play(errands, archive.known())
        for errand, origin, way in zip(errands, origins, ways, strict=True):
            self._merge(errand, origin, way)
            self.tally.agent_steps += len(way.taken)
        archive.count(np.concatenate([way.visits[:, 0] for way in ways]))
        self.tally.rounds += 1
        self._forget()

    def adopt(self, clear: bytes) -> Numbers:
        """Put what a clear passes into the archive where it gets there sooner; returns the places: int64 (N,).

        Args:
            clear: actions from the stage's start on, a byte per agent step.
        """
        errand = Errand(self.start, 0, clear, len(clear))
        while True:
            (way,) = self.players.play([errand], self.archive.known())  # which ends where it has found much
            self._merge(errand, ROOT, way)
            if not way.found or self.tally.is_full:
                break
        places = (self.archive.place(key) for key in dict.fromkeys(way.visits[:, 0].tolist()))
        return np.array([place for place in places if place is not None], dtype=np.int64)

    def _merge(self, errand: Errand, origin: int, way: Way) -> None:
        """Put what one way has brought into the archive."""
        archive, tally = self.archive, self.tally
        piece, done = origin, 0
        for key, steps, state in way.found:
            total, place = errand.steps_before + steps, archive.place(key)
            if tally.is_full if place is None else archive.steps[place] <= total:
                continue
            piece, done = archive.tree.add(piece, way.taken[done:steps]), steps
            archive.put(key, total, piece, state)
        if way.end == layout.CLEAR:
            clear = archive.tree.way(origin) + way.taken
            if tally.clear is None or len(clear) < len(tally.clear):
                tally.clear = clear

    def _forget(self) -> None:
        """Drop what is not needed any more, and see to the limit."""
        archive, tally = self.archive, self.tally
        fills = not tally.is_full and archive.num_bytes > self.settings.most_bytes
        if fills or len(archive.tree) > FORGET_FACTOR * tally.kept_pieces + FORGET_MORE:
            archive.forget_pieces()
            tally.kept_pieces = len(archive.tree)
            tally.is_full = tally.is_full or archive.num_bytes > self.settings.most_bytes

    def note_first_clear(self) -> None:
        """Keep what the search has come to now, after the round that cleared the stage."""
        tally = self.tally
        assert tally.clear is not None
        tally.first = First(tally.rounds, tally.agent_steps, tally.seconds, len(self.archive), len(tally.clear))

    def best(self) -> dict[Area, int]:
        """How far it has come: the best x in each area, pixels, in the order in which areas were found."""
        return best_by_area(self.archive.keys)


def best_by_area(keys: Numbers) -> dict[Area, int]:
    """Find the best x of cells in each of their areas, pixels; areas are in the order in which they come first."""
    columns = read_keys(keys)
    areas, firsts, which = np.unique(columns.areas, return_index=True, return_inverse=True)
    best = np.zeros(len(areas), dtype=np.int64)
    np.maximum.at(best, which, columns.x)
    return {area_of(int(areas[one])): int(best[one]) for one in np.argsort(firsts)}
