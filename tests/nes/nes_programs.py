"""Programs for the console that no one has written: made at random, in iNES files, for both emulators to play."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
from nes_py import NESEnv

from mario_rl.nes.cartridge import read_cartridge
from mario_rl.nes.console import Console

LDA, LDX, LDY, STA, STX, JMP, JSR, RTS, RTI, PHA = 0xA9, 0xA2, 0xA0, 0x8D, 0x8E, 0x4C, 0x20, 0x60, 0x40, 0x48
DEX, DEY, BNE, BEQ, BPL, NOP, TXS, INC = 0xCA, 0x88, 0xD0, 0xF0, 0x10, 0xEA, 0x9A, 0xEE


def ines(program: bytes, characters: bytes = bytes(0x2000), *, vertical: bool = False) -> bytes:
    """The content of a file: NROM with 16 or 32 kB of program."""
    header = b"NES\x1a" + bytes([len(program) // 0x4000, 1, int(vertical)])
    return header.ljust(16, b"\0") + program + characters


class Program:
    """Machine code of 16 or 32 kB, which ends at $FFFF; `here` is where the next byte will lie."""

    def __init__(self, size: int) -> None:
        self.origin, self.size = 0x10000 - size, size
        self.code = bytearray()

    @property
    def here(self) -> int:
        return self.origin + len(self.code)

    @property
    def room(self) -> int:
        return self.size - len(self.code)

    def add(self, *code: int) -> int:
        """Append bytes; returns where they lie."""
        begin = self.here
        self.code += bytes(code)
        return begin

    def put(self, opcode: int, address: int) -> int:
        """Append an instruction with a word."""
        return self.add(opcode, address & 0xFF, address >> 8)

    def patch(self, address: int, value: int) -> None:
        """Overwrite a byte."""
        self.code[address - self.origin] = value & 0xFF

    def branch(self, opcode: int, target: int) -> None:
        """Append a branch."""
        self.add(opcode, target - self.here - 2 & 0xFF)

    def store(self, value: int, address: int) -> None:
        self.add(LDA, value)
        self.put(STA, address)

    def align(self, offset: int) -> None:
        """Fill with NOP up to an offset in a page."""
        while self.here & 0xFF != offset & 0xFF:
            self.add(NOP)

    def finish(self, *, nmi: int, reset: int, brk: int) -> bytes:
        """All bytes, with the three vectors at the end."""
        assert self.room >= 6, "the program is too long"
        vectors = b"".join(address.to_bytes(2, "little") for address in (nmi, reset, brk))
        return bytes(self.code).ljust(self.size - 6, bytes([NOP])) + vectors


class Pair:
    """The same cartridge in nes-py and in the console; whatever is done is done to both, and compared.

    frames and pictures: counted, so that a test can say how much it has compared.
    """

    def __init__(self, path: Path) -> None:
        self.nes_py = NESEnv(str(path))
        self.nes_py.reset()
        self.console = Console(read_cartridge(path))
        self.frames = self.pictures = 0

    def reset(self) -> None:
        self.nes_py.reset()
        self.console.reset()

    def snapshot(self) -> tuple[object, object]:
        return self.nes_py.dump_state(), self.console.snapshot()

    def restore(self, states: tuple[object, object]) -> None:
        self.nes_py.load_state(states[0])
        self.console.restore(states[1])

    def write(self, address: int, value: int) -> None:
        """Write to RAM from outside, as environments do."""
        self.nes_py.ram[address] = self.console.ram[address] = value

    def play(self, buttons: int = 0, *, draw: bool = True) -> None:
        self.nes_py._frame_advance(buttons)
        self.console.play(buttons, draw=draw)
        self.frames += 1
        differing = np.flatnonzero(self.nes_py.ram != self.console.ram)
        if differing.size:
            shown = [f"{at:04X}: {self.nes_py.ram[at]:02X} and {self.console.ram[at]:02X}" for at in differing[:8]]
            raise AssertionError(f"RAM differs after frame {self.frames}: {', '.join(shown)}")
        if draw:
            self.pictures += 1
            unlike = np.argwhere((self.nes_py.screen != self.console.rgb).any(axis=-1))
            if len(unlike):
                lines = f"lines {unlike[0, 0]} to {unlike[-1, 0]}"
                raise AssertionError(f"{len(unlike)} pixels of frame {self.frames} differ, {lines}, first {unlike[0]}")


def play_at_random(pair: Pair, random: Random, frames: int, *, resets: bool = True) -> None:
    """Play with random buttons, some frames unseen; now and then go back to a snapshot, rarely press reset."""
    states = [pair.snapshot()]
    for _ in range(frames):
        pair.play(random.randrange(256), draw=random.random() < 0.7)
        event = random.random()
        if event < 0.12:
            states.append(pair.snapshot())
        elif event < 0.2:
            pair.restore(random.choice(states))
        elif event < 0.22 and resets:
            pair.reset()


# --- Programs that only compute. ---

READ_MODES = {  # by addressing mode: LDA, ORA, AND, EOR, ADC, CMP, SBC and others that read
    "immediate": bytes.fromhex("A9 A2 A0 69 E9 29 09 49 C9 E0 C0"),
    "zero_page": bytes.fromhex("A5 A6 A4 65 E5 25 05 45 C5 E4 C4 24"),
    "zero_page_indexed": bytes.fromhex("B5 B6 B4 75 F5 35 15 55 D5"),
    "absolute": bytes.fromhex("AD AE AC 6D ED 2D 0D 4D CD EC CC 2C"),
    "absolute_indexed": bytes.fromhex("BD B9 BE BC 7D 79 FD F9 3D 39 1D 19 5D 59 DD D9"),
    "indirect": bytes.fromhex("A1 B1 61 71 E1 F1 21 31 01 11 41 51 C1 D1"),
}
WRITE_MODES = {  # STA, STX, STY, shifts and increments
    "zero_page": bytes.fromhex("85 86 84 06 46 26 66 E6 C6"),
    "zero_page_indexed": bytes.fromhex("95 96 94 16 56 36 76 F6 D6"),
    "absolute": bytes.fromhex("8D 8E 8C 0E 4E 2E 6E EE CE"),
    "absolute_indexed": bytes.fromhex("9D 99 1E 5E 3E 7E FE DE"),
    "indirect": bytes.fromhex("81 91"),
}
IMPLIED = bytes.fromhex("0A 4A 2A 6A AA A8 8A 98 E8 C8 CA 88 18 38 58 78 D8 F8 B8 EA")
ON_STACK = bytes.fromhex("48 68 08 28 BA 9A")
BRANCHES = bytes.fromhex("10 30 50 70 90 B0 D0 F0")
SILENT = bytes.fromhex("34 3C 80 9C D4 DC F4 FC 89 82 9E 02 22 42 62 C2 E2 DF")
"""Undocumented opcodes that nes-py executes; it prints a line for each of the others."""
LOUD = bytes.fromhex("03 04 0C 12 14 1A 1C 44 54 5C 7C A3 EB FF")

RAM_CODE = 0x0400  # a page of code in RAM, which nothing else writes to


def random_ram(random: Random, *, reach: int, quiet: bool) -> int:
    """An address in RAM or a mirror of it, whose next `reach` bytes may be written to; not by interrupts if `quiet`."""
    pages = [(0x500, 0x800)] if quiet else [(0x000, 0x300), (0x500, 0x800)]
    begin, end = random.choice(pages)
    return random.randrange(begin, end - reach) + 0x800 * random.randrange(4)


def random_instruction(program: Program, random: Random, *, quiet: bool) -> None:
    """One instruction that changes registers, flags and memory; `quiet` ones leave the stack and low pages alone."""
    kind = random.random()
    if kind < 0.25:
        program.add(random.choice(IMPLIED))
        return
    if kind < 0.32 and not quiet:
        program.add(random.choice(ON_STACK))
        return
    writes = random.random() < 0.35
    mode = random.choice(list(WRITE_MODES if writes else READ_MODES))
    if quiet and writes and mode.startswith("zero_page"):
        mode = "absolute"
    opcode = random.choice((WRITE_MODES if writes else READ_MODES)[mode])
    reach = 0x100 if "indexed" in mode or mode == "indirect" else 1
    if writes or random.random() < 0.6:
        address = random_ram(random, reach=reach, quiet=quiet)
    else:
        address = random.randrange(program.origin, 0x10000)
    if mode in ("immediate", "zero_page", "zero_page_indexed"):
        program.add(opcode, random.randrange(256))
    elif mode.startswith("absolute"):
        program.put(opcode, address)
    elif not quiet:
        place = random.randrange(0xF0, 0x100)
        program.add(LDA, address & 0xFF, 0x85, place, LDA, address >> 8, 0x85, place + 1 & 0xFF)
        if opcode & 0x10:
            program.add(LDY, random.randrange(256), opcode, place)
        else:
            x = random.randrange(256)
            program.add(LDX, x, opcode, place - x & 0xFF)


def random_block(program: Program, random: Random, *, quiet: bool = False) -> None:
    """A few instructions, with branches forwards over some of them."""
    for _ in range(random.randrange(1, 8)):
        if random.random() < 0.3:
            place = program.add(random.choice(BRANCHES), 0)
            for _ in range(random.randrange(3)):
                random_instruction(program, random, quiet=quiet)
            program.patch(place + 1, program.here - place - 2)
        else:
            random_instruction(program, random, quiet=quiet)


def random_loop(program: Program, random: Random) -> None:
    """Count down around a block that may count as well."""
    counts_y = random.random() < 0.5
    program.add(LDY if counts_y else LDX, random.randrange(1, 40))
    begin = program.here
    for _ in range(random.randrange(4)):
        program.add(random.choice([0x0A, 0x2A, 0x18, 0x38, 0xEA, 0x48]), 0x65, random.randrange(256))
    program.put(0x79 if counts_y else 0x7D, random_ram(random, reach=0x100, quiet=False))
    program.add(DEY if counts_y else DEX)
    program.branch(BNE, begin)


def random_jump(program: Program, random: Random, subroutines: list[int]) -> None:
    """Go on somewhere else, and come back: by all the ways there are."""
    kind = random.randrange(6)
    if kind == 0:
        program.put(JSR, random.choice(subroutines))
    elif kind == 1:
        program.put(JMP, program.here + 3)
    elif kind == 2:  # the pointer's second byte comes from the beginning of its page
        place = random.choice([0x02FF, 0x02F0, 0x0AFF])
        second = place & 0xFF00 | place + 1 & 0xFF
        target = program.here + 13
        program.store(target & 0xFF, place)
        program.store(target >> 8, second)
        program.put(0x6C, place)
    elif kind == 3:
        target = program.here + 10
        program.add(LDA, target >> 8, PHA, LDA, target & 0xFF, PHA, LDA, random.randrange(256), PHA, RTI)
    elif kind == 4:
        target = program.here + 7 - 1
        program.add(LDA, target >> 8, PHA, LDA, target & 0xFF, PHA, RTS)
    else:
        program.add(0x00, random.randrange(256))  # BRK comes back after the byte that follows it


def computing_program(random: Random, undocumented: bytes = b"") -> bytes:
    """A program of blocks, loops, jumps, subroutines in ROM and RAM, with the interrupt or without.

    undocumented: opcodes to strew in, in groups; what follows them is harmless as an operand and as an opcode.
    """
    program = Program(random.choice([0x4000, 0x8000]))
    in_ram = Program(0x8000)
    while in_ram.here - in_ram.origin < 0xC0:
        random_block(in_ram, random, quiet=True)
    in_ram.add(RTS)
    source = program.add(*in_ram.code)
    nmi = program.add(INC, 0x00, 0x05)
    for _ in range(random.randrange(4)):
        random_block(program, random, quiet=True)
    program.add(RTI)
    brk = program.add(INC, 0x01, 0x05, RTI)
    subroutines = [RAM_CODE]
    for _ in range(3):
        subroutines.append(program.here)
        random_block(program, random, quiet=True)
        program.add(RTS)
    reset = program.add(LDX, 0)
    loop = program.put(0xBD, source)  # copies more than the code, into a page of its own
    program.put(0x9D, RAM_CODE)
    program.add(DEX)
    program.branch(BNE, loop)
    program.store(random.choice([0x00, 0x80]), 0x2000)
    begin = program.here
    while program.room > 0x200 and program.here < begin + 0x2800:
        choice = random.random()
        if undocumented and random.random() < 0.5:
            for _ in range(random.randrange(1, 12)):
                harmless = random.choice([NOP, 0x0A, 0x18])
                program.add(LDX, random.randrange(256), random.choice(undocumented), harmless, harmless)
        elif choice < 0.15:
            random_jump(program, random, subroutines)
        elif choice < 0.25:
            random_loop(program, random)
        else:
            random_block(program, random)
    program.put(JMP, begin)
    return ines(program.finish(nmi=nmi, reset=reset, brk=brk))


# --- Programs that disturb the picture. ---

SPRITE_PAGES = [0x02, 0x0A, 0x03, 0x04, 0x13, 0x60, 0x05]  # of RAM, its mirrors, the cartridge's RAM
UNUSED = [0x2000, 0x2001, 0x2003, 0x2005, 0x2006, 0x3FF8, 0x4000, 0x4014, 0x4015, 0x4018, 0x5000, 0x6000, 0x7FFF]


def random_mask(random: Random) -> int:
    """For $2001: most often everything on, sometimes not."""
    return random.choice(
        [0x1E, 0x1E, 0x1E, 0x18, 0x1A, 0x1C, 0x08, 0x0A, 0x10, 0x14, 0x00, 0xFF, random.randrange(256)]
    )


def random_register_write(program: Program, random: Random, *, nmi: int) -> None:
    """Write to a register of the picture unit, the copier or the controller."""
    register = random.choice([0, 0, 1, 1, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 0x4014, 0x4016, 0x4016, 0x4017])
    mirror = 0x2000 + 8 * random.randrange(0x400) if random.random() < 0.2 else 0x2000
    value = random.randrange(256)
    if register == 0:
        program.store(value & 0x7F | nmi, mirror)
    elif register == 1:
        program.store(random_mask(random), mirror + 1)
    elif register == 3:
        program.store(random.choice([0, 0, 0, value]), mirror + 3)
    elif register == 4:
        for _ in range(random.choice([1, 1, 4])):
            program.store(random.choice([value, 0xEF, 0xF0, 0xE8, 0xFF, 0x00]), mirror + 4)
    elif register == 5:
        program.store(value, mirror + 5)
        if random.random() < 0.7:
            program.store(random.randrange(256), mirror + 5)
    elif register == 6:
        program.store(random.choice([0x20, 0x24, 0x28, 0x2C, 0x3F, value]), mirror + 6)
        if random.random() < 0.8:
            program.store(random.randrange(256), mirror + 6)
    elif register == 7:
        for _ in range(random.choice([1, 1, 5])):
            program.store(random.randrange(64), mirror + 7)  # nes-py has no colours beyond 63
    elif register == 0x4014:
        program.store(random.choice(SPRITE_PAGES), register)
        if random.random() < 0.1:
            program.put(random.choice([STX, 0x8C]), 0x4017)
    elif register == 0x4016:
        program.store(value & 1, register)
    else:
        program.store(value, mirror + 2 if register == 2 else register)


def random_register_read(program: Program, random: Random) -> None:
    """Read a register, and keep what was read in RAM."""
    register = random.choice(
        [0x2002, 0x2002, 0x2002, 0x2004, 0x2007, 0x2007, 0x4016, 0x4016, 0x4017, random.choice(UNUSED)]
    )
    if register < 0x4000 and random.random() < 0.2:
        register += 8 * random.randrange(0x200)
    place = random.randrange(0x700, 0x800)
    load, store = random.choice([(0xAD, STA), (0xAE, STX), (0xAC, 0x8C)])
    if random.random() < 0.1:
        program.put(random.choice([0x2C, 0x6D, 0xCD, 0x0D]), register)
        program.add(0x08, 0x68)  # the flags
        program.put(STA, place)
    elif random.random() < 0.05:
        program.put(random.choice([0xEE, 0xCE, 0x0E, 0x6E]), random.choice([0x2005, 0x2006, 0x2003, 0x2002, 0x4015]))
    else:
        program.put(load, register)
        program.put(store, place)


def random_delay(program: Program, random: Random) -> None:
    """Wait: a few cycles, some lines, or a part of the picture."""
    kind = random.random()
    if kind < 0.5:
        program.add(*[random.choice([NOP, 0x18, 0xE8])] * random.randrange(1, 12))
    elif kind < 0.85:
        program.add(LDX, random.randrange(1, 60), DEX, BNE, 0xFD)
    else:
        program.add(LDY, random.randrange(1, 10), LDX, random.randrange(256), DEX, BNE, 0xFD, DEY, BNE, 0xF8)


def random_wait(program: Program, random: Random) -> None:
    """Wait for a flag of $2002, in the ways games do; some of these loops cross a page."""
    if random.random() < 0.2:
        program.align(random.randrange(0xF6, 0x100))
    kind = random.random()
    if kind < 0.35:
        program.add(0xAD, 0x02, 0x20, BPL, 0xFB)
    elif kind < 0.6:
        program.add(0xAD, 0x02, 0x20, 0x29, 0x40, BNE, 0xF9)
    elif kind < 0.8:
        program.add(0xAD, 0x02, 0x20, 0x29, 0x40, BEQ, 0xF9)
    else:
        program.add(random.choice([0x2C, 0xAE]), 0x02, 0x20, random.choice([BPL, 0x50]), 0xFB)


def random_setup(program: Program, random: Random, *, tables: int) -> None:
    """Fill name tables, palette and five pages of RAM from 768 random bytes, some of which are good sprites."""
    program.put(0xAD, 0x2002)
    for table in (0x20, 0x24, 0x28, 0x2C):
        program.store(table, 0x2006)
        program.store(0x00, 0x2006)
        program.add(LDX, random.randrange(256), LDY, 4)
        loop = program.here
        program.put(0xBD, tables + random.randrange(256))
        program.put(STA, 0x2007)
        program.add(DEX)
        program.branch(BNE, loop)
        program.add(DEY)
        program.branch(BNE, loop)
    program.store(0x3F, 0x2006)
    program.store(0x00, 0x2006)
    for _ in range(32):
        program.store(random.randrange(64), 0x2007)
    for page in (0x02, 0x03, 0x04, 0x05, 0x60):
        program.add(LDX, 0)
        loop = program.put(0xBD, tables + random.choice([512, random.randrange(512)]))
        program.put(0x9D, page << 8)
        program.add(DEX)
        program.branch(BNE, loop)


def random_sprites(random: Random) -> bytes:
    """Sprites that crowd on few lines, more than eight on some; the first where it meets the background."""
    lines = [random.randrange(240), random.randrange(240), 232, 236, 239, 0, 255, 240]
    sprites = bytearray()
    for _ in range(64):
        y = random.choice(lines) + random.randrange(4) & 0xFF if random.random() < 0.8 else random.randrange(256)
        sprites += bytes([y, random.choice([0, random.randrange(256)]), random.randrange(256), random.randrange(256)])
    if random.random() < 0.7:
        sprites[0] = random.randrange(239)
    return bytes(sprites)


def disturbing_step(program: Program, random: Random, *, nmi: int, waits: float) -> None:
    """One of: a write to a register, a read, a delay, a loop that waits."""
    kind = random.random()
    if kind < waits:
        random_wait(program, random)
    elif kind < 0.45:
        random_register_write(program, random, nmi=nmi)
    elif kind < 0.65:
        random_register_read(program, random)
    else:
        random_delay(program, random)
    if random.random() < 0.1:
        program.put(INC, random.randrange(0x200, 0x600))  # sprites move


def disturbing_program(random: Random) -> bytes:
    """A program that reads and writes the picture unit's registers at random moments, with random patterns."""
    program = Program(random.choice([0x4000, 0x8000]))
    nmi_bit = random.choice([0x00, 0x80, 0x80])
    waits = random.choice([0.0, 0.05, 0.05, 0.15])
    noise = bytes(random.randrange(256) for _ in range(512))
    tables = program.add(*noise, *random_sprites(random), *noise[:256])
    nmi = program.add(PHA, 0x8A, PHA, 0x98, PHA, INC, 0x00, 0x06)
    if random.random() < 0.6:
        program.store(random.choice(SPRITE_PAGES), 0x4014)
    for _ in range(random.randrange(8)):
        disturbing_step(program, random, nmi=nmi_bit, waits=0.02 if waits else 0.0)
    if random.random() < 0.5:
        program.store(random.choice([0x1E, random_mask(random)]), 0x2001)
        program.store(random.randrange(256), 0x2005)
        program.store(random.randrange(256), 0x2005)
    program.add(0x68, 0xA8, 0x68, 0xAA, 0x68, RTI)
    brk = program.add(RTI)
    reset = program.here
    program.store(0x00, 0x2001)  # else drawing moves the address, and some of these bytes would become colours
    random_setup(program, random, tables=tables)
    program.store(random.randrange(128) | nmi_bit, 0x2000)
    program.store(0x1E, 0x2001)
    program.store(0x02, 0x4014)
    begin = program.here
    for _ in range(random.choice([5, 30, 200])):
        disturbing_step(program, random, nmi=nmi_bit, waits=waits)
    program.put(INC, 0x0601)
    if random.random() < 0.2:
        program.put(JMP, program.here)  # waits for the interrupt
    else:
        program.put(JMP, begin)
    characters = bytes(random.choice([0, 0xFF, random.randrange(256)]) for _ in range(0x2000))
    return ines(program.finish(nmi=nmi, reset=reset, brk=brk), characters, vertical=random.random() < 0.5)
