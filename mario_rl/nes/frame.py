"""One frame of a machine: processor and picture unit in turn, and the interrupt between them."""

from __future__ import annotations

from mario_rl.nes.cpu import execute
from mario_rl.nes.layout import (
    ADDRESS,
    ADVANCE_PICTURE,
    BLANKING,
    BUTTONS,
    CARRY,
    CONTROL,
    CYCLE,
    CYCLES_BEFORE,
    DOTS,
    DOTS_OF_LINE,
    EVEN,
    FINE_X,
    FIRST_WRITE,
    FREE,
    HIT,
    INTERRUPT_DECIMAL,
    LIMIT,
    LINE,
    LISTED,
    MASK,
    NEXT_ADDRESS,
    NMI,
    NUM_LISTED,
    OVERFLOW,
    PC,
    READ_BUFFER,
    ROM,
    ROWS_KEPT,
    RUN_PROCESSOR,
    SCREEN,
    SPRITE_ADDRESS,
    SPRITES,
    STACK,
    STATUS,
    UNLISTED_LINE,
    WORK,
    ZERO_NEGATIVE,
    A,
    X,
    Y,
)
from mario_rl.nes.memory import call2, helper, load8, load64, store8, store64
from mario_rl.nes.ppu import dots_to_blanking

FRAME_CYCLES = 29_781
FRAME_DOTS = 3 * FRAME_CYCLES
INTERRUPT_CYCLES = 7
INTERRUPT_VECTOR, RESET_VECTOR = 0xFFFA, 0xFFFC


def execute_until(row: int, limit: int) -> int:
    """Execute the instructions that begin before a cycle of the frame; returns the cycle the next one begins at."""
    store64(row + LIMIT, limit)
    if load64(row + CYCLE) < limit:
        execute(row)
    return load64(row + CYCLE)


@helper
def _push(row: int, value: int) -> None:
    stack = load64(row + STACK)
    store8(row + 0x100 + stack, value)
    store64(row + STACK, stack - 1 & 0xFF)


@helper
def _packed_flags(row: int) -> int:
    """Put the flags, which `cpu.py` keeps apart, into a byte."""
    last = load64(row + ZERO_NEGATIVE)
    negative = 0x80 if last & 0x8080 else 0
    zero = 0x02 if last & 0xFF == 0 else 0
    overflow = load64(row + OVERFLOW) >> 1 & 0x40
    return negative | overflow | 0x20 | load64(row + INTERRUPT_DECIMAL) | zero | load64(row + CARRY)


@helper
def _interrupt(row: int, work: int) -> None:
    """Begin the non-maskable interrupt: it delays whatever comes next by 7 cycles.

    To nes-py an instruction that takes no cycles is over before the interrupt comes, and one of them has passed.
    """
    store64(row + NMI, 0)
    _push(row, load64(row + PC) >> 8)
    _push(row, load64(row + PC))
    _push(row, _packed_flags(row))
    store64(row + INTERRUPT_DECIMAL, load64(row + INTERRUPT_DECIMAL) | 0x04)
    vector = load64(work + ROM) + INTERRUPT_VECTOR
    store64(row + PC, load8(vector) | load8(vector + 1) << 8)
    cycle = load64(row + CYCLE)
    passed = 1 if load64(row + FREE) == cycle else 0
    store64(row + CYCLE, cycle + INTERRUPT_CYCLES - passed)


@helper
def _pack_flags(row: int) -> None:
    store64(row + STATUS, _packed_flags(row))
    for number in (ZERO_NEGATIVE, CARRY, OVERFLOW, INTERRUPT_DECIMAL):
        store64(row + number, 0)


@helper
def _unpack_flags(row: int) -> None:
    status = load64(row + STATUS)
    store64(row + ZERO_NEGATIVE, (status & 0x80) << 8 | (0 if status & 0x02 else 1))
    store64(row + CARRY, status & 1)
    store64(row + OVERFLOW, (status & 0x40) << 1)
    store64(row + INTERRUPT_DECIMAL, status & 0x0C)


def play_frame(row: int, work: int, buttons: int, screen: int) -> int:
    """Play one frame; returns 0.

    Args:
        row: the machine.
        work: the work area of this thread.
        buttons: of the first controller: A, B, select, start, up, down, left, right from bit 0 on.
        screen: where to draw the frame, 240 x 256 bytes and 8 more; 0 to draw nothing.
    """
    store64(row + WORK, work)
    store64(work + SCREEN, screen)
    store64(row + BUTTONS, buttons)
    _unpack_flags(row)
    execute_function, advance_function = load64(work + RUN_PROCESSOR), load64(work + ADVANCE_PICTURE)
    while True:
        blanking = load64(row + DOTS) + dots_to_blanking(row)
        limit = min(blanking // 3, FRAME_CYCLES)
        call2(execute_function, row, limit)
        if blanking >= FRAME_DOTS:
            break
        call2(advance_function, row, blanking + 1)
        if load64(row + NMI):
            _interrupt(row, work)
    call2(advance_function, row, FRAME_DOTS)
    store64(row + CYCLE, load64(row + CYCLE) - FRAME_CYCLES)
    store64(row + FREE, load64(row + FREE) - FRAME_CYCLES)
    store64(row + CYCLES_BEFORE, load64(row + CYCLES_BEFORE) + FRAME_CYCLES)
    _pack_flags(row)
    for number in (LIMIT, WORK, DOTS, NMI):
        store64(row + number, 0)
    return 0


def reset_machine(row: int, rom: int) -> int:
    """Press reset: registers and sprites begin anew, memory and controller stay; returns 0.

    Args:
        row: the machine.
        rom: address of the image of its ROM.
    """
    for number in (A, X, Y, CYCLE, CYCLES_BEFORE, LINE, ADDRESS, NEXT_ADDRESS, FINE_X, CONTROL):
        store64(row + number, 0)
    for number in (HIT, BLANKING, SPRITE_ADDRESS, READ_BUFFER, NUM_LISTED, ROWS_KEPT):
        store64(row + number, 0)
    store64(row + PC, load8(rom + RESET_VECTOR) | load8(rom + RESET_VECTOR + 1) << 8)
    store64(row + FREE, -1)
    store64(row + STACK, 0xFD)
    store64(row + STATUS, 0x34)
    store64(row + DOTS_OF_LINE, -1)
    store64(row + FIRST_WRITE, 1)
    store64(row + EVEN, 1)
    store64(row + MASK, 0x1E)  # all shown, up to the left edge
    store64(row + UNLISTED_LINE, -1)
    for place in range(256):
        store8(row + SPRITES + place, 0)
    for place in range(8):
        store8(row + LISTED + place, 0)
    return 0
