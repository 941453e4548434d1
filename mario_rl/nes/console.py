"""A console that plays a cartridge frame by frame, and the memory that machines of one thread share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mario_rl.nes import layout, palette
from mario_rl.nes.cartridge import Cartridge
from mario_rl.nes.kernels import KERNELS
from mario_rl.types import Pixels

BLACK = 0x0F  # one of the colours that are
UNEXECUTABLE = 0xFF  # as in cpu.py, which is not imported: it needs Numba


class WorkArea:
    """What the machines that one thread plays need and share; of two threads each has its own.

    address: for compiled code.

    Args:
        cartridge: in all of them.
        colours: uint8 (64,), what each colour is drawn as: `palette.GRAY` or `palette.INDICES`.
    """

    def __init__(self, cartridge: Cartridge, colours: Pixels) -> None:
        image = np.full(0x10000 + 16, UNEXECUTABLE, dtype=np.uint8)
        image[0x8000:0x10000] = cartridge.program
        functions = {
            layout.RUN_PROCESSOR: "execute_until",
            layout.READ: "read_register",
            layout.WRITE: "write_register",
            layout.FETCH: "fetch_instruction",
            layout.ADVANCE_PICTURE: "advance_picture",
            layout.DRAW_LINES: "draw_lines",
            layout.FIND_HIT: "find_hit",
        }
        # Kept here as long as compiled code has their addresses.
        self._arrays: dict[int, np.ndarray[Any, Any]] = {
            layout.ROM: image,
            layout.CHARACTERS: np.array(cartridge.characters),
            layout.PATTERNS: _spread_patterns(cartridge.characters),
            layout.SPREAD: _spread_bytes(),
            layout.COLOURS: np.array(colours),
            layout.TILES: aligned_zeros((layout.ALL_TILE_BYTES,), np.uint8),
            layout.CANVAS: aligned_zeros((layout.CANVAS_BYTES,), np.uint8),
        }
        self._numbers = aligned_zeros((layout.WORK_BYTES // 8,), np.int64)
        numbers = {
            layout.NAME_TABLE_BITS: 0x400 if cartridge.vertical else 0x800,
            layout.CARTRIDGE_RAM_BYTES: cartridge.ram_bytes,
            **{place: KERNELS.address(kernel) for place, kernel in functions.items()},
            **{place: array.ctypes.data for place, array in self._arrays.items()},
        }
        for place, value in numbers.items():
            self._numbers[place // 8] = value
        self.address = int(self._numbers.ctypes.data)
        self.rom_address = int(image.ctypes.data)


def row_bytes(cartridge: Cartridge) -> int:
    """Count the bytes of a machine's state, filled up to whole cache lines."""
    return -(-(layout.CARTRIDGE_RAM + cartridge.ram_bytes) // layout.CACHE_LINES) * layout.CACHE_LINES


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Make an array of zeros that shares no cache line with anything else."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 2 * layout.CACHE_LINES, dtype=np.uint8)
    begin = -memory.ctypes.data % layout.CACHE_LINES
    return memory[begin : begin + size].view(dtype).reshape(shape)


class Console:
    """One machine: its state is `row`, uint8 (`row_bytes`,), see `layout.py`.

    Args:
        cartridge: what it plays. It is switched on: reset, all memory zero.
    """

    def __init__(self, cartridge: Cartridge) -> None:
        self.cartridge = cartridge
        self.row: Pixels = np.zeros(row_bytes(cartridge), dtype=np.uint8)
        self._work = WorkArea(cartridge, palette.INDICES)
        self._screen = np.zeros(layout.SCREEN_BYTES, dtype=np.uint8)
        self.reset()

    @property
    def ram(self) -> Pixels:
        """uint8 (2048,), the live memory: what is written there the game finds."""
        return self.row[: layout.NAME_TABLES]

    @property
    def indices(self) -> Pixels:
        """uint8 (240, 256): the number of each pixel's colour in the frame that was drawn last; live."""
        return self._screen[: layout.WIDTH * layout.HEIGHT].reshape(layout.HEIGHT, layout.WIDTH)

    @property
    def rgb(self) -> Pixels:
        """uint8 (240, 256, 3): the frame that was drawn last, a copy."""
        return to_rgb(self.indices)

    @property
    def gray(self) -> Pixels:
        """uint8 (240, 256): the frame that was drawn last, a copy."""
        return palette.GRAY[self.indices]

    def reset(self) -> None:
        """Press reset: what is in memory stays there, and so does the controller."""
        KERNELS["reset_machine"](self.row.ctypes.data, self._work.rom_address)
        self._screen[:] = BLACK

    def play(self, buttons: int, *, draw: bool = True) -> None:
        """Play a frame with a joypad byte: A, B, select, start, up, down, left, right from bit 0 on."""
        screen = self._screen.ctypes.data if draw else 0
        KERNELS["play_frame"](self.row.ctypes.data, self._work.address, buttons, screen)

    def snapshot(self) -> Pixels:
        """Copy the state."""
        state = self.row.copy()
        forget_rows(state)
        return state

    def restore(self, state: Pixels) -> None:
        """Go back to a snapshot; the controller stays as it is, as in nes-py."""
        self.row[: layout.SNAPSHOT_END] = state[: layout.SNAPSHOT_END]
        self.row[layout.CARTRIDGE_RAM :] = state[layout.CARTRIDGE_RAM :]


_COLOURS = np.concatenate([palette.RGB, np.zeros((64, 1), dtype=np.uint8)], axis=1)


def to_rgb(indices: Pixels) -> Pixels:
    """Turn the numbers of a screen's colours, uint8 (240, 256), into red, green and blue: uint8 (240, 256, 3)."""
    source = np.ascontiguousarray(indices)
    output = np.empty(3 * source.size + 1, dtype=np.uint8)
    KERNELS["colour_screen"](source.ctypes.data, _COLOURS.ctypes.data, output.ctypes.data)
    return output[:-1].reshape(*source.shape, 3)


def forget_rows(state: Pixels) -> None:
    """Do what nes-py does on restoring a snapshot: sprite rows that were read ahead are read again."""
    state[layout.ROWS_KEPT : layout.ROWS_KEPT + 8] = 0


def _spread_bytes() -> Pixels:
    """uint8 (256, 8): 255 for each bit of a byte that is set, the leftmost pixel first."""
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1) * np.uint8(255)


def _spread_patterns(characters: Pixels) -> Pixels:
    """uint8 (512, 8, 2, 8): of each pattern, row and plane eight bytes, 255 where the bit is set."""
    planes = characters.reshape(512, 2, 8)
    bits = np.unpackbits(planes[..., np.newaxis], axis=-1) * np.uint8(255)
    return np.ascontiguousarray(bits.transpose(0, 2, 1, 3))
