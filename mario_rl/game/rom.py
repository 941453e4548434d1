"""Which ROM is played, and what each of its stages begins with."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mario_rl.errors import UserError
from mario_rl.game.kernels import KERNELS, load_emulator
from mario_rl.nes import layout, palette
from mario_rl.nes.cartridge import Cartridge, read_cartridge
from mario_rl.nes.console import WorkArea, forget_rows, row_bytes
from mario_rl.nes.kernels import KERNELS as CONSOLE
from mario_rl.types import Pixels

VARIABLE = "MARIO_RL_ROM"
SHIPPED_BY, SHIPPED_AS = "gym_super_mario_bros", Path("_roms") / "super-mario-bros.nes"

WHOLE_GAME = "game"
LONGER_WORLDS = (1, 2, 4, 7)
"""Their second stage is the third area, since before it Mario walks into a pipe by himself (decode_target.py)."""


class Start(NamedTuple):
    """A machine in which a stage has just begun, and the screen of that moment.

    machine: uint8 (row bytes,). screen: uint8 (240, 256), numbers of colours.
    """

    machine: Pixels
    screen: Pixels


def find_rom(rom: str | None) -> Path:
    """Say which file is played: the one named, else MARIO_RL_ROM's, else the one that gym-super-mario-bros ships.

    Raises:
        UserError: none is named and that package is not installed.
    """
    named = rom or os.environ.get(VARIABLE)
    if named:
        return Path(named)
    package = find_spec(SHIPPED_BY)
    if package is None or not package.submodule_search_locations:
        raise UserError(
            f"env.rom: no ROM; install gym-super-mario-bros, which ships one, or name a file by env.rom or {VARIABLE}"
        )
    return Path(package.submodule_search_locations[0]) / SHIPPED_AS


def load_rom(rom: str | None) -> Cartridge:
    """Read the ROM that `env.rom` names; each file is read once.

    Raises:
        UserError: there is none, or it can't be played.
    """
    path = find_rom(rom).absolute()
    try:
        written = path.stat().st_mtime_ns
    except OSError:
        written = 0  # reading it says why
    return _read(path, written)


@cache
def _read(path: Path, written: int) -> Cartridge:
    return read_cartridge(path)


def stage_target(stage: str) -> int:
    """Encode what is written to memory to begin at a stage such as "1-2": world, stage and area, from 0, a byte each.

    -1 for the whole game.
    """
    if stage == WHOLE_GAME:
        return -1
    world, level = (int(number) for number in stage.split("-"))
    area = level + (world in LONGER_WORLDS and level >= 2)
    return (world - 1) << 16 | (level - 1) << 8 | (area - 1)


_STARTS: dict[tuple[str, str], Start] = {}


def stage_start(cartridge: Cartridge, stage: str) -> Start:
    """Play from switching on to where a stage can be played, pressing start; remembered.

    Raises:
        UserError: it never comes to that, so the ROM is another game.
    """
    key = cartridge.sha256, stage
    if key not in _STARTS:
        _STARTS[key] = _begin(cartridge, stage)
    return _STARTS[key]


def _begin(cartridge: Cartridge, stage: str) -> Start:
    load_emulator()
    work = WorkArea(cartridge, palette.INDICES)
    machine = np.zeros(row_bytes(cartridge), dtype=np.uint8)
    screen = np.zeros(layout.SCREEN_BYTES, dtype=np.uint8)
    CONSOLE["reset_machine"](machine.ctypes.data, work.rom_address)
    play, target = CONSOLE.address("play_frame"), stage_target(stage)
    if not KERNELS["begin_stage"](machine.ctypes.data, work.address, play, target, screen.ctypes.data):
        raise UserError(f"env.rom: {stage} never begins, so the ROM {cartridge.sha256[:12]}... is another game")
    forget_rows(machine)
    return Start(machine, screen[: layout.WIDTH * layout.HEIGHT].reshape(layout.HEIGHT, layout.WIDTH))
