"""Each documented opcode of the 6502, against a reference in plain Python: registers, flags, memory, cycles."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nes_programs import ines

from mario_rl.nes import layout, palette
from mario_rl.nes.cartridge import parse_cartridge
from mario_rl.nes.console import WorkArea, row_bytes
from mario_rl.nes.kernels import KERNELS
from mario_rl.nes.opcodes import DOCUMENTED, SET

C, Z, I, D, B, UNUSED, V, N = (1 << bit for bit in range(8))  # noqa: E741  (the flags' names)
BEGAN = 1000  # cycle of the frame

# --- The instruction set, from how its numbers are built: aaabbbcc. ---


class Instruction(NamedTuple):
    """cycles: without what crossing a page adds; crossing: how much that is."""

    name: str
    mode: str
    cycles: int
    crossing: int = 0


IMPLIED = """
00 BRK 14  08 PHP 3  18 CLC 2  28 PLP 4  38 SEC 2  40 RTI 6  48 PHA 3  58 CLI 2  60 RTS 6
68 PLA 4  78 SEI 2  88 DEY 2  8A TXA 2  98 TYA 2  9A TXS 2  A8 TAY 2  AA TAX 2  B8 CLV 2
BA TSX 2  C8 INY 2  CA DEX 2  D8 CLD 2  E8 INX 2  EA NOP 2  F8 SED 2
"""


def instruction_set() -> dict[int, Instruction]:
    """All 151 documented opcodes, with nes-py's cycles."""
    found = {}
    for a, name in enumerate(["ORA", "AND", "EOR", "ADC", "STA", "LDA", "CMP", "SBC"]):
        modes = [("(zp,x)", 6), ("zp", 3), ("#", 2), ("abs", 4), ("(zp),y", 5), ("zp,x", 4), ("abs,y", 4), ("abs,x", 4)]
        for b, (mode, cycles) in enumerate(modes):
            crosses = mode in ("(zp),y", "abs,y", "abs,x")
            slow = crosses and name == "STA"  # takes the time in any case
            found[a << 5 | b << 2 | 1] = Instruction(name, mode, cycles + slow, int(crosses and not slow))
    del found[0x89]
    for a, name in enumerate(["ASL", "ROL", "LSR", "ROR", ".", ".", "DEC", "INC"]):
        for b, mode, cycles in (1, "zp", 5), (2, "a", 2), (3, "abs", 6), (5, "zp,x", 6), (7, "abs,x", 7):
            if name != "." and (a < 4 or mode != "a"):
                found[a << 5 | b << 2 | 2] = Instruction(name, mode, cycles, int(mode == "abs,x"))
    loads = [(0, "#", 2), (1, "zp", 3), (3, "abs", 4), (5, "zp,i", 4), (7, "abs,i", 4)]
    for name, begin, index, modes in (
        ("LDX", 0xA2, "y", loads),
        ("LDY", 0xA0, "x", loads),
        ("STX", 0x82, "y", loads[1:4]),
        ("STY", 0x80, "x", loads[1:4]),
        ("CPX", 0xE0, "", loads[:3]),
        ("CPY", 0xC0, "", loads[:3]),
        ("BIT", 0x20, "", loads[1:3]),
    ):
        for b, mode, cycles in modes:
            found[begin | b << 2] = Instruction(name, mode.replace("i", index), cycles, int(mode == "abs,i"))
    for a, name in enumerate(["BPL", "BMI", "BVC", "BVS", "BCC", "BCS", "BNE", "BEQ"]):
        found[a << 5 | 0x10] = Instruction(name, "rel", 2, 2)
    implied = IMPLIED.split()
    for number, name, cycles in zip(implied[::3], implied[1::3], implied[2::3], strict=True):
        found[int(number, 16)] = Instruction(name, "", int(cycles))
    found |= {0x20: Instruction("JSR", "abs", 6), 0x4C: Instruction("JMP", "abs", 3)}
    found[0x6C] = Instruction("JMP", "(abs)", 5)
    return found


INSTRUCTIONS = instruction_set()

# --- The reference. ---


