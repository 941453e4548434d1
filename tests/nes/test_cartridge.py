"""Cartridges: which files are read, what is in them, and that each refusal is one line with the file and the reason."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from gym_super_mario_bros._roms import smb1_rom_path

from mario_rl.errors import UserError
from mario_rl.nes.cartridge import read_cartridge
from mario_rl.nes.console import Console, row_bytes

PROGRAM = Random(0).randbytes(0x8000)
CHARACTERS = Random(1).randbytes(0x2000)


def content(header: dict[int, int] | None = None, *, banks: int = 2, characters: bytes = CHARACTERS) -> bytes:
    """An iNES file of 1 or 2 program banks; `header` sets bytes of its header."""
    first = bytearray(b"NES\x1a" + bytes([banks, 1]) + bytes(10))
    for place, value in (header or {}).items():
        first[place] = value
    return bytes(first) + PROGRAM[: banks * 0x4000] + characters


@pytest.fixture
def rom(tmp_path: Path) -> Path:
    return tmp_path / "some game.nes"


def test_a_program_of_32_kb_fills_the_upper_half_of_memory(rom: Path) -> None:
    rom.write_bytes(content())
    cartridge = read_cartridge(rom)
    assert cartridge.program.tobytes() == PROGRAM
    assert cartridge.characters.tobytes() == CHARACTERS
    assert cartridge.sha256 == sha256(rom.read_bytes()).hexdigest()


def test_a_program_of_16_kb_is_there_twice(rom: Path) -> None:
    rom.write_bytes(content(banks=1))
    assert read_cartridge(rom).program.tobytes() == PROGRAM[:0x4000] * 2


@pytest.mark.parametrize("vertical", [False, True])
def test_name_tables_lie_as_the_header_says(rom: Path, vertical: bool) -> None:
    rom.write_bytes(content({6: int(vertical)}))
    assert read_cartridge(rom).vertical is vertical


def test_what_follows_the_characters_does_not_matter(rom: Path) -> None:
    rom.write_bytes(content() + b"a title")
    assert read_cartridge(rom).characters.tobytes() == CHARACTERS


def test_a_name_that_an_old_tool_has_left_in_the_header_does_not_matter(rom: Path) -> None:
    rom.write_bytes(content(dict(enumerate(b"DiskDude!", start=7))))
    assert read_cartridge(rom).program.tobytes() == PROGRAM


def test_a_cartridge_that_says_nothing_has_8_kb_of_ram(rom: Path) -> None:
    rom.write_bytes(content())
    cartridge = read_cartridge(rom)
    assert cartridge.ram_bytes == 0x2000
    assert len(Console(cartridge).row) == row_bytes(cartridge)


def test_a_nes_2_file_says_how_much_ram_it_has(rom: Path) -> None:
    for shift, ram_bytes in ((0, 0), (4, 1024), (7, 0x2000), (10, 0x2000)):  # no more than there is room for
        rom.write_bytes(content({7: 0x08, 10: shift}))
        assert read_cartridge(rom).ram_bytes == ram_bytes


def test_a_nes_2_file_may_say_more_after_byte_12(rom: Path) -> None:
    rom.write_bytes(content({7: 0x08, 12: 0x02, 15: 0x01}))
    assert read_cartridge(rom).program.tobytes() == PROGRAM


@pytest.mark.emulator
def test_the_game_has_no_ram_of_its_own() -> None:
    cartridge = read_cartridge(Path(smb1_rom_path()))
    assert (cartridge.vertical, cartridge.ram_bytes) == (True, 0)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(b"", "not a ROM", id="empty"),
        pytest.param(b"NES\x1a\x02\x01", "not a ROM", id="a part of the header"),
        pytest.param(b"PK\x03\x04" + content()[4:], "not a ROM", id="something else"),
        pytest.param(content()[:-1], "cut short, 40975 of 40976 bytes", id="without the last byte"),
        pytest.param(content()[:16], "cut short, 16 of 40976 bytes", id="only the header"),
        pytest.param(content({6: 0x10}), "mapper 1 ", id="mapper 1"),
        pytest.param(content({7: 0x40}), "mapper 64 ", id="mapper 64"),
        pytest.param(content({7: 0x08, 8: 0x01}), "mapper 256 ", id="mapper 256 in NES 2.0"),
        pytest.param(content({6: 0x04}), "trainer", id="trainer"),
        pytest.param(content({6: 0x08}), "four name tables", id="four name tables"),
        pytest.param(content({4: 0}), "0 program banks", id="no program"),
        pytest.param(content({4: 4}), "4 program banks", id="too much program"),
        pytest.param(content({5: 0}), "0 character banks", id="characters in RAM"),
        pytest.param(content({5: 2}), "2 character banks", id="too many characters"),
        pytest.param(content({7: 0x08, 9: 0x01}), "258 program banks", id="too much program in NES 2.0"),
    ],
)
def test_a_file_that_is_refused_is_named_with_the_reason_in_one_line(rom: Path, found: bytes, reason: str) -> None:
    rom.write_bytes(found)
    with pytest.raises(UserError) as error:
        read_cartridge(rom)
    message = str(error.value)
    assert message.startswith(f"{rom}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("is_folder", [False, True], ids=["missing", "a folder"])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(rom: Path, is_folder: bool) -> None:
    if is_folder:
        rom.mkdir()
    with pytest.raises(UserError, match=r"some game\.nes: the ROM can't be read \((No such file|Is a directory)"):
        read_cartridge(rom)
