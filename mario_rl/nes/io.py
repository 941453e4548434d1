"""Everything on the bus that is not RAM or ROM: the registers of the picture unit, the copy of sprites, the controller.

`cpu.py` calls these functions by their addresses. Each first brings the picture unit to the dot of the moment: an
instruction that begins at cycle t reads and writes when the dots up to 3 t + 2 of its frame are done.
"""

from __future__ import annotations

from mario_rl.nes.layout import (
    ADDRESS,
    ADVANCE_PICTURE,
    BLANKING,
    BUTTONS,
    CARTRIDGE_RAM,
    CARTRIDGE_RAM_BYTES,
    CONTROL,
    CYCLES_BEFORE,
    DOTS,
    DOTS_OF_LINE,
    FINE_X,
    FIRST_WRITE,
    HEIGHT,
    HIT,
    LATCH,
    LIMIT,
    LINE,
    MASK,
    NAME_TABLES,
    NEXT_ADDRESS,
    PALETTE,
    READ,
    READ_BUFFER,
    RELEASED,
    ROM,
    ROWS_KEPT,
    SPRITE_ADDRESS,
    SPRITES,
    WIDTH,
    WORK,
)
from mario_rl.nes.memory import call2, call4, helper, load8, load32, load64, store8, store64
from mario_rl.nes.opcodes import SET
from mario_rl.nes.ppu import (
    LAST_BLANK,
    LINE_DOTS,
    hit_between,
    list_sprites,
    palette_place,
    read_picture,
    table_place,
)

LENGTHS = tuple(SET[number].length for number in range(256))

CONTROL_REGISTER, MASK_REGISTER, STATUS_REGISTER, SPRITE_ADDRESS_REGISTER = 0, 1, 2, 3  # $2000 and after
SPRITE_DATA_REGISTER, SCROLL_REGISTER, ADDRESS_REGISTER, DATA_REGISTER = 4, 5, 6, 7
COPY_SPRITES, CONTROLLER, SECOND_CONTROLLER = 0x4014, 0x4016, 0x4017
OPEN_BUS = 0x40  # what the controllers' upper bits show

# Loops that wait for a bit of $2002, as a little-endian word of what follows LDA $2002:
WAIT_FOR_BLANKING = 0xFB10  # BPL -5
WAIT_FOR_HIT = 0xF9F04029  # AND #$40, BEQ -7
WAIT_FOR_NO_HIT = 0xF9D04029  # AND #$40, BNE -7
NEVER = 1 << 60


@helper
def _advance_to(row: int, work: int, cycle: int) -> None:
    call2(load64(work + ADVANCE_PICTURE), row, 3 * cycle + 3)


@helper
def _read_status(row: int) -> int:
    status = load64(row + HIT) << 6 | load64(row + BLANKING) << 7
    store64(row + BLANKING, 0)
    store64(row + FIRST_WRITE, 1)
    return status


@helper
def _step_address(row: int) -> None:
    by = 32 if load64(row + CONTROL) & 0x04 else 1
    store64(row + ADDRESS, load64(row + ADDRESS) + by & 0xFFFF)


@helper
def _read_data(row: int, work: int) -> int:
    """The palette at once, all else one read late."""
    address = load64(row + ADDRESS) & 0x3FFF
    value = read_picture(row, work, address)
    _step_address(row)
    if address < 0x3F00:
        late = load64(row + READ_BUFFER)
        store64(row + READ_BUFFER, value)
        return late
    return value


@helper
def _read_controller(row: int) -> int:
    if not load64(row + RELEASED):
        return load64(row + BUTTONS) & 1 | OPEN_BUS
    latch = load64(row + LATCH)
    store64(row + LATCH, latch >> 1)
    return latch & 1 | OPEN_BUS


@helper
def _next_hit(row: int, work: int, end: int) -> int:
    """The dot of this frame at which sprite 0 will be hit, if it is before `end`; brings the picture up to its line."""
    while True:
        line, done, dots = load64(row + LINE), load64(row + DOTS_OF_LINE), load64(row + DOTS)
        if 0 < line <= HEIGHT and done < WIDTH:
            # Looks through the lines that follow as well.
            x = hit_between(row, work, line - 1, max(done, 0), (HEIGHT - line) * LINE_DOTS + WIDTH)
            if x >= 0:
                return dots + x - done
        shortest = LINE_DOTS - 1 if line == 0 and done < LINE_DOTS - 1 else LINE_DOTS  # of a pre-render line
        following = dots + shortest - done
        if following > end:
            return NEVER
        call2(load64(work + ADVANCE_PICTURE), row, following)