@dataclass
class Machine:
    """Registers and memory; the flags are one byte. What is in `memory` is what the processor sees."""

    pc: int
    a: int
    x: int
    y: int
    s: int
    p: int
    memory: bytearray = field(repr=False, compare=False)
    cycles: int = 0

    def read(self, address: int) -> int:
        return self.memory[address & 0x7FF if address < 0x2000 else address]

    def word(self, address: int, following: int | None = None) -> int:
        """Two bytes; the second is the next one, or lies elsewhere."""
        return self.read(address) | self.read(address + 1 & 0xFFFF if following is None else following) << 8

    def write(self, address: int, value: int) -> None:
        if address < 0x8000:
            self.memory[address & 0x7FF if address < 0x2000 else address] = value & 0xFF

    def push(self, *values: int) -> None:
        for value in values:
            self.write(0x100 | self.s, value)
            self.s = self.s - 1 & 0xFF

    def pull(self) -> int:
        self.s = self.s + 1 & 0xFF
        return self.read(0x100 | self.s)

    def flag(self, flag: int, value: object) -> None:
        self.p = self.p | flag if value else self.p & ~flag

    def result(self, value: int) -> int:
        """Set Z and N; returns a byte."""
        self.flag(Z, value & 0xFF == 0)
        self.flag(N, value & 0x80)
        return value & 0xFF

    def compare(self, register: int, value: int) -> None:
        self.flag(C, register >= value)
        self.result(register - value)

    def add(self, value: int) -> int:
        total = self.a + value + (self.p & C)
        self.flag(V, ~(self.a ^ value) & (self.a ^ total) & 0x80)
        self.flag(C, total > 0xFF)
        return self.result(total)


def address_of(machine: Machine, mode: str) -> tuple[int, bool]:
    """Where the operand is, and whether adding an index has crossed a page; PC goes past the instruction."""
    begin = machine.pc + 1
    machine.pc += {"": 1, "a": 1, "abs": 3, "abs,x": 3, "abs,y": 3, "(abs)": 3}.get(mode, 2)
    machine.pc &= 0xFFFF
    zero_page = machine.read(begin & 0xFFFF)
    if mode in ("#", "rel"):
        return begin & 0xFFFF, False
    if mode.startswith("zp"):
        return zero_page + {"": 0, ",x": machine.x, ",y": machine.y}[mode[2:]] & 0xFF, False
    if mode == "(zp,x)":
        pointer = zero_page + machine.x & 0xFF
        return machine.word(pointer, pointer + 1 & 0xFF), False
    if mode in ("", "a"):
        return 0, False
    base = machine.word(zero_page, zero_page + 1 & 0xFF) if mode == "(zp),y" else machine.word(begin & 0xFFFF)
    address = base + {"x": machine.x, "y": machine.y}.get(mode[-1], 0) & 0xFFFF
    return address, address >> 8 != base >> 8


READS: dict[str, Callable[[Machine, int], object]] = {
    "ORA": lambda m, value: setattr(m, "a", m.result(m.a | value)),
    "AND": lambda m, value: setattr(m, "a", m.result(m.a & value)),
    "EOR": lambda m, value: setattr(m, "a", m.result(m.a ^ value)),
    "ADC": lambda m, value: setattr(m, "a", m.add(value)),
    "SBC": lambda m, value: setattr(m, "a", m.add(value ^ 0xFF)),
    "LDA": lambda m, value: setattr(m, "a", m.result(value)),
    "LDX": lambda m, value: setattr(m, "x", m.result(value)),
    "LDY": lambda m, value: setattr(m, "y", m.result(value)),
    "CMP": lambda m, value: m.compare(m.a, value),
    "CPX": lambda m, value: m.compare(m.x, value),
    "CPY": lambda m, value: m.compare(m.y, value),
    "BIT": lambda m, value: (m.result(m.a & value), m.flag(N, value & 0x80), m.flag(V, value & 0x40)),
}
CHANGES: dict[str, Callable[[int, int], tuple[int, object]]] = {  # value and carry to new ones; None keeps carry
    "ASL": lambda value, carry: (value << 1, value & 0x80),
    "ROL": lambda value, carry: (value << 1 | carry, value & 0x80),
    "LSR": lambda value, carry: (value >> 1, value & 1),
    "ROR": lambda value, carry: (value >> 1 | carry << 7, value & 1),
    "INC": lambda value, carry: (value + 1, None),
    "DEC": lambda value, carry: (value - 1, None),
}
BRANCHES = {
    name: (flag, wanted)
    for flag, names in ((N, "BPL BMI"), (V, "BVC BVS"), (C, "BCC BCS"), (Z, "BNE BEQ"))
    for wanted, name in enumerate(names.split())
}
FLAGS = {"CLC": (C, 0), "SEC": (C, 1), "CLI": (I, 0), "SEI": (I, 1), "CLD": (D, 0), "SED": (D, 1), "CLV": (V, 0)}


