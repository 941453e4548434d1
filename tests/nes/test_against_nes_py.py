"""The console is what nes-py is: the same programs on both, all RAM and all pixels compared after every frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from gym_super_mario_bros._roms import smb1_rom_path, smb2jp_rom_path
from nes_programs import (
    BEQ,
    BNE,
    BPL,
    INC,
    JMP,
    LDA,
    LDX,
    LOUD,
    NOP,
    RTI,
    SILENT,
    STA,
    Pair,
    Program,
    computing_program,
    disturbing_program,
    ines,
    play_at_random,
)

from mario_rl.game.addresses import OPERATION_MODE

FRAMES = 20  # of each random program
FRAMES_UNTIL_WRAP = 59_600  # the step's end has gone through the whole picture; two vertical blankings in one step

seeds = pytest.mark.parametrize("block", range(4))
more_seeds = pytest.mark.parametrize("block", range(40))


def play_random_programs(
    folder: Path, block: int, size: int, make: Callable[[Random], bytes], frames: int = FRAMES
) -> None:
    """Play the programs of `size` seeds, which no other block has."""
    for seed in range(block * size, (block + 1) * size):
        random = Random(seed)
        path = folder / f"{seed}.nes"
        path.write_bytes(make(random))
        pair = Pair(path)
        try:
            play_at_random(pair, random, frames)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def pair_of(folder: Path, program: bytes) -> Pair:
    path = folder / "program.nes"
    path.write_bytes(program)
    return Pair(path)


# --- Programs that compute. ---


@seeds
def test_documented_opcodes_compute_the_same(tmp_path: Path, block: int) -> None:
    play_random_programs(tmp_path, block, 6, computing_program)


@pytest.mark.slow
@more_seeds
def test_documented_opcodes_compute_the_same_in_many_programs(tmp_path: Path, block: int) -> None:
    play_random_programs(tmp_path, 100 + block, 50, computing_program)


def test_opcodes_nobody_documents_do_what_they_do_in_nes_py(tmp_path: Path) -> None:
    play_random_programs(tmp_path, 0, 12, lambda random: computing_program(random, SILENT))


@pytest.mark.slow
def test_opcodes_nobody_documents_do_what_they_do_in_nes_py_in_many_programs(tmp_path: Path) -> None:
    play_random_programs(tmp_path, 1, 300, lambda random: computing_program(random, SILENT))


def test_opcodes_nes_py_refuses_are_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    play_random_programs(tmp_path, 0, 2, lambda random: computing_program(random, LOUD), frames=10)
    capfd.readouterr()  # nes-py prints a line for each of them


def test_a_subroutine_called_from_the_stack_may_be_another_after_the_push(tmp_path: Path) -> None:
    program = Program(0x4000)
    program.put(INC, 0x0210)
    end = program.here
    program.put(JMP, end)
    reset = program.here
    for place, byte in enumerate([0x20, 0x00, 0xC1, NOP]):  # JSR $C100 at $01FA; the return address replaces the target
        program.store(byte, 0x01FA + place)
    program.add(LDX, 0xFC, 0x9A)
    program.put(JMP, 0x01FA)
    pair = pair_of(tmp_path, ines(program.finish(nmi=end, reset=reset, brk=0xC000)))
    pair.play()
    assert pair.console.ram[0x01FC] == 0x01, "the return address lies where the target was"


# --- Programs that disturb the picture. ---


@seeds
def test_registers_may_be_touched_at_any_moment(tmp_path: Path, block: int) -> None:
    play_random_programs(tmp_path, block, 12, disturbing_program)


@pytest.mark.slow
@more_seeds
def test_registers_may_be_touched_at_any_moment_in_many_programs(tmp_path: Path, block: int) -> None:
    play_random_programs(tmp_path, 100 + block, 100, disturbing_program)


def test_a_controller_that_was_never_written_to_shows_button_a(tmp_path: Path) -> None:
    program = Program(0x4000)
    reset = program.here
    program.put(0xAD, 0x4016)
    program.put(STA, 0x0200)
    program.put(JMP, reset)
    pair = pair_of(tmp_path, ines(program.finish(nmi=reset, reset=reset, brk=reset)))
    for buttons, shown in ((0x01, 0x41), (0xFE, 0x40), (0xFF, 0x41)):
        pair.play(buttons)
        assert pair.console.ram[0x0200] == shown


WAITS = {
    "for blanking": [0xAD, 0x02, 0x20, BPL, 0xFB],
    "for the end of a hit": [0xAD, 0x02, 0x20, 0x29, 0x40, BNE, 0xF9],
    "for a hit": [0xAD, 0x02, 0x20, 0x29, 0x40, BEQ, 0xF9],
    "for blanking, by BIT": [0x2C, 0x02, 0x20, BPL, 0xFB],
    "for an interrupt": [],
}


@pytest.mark.parametrize("nmi", [False, True], ids=["without interrupt", "with interrupt"])
@pytest.mark.parametrize("wait", WAITS)
def test_loops_that_wait_end_at_the_same_cycle(tmp_path: Path, wait: str, nmi: bool) -> None:
    """What comes after the loop counts in RAM until the next one, so the counts say when it ended."""
    for offset in (0x00, *range(0xF8, 0x100)):  # some of them cross a page
        program = Program(0x4000)
        interrupt = program.put(INC, 0x0201)
        program.add(RTI)
        reset = program.here
        program.store(0x00, 0x2001)
        program.put(0xAD, 0x2002)
        for value in (0x20, 0x00):
            program.store(value, 0x2006)
        for _ in range(32 * 4):
            program.store(0x01, 0x2007)  # four rows of an opaque tile, and a sprite on them
        program.store(16, 0x2004)
        program.store(0x01, 0x2004)
        program.store(0x00, 0x2004)
        program.store(100, 0x2004)
        for _ in range(2):
            program.store(0x00, 0x2005)
        program.store(0x80 if nmi else 0x00, 0x2000)
        program.store(0x1E, 0x2001)
        program.align(offset)
        loop = program.add(*WAITS[wait])
        if wait == "for an interrupt":
            program.put(JMP, loop)
        program.put(INC, 0x0200)
        program.put(JMP, loop)
        characters = b"\0" * 16 + b"\xff" * 16
        code = program.finish(nmi=interrupt, reset=reset, brk=reset)
        pair = pair_of(tmp_path, ines(code, characters.ljust(0x2000, b"\0")))
        for frame in range(12):
            pair.play(draw=frame % 2 == 0)


def test_sprites_listed_below_the_picture_show_on_its_first_line(tmp_path: Path) -> None:
    """nes-py shows the list for line 240 on line 0; two sprites or more as they were, unless something has changed."""
    for count in (1, 2, 9):
        for change in (None, 0x2000, 0x2001, 0x2003, 0x2004, 0x4014, 0x2007):
            for long in (0x00, 0x20):
                program = Program(0x4000)
                interrupt = program.here
                if change is not None:
                    program.add(LDA, {0x2000: 0x80 | long, 0x2001: 0x1E, 0x4014: 0x02}.get(change, 0))
                    program.put(STA, change)
                program.add(RTI)
                reset = program.here
                program.store(0x00, 0x2001)
                program.put(0xAD, 0x2002)
                for value in (0x3F, 0x00):
                    program.store(value, 0x2006)
                for colour in range(32):
                    program.store(colour, 0x2007)
                for sprite in range(count):
                    for place, value in enumerate((239 - sprite % 8, 1 + sprite, sprite % 4, 20 * sprite)):
                        program.store(value, 0x0200 + 4 * sprite + place)
                program.store(0x02, 0x4014)
                program.store(0x80 | long, 0x2000)
                program.store(0x1E, 0x2001)
                loop = program.here
                program.put(JMP, loop)
                characters = bytes(Random(count).randrange(256) for _ in range(0x2000))
                pair = pair_of(tmp_path, ines(program.finish(nmi=interrupt, reset=reset, brk=reset), characters))
                for frame in range(5):
                    pair.play(draw=frame > 1)
                    if frame == 3:
                        pair.restore(pair.snapshot())
                assert pair.console.indices[0].any(), "something shows on the first line"


# --- The real game. ---


def the_game() -> Pair:
    return Pair(Path(smb1_rom_path()))


def held_buttons(random: Random, frames: int) -> list[int]:
    """Random bytes, each held for a while."""
    held: list[int] = []
    while len(held) < frames:
        held += [random.randrange(256)] * random.randrange(1, 30)
    return held[:frames]


def start_game(pair: Pair) -> None:
    """Press start until the level is there."""
    for frame in range(250):
        pair.play(0x08 if frame % 40 < 4 else 0x00, draw=frame % 16 == 0)


@pytest.mark.emulator
def test_the_game_runs_the_same_from_power_on() -> None:
    random, pair = Random(0), the_game()
    for buttons in held_buttons(random, 300):
        pair.play(buttons, draw=random.random() < 0.5)


@pytest.mark.emulator
def test_the_game_goes_on_the_same_from_snapshots() -> None:
    random, pair = Random(1), the_game()
    start_game(pair)
    play_at_random(pair, random, 200, resets=False)


@pytest.mark.emulator
def test_another_game_runs_the_same_the_lost_levels() -> None:
    random, pair = Random(2), Pair(Path(smb2jp_rom_path()))
    start_game(pair)
    assert pair.console.ram[OPERATION_MODE] == 1  # it is being played
    play_at_random(pair, random, 300, resets=False)


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_the_game_runs_the_same_for_minutes(seed: int) -> None:
    random, pair = Random(seed), the_game()
    start_game(pair)
    for number, buttons in enumerate(held_buttons(random, 8_000)):
        if seed % 2:
            buttons = buttons & 0x03 | 0x80  # to the right, so that there is more to see
        pair.play(buttons, draw=random.random() < 0.3)
        if number % 1000 == 999:
            pair.restore(pair.snapshot())


@pytest.mark.emulator
@pytest.mark.slow
def test_the_game_runs_the_same_where_a_step_has_two_blankings() -> None:
    pair = the_game()
    for _ in range(FRAMES_UNTIL_WRAP - 300):
        pair.nes_py._frame_advance(0)
        pair.console.play(0, draw=False)
    assert np.array_equal(pair.nes_py.ram, pair.console.ram)
    for frame in range(600):
        pair.play(draw=frame % 3 != 0)
