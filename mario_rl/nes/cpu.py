"""The 6502: one table of opcodes, one of operations, one of addressing modes, and what makes machine code of them.

Each opcode becomes a small function of its own that ends by jumping to the function of the next opcode, registers in
registers ("threaded code"): a third faster than a loop around a switch. The functions are put together here from
`OPCODES`, `OPERATIONS` and `MODES`, as LLVM instructions; `mario-rl doctor --opcode LDA` prints one.

What differs from the documents is nes-py's, see CONTRIBUTING.md: a branch into another page takes 5 cycles, BRK 14,
shifts and increments of abs,X one more across a page, and most undocumented opcodes none.

Flags are kept apart. `zero_negative` is the last result: zero where its low byte is, negative where bit 7 or 15 is set
(BIT and PLP need one without the other). `carry` is 0 or 1; overflow lies in memory, as bit 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mario_rl.errors import UserError
from mario_rl.nes import layout
from mario_rl.nes.memory import I8, I16, I32, I64

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

JSR = 0x20
UNEXECUTABLE = 0xFF
"""What the image of the ROM has where there is none: its function looks whether it stands for something else."""

REGISTERS = ("ram", "rom", "pc", "cycle", "a", "x", "y", "zero_negative", "carry", "stack", "word")
"""What goes from one opcode's function to the next: two addresses, the state, the instruction's first four bytes."""

KEPT = {
    "pc": layout.PC,
    "cycle": layout.CYCLE,
    "a": layout.A,
    "x": layout.X,
    "y": layout.Y,
    "zero_negative": layout.ZERO_NEGATIVE,
    "carry": layout.CARRY,
    "stack": layout.STACK,
}
"""Where the state lies in a row of memory when no instruction is being executed."""

CONVENTION = "preserve_nonecc"  # ten and more arguments in registers, none of them saved by who is called


def number(value: int) -> ir.Constant:
    """Make an operand of a plain number."""
    return ir.Constant(I64, value)


class Code:
    """The machine code of one opcode, while it is written down.

    Every register is an attribute and holds the LLVM value (int64) that it has so far; to assign is to compute.
    """

    def __init__(self, function: ir.Function) -> None:
        self.function = function
        self.builder = ir.IRBuilder(function.append_basic_block())
        self.ram, self.rom, self.pc, self.cycle, self.a, self.x, self.y = function.args[:7]
        self.zero_negative, self.carry, self.stack, self.word = function.args[7:]
        self.began = self.cycle  # all reads and writes of an instruction happen at its first cycle

    # Arithmetic on 64 bits.
    def add(self, left: Any, right: Any) -> Any:
        return self.builder.add(left, self._value(right))

    def sub(self, left: Any, right: Any) -> Any:
        return self.builder.sub(self._value(left), self._value(right))

    def band(self, left: Any, right: Any) -> Any:
        return self.builder.and_(left, self._value(right))

    def bor(self, left: Any, right: Any) -> Any:
        return self.builder.or_(left, self._value(right))

    def xor(self, left: Any, right: Any) -> Any:
        return self.builder.xor(left, self._value(right))

    def left(self, value: Any, bits: int) -> Any:
        return self.builder.shl(value, number(bits))

    def right(self, value: Any, bits: int) -> Any:
        return self.builder.lshr(value, number(bits))

    def byte(self, value: Any) -> Any:
        return self.band(value, 0xFF)

    def word16(self, value: Any) -> Any:
        return self.band(value, 0xFFFF)

    def if_else(self, condition: Any, then: Any, otherwise: Any) -> Any:
        """Choose without a jump."""
        return self.builder.select(condition, self._value(then), self._value(otherwise))

    def is_set(self, value: Any, bits: int) -> Any:
        return self.builder.icmp_unsigned("!=", self.band(value, bits), number(0))

    def is_not_set(self, value: Any, bits: int) -> Any:
        return self.builder.icmp_unsigned("==", self.band(value, bits), number(0))

    # Memory.
    def load(self, address: Any, kind: ir.IntType = I8) -> Any:
        place = self.builder.inttoptr(address, kind.as_pointer())
        value = self.builder.load(place, align=1)
        return value if kind == I64 else self.builder.zext(value, I64)

    def store(self, address: Any, value: Any, kind: ir.IntType = I8) -> None:
        place = self.builder.inttoptr(address, kind.as_pointer())
        self.builder.store(value if kind == I64 else self.builder.trunc(self._value(value), kind), place, align=1)

    def kept(self, offset: int) -> Any:
        """Read a number of the row."""
        return self.load(self.add(self.ram, offset), I64)

    def keep(self, offset: int, value: Any) -> None:
        """Write a number of the row."""
        self.store(self.add(self.ram, offset), self._value(value), I64)

    def read(self, address: Any) -> Any:
        """Read a byte of the bus: RAM or ROM at once, the rest by a call; that may take cycles (see `io.py`)."""
        builder = self.builder
        is_memory = builder.icmp_unsigned(">=", self.word16(self.sub(address, 0x2000)), number(0x6000))
        fast, slow, after = (self.function.append_basic_block() for _ in range(3))
        builder.cbranch(is_memory, fast, slow).set_weights([1000, 1])
        builder.position_at_end(fast)
        is_ram = builder.icmp_unsigned("<", address, number(0x2000))
        quick = self.load(
            self.if_else(is_ram, self.add(self.ram, self.band(address, 0x7FF)), self.add(self.rom, address))
        )
        builder.branch(after)
        builder.position_at_end(slow)
        answer = self._call(layout.READ, [self.ram, address, self.began, self.pc])
        later = self.add(self.cycle, self.right(answer, 8))
        slowly = self.byte(answer)
        builder.branch(after)
        builder.position_at_end(after)
        self.cycle = self._either(self.cycle, fast, later, slow)
        return self._either(quick, fast, slowly, slow)

    def write(self, address: Any, value: Any) -> None:
        """Write a byte to the bus: RAM at once, the rest by a call, which may take cycles."""
        builder = self.builder
        is_ram = builder.icmp_unsigned("<", address, number(0x2000))
        fast, slow, after = (self.function.append_basic_block() for _ in range(3))
        builder.cbranch(is_ram, fast, slow).set_weights([1000, 1])
        builder.position_at_end(fast)
        self.store(self.add(self.ram, self.band(address, 0x7FF)), value)
        builder.branch(after)
        builder.position_at_end(slow)
        later = self.add(self.cycle, self._call(layout.WRITE, [self.ram, address, value, self.began]))
        builder.branch(after)
        builder.position_at_end(after)
        self.cycle = self._either(self.cycle, fast, later, slow)

    def push(self, value: Any) -> None:
        self.store(self.add(self.add(self.ram, 0x100), self.stack), value)
        self.stack = self.byte(self.sub(self.stack, 1))

    def pull(self) -> Any:
        self.stack = self.byte(self.add(self.stack, 1))
        return self.load(self.add(self.add(self.ram, 0x100), self.stack))

    def push_address(self, address: Any) -> None:
        self.push(self.right(address, 8))
        self.push(address)

    def pull_address(self) -> Any:
        low = self.pull()
        return self.bor(low, self.left(self.pull(), 8))

    # Flags.
    def flags(self, *, is_break: bool) -> Any:
        """Pack the flags into the byte that is pushed."""
        negative = self.if_else(self.is_set(self.zero_negative, 0x8080), 0x80, 0)
        overflow = self.right(self.band(self.kept(layout.OVERFLOW), 0x80), 1)
        zero = self.if_else(self.is_not_set(self.zero_negative, 0xFF), 0x02, 0)
        rest = self.bor(self.kept(layout.INTERRUPT_DECIMAL), 0x30 if is_break else 0x20)
        return self.bor(self.bor(self.bor(negative, overflow), self.bor(zero, rest)), self.carry)

    def set_flags(self, packed: Any) -> None:
        """Take the flags from a byte that was pushed."""
        negative = self.left(self.band(packed, 0x80), 8)
        self.zero_negative = self.bor(negative, self.if_else(self.is_set(packed, 0x02), 0, 1))
        self.carry = self.band(packed, 0x01)
        self.keep(layout.OVERFLOW, self.left(self.band(packed, 0x40), 1))
        self.keep(layout.INTERRUPT_DECIMAL, self.band(packed, 0x0C))

    # Where execution goes.
    def take_time(self) -> None:
        """See to it that an instruction for which no cycles are counted takes one, and remember that it was free."""
        is_free = self.builder.icmp_unsigned("==", self.cycle, self.began)
        later = self.add(self.began, 1)
        self.keep(layout.FREE, self.if_else(is_free, later, self.kept(layout.FREE)))
        self.cycle = self.if_else(is_free, later, self.cycle)

    def go_on(self, table: ir.GlobalVariable, leave: ir.Function) -> None:
        """End this opcode: jump to the next one, unless its time is not to come yet."""
        builder = self.builder
        is_over = builder.icmp_signed(">=", self.cycle, self.kept(layout.LIMIT))
        over, on = self.function.append_basic_block(), self.function.append_basic_block()
        builder.cbranch(is_over, over, on).set_weights([1, 1000])
        builder.position_at_end(over)
        self._jump(leave)
        builder.position_at_end(on)
        self.word = self.load(self.add(self.rom, self.pc), I32)
        self.dispatch(table)

    def dispatch(self, table: ir.GlobalVariable) -> None:
        """Jump to the function of the opcode in `word`."""
        place = self.builder.gep(table, [number(0), self.byte(self.word)])
        self._jump(self.builder.load(place))

    def fetch(self) -> Any:
        """Read the instruction at PC from the bus, where it is not in the ROM."""
        return self._call(layout.FETCH, [self.ram, self.pc, self.began])

    def _jump(self, function: Any) -> None:
        registers = [getattr(self, name) for name in REGISTERS]
        self.builder.call(function, registers, cconv=CONVENTION, tail="musttail")
        self.builder.ret_void()

    def _call(self, which: int, arguments: list[Any]) -> Any:
        """Call one of the functions whose addresses are in the work area."""
        kind = ir.FunctionType(I64, [I64] * len(arguments))
        address = self.load(self.add(self.kept(layout.WORK), which), I64)
        return self.builder.call(self.builder.inttoptr(address, kind.as_pointer()), arguments)

    def _either(self, left: Any, left_block: Any, right: Any, right_block: Any) -> Any:
        phi = self.builder.phi(I64)
        phi.add_incoming(left, left_block)
        phi.add_incoming(right, right_block)
        return phi

    def _value(self, value: Any) -> Any:
        return number(value) if isinstance(value, int) else value


# --- Addressing modes: from the instruction's bytes to an address. ---


def _operand(code: Code) -> Any:
    """The byte after the opcode."""
    return code.byte(code.right(code.word, 8))


def _operand16(code: Code) -> Any:
    """The two bytes after the opcode."""
    return code.word16(code.right(code.word, 8))


def _pointer(code: Code, place: Any) -> Any:
    """The address that lies in the zero page, whose last byte is followed by its first."""
    low = code.load(code.add(code.ram, place))
    high = code.load(code.add(code.ram, code.byte(code.add(place, 1))))
    return code.bor(low, code.left(high, 8))


def _indexed(code: Code, base: Any, index: Any, opcode: Opcode) -> Any:
    if opcode.crossing:  # a carry out of the low byte
        low = code.add(code.byte(base), index)
        code.cycle = code.add(code.cycle, code.right(low, 8))
    return code.word16(code.add(base, index))


MODES: dict[str, Callable[[Code, Opcode], Any]] = {
    "immediate": lambda code, opcode: code.word16(code.add(code.pc, 1)),
    "zero_page": lambda code, opcode: _operand(code),
    "zero_page_x": lambda code, opcode: code.byte(code.add(_operand(code), code.x)),
    "zero_page_y": lambda code, opcode: code.byte(code.add(_operand(code), code.y)),
    "absolute": lambda code, opcode: _operand16(code),
    "absolute_x": lambda code, opcode: _indexed(code, _operand16(code), code.x, opcode),
    "absolute_y": lambda code, opcode: _indexed(code, _operand16(code), code.y, opcode),
    "indirect_x": lambda code, opcode: _pointer(code, code.byte(code.add(_operand(code), code.x))),
    "indirect_y": lambda code, opcode: _indexed(code, _pointer(code, _operand(code)), code.y, opcode),
}

# --- Operations: from a value to registers, flags or another value. ---


def _load(register: str) -> Callable[[Code, Any], None]:
    def operation(code: Code, value: Any) -> None:
        setattr(code, register, value)
        code.zero_negative = value

    return operation


def _compare(register: str) -> Callable[[Code, Any], None]:
    def operation(code: Code, value: Any) -> None:
        difference = code.sub(getattr(code, register), value)
        code.carry = code.band(code.xor(code.right(difference, 8), 1), 1)
        code.zero_negative = code.byte(difference)

    return operation


def _logic(name: str) -> Callable[[Code, Any], None]:
    def operation(code: Code, value: Any) -> None:
        code.a = code.zero_negative = getattr(code, name)(code.a, value)

    return operation


def _add(code: Code, value: Any) -> None:
    total = code.add(code.add(code.a, value), code.carry)
    # Both operands differ in sign from the sum.
    code.keep(layout.OVERFLOW, code.band(code.xor(code.a, total), code.xor(value, total)))
    code.carry = code.right(total, 8)
    code.a = code.zero_negative = code.byte(total)


def _test_bits(code: Code, value: Any) -> None:
    code.keep(layout.OVERFLOW, code.left(code.band(value, 0x40), 1))
    code.zero_negative = code.bor(code.band(code.a, value), code.left(code.band(value, 0x80), 8))


READING: dict[str, Callable[[Code, Any], None]] = {
    "LDA": _load("a"),
    "LDX": _load("x"),
    "LDY": _load("y"),
    "ADC": _add,
    "SBC": lambda code, value: _add(code, code.xor(value, 0xFF)),
    "AND": _logic("band"),
    "ORA": _logic("bor"),
    "EOR": _logic("xor"),
    "CMP": _compare("a"),
    "CPX": _compare("x"),
    "CPY": _compare("y"),
    "BIT": _test_bits,
}
"""What is done with a value."""

WRITING = {"STA": "a", "STX": "x", "STY": "y"}
"""Which register is written."""


def _shift_left(code: Code, value: Any, entering: Any) -> Any:
    shifted = code.bor(code.left(value, 1), entering)
    code.carry = code.right(shifted, 8)
    return code.byte(shifted)


def _shift_right(code: Code, value: Any, entering: Any) -> Any:
    code.carry = code.band(value, 1)
    return code.bor(code.right(value, 1), code.left(entering, 7))


CHANGING: dict[str, Callable[[Code, Any], Any]] = {
    "ASL": lambda code, value: _shift_left(code, value, number(0)),
    "ROL": lambda code, value: _shift_left(code, value, code.carry),
    "LSR": lambda code, value: _shift_right(code, value, number(0)),
    "ROR": lambda code, value: _shift_right(code, value, code.carry),
    "INC": lambda code, value: code.byte(code.add(value, 1)),
    "DEC": lambda code, value: code.byte(code.sub(value, 1)),
    "DCP": lambda code, value: code.byte(code.sub(value, 1)),
}
"""From a value to the one that takes its place, which also sets zero and negative."""

TAKEN: dict[str, Callable[[Code], Any]] = {
    "BPL": lambda code: code.is_not_set(code.zero_negative, 0x8080),
    "BMI": lambda code: code.is_set(code.zero_negative, 0x8080),
    "BVC": lambda code: code.is_not_set(code.kept(layout.OVERFLOW), 0x80),
    "BVS": lambda code: code.is_set(code.kept(layout.OVERFLOW), 0x80),
    "BCC": lambda code: code.is_not_set(code.carry, 1),
    "BCS": lambda code: code.is_set(code.carry, 1),
    "BNE": lambda code: code.is_set(code.zero_negative, 0xFF),
    "BEQ": lambda code: code.is_not_set(code.zero_negative, 0xFF),
}
"""When a branch is taken."""


def _transfer(source: str, target: str) -> Callable[[Code], None]:
    def operation(code: Code) -> None:
        setattr(code, target, getattr(code, source))
        if target != "stack":
            code.zero_negative = getattr(code, source)

    return operation


def _step(register: str, by: int) -> Callable[[Code], None]:
    def operation(code: Code) -> None:
        code.zero_negative = code.byte(code.add(getattr(code, register), by))
        setattr(code, register, code.zero_negative)

    return operation


def _carry(value: int) -> Callable[[Code], None]:
    def operation(code: Code) -> None:
        code.carry = number(value)

    return operation


def _rare_flag(bit: int, value: int) -> Callable[[Code], None]:
    def operation(code: Code) -> None:
        flags = code.kept(layout.INTERRUPT_DECIMAL)
        code.keep(layout.INTERRUPT_DECIMAL, code.bor(flags, bit) if value else code.band(flags, ~bit))

    return operation


def _pull_a(code: Code) -> None:
    code.a = code.zero_negative = code.pull()


def _jump(code: Code) -> None:
    target = _operand16(code)
    # A jump to itself waits for the interrupt: all its rounds at once.
    waiting = code.sub(code.kept(layout.LIMIT), code.cycle)
    rounds = code.builder.sdiv(code.sub(waiting, 1), number(3))
    waits = code.builder.icmp_unsigned("==", target, code.pc)
    code.cycle = code.add(code.cycle, code.if_else(waits, code.builder.mul(rounds, number(3)), 0))
    code.pc = target


def _jump_indirect(code: Code) -> None:
    place = _operand16(code)
    low = code.read(place)
    next_place = code.bor(code.band(place, 0xFF00), code.byte(code.add(place, 1)))  # never the next page's
    code.pc = code.bor(low, code.left(code.read(next_place), 8))


def _jump_to_subroutine(code: Code) -> None:
    code.push_address(code.word16(code.add(code.pc, 2)))
    code.pc = _operand16(code)


def _jump_from_ram(code: Code) -> None:
    """A jump to a subroutine reads its target last: what it pushes may lie there."""
    code.push_address(code.word16(code.add(code.pc, 2)))
    low = code.read(code.word16(code.add(code.pc, 1)))
    code.pc = code.bor(low, code.left(code.read(code.word16(code.add(code.pc, 2))), 8))


def _return(code: Code) -> None:
    code.pc = code.word16(code.add(code.pull_address(), 1))


def _return_from_interrupt(code: Code) -> None:
    code.set_flags(code.pull())
    code.pc = code.pull_address()


def _break(code: Code) -> None:
    code.push_address(code.word16(code.add(code.pc, 2)))
    code.push(code.flags(is_break=True))
    _rare_flag(0x04, 1)(code)
    code.pc = code.load(code.add(code.rom, 0xFFFE), I16)


JUMPING: dict[str, Callable[[Code], None]] = {
    "JMP": _jump,
    "JMI": _jump_indirect,
    "JSR": _jump_to_subroutine,
    "JSR_RAM": _jump_from_ram,
    "RTS": _return,
    "RTI": _return_from_interrupt,
    "BRK": _break,
}
"""What says where execution goes on."""

SIMPLE: dict[str, Callable[[Code], None]] = {
    "TAX": _transfer("a", "x"),
    "TAY": _transfer("a", "y"),
    "TXA": _transfer("x", "a"),
    "TYA": _transfer("y", "a"),
    "TSX": _transfer("stack", "x"),
    "TXS": _transfer("x", "stack"),
    "INX": _step("x", 1),
    "INY": _step("y", 1),
    "DEX": _step("x", -1),
    "DEY": _step("y", -1),
    "PHA": lambda code: code.push(code.a),
    "PLA": _pull_a,
    "PHP": lambda code: code.push(code.flags(is_break=True)),
    "PLP": lambda code: code.set_flags(code.pull()),
    "CLC": _carry(0),
    "SEC": _carry(1),
    "CLI": _rare_flag(0x04, 0),
    "SEI": _rare_flag(0x04, 1),
    "CLD": _rare_flag(0x08, 0),
    "SED": _rare_flag(0x08, 1),
    "CLV": lambda code: code.keep(layout.OVERFLOW, 0),
    "NOP": lambda code: None,
}
"""What needs no value."""


def _branch(code: Code, opcode: Opcode) -> None:
    """Not taken 2 cycles, taken 3, and 5 into another page."""
    taken = TAKEN[opcode.operation](code)
    after = code.add(code.pc, 2)
    distance = code.builder.sext(code.builder.trunc(_operand(code), I8), I64)
    target = code.word16(code.add(after, distance))
    crossed = code.is_set(code.xor(target, after), 0xFF00)
    code.cycle = code.add(code.cycle, code.if_else(taken, code.if_else(crossed, 5, 3), 2))
    code.pc = code.if_else(taken, target, after)


def _do(code: Code, opcode: Opcode) -> None:
    """Everything but PC and base cycles."""
    operation, mode = opcode.operation, opcode.mode
    if operation == "SKIP":
        if opcode.crossing:
            MODES[mode](code, opcode)  # for the time it takes
    elif operation in SIMPLE:
        SIMPLE[operation](code)
    elif mode == "accumulator":
        code.a = code.zero_negative = CHANGING[operation](code, code.a)
    elif operation in READING:
        in_zero_page = mode.startswith("zero_page")
        if mode == "immediate":
            READING[operation](code, _operand(code))
        elif in_zero_page:
            READING[operation](code, code.load(code.add(code.ram, MODES[mode](code, opcode))))
        else:
            READING[operation](code, code.read(MODES[mode](code, opcode)))
    elif operation in WRITING:
        address = MODES[mode](code, opcode)
        _write(code, mode, address, getattr(code, WRITING[operation]))
    else:
        address = MODES[mode](code, opcode)
        value = code.load(code.add(code.ram, address)) if mode.startswith("zero_page") else code.read(address)
        code.zero_negative = CHANGING[operation](code, value)
        _write(code, mode, address, code.zero_negative)
        if operation == "DCP":
            READING["CMP"](code, code.zero_negative)


def _write(code: Code, mode: str, address: Any, value: Any) -> None:
    if mode.startswith("zero_page"):
        code.store(code.add(code.ram, address), value)
    else:
        code.write(address, value)


def write_opcode(function: ir.Function, opcode: Opcode, table: ir.GlobalVariable, leave: ir.Function) -> None:
    """Write the function of an opcode."""
    code = Code(function)
    if opcode.operation in TAKEN:
        _branch(code, opcode)
    elif opcode.operation in JUMPING:
        JUMPING[opcode.operation](code)
        code.cycle = code.add(code.cycle, opcode.cycles)
    else:
        _do(code, opcode)
        code.cycle = code.add(code.cycle, opcode.cycles)
        code.pc = code.add(code.pc, opcode.length)
    if opcode.cycles == 0:
        code.take_time()
    code.go_on(table, leave)


def _write_unexecutable(function: ir.Function, table: ir.GlobalVariable, leave: ir.Function) -> None:
    """Outside the ROM instructions are read from the bus; inside, this is just another opcode that does nothing."""
    code = Code(function)
    inside = code.builder.icmp_unsigned("<", code.sub(code.pc, 0x8000), number(0x8000))
    nothing, fetch = function.append_basic_block(), function.append_basic_block()
    code.builder.cbranch(inside, nothing, fetch)
    code.builder.position_at_end(fetch)
    code.pc = code.word16(code.pc)
    code.word = code.fetch()
    outside = code.builder.gep(table, [number(0), code.bor(code.byte(code.word), 0x100)])
    code._jump(code.builder.load(outside))
    code.builder.position_at_end(nothing)
    code.pc, code.word = function.args[2], function.args[-1]
    code.pc = code.add(code.pc, 1)
    code.take_time()
    code.go_on(table, leave)


def _write_leave(function: ir.Function) -> None:
    """Put the registers back into memory."""
    code = Code(function)
    for name, offset in KEPT.items():
        code.keep(offset, getattr(code, name))
    code.builder.ret_void()


def write_processor(module: ir.Module) -> tuple[ir.GlobalVariable, ir.Function]:
    """Write all opcodes into a module; returns the table of their functions, and the function that ends execution.

    The table has each opcode twice: for instructions in the ROM, and for those fetched from elsewhere, where 0xFF is
    0xFF, and a jump to a subroutine may lie in the stack.
    """
    kind = ir.FunctionType(ir.VoidType(), [I64] * len(REGISTERS))

    def declare(name: str) -> ir.Function:
        function = ir.Function(module, kind, f"nes_{name}")
        function.calling_convention, function.linkage = CONVENTION, "internal"
        return function

    functions = [declare(f"{value:02X}_{opcode.operation}_{opcode.mode}") for value, opcode in sorted(SET.items())]
    unexecutable, from_ram, leave = declare("unexecutable"), declare("20_JSR_from_ram"), declare("leave")
    in_rom = [*functions[:UNEXECUTABLE], unexecutable]
    elsewhere = [*functions[:JSR], from_ram, *functions[JSR + 1 :]]
    both = ir.ArrayType(kind.as_pointer(), 512)
    table = ir.GlobalVariable(module, both, "nes_opcodes")
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(both, in_rom + elsewhere)
    for value, function in enumerate(functions):
        write_opcode(function, SET[value], table, leave)
    write_opcode(from_ram, SET[JSR]._replace(operation="JSR_RAM"), table, leave)
    _write_unexecutable(unexecutable, table, leave)
    _write_leave(leave)
    return table, leave


def opcode_text(operation: str) -> str:
    """Write out what the opcodes of an operation become, as LLVM's text.

    Raises:
        UserError: there is no such operation.
    """
    numbers = [value for value, opcode in sorted(SET.items()) if opcode.operation == operation.upper()]
    if not numbers or operation.upper() == "SKIP":
        names = sorted({opcode.operation for opcode in DOCUMENTED.values()})
        raise UserError(f"--opcode: {operation} is not allowed; must be one of {', '.join(names)}")
    module = ir.Module()
    write_processor(module)
    wanted = {f"nes_{value:02X}_{SET[value].operation}_{SET[value].mode}" for value in numbers}
    return "\n".join(str(function) for function in module.functions if function.name in wanted)


@intrinsic
def execute(typing_context: Any, ram: Any) -> Any:
    """Execute instructions of the machine at address `ram` until CYCLE reaches LIMIT; CYCLE must be below it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, _ = write_processor(builder.module)
        begin = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [I64]), "nes_begin")
        begin.linkage = "internal"
        body = ir.IRBuilder(begin.append_basic_block())

        def kept(address: Any, offset: int) -> Any:
            return body.load(body.inttoptr(body.add(address, number(offset)), I64.as_pointer()), align=1)

        row = begin.args[0]
        rom = kept(kept(row, layout.WORK), layout.ROM)
        state = {name: kept(row, offset) for name, offset in KEPT.items()}
        word = body.zext(body.load(body.inttoptr(body.add(rom, state["pc"]), I32.as_pointer()), align=1), I64)
        registers = {"ram": row, "rom": rom, "word": word} | state
        place = body.gep(table, [number(0), body.and_(word, number(0xFF))])
        body.call(body.load(place), [registers[name] for name in REGISTERS], cconv=CONVENTION)
        body.ret_void()
        builder.call(begin, arguments)
        return context.get_dummy_value()

    return types.void(types.int64), code