@helper
def _end_of_hit(row: int) -> int:
    """The dot of this frame at which the pre-render line clears the flag; certain only below the picture."""
    line, done = load64(row + LINE), load64(row + DOTS_OF_LINE)
    if 0 < line <= HEIGHT:
        return NEVER  # the interrupt comes first
    lines = LAST_BLANK + 1 - line if line else 0
    return load64(row + DOTS) + lines * LINE_DOTS - done


@helper
def _wait(row: int, work: int, cycle: int, pc: int) -> int:
    """Make all rounds but the last of a loop that waits for a flag of $2002; returns the cycles they take.

    They change nothing but what every read of $2002 does. An interrupt ends the wait, so the loop is left before LIMIT.
    """
    if pc < 0x8000 or pc > 0xFFF0 or load8(load64(work + ROM) + pc) != 0xAD:
        return 0
    code = load32(load64(work + ROM) + pc + 3)
    most = load64(row + LIMIT) - 1 - cycle
    if code & 0xFFFF == WAIT_FOR_BLANKING:
        _advance_to(row, work, cycle)
        if load64(row + BLANKING):
            return 0
        round_cycles, length, until = 7, 5, NEVER  # it comes when an interrupt would
    elif code == WAIT_FOR_HIT:
        _advance_to(row, work, cycle)
        if load64(row + HIT):
            return 0
        round_cycles, length, until = 9, 7, _next_hit(row, work, 3 * (cycle + most) + 3)
    elif code == WAIT_FOR_NO_HIT:
        _advance_to(row, work, cycle)
        if load64(row + HIT) == 0:
            return 0
        round_cycles, length, until = 9, 7, _end_of_hit(row)
    else:
        return 0
    if pc >> 8 != pc + length >> 8:  # a branch across a page takes longer
        return 0
    rounds = most // round_cycles
    if until != NEVER:
        # The first read that sees dot `until` done: that of cycle c sees the dots up to 3 c + 2.
        rounds = min(rounds, max(0, -(-(until - 2 - 3 * cycle) // (3 * round_cycles))))
    if rounds > 0:
        _read_status(row)
    return rounds * round_cycles


def read_register(row: int, address: int, cycle: int, pc: int) -> int:
    """Read a byte where there is neither RAM nor ROM.

    Args:
        row: the machine.
        address: 0x2000 to 0x7FFF.
        cycle: of this frame.
        pc: address of the instruction; loops that wait for a flag are known by their code.

    Returns:
        The byte, and << 8 how many cycles later it was read because all rounds of such a loop were made at once.
    """
    work = load64(row + WORK)
    if address >= 0x6000:
        place = address - 0x6000
        return load8(row + CARTRIDGE_RAM + place) if place < load64(work + CARTRIDGE_RAM_BYTES) else 0
    if address < 0x4000:
        register = address & 7
        if register == STATUS_REGISTER:
            waited = _wait(row, work, cycle, pc) if address == 0x2002 else 0
            _advance_to(row, work, cycle + waited)
            return _read_status(row) | waited << 8
        if register == SPRITE_DATA_REGISTER:
            return load8(row + SPRITES + load64(row + SPRITE_ADDRESS))
        if register == DATA_REGISTER:
            _advance_to(row, work, cycle)
            return _read_data(row, work)
        return 0
    if address == CONTROLLER:
        return _read_controller(row)
    return OPEN_BUS if address == SECOND_CONTROLLER else 0


@helper
def _write_data(row: int, work: int, value: int) -> None:
    address = load64(row + ADDRESS) & 0x3FFF
    if address >= 0x3F00:
        store8(row + PALETTE + palette_place(address), value)
    else:
        if address >= 0x2000:
            store8(row + NAME_TABLES + table_place(work, address), value)
        store64(row + ROWS_KEPT, 0)
    _step_address(row)


@helper
def _write_address(row: int, value: int) -> None:
    following = load64(row + NEXT_ADDRESS)
    if load64(row + FIRST_WRITE):
        store64(row + NEXT_ADDRESS, following & 0xFF | (value & 0x3F) << 8)
        store64(row + FIRST_WRITE, 0)
    else:
        following = following & 0xFF00 | value
        store64(row + NEXT_ADDRESS, following)
        store64(row + ADDRESS, following)
        store64(row + FIRST_WRITE, 1)


@helper
def _write_scroll(row: int, value: int) -> None:
    following = load64(row + NEXT_ADDRESS)
    if load64(row + FIRST_WRITE):
        store64(row + NEXT_ADDRESS, following & ~0x1F | value >> 3)
        store64(row + FINE_X, value & 7)
        store64(row + FIRST_WRITE, 0)
    else:
        store64(row + NEXT_ADDRESS, following & ~0x73E0 | (value & 7) << 12 | (value & 0xF8) << 2)
        store64(row + FIRST_WRITE, 1)


@helper
def _write_picture(row: int, work: int, register: int, value: int) -> None:
    if register == DATA_REGISTER:
        _write_data(row, work, value)
    elif register == ADDRESS_REGISTER:
        _write_address(row, value)
    elif register == SCROLL_REGISTER:
        _write_scroll(row, value)
    elif register == CONTROL_REGISTER:
        list_sprites(row)  # of the size they had
        store64(row + CONTROL, value)
        store64(row + NEXT_ADDRESS, load64(row + NEXT_ADDRESS) & ~0xC00 | (value & 3) << 10)
        store64(row + ROWS_KEPT, 0)
    elif register == MASK_REGISTER:
        store64(row + MASK, value)
        store64(row + ROWS_KEPT, 0)
    elif register == SPRITE_ADDRESS_REGISTER:
        list_sprites(row)
        store64(row + SPRITE_ADDRESS, value)
    elif register == SPRITE_DATA_REGISTER:
        list_sprites(row)
        place = load64(row + SPRITE_ADDRESS)
        store8(row + SPRITES + place, value)
        store64(row + SPRITE_ADDRESS, place + 1 & 0xFF)
        store64(row + ROWS_KEPT, 0)


@helper
def _copy_sprites(row: int, work: int, page: int) -> None:
    """Copy a page of 256 bytes, to begin where $2003 says, round and round."""
    list_sprites(row)
    begin = load64(row + SPRITE_ADDRESS)
    source = page << 8
    if source < 0x2000:
        place = row + (source & 0x7FF)
    elif source >= 0x8000:
        place = load64(work + ROM) + source
    elif 0x6000 <= source <= 0x6000 + load64(work + CARTRIDGE_RAM_BYTES) - 256:
        place = row + CARTRIDGE_RAM + source - 0x6000
    else:
        return
    for number in range(256):
        store8(row + SPRITES + (begin + number & 0xFF), load8(place + number))
    store64(row + ROWS_KEPT, 0)


def write_register(row: int, address: int, value: int, cycle: int) -> int:
    """Write a byte where there is no RAM; returns how many cycles the processor stands still."""
    work = load64(row + WORK)
    if address >= 0x8000:
        return 0
    if address >= 0x6000:
        if address - 0x6000 < load64(work + CARTRIDGE_RAM_BYTES):
            store8(row + CARTRIDGE_RAM + address - 0x6000, value)
        return 0
    if address < 0x4000:
        _advance_to(row, work, cycle)
        _write_picture(row, work, address & 7, value)
        return 0
    if address == COPY_SPRITES:
        _advance_to(row, work, cycle)
        _copy_sprites(row, work, value)
        return 513 + (load64(row + CYCLES_BEFORE) + cycle + 1 & 1)
    if address == CONTROLLER:
        store64(row + RELEASED, ~value & 1)
        if value & 1 == 0:
            store64(row + LATCH, load64(row + BUTTONS))
    return 0


@helper
def _read_bus(row: int, address: int, cycle: int) -> int:
    if address < 0x2000:
        return load8(row + (address & 0x7FF))
    if address >= 0x8000:
        return load8(load64(load64(row + WORK) + ROM) + address)
    return call4(load64(load64(row + WORK) + READ), row, address, cycle, 0)


def fetch_instruction(row: int, pc: int, cycle: int) -> int:
    """Read the instruction at PC from the bus, where the ROM is not: its bytes, the opcode lowest."""
    code = _read_bus(row, pc, cycle)
    for number in range(1, LENGTHS[code]):
        code |= _read_bus(row, pc + number & 0xFFFF, cycle) << 8 * number
    return code
