"""Threads that play ways through the game, each from a state of its own, all at once."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from mario_rl.explore.archive import Numbers
from mario_rl.explore.compiled import layout
from mario_rl.explore.compiled.kernels import KERNELS
from mario_rl.nes import palette
from mario_rl.nes.cartridge import Cartridge
from mario_rl.nes.console import WorkArea, aligned_zeros, row_bytes
from mario_rl.nes.kernels import KERNELS as CONSOLE
from mario_rl.types import Pixels
from mario_rl.workers import Workers

MOST_FOUND = 32
"""States that one way may bring; then it ends, and others go on from them."""


type Known = tuple[Numbers, Numbers]
"""Keys of cells in ascending order, and in how many agent steps each is reached: int64 (N,)."""

NO_NUMBERS = np.zeros(0, dtype=np.int64)


class Errand(NamedTuple):
    """What a thread is to play.

    state: uint8 (row bytes,), to begin at. steps_before: agent steps from the stage's start to it. script: actions to
    take first, a byte each. most_steps: agent steps in all; those after the script are drawn by `random`, not 0.
    """

    state: Pixels
    steps_before: int
    script: bytes
    most_steps: int
    random: int = 1


class Way(NamedTuple):
    """What became of it.

    end: one of `layout.OUT_OF_STEPS` and those after it. taken: an action per agent step. visits: int64 (V, 2), key and
    agent steps since the beginning for each time another cell was entered. machine: after the last step. found: key,
    steps and machine of each state that is new or was reached sooner than is known.
    """

    end: int
    taken: bytes
    visits: Numbers
    machine: Pixels
    found: list[tuple[int, int, Pixels]]


class _Player:
    """What one thread needs for itself."""

    def __init__(self, cartridge: Cartridge, stage: int, actions: Pixels, most_steps: int) -> None:
        self._work = WorkArea(cartridge, palette.INDICES)
        size = row_bytes(cartridge)
        self._machine = aligned_zeros((size,), np.uint8)
        self._states = aligned_zeros((MOST_FOUND, size), np.uint8)
        self._found = aligned_zeros((MOST_FOUND, 2), np.int64)
        self._task = aligned_zeros((layout.TASK_BYTES // 8,), np.int64)
        self._make_room(most_steps)
        self._actions = actions
        self._set(
            {
                layout.MACHINE: self._machine.ctypes.data,
                layout.MACHINE_BYTES: size,
                layout.WORK: self._work.address,
                layout.PLAY_FRAME: CONSOLE.address("play_frame"),
                layout.STAGE: stage,
                layout.ACTION_BYTES: actions.ctypes.data,
                layout.NUM_ACTIONS: len(actions),
                layout.FOUND: self._found.ctypes.data,
                layout.STATES: self._states.ctypes.data,
            }
        )

    def play(self, errand: Errand, known: Known | None) -> Way:
        cells, cell_steps = known or (NO_NUMBERS, NO_NUMBERS)
        if errand.most_steps > len(self._taken):
            self._make_room(errand.most_steps)
        self._machine[:] = errand.state
        script = np.frombuffer(errand.script or b"\0", dtype=np.uint8)
        self._set(
            {
                layout.SCRIPT: script.ctypes.data,
                layout.SCRIPT_STEPS: len(errand.script),
                layout.MOST_STEPS: errand.most_steps,
                layout.RANDOM: errand.random,
                layout.STEPS_BEFORE: errand.steps_before,
                layout.MOST_FOUND: 0 if known is None else MOST_FOUND,
                layout.NUM_CELLS: len(cells),
                layout.CELLS: cells.ctypes.data,
                layout.CELL_STEPS: cell_steps.ctypes.data,
            }
        )
        end = KERNELS["play_on"](self._task.ctypes.data)
        found = [
            (int(key), int(steps), state.copy())
            for (key, steps), state in zip(self._found[: self._get(layout.NUM_FOUND)], self._states, strict=False)
        ]
        return Way(
            end,
            self._taken[: self._get(layout.STEPS)].tobytes(),
            self._visits[: self._get(layout.NUM_VISITS)].copy(),
            self._machine.copy(),
            found,
        )

    def _make_room(self, most_steps: int) -> None:
        self._taken = np.zeros(most_steps, dtype=np.uint8)
        self._visits = np.zeros((most_steps, 2), dtype=np.int64)
        self._set({layout.TAKEN: self._taken.ctypes.data, layout.VISITS: self._visits.ctypes.data})

    def _set(self, numbers: dict[int, int]) -> None:
        for place, number in numbers.items():
            self._task[place // 8] = number

    def _get(self, place: int) -> int:
        return int(self._task[place // 8])


class Players:
    """So many threads; what each brings does not depend on how many there are.

    Args:
        cartridge: what is played.
        stage: world byte * 256 + level byte; ways into other stages are not followed.
        actions: uint8 (number of actions,), a joypad byte each.
        jobs: threads.
        most_steps: agent steps of a way, if it is an ordinary one.
    """

    def __init__(self, cartridge: Cartridge, stage: int, actions: Pixels, jobs: int, most_steps: int) -> None:
        self._workers = Workers(jobs, "explore")
        self._free: queue.SimpleQueue[_Player] = queue.SimpleQueue()
        for _ in range(jobs):
            self._free.put(_Player(cartridge, stage, actions, most_steps))

    def play(self, errands: Sequence[Errand], known: Known | None = None) -> list[Way]:
        """Play all of them; returns what became of each, in their order.

        Args:
            errands: what to play.
            known: what cells are known; None to bring no states.
        """
        futures = [self._workers.submit(partial(self._play, errand, known)) for errand in errands]
        return [future.result() for future in futures]

    def _play(self, errand: Errand, known: Known | None) -> Way:
        player = self._free.get()
        try:
            return player.play(errand, known)
        finally:
            self._free.put(player)