def execute(machine: Machine) -> None:
    """Execute the instruction at PC."""
    name, mode, cycles, crossing = INSTRUCTIONS[machine.read(machine.pc)]
    m, began = machine, machine.pc
    address, crossed = address_of(m, mode)
    m.cycles += cycles + crossing * crossed
    if name in READS:
        READS[name](m, m.read(address))
    elif name in CHANGES:
        value, carry = CHANGES[name](m.a if mode == "a" else m.read(address), m.p & C)
        if carry is not None:
            m.flag(C, carry)
        if mode == "a":
            m.a = m.result(value)
        else:
            m.write(address, m.result(value))
    elif name in ("STA", "STX", "STY"):
        m.write(address, getattr(m, name[2].lower()))
    elif name in FLAGS:
        m.flag(*FLAGS[name])
    elif name in BRANCHES:
        flag, wanted = BRANCHES[name]
        if bool(m.p & flag) == wanted:
            target = m.pc + (m.read(address) ^ 0x80) - 0x80 & 0xFFFF
            m.cycles += 3 if target >> 8 != m.pc >> 8 else 1  # nes-py: two more, where it should be one
            m.pc = target
    elif name == "JMP":
        m.pc = address if mode == "abs" else m.word(address, address & 0xFF00 | address + 1 & 0xFF)
    elif name == "JSR":
        m.push(began + 2 >> 8, began + 2)
        m.pc = m.word(began + 1 & 0xFFFF)
    elif name == "BRK":
        m.push(began + 2 >> 8, began + 2, m.p | B | UNUSED)
        m.p |= I
        m.pc = m.word(0xFFFE)
    elif name in ("RTI", "PLP"):
        m.p = m.pull()
        m.pc = m.word(0x100 | m.s + 1 & 0xFF, 0x100 | m.s + 2 & 0xFF) if name == "RTI" else m.pc
        m.s = m.s + 2 & 0xFF if name == "RTI" else m.s
    elif name == "RTS":
        m.pc = (m.pull() | m.pull() << 8) + 1 & 0xFFFF
    elif name in ("PHA", "PHP"):
        m.push(m.a if name == "PHA" else m.p | B | UNUSED)
    elif name == "PLA":
        m.a = m.result(m.pull())
    elif name == "TXS":
        m.s = m.x
    elif name[0] == "T":
        setattr(m, name[2].lower(), m.result(getattr(m, name[1].lower())))
    elif name[0] in "ID":
        register = name[2].lower()
        setattr(m, register, m.result(getattr(m, register) + (1 if name[0] == "I" else -1)))
    else:
        assert name == "NOP"
    m.p = m.p & ~B | UNUSED


# --- The same on the console. ---


@cache
def work_area() -> tuple[WorkArea, int]:
    """A work area, whose ROM the tests overwrite, and how many bytes a machine has."""
    cartridge = parse_cartridge(ines(bytes(0x8000)), "a test")
    return WorkArea(cartridge, palette.INDICES), row_bytes(cartridge)


