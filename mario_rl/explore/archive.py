"""The archive: of each cell that was reached the shortest way to it, the state at its end, and how often it was seen.

Ecoffet et al. 2021, "First return, then explore", Nature 590: a search goes back to a cell by its state, explores from
there, and keeps every cell that is new or reached sooner.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mario_rl.explore.compiled import layout
from mario_rl.explore.pieces import ROOT, Pieces
from mario_rl.types import Pixels

type Numbers = NDArray[np.int64]

type Area = tuple[int, int]
"""Area type and offset, as `mario_rl.envs.progress.Position` has it: the map that is loaded."""

CELL_BYTES = 250
"""About what a cell takes in memory besides its state and its pieces."""

SCREEN_TOP = 256
"""Pixels of y that the game counts above the screen."""

FASTEST = 1
"""Of zlib's levels: a state of 4,640 bytes becomes about 800."""


class Cells(NamedTuple):
    """What the keys of cells say: int64 (N,) each.

    areas: see `area_of`. x, y: left and upper edge, pixels in the area; the screen's top has y 0, and above it y is
    negative. power: 0 small, 1 tall, 2 with fireballs. passed, right: parts of a maze, in all and the right way.
    """

    areas: Numbers
    x: Numbers
    y: Numbers
    power: Numbers
    passed: Numbers
    right: Numbers


def read_keys(keys: Numbers) -> Cells:
    """Take keys apart."""

    def field(shift: int, bits: int) -> Numbers:
        return keys >> shift & (1 << bits) - 1

    x = field(0, layout.X_BITS)
    x -= (x >> layout.X_BITS - 1) << layout.X_BITS  # negative for some frames at the beginning of areas
    return Cells(
        field(layout.OFFSET_SHIFT, layout.OFFSET_BITS + layout.TYPE_BITS),
        x * layout.GRID,
        field(layout.Y_SHIFT, layout.Y_BITS) * layout.GRID - SCREEN_TOP,
        field(layout.POWER_SHIFT, layout.POWER_BITS),
        field(layout.PASSED_SHIFT, layout.COUNTER_BITS),
        field(layout.RIGHT_SHIFT, layout.COUNTER_BITS),
    )


def area_of(number: int) -> Area:
    """Which map a number of `Cells.areas` is."""
    return number >> layout.OFFSET_BITS, number & (1 << layout.OFFSET_BITS) - 1


def weights(seen: Numbers) -> NDArray[np.float64]:
    """How likely each cell is returned to, not yet divided by their sum: 1 / sqrt(seen + 1), as the paper has it."""
    likely: NDArray[np.float64] = 1.0 / np.sqrt(seen + 1.0)
    return likely


class Archive:
    """Cells in the order in which they were found.

    keys, seen, steps, pieces: int64 (N,): of each cell its key, how often it was entered, the agent steps of the
        shortest way to it and that way's last piece. states: the machine at its end, packed. tree: all pieces.

    Args:
        start: uint8 (row bytes,), the machine at the stage's start.
        key: of the cell it is in.
    """

    def __init__(self, start: Pixels, key: int) -> None:
        self._begin(np.zeros((4, 0), dtype=np.int64), [], Pieces())
        self.put(key, 0, ROOT, start)

    @classmethod
    def restored(cls, numbers: Numbers, states: list[bytes], tree: Pieces) -> Self:
        """Make an archive of what another one had.

        Args:
            numbers: int64 (4, N), its keys, seen, steps and pieces.
            states: its states, packed.
            tree: its pieces.
        """
        archive = cls.__new__(cls)
        archive._begin(numbers, states, tree)
        return archive

    def _begin(self, numbers: Numbers, states: list[bytes], tree: Pieces) -> None:
        self.tree, self.states = tree, states
        self._numbers = np.zeros((4, max(1024, numbers.shape[1])), dtype=np.int64)
        self._numbers[:, : numbers.shape[1]] = numbers
        self._places = {key: place for place, key in enumerate(numbers[0].tolist())}
        self._state_bytes = sum(map(len, states))
        self._order: tuple[Numbers, Numbers] | None = None

    def __len__(self) -> int:
        return len(self.states)

    @property
    def keys(self) -> Numbers:
        return self._numbers[0, : len(self)]

    @property
    def seen(self) -> Numbers:
        return self._numbers[1, : len(self)]

    @property
    def steps(self) -> Numbers:
        return self._numbers[2, : len(self)]

    @property
    def pieces(self) -> Numbers:
        return self._numbers[3, : len(self)]

    @property
    def num_bytes(self) -> int:
        """About what all of it takes in memory."""
        return self._state_bytes + CELL_BYTES * len(self) + self.tree.num_bytes

    def place(self, key: int) -> int | None:
        """Where a cell is; None where it was never reached."""
        return self._places.get(key)

    def state(self, place: int) -> Pixels:
        """The machine at the end of the shortest way to a cell: uint8 (row bytes,), a copy."""
        return np.frombuffer(zlib.decompress(self.states[place]), dtype=np.uint8)

    def put(self, key: int, steps: int, piece: int, state: Pixels) -> None:
        """Keep a cell that is new, or a shorter way to one that is not."""
        packed = zlib.compress(state.tobytes(), FASTEST)
        self._order = None
        place = self._places.get(key)
        if place is None:
            place = len(self)
            if place == self._numbers.shape[1]:
                self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)], axis=1)
            self._places[key] = place
            self.states.append(packed)
        else:
            self._state_bytes -= len(self.states[place])
            self.states[place] = packed
        self._state_bytes += len(packed)
        self._numbers[:, place] = (key, self._numbers[1, place], steps, piece)

    def known(self) -> tuple[Numbers, Numbers]:
        """All keys in ascending order, and the steps of each: int64 (N,)."""
        if self._order is None:
            order = np.argsort(self.keys)
            self._order = self.keys[order], self.steps[order]
        return self._order

    def count(self, keys: Numbers) -> None:
        """Count visits: a key for each time a cell was entered; cells that are not kept don't count."""
        places = np.array([self._places.get(key, -1) for key in keys.tolist()], dtype=np.int64)
        self._numbers[1, : len(self)] += np.bincount(places[places >= 0], minlength=len(self))

    def choose(self, generator: np.random.Generator, number: int) -> Numbers:
        """Draw cells to return to, with replacement: int64 (number,), places."""
        cumulative = np.cumsum(weights(self.seen))
        drawn: Numbers = np.searchsorted(cumulative[:-1], generator.random(number) * cumulative[-1], side="right")
        return drawn

    def forget_pieces(self) -> None:
        """Drop the pieces of ways that shorter ones have replaced."""
        numbers = self.tree.keep(self.pieces.tolist())
        self.pieces[:] = [numbers[piece] for piece in self.pieces.tolist()]
