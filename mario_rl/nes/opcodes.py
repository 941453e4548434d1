"""The 6502's opcodes: what each does, to what, in how many cycles, as nes-py has it."""

from __future__ import annotations

from typing import NamedTuple

OPCODES = """
LDA A9 immediate 2  A5 zero_page 3  B5 zero_page_x 4  AD absolute 4  BD absolute_x 4+  B9 absolute_y 4+  A1 indirect_x 6  B1 indirect_y 5+
LDX A2 immediate 2  A6 zero_page 3  B6 zero_page_y 4  AE absolute 4  BE absolute_y 4+
LDY A0 immediate 2  A4 zero_page 3  B4 zero_page_x 4  AC absolute 4  BC absolute_x 4+
STA 85 zero_page 3  95 zero_page_x 4  8D absolute 4  9D absolute_x 5  99 absolute_y 5  81 indirect_x 6  91 indirect_y 6
STX 86 zero_page 3  96 zero_page_y 4  8E absolute 4
STY 84 zero_page 3  94 zero_page_x 4  8C absolute 4
ADC 69 immediate 2  65 zero_page 3  75 zero_page_x 4  6D absolute 4  7D absolute_x 4+  79 absolute_y 4+  61 indirect_x 6  71 indirect_y 5+
SBC E9 immediate 2  E5 zero_page 3  F5 zero_page_x 4  ED absolute 4  FD absolute_x 4+  F9 absolute_y 4+  E1 indirect_x 6  F1 indirect_y 5+
AND 29 immediate 2  25 zero_page 3  35 zero_page_x 4  2D absolute 4  3D absolute_x 4+  39 absolute_y 4+  21 indirect_x 6  31 indirect_y 5+
ORA 09 immediate 2  05 zero_page 3  15 zero_page_x 4  0D absolute 4  1D absolute_x 4+  19 absolute_y 4+  01 indirect_x 6  11 indirect_y 5+
EOR 49 immediate 2  45 zero_page 3  55 zero_page_x 4  4D absolute 4  5D absolute_x 4+  59 absolute_y 4+  41 indirect_x 6  51 indirect_y 5+
CMP C9 immediate 2  C5 zero_page 3  D5 zero_page_x 4  CD absolute 4  DD absolute_x 4+  D9 absolute_y 4+  C1 indirect_x 6  D1 indirect_y 5+
CPX E0 immediate 2  E4 zero_page 3  EC absolute 4
CPY C0 immediate 2  C4 zero_page 3  CC absolute 4
BIT 24 zero_page 3  2C absolute 4
ASL 0A accumulator 2  06 zero_page 5  16 zero_page_x 6  0E absolute 6  1E absolute_x 7+
LSR 4A accumulator 2  46 zero_page 5  56 zero_page_x 6  4E absolute 6  5E absolute_x 7+
ROL 2A accumulator 2  26 zero_page 5  36 zero_page_x 6  2E absolute 6  3E absolute_x 7+
ROR 6A accumulator 2  66 zero_page 5  76 zero_page_x 6  6E absolute 6  7E absolute_x 7+
INC E6 zero_page 5  F6 zero_page_x 6  EE absolute 6  FE absolute_x 7+
DEC C6 zero_page 5  D6 zero_page_x 6  CE absolute 6  DE absolute_x 7+
BPL 10 relative 2
BMI 30 relative 2
BVC 50 relative 2
BVS 70 relative 2
BCC 90 relative 2
BCS B0 relative 2
BNE D0 relative 2
BEQ F0 relative 2
JMP 4C target 3
JMI 6C target 5
JSR 20 target 6
RTS 60 implied 6
RTI 40 implied 6
BRK 00 implied 14
PHA 48 implied 3
PLA 68 implied 4
PHP 08 implied 3
PLP 28 implied 4
TAX AA implied 2
TAY A8 implied 2
TXA 8A implied 2
TYA 98 implied 2
TSX BA implied 2
TXS 9A implied 2
INX E8 implied 2
INY C8 implied 2
DEX CA implied 2
DEY 88 implied 2
CLC 18 implied 2
SEC 38 implied 2
CLI 58 implied 2
SEI 78 implied 2
CLD D8 implied 2
SED F8 implied 2
CLV B8 implied 2
NOP EA implied 2
"""  # noqa: E501  (a table is read by its columns)
"""Operation, then for each of its opcodes: number, addressing mode, cycles; + where crossing a page takes one more."""

UNDOCUMENTED = """
BIT 34 zero_page_x 0  3C absolute_x 0+
STY 80 immediate 0  9C absolute_x 0+
CPY D4 zero_page_x 0  DC absolute_x 0+
CPX F4 zero_page_x 0  FC absolute_x 0+
STA 89 immediate 0
STX 82 immediate 0  9E absolute_y 0+
ASL 02 immediate 0
ROL 22 immediate 0
LSR 42 immediate 0
ROR 62 immediate 0
DEC C2 immediate 0
INC E2 immediate 0
SKIP 04 zero_page 0  44 zero_page 0  64 zero_page 0  14 zero_page 0  54 zero_page 0  74 zero_page 0
SKIP 0C absolute 0  1C absolute_x 0+  5C absolute_x 0+  7C absolute_x 0+
DCP DF absolute_x 7
"""
"""What nes-py makes of opcodes nobody should use; all that stand in neither table do nothing. It counts no cycles for
most of them, though the next instruction still begins a cycle later; see `Code.take_time`."""

LENGTHS = {"implied": 1, "accumulator": 1, "absolute": 3, "absolute_x": 3, "absolute_y": 3, "target": 3}
"""Bytes of an instruction by its mode; two where it does not stand here."""


class Opcode(NamedTuple):
    """One row of the tables: what is done, to what, in how many cycles, and whether crossing a page adds one."""

    operation: str
    mode: str
    cycles: int
    crossing: bool

    @property
    def length(self) -> int:
        """Bytes of the instruction."""
        return LENGTHS.get(self.mode, 2)


def read_table(table: str) -> dict[int, Opcode]:
    """Read a table such as `OPCODES`: opcode number to what it is."""
    opcodes = {}
    for line in table.split("\n"):
        operation, *rest = line.split() or [""]
        for number, mode, cycles in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            opcodes[int(number, 16)] = Opcode(operation, mode, int(cycles.rstrip("+")), "+" in cycles)
    return opcodes


DOCUMENTED = read_table(OPCODES)
SET = {number: Opcode("SKIP", "implied", 0, False) for number in range(256)} | read_table(UNDOCUMENTED) | DOCUMENTED
"""All 256 opcodes."""