def run_on_console(before: Machine) -> Machine:
    """Execute one instruction on the console."""
    work, size = work_area()
    row = np.zeros(size, dtype=np.uint8)
    seen = np.frombuffer(before.memory, np.uint8)
    ctypes.memmove(work.rom_address + 0x8000, bytes(before.memory[0x8000:]), 0x8000)
    row[:0x800] = seen[:0x800]
    row[layout.CARTRIDGE_RAM : layout.CARTRIDGE_RAM + 0x2000] = seen[0x6000:0x8000]
    numbers = row.view(np.int64)
    registers = {
        layout.PC: before.pc,
        layout.A: before.a,
        layout.X: before.x,
        layout.Y: before.y,
        layout.STACK: before.s,
        # Flags as they are kept while a frame is played.
        layout.ZERO_NEGATIVE: (before.p & N) << 8 | (before.p & Z == 0),
        layout.CARRY: before.p & C,
        layout.OVERFLOW: (before.p & V) << 1,
        layout.INTERRUPT_DECIMAL: before.p & (I | D),
        layout.WORK: work.address,
        layout.CYCLE: BEGAN,
    }
    for place, value in registers.items():
        numbers[place // 8] = value
    KERNELS["execute_until"](row.ctypes.data, BEGAN + 1)

    def number(place: int) -> int:
        return int(numbers[place // 8])

    last = number(layout.ZERO_NEGATIVE)
    flags = UNUSED | number(layout.CARRY) | number(layout.INTERRUPT_DECIMAL) | (number(layout.OVERFLOW) & 0x80) >> 1
    flags |= (N if last & 0x8080 else 0) | (Z if last & 0xFF == 0 else 0)
    memory = bytearray(before.memory)
    memory[:0x800] = row[:0x800].tobytes()
    memory[0x6000:0x8000] = row[layout.CARTRIDGE_RAM : layout.CARTRIDGE_RAM + 0x2000].tobytes()
    return Machine(
        pc=number(layout.PC) & 0xFFFF,
        a=number(layout.A),
        x=number(layout.X),
        y=number(layout.Y),
        s=number(layout.STACK),
        p=flags,
        memory=memory,
        cycles=number(layout.CYCLE) - BEGAN,
    )


# --- Cases. ---

byte = st.sampled_from([0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 0xFF)
PAGES = [*range(0x1F), *range(0x60, 0x100)]
"""High bytes of addresses that are memory, even 255 bytes on: RAM and its mirrors, the cartridge's RAM, ROM."""
page = st.sampled_from(PAGES)
place = st.one_of(
    st.integers(0x8000, 0xFFF7),  # below the vectors
    st.builds(lambda high, low: high << 8 | low, st.integers(0x80, 0xFE), st.integers(0xFA, 0xFF)),  # across pages
    st.integers(0x0000, 0x07FF),
    st.integers(0x0180, 0x01FF),  # in the stack
    st.sampled_from([0x0FFE, 0x0FFF, 0x17FF]),  # across mirrors
    st.integers(0x6000, 0x7FFF),
)


@cache
def noise(seed: int) -> bytes:
    """Random memory; in RAM every byte may be the high one of a pointer."""
    random = Random(seed)
    return bytes(random.choices(PAGES, k=0x8000)) + random.randbytes(0x8000)


@st.composite
def machines(draw: st.DrawFn, opcode: int) -> Machine:
    """A machine about to execute an opcode."""
    memory = bytearray(noise(draw(st.integers(0, 30))))
    pc, a, x, y, s = draw(place), draw(byte), draw(byte), draw(byte), draw(byte)
    machine = Machine(pc, a, x, y, s, draw(byte) & ~B | UNUSED, memory)
    for offset, value in enumerate((opcode, draw(byte), draw(page))):
        address = pc + offset & 0xFFFF
        memory[address & 0x7FF if address < 0x2000 else address] = value
    return machine


def name_of(opcode: int) -> str:
    return " ".join(map(str, (f"{opcode:02X}", *INSTRUCTIONS[opcode][:2]))).strip()


def check(before: Machine) -> Machine:
    """Execute on both; returns what they agree on."""
    expected = replace(before, memory=bytearray(before.memory))
    execute(expected)
    found = run_on_console(before)
    assert found == expected, f"from {before}"
    if found.memory[:0x8000] != expected.memory[:0x8000]:
        differing = [index for index in range(0x8000) if found.memory[index] != expected.memory[index]]
        raise AssertionError(f"memory differs at {differing} from {before}")
    return expected


def machine(*code: int, at: int = 0x8000, **registers: int) -> Machine:
    """A machine with zeros in all registers, and these bytes at PC."""
    memory = bytearray(0x10000)
    memory[at : at + len(code)] = bytes(code)
    return Machine(**{"pc": at, "a": 0, "x": 0, "y": 0, "s": 0xFF, "p": UNUSED, "memory": memory} | registers)


def test_the_table_has_all_documented_opcodes_and_no_other() -> None:
    assert len(INSTRUCTIONS) == 151
    assert DOCUMENTED.keys() == INSTRUCTIONS.keys()
    assert len(SET) == 256


@pytest.mark.parametrize("opcode", sorted(INSTRUCTIONS), ids=name_of)
def test_an_opcode_does_what_the_reference_does(opcode: int) -> None:
    @settings(max_examples=25, derandomize=True, database=None)
    @given(machines(opcode))
    def compare(before: Machine) -> None:
        check(before)

    compare()


@pytest.mark.slow
@pytest.mark.parametrize("opcode", sorted(INSTRUCTIONS), ids=name_of)
def test_an_opcode_does_what_the_reference_does_in_many_cases(opcode: int) -> None:
    @settings(max_examples=1000, database=None)
    @given(machines(opcode))
    def compare(before: Machine) -> None:
        check(before)

    compare()


# --- Where nes-py is not what the documents say. ---


def test_a_branch_takes_2_cycles_or_3_or_5_into_another_page() -> None:
    assert check(machine(0xD0, 0x10, p=UNUSED | Z)).cycles == 2
    assert check(machine(0xD0, 0x10)).cycles == 3
    assert check(machine(0xD0, 0x10, at=0x80F0)).cycles == 5
    assert check(machine(0xD0, 0xFD, at=0x80FE)).cycles == 5, "backwards from the next page, where PC already is"


def test_changing_memory_takes_one_more_cycle_across_a_page() -> None:
    assert check(machine(0xFE, 0x80, 0x02, x=0x7F)).cycles == 7
    assert check(machine(0xFE, 0x80, 0x02, x=0x80)).cycles == 8


def test_writing_memory_takes_as_long_across_a_page() -> None:
    assert check(machine(0x9D, 0x80, 0x02, x=0x7F)).cycles == check(machine(0x9D, 0x80, 0x02, x=0x80)).cycles == 5


def test_a_break_takes_14_cycles_and_skips_a_byte() -> None:
    after = check(machine(0x00, 0xEA, at=0x8123, s=0xFF))
    assert after.cycles == 14
    assert after.memory[0x1FD:0x200] == bytes([B | UNUSED, 0x25, 0x81])


def test_an_indirect_jump_never_reads_the_next_page() -> None:
    before = machine(0x6C, 0xFF, 0x02)
    before.memory[0x2FF], before.memory[0x200], before.memory[0x300] = 0x34, 0x12, 0x56
    assert check(before).pc == 0x1234


def test_flags_are_pushed_with_break_set_and_pulled_without() -> None:
    assert check(machine(0x08, p=UNUSED | C)).memory[0x1FF] == UNUSED | B | C
    before = machine(0x28, s=0xFE)
    before.memory[0x1FF] = B | N
    assert check(before).p == UNUSED | N


@pytest.mark.parametrize("opcode", sorted(set(range(256)) - INSTRUCTIONS.keys() - {0xDF}), ids="{:02X}".format)
def test_an_undocumented_opcode_takes_a_cycle(opcode: int) -> None:
    for at in (0x8000, 0x0300):
        assert run_on_console(machine(opcode, 0x00, 0x03, at=at)).cycles == 1


def test_the_one_undocumented_opcode_that_nes_py_has_counts_down_and_compares() -> None:
    before = machine(0xDF, 0x80, 0x02, x=0x90, a=0x41)
    before.memory[0x310] = 0x42
    after = run_on_console(before)
    assert (after.memory[0x310], after.p, after.a, after.pc) == (0x41, UNUSED | Z | C, 0x41, 0x8003)
    assert after.cycles == 7, "across a page as well"


@settings(max_examples=50, derandomize=True, database=None)
@given(first=byte, second=byte, flags=st.sampled_from([0, C, D, C | D]))
@example(first=0x99, second=0x01, flags=D)
def test_there_is_no_decimal_arithmetic(first: int, second: int, flags: int) -> None:
    for opcode in (0x69, 0xE9):
        binary = check(machine(opcode, second, a=first, p=UNUSED | flags & ~D))
        decimal = check(machine(opcode, second, a=first, p=UNUSED | flags))
        assert binary.a == decimal.a
