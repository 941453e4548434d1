"""The machine code of one opcode, while it is written down: registers, flags, memory and the jump to the next."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from mario_rl.nes import layout
from mario_rl.nes.memory import I8, I32, I64

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
        self.jump(leave)
        builder.position_at_end(on)
        self.word = self.load(self.add(self.rom, self.pc), I32)
        self.dispatch(table)

    def dispatch(self, table: ir.GlobalVariable) -> None:
        """Jump to the function of the opcode in `word`."""
        place = self.builder.gep(table, [number(0), self.byte(self.word)])
        self.jump(self.builder.load(place))

    def fetch(self) -> Any:
        """Read the instruction at PC from the bus, where it is not in the ROM."""
        return self._call(layout.FETCH, [self.ram, self.pc, self.began])

    def jump(self, function: Any) -> None:
        """Go on in another function, for good, with all registers as they are."""
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
