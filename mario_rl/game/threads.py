"""The threads that play N games: what each needs for it, and those that help the one that steps."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from mario_rl.game import layout
from mario_rl.game.arrays import Numbers
from mario_rl.game.kernels import KERNELS
from mario_rl.game.tables import SCRATCH_BYTES
from mario_rl.nes import layout as console
from mario_rl.nes.cartridge import Cartridge
from mario_rl.nes.console import WorkArea, aligned_zeros, row_bytes
from mario_rl.types import Pixels


class Thread:
    """What one thread needs to play games."""

    def __init__(self, cartridge: Cartridge, colours: Pixels, turn: Numbers) -> None:
        self._work = WorkArea(cartridge, colours)
        self._screens = aligned_zeros((2, console.SCREEN_BYTES), dtype=np.uint8)
        self._spare = aligned_zeros((row_bytes(cartridge) + layout.GAME_BYTES,), dtype=np.uint8)
        self._scratch = aligned_zeros((SCRATCH_BYTES // 8 + 8,), dtype=np.int64)
        self._turn = turn
        self._numbers = aligned_zeros((layout.THREAD_BYTES // 8,), dtype=np.int64)
        for place, value in {
            layout.WORK: self._work.address,
            layout.SCREENS: self._screens.ctypes.data,
            layout.SPARE: self._spare.ctypes.data,
            layout.SCRATCH: self._scratch.ctypes.data,
            layout.TURN: turn.ctypes.data,
        }.items():
            self._numbers[place // 8] = value
        self.address = int(self._numbers.ctypes.data)
        self.wish(-1, -1, 0)

    @property
    def screen(self) -> Pixels:
        """uint8 (240, 256): the first of its screens."""
        return self._screens[0, : console.WIDTH * console.HEIGHT].reshape(console.HEIGHT, console.WIDTH)

    @property
    def is_asleep(self) -> bool:
        """Whether it waits to be told of the next turn."""
        return bool(self._numbers[layout.ASLEEP // 8])

    def wish(self, stage: int, frames: int, address: int) -> None:
        """Say how the next reset begins; -1 to draw.

        Args:
            stage: its place in the list of stages.
            frames: how many are played first.
            address: of a joypad byte for each; 0 for no input.
        """
        self._numbers[layout.WISHED_STAGE // 8] = stage
        self._numbers[layout.WISHED_NOOPS // 8] = frames
        self._numbers[layout.WISHED_BYTES // 8] = address


class Helper:
    """A thread that plays with the one that steps; between turns that follow each other it does not even sleep."""

    def __init__(self, rules: Numbers, thread: Thread) -> None:
        self._rules, self._thread = rules, thread  # kept: it may look at them when the games are gone already
        self._ended = False
        self._told = threading.Semaphore(0)
        # A daemon: nobody has to close games before a program ends.
        self._running = threading.Thread(target=self._run, name="game", daemon=True)
        self._running.start()

    def wake(self) -> None:
        """Have it look for a turn, if it sleeps; it looks for a while, so it sees one that is about to begin."""
        if self._thread.is_asleep and KERNELS["wake"](self._thread.address):
            self._told.release()

    def end(self) -> None:
        """Have it return, soon."""
        self._ended = True
        self.wake()

    def _run(self) -> None:
        help_out = KERNELS["help_out"]
        while not self._ended:
            if help_out(self._rules.ctypes.data, self._thread.address) and not self._ended:
                self._told.acquire()


def end_all(helpers: Sequence[Helper]) -> None:
    """Have all of them return, soon."""
    for helper in helpers:
        helper.end()
