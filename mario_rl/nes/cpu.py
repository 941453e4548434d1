"""The 6502: what each opcode of `opcodes.py` becomes, by its addressing mode and its operation.

Each opcode becomes a small function of its own that ends by jumping to the function of the next opcode, registers in
registers ("threaded code"): a third faster than a loop around a switch. `code.py` writes the LLVM instructions of one;
`mario-rl doctor --opcode LDA` prints them.

What differs from the documents is nes-py's, see CONTRIBUTING.md: a branch into another page takes 5 cycles, BRK 14,
shifts and increments of abs,X one more across a page, and most undocumented opcodes none.

Flags are kept apart. `zero_negative` is the last result: zero where its low byte is, negative where bit 7 or 15 is set
(BIT and PLP need one without the other). `carry` is 0 or 1; overflow lies in memory, as bit 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mario_rl.errors import UserError
from mario_rl.nes import layout
from mario_rl.nes.code import CONVENTION, KEPT, REGISTERS, Code, number
from mario_rl.nes.memory import I8, I16, I32, I64
from mario_rl.nes.opcodes import DOCUMENTED, SET, Opcode

JSR = 0x20
UNEXECUTABLE = 0xFF
"""What the image of the ROM has where there is none: its function looks whether it stands for something else."""

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
    code.jump(code.builder.load(outside))
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
