"""Cartridges: iNES files of the simplest kind, NROM (mapper 0), which is Super Mario Bros.'s."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mario_rl.errors import UserError
from mario_rl.types import Pixels

HEADER_BYTES = 16
MAGIC = b"NES\x1a"
PROGRAM_BANK_BYTES, CHARACTER_BANK_BYTES, RAM_BANK_BYTES = 0x4000, 0x2000, 0x2000
SUPER_MARIO_BROS_PAL = "ec299b990e8bfee8ba46e3f61d63b2e1ae5b8a2e431de84e2e4bbd692dc53586"
"""SHA-256 of the file that gym-super-mario-bros ships."""

WITHOUT_RAM = (SUPER_MARIO_BROS_PAL,)
"""Files that say nothing of RAM, which means 8 kB of it, and don't use any: their states need no room for it."""


@dataclass(frozen=True)
class Cartridge:
    """What is in a file.

    sha256: of the whole file, hexadecimal.
    program: uint8 (32768,), what the processor sees from $8000 on.
    characters: uint8 (8192,), two pages of 256 patterns of 16 bytes.
    vertical: whether the name tables lie side by side (vertical mirroring), not one above the other.
    ram_bytes: RAM of its own, from $6000 on.
    """

    sha256: str
    program: Pixels
    characters: Pixels
    vertical: bool
    ram_bytes: int


def read_cartridge(path: Path) -> Cartridge:
    """Read an iNES or NES 2.0 file.

    Raises:
        UserError: there is no such file, it is not whole, or it is of a kind that this console does not play; the
            message names the file and the reason.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the ROM can't be read ({error.strerror})") from error
    return parse_cartridge(content, str(path))


def parse_cartridge(content: bytes, source: str) -> Cartridge:
    """Make a cartridge of a file's content; `source` names it in messages. Raises as `read_cartridge`."""
    header = content[:HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[:4] != MAGIC:
        raise UserError(f"{source}: not a ROM, an iNES file begins with NES and 0x1A")
    is_nes_2 = header[7] & 0x0C == 0x08
    # Old tools wrote their names over bytes 7 to 15.
    high = header[7] & 0xF0 if is_nes_2 or not any(header[12:]) else 0
    mapper = header[6] >> 4 | high | ((header[8] & 0x0F) << 8 if is_nes_2 else 0)
    program_banks = header[4] | ((header[9] & 0x0F) << 8 if is_nes_2 else 0)
    character_banks = header[5] | ((header[9] & 0xF0) << 4 if is_nes_2 else 0)
    if mapper != 0:
        raise UserError(f"{source}: a ROM with mapper {mapper} is not supported; only mapper 0 (NROM) is")
    for refused, what in (
        (header[6] & 0x04, "with a trainer"),
        (header[6] & 0x08, "with four name tables"),
        (program_banks not in (1, 2), f"with {program_banks} program banks (NROM has 1 or 2)"),
        (character_banks != 1, f"with {character_banks} character banks (NROM has 1)"),
    ):
        if refused:
            raise UserError(f"{source}: a ROM {what} is not supported")
    size = HEADER_BYTES + program_banks * PROGRAM_BANK_BYTES + CHARACTER_BANK_BYTES
    if len(content) < size:
        raise UserError(f"{source}: the ROM is cut short, {len(content)} of {size} bytes are there")
    program = np.frombuffer(content[HEADER_BYTES : size - CHARACTER_BANK_BYTES], dtype=np.uint8)
    sha256 = hashlib.sha256(content).hexdigest()
    return Cartridge(
        sha256=sha256,
        program=np.tile(program, 2 // program_banks),
        characters=np.frombuffer(content[size - CHARACTER_BANK_BYTES : size], dtype=np.uint8),
        vertical=bool(header[6] & 0x01),
        ram_bytes=0 if sha256 in WITHOUT_RAM else _ram_bytes(header, is_nes_2=is_nes_2),
    )


def _ram_bytes(header: bytes, *, is_nes_2: bool) -> int:
    shift = max(header[10] & 0x0F, header[10] >> 4)  # with a battery or without
    old_style = (header[8] or 1) * RAM_BANK_BYTES
    size = (64 << shift if shift else 0) if is_nes_2 else old_style
    return min(size, RAM_BANK_BYTES)  # all there is room for between $6000 and $7FFF
