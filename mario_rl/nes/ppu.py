"""The picture unit: brought forward to a dot when somebody looks at it; draws whole lines where it can.

The processor runs ahead, and before it reads or writes a register of the picture unit, that is advanced to the dot of the
moment (`advance_picture`). In between its registers stand still, so a line is drawn, or passed over, in one go:

- A line that nobody sees costs a few operations. The list of the sprites on a line is made when it is needed.
- A line that is seen is made of 33 tiles of eight pixels, one 64-bit word each. A tile is coloured once per combination
  of four colours and kept; most of drawing is copying those words.
- Sprites are laid over it as masks of eight pixels.

What is exact here and how it differs from the documents is nes-py's, see CONTRIBUTING.md. Addresses are int64; `row` is
the state of a machine, `work` the area its thread has for all machines, both in `layout.py`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mario_rl.nes.layout import (
    ADDRESS,
    BLANKING,
    CHARACTERS,
    COLOURS,
    CONTROL,
    DOTS,
    DOTS_OF_LINE,
    DRAW_LINES,
    EVEN,
    FIND_HIT,
    FINE_X,
    HEIGHT,
    HIT,
    LINE,
    LISTED,
    LISTS,
    MASK,
    NAME_TABLE_BITS,
    NAME_TABLES,
    NEXT_ADDRESS,
    NMI,
    NUM_LISTED,
    NUM_PATTERNS,
    ONE_LINE,
    PALETTE,
    PATTERNS,
    ROWS_KEPT,
    SCREEN,
    SPREAD,
    SPRITE_ADDRESS,
    SPRITES,
    TAKEN,
    TILE_BYTES,
    TILE_KEYS,
    TILE_PLACES,
    TILE_SET_BYTES,
    TILE_SETS,
    TILE_VICTIM,
    TILES,
    UNLISTED_LINE,
    WIDTH,
    WORK,
)
from mario_rl.nes.memory import call4, call6, load8, load64, load_word, store8, store64, store_word

LINE_DOTS = 341
LAST_VISIBLE, FIRST_BLANK, LAST_BLANK = 240, 242, 261  # line numbers, see layout.LINE

BACKGROUND, SPRITES_ON = 0x08, 0x10  # bits of $2001
BACKGROUND_LEFT, SPRITES_LEFT = 0x02, 0x04  # whether the leftmost eight pixels show them

HORIZONTAL, VERTICAL = 0x41F, 0x7BE0  # bits of the address that say where on the line, and which line

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONES = np.uint64(0x0101010101010101)
EIGHT = np.uint64(8)


@njit
def read_picture(row: int, work: int, address: int) -> int:
    """Read a byte of the picture unit's memory: patterns, name tables, palette."""
    address &= 0x3FFF
    if address < 0x2000:
        return load8(load64(work + CHARACTERS) + address)
    if address < 0x3F00:
        return load8(row + NAME_TABLES + table_place(work, address))
    return load8(row + PALETTE + palette_place(address))


@njit
def table_place(work: int, address: int) -> int:
    """Where a byte of the name tables lies in the two there are."""
    second = address & load64(work + NAME_TABLE_BITS)
    return (address & 0x3FF) + (0x400 if second else 0)


@njit
def palette_place(address: int) -> int:
    """Where a colour lies: the first of each sprite palette is that of a background palette."""
    place = address & 0x1F
    return place & 0x0F if place & 0x13 == 0x10 else place


@njit
def _columns_on(address: int, columns: int) -> int:
    """Move an address by columns, into the other name table where it leaves one."""
    x = (address & 0x1F) + columns
    return (address & ~0x1F) ^ ((x >> 5 & 1) << 10) | (x & 0x1F)


@njit
def _next_line(address: int) -> int:
    """Move an address down by one line; row 29 is the last of a name table, 30 and 31 are its attributes."""
    if address & 0x7000 != 0x7000:
        return (address + 0x1000) & 0xFFFF
    y = address >> 5 & 0x1F
    address &= ~0x73E0
    if y == 29:
        return address ^ 0x800
    return address if y == 31 else address | (y + 1) << 5


@njit
def _is_on(row: int, bits: int) -> bool:
    return load64(row + MASK) & bits == bits


@njit
def list_sprites(row: int) -> None:
    """Make the list of sprites that the next line shows, unless it is there: at most eight, in their order."""
    y = load64(row + UNLISTED_LINE)
    if y < 0:
        return
    height = 16 if load64(row + CONTROL) & 0x20 else 8
    listed = 0
    for sprite in range(load64(row + SPRITE_ADDRESS) >> 2, 64):
        if 0 <= y - load8(row + SPRITES + 4 * sprite) < height:
            store8(row + LISTED + listed, sprite)
            listed += 1
            if listed == 8:
                break
    for unused in range(listed, 8):
        store8(row + LISTED + unused, 0)
    store64(row + NUM_LISTED, listed)
    store64(row + UNLISTED_LINE, -1)


@njit
def _sprite_row(row: int, work: int, sprite: int, y: int, rows_kept: bool) -> int:
    """The pattern of a sprite on line y: low plane | high plane << 8.

    Line 0 shows the list of line 239, so the row may be negative, and the pattern may lie anywhere. Where nes-py still
    has the rows that it read at line 239, it shows those.
    """
    place = row + SPRITES + 4 * sprite
    top, tile, attributes = load8(place), load8(place + 1), load8(place + 2)
    control = load64(row + CONTROL)
    height = 16 if control & 0x20 else 8
    line = y - (top + 1 & 0xFF)
    if y == 0 and rows_kept:
        line = HEIGHT - 1 - top
    elif line < 0:
        line = -(-line % height)
    elif line >= height:
        line %= height
    if attributes & 0x80:
        line ^= height - 1
    if control & 0x20:
        address = (tile >> 1) * 32 + (line & 7 | (line & 8) << 1) | (tile & 1) << 12
    else:
        address = (tile * 16 + line & 0xFFFF) + (0x1000 if control & 0x08 else 0)
    return read_picture(row, work, address) | read_picture(row, work, address + 8 & 0xFFFF) << 8


@njit
def _mirrored(bits: int) -> int:
    """Turn a byte round."""
    bits = bits >> 4 & 0x0F | bits << 4 & 0xF0
    bits = bits >> 2 & 0x33 | bits << 2 & 0xCC
    return bits >> 1 & 0x55 | bits << 1 & 0xAA


@njit
def _tile_bits(row: int, work: int, address: int) -> int:
    """Which of a tile's eight pixels on a line are not transparent, the leftmost in bit 7."""
    tile = load8(row + NAME_TABLES + table_place(work, address & 0xFFF))
    page = (load64(row + CONTROL) & 0x10) << 8
    place = load64(work + CHARACTERS) + (page | tile * 16 + (address >> 12 & 7))
    return load8(place) | load8(place + 8)


@njit
def _background_bits(row: int, work: int, address: int, begin: int, x: int) -> int:
    """Which of the pixels x to x + 7 have an opaque background, where `address` is that of pixel `begin`."""
    fine_x = load64(row + FINE_X)
    address = _columns_on(address, (fine_x + x >> 3) - (fine_x + begin >> 3))
    both = _tile_bits(row, work, address) << 8 | _tile_bits(row, work, _columns_on(address, 1))
    bits = both >> 8 - (fine_x + x & 7) & 0xFF
    if x < 8 and not _is_on(row, BACKGROUND_LEFT):
        bits &= 0xFF >> 8 - x
    return bits


@njit
def _lists_sprite_0(row: int) -> bool:
    """Whether sprite 0 is on the line that is drawn next."""
    y = load64(row + UNLISTED_LINE)
    if y < 0:
        return load64(row + NUM_LISTED) > 0 and load8(row + LISTED) == 0
    height = 16 if load64(row + CONTROL) & 0x20 else 8
    return load64(row + SPRITE_ADDRESS) < 4 and 0 <= y - load8(row + SPRITES) < height


@njit
def _keeps_rows(row: int) -> bool:
    return load64(row + ROWS_KEPT) != 0 and load64(row + NUM_LISTED) >= 2


def find_hit(row: int, y: int, begin: int, end: int) -> int:
    """The first x in begin..end-1 of line y where sprite 0, which is listed, meets the background; -1 for none."""
    if y == 0:
        list_sprites(row)
    work = load64(row + WORK)
    left = load8(row + SPRITES + 3)
    x = max(left, begin)
    if x >= min(left + 8, end):
        return -1
    pattern = _sprite_row(row, work, 0, y, _keeps_rows(row))
    bits = pattern & 0xFF | pattern >> 8
    if load8(row + SPRITES + 2) & 0x40:
        bits = _mirrored(bits)
    bits = bits << (x - left) & 0xFF & _background_bits(row, work, load64(row + ADDRESS), begin, x)
    if x < 8 and not _is_on(row, SPRITES_LEFT):
        bits &= 0xFF >> 8 - x
    while x < end:
        if bits & 0x80:
            return x
        bits <<= 1
        if bits & 0xFF == 0:
            return -1
        x += 1
    return -1


@njit
def hit_between(row: int, work: int, y: int, begin: int, end: int) -> int:
    """The first x in begin..end-1 of line y where sprite 0 meets the background; -1 if there is none or one was."""
    if load64(row + HIT) or not _is_on(row, BACKGROUND | SPRITES_ON) or not _lists_sprite_0(row):
        return -1
    return call4(load64(work + FIND_HIT), row, y, begin, end)


# --- Drawing. ---


@njit
def _find_tiles(row: int, work: int) -> None:
    """See to it that TILE_PLACES has, for each background palette, where tiles in its colours are kept."""
    colours, palette = load64(work + COLOURS), row + PALETTE
    backdrop = load8(colours + (load8(palette) & 0x3F))
    for number in range(4):
        key = backdrop
        for entry in range(1, 4):
            key |= load8(colours + (load8(palette + 4 * number + entry) & 0x3F)) << 8 * entry
        key |= 1 << 32  # so that none is 0, what an empty set has
        if load64(work + TILE_KEYS + 8 * number) != key:
            store64(work + TILE_KEYS + 8 * number, key)
            store64(work + TILE_PLACES + 8 * number, 0)
    for number in range(4):
        if load64(work + TILE_PLACES + 8 * number) == 0:
            place = _tile_set(work, load64(work + TILE_KEYS + 8 * number))
            store64(work + TILE_PLACES + 8 * number, place)


@njit
def _tile_set(work: int, key: int) -> int:
    """Where tiles in these colours are kept; the set that makes room for new ones is none of those in use."""
    tiles = load64(work + TILES)
    for number in range(TILE_SETS):
        if load64(tiles + number * TILE_SET_BYTES) == key:
            return tiles + number * TILE_SET_BYTES
    victim = load64(work + TILE_VICTIM)
    while True:
        victim = (victim + 1) % TILE_SETS
        place = tiles + victim * TILE_SET_BYTES
        in_use = False
        for number in range(4):
            in_use |= load64(work + TILE_PLACES + 8 * number) == place
        if not in_use:
            break
    store64(work + TILE_VICTIM, victim)
    store64(place, key)
    for word in range(NUM_PATTERNS // 8):
        store64(place + 8 + 8 * word, 0)
    return place


@njit
def _draw_tile(work: int, place: int, tile: int) -> None:
    """Colour a tile: eight rows of eight pixels."""
    key = load64(place)
    colour_0 = np.uint64(key & 0xFF) * ONES
    # What changes a pixel from the first colour to another, where the bits of its planes are set.
    change_1 = colour_0 ^ np.uint64(key >> 8 & 0xFF) * ONES
    change_2 = colour_0 ^ np.uint64(key >> 16 & 0xFF) * ONES
    change_3 = change_1 ^ change_2 ^ colour_0 ^ np.uint64(key >> 24 & 0xFF) * ONES
    pattern = load64(work + PATTERNS) + tile * 2 * TILE_BYTES
    drawn = place + 8 + NUM_PATTERNS + tile * TILE_BYTES
    for line in range(8):
        low, high = load_word(pattern + 16 * line), load_word(pattern + 16 * line + 8)
        store_word(drawn + 8 * line, colour_0 ^ (low & change_1) ^ (high & change_2) ^ (low & high & change_3))
    store8(place + 8 + tile, 1)


@njit
def _drawn_tile(row: int, work: int, address: int) -> int:
    """Where the pixels of a tile lie, coloured: eight rows, from the one the address is on."""
    table = row + NAME_TABLES + table_place(work, address & 0xC00)
    tile = load8(table + (address & 0x3FF)) + ((load64(row + CONTROL) & 0x10) << 4)
    attributes = load8(table + (0x3C0 | address >> 4 & 0x38 | address >> 2 & 0x07))
    palette = attributes >> (address >> 4 & 4 | address & 2) & 3
    place = load64(work + TILE_PLACES + 8 * palette)
    if load8(place + 8 + tile) == 0:
        _draw_tile(work, place, tile)
    return place + 8 + NUM_PATTERNS + tile * TILE_BYTES + (address >> 12 & 7) * 8


@njit
def _draw_background(row: int, work: int, address: int, lines: int, output: int) -> None:
    """Draw lines of the same row of tiles: 256 bytes each, from `output` on."""
    fine_x = load64(row + FINE_X)
    shift = np.uint64(8 * fine_x)
    source = _drawn_tile(row, work, address)
    for line in range(lines):
        store_word(output + WIDTH * line, load_word(source + 8 * line) >> shift)
    for column in range(1, 32):
        address = _columns_on(address, 1)
        source = _drawn_tile(row, work, address)
        target = output + 8 * column - fine_x
        if lines == 8:  # a number that the compiler knows makes twice as fast
            for line in range(8):
                store_word(target + WIDTH * line, load_word(source + 8 * line))
        else:
            for line in range(lines):
                store_word(target + WIDTH * line, load_word(source + 8 * line))
    if fine_x:
        source = _drawn_tile(row, work, _columns_on(address, 1))
        last = output + WIDTH - 8
        up = np.uint64(64) - shift
        mask = ALL << up
        for line in range(lines):
            word = load_word(last + WIDTH * line) & ~mask | load_word(source + 8 * line) << up
            store_word(last + WIDTH * line, word)
    if not _is_on(row, BACKGROUND_LEFT):
        for line in range(lines):
            store_word(output + WIDTH * line, _backdrop(row, work))


@njit
def _backdrop(row: int, work: int) -> np.uint64:
    """Eight pixels of the colour behind everything."""
    return np.uint64(load8(load64(work + COLOURS) + (load8(row + PALETTE) & 0x3F))) * ONES


@njit
def _fill(output: int, lines: int, pixels: np.uint64) -> None:
    for word in range(lines * WIDTH // 8):
        store_word(output + 8 * word, pixels)


@njit
def _list_lines(row: int, work: int, y: int, lines: int) -> None:
    """Make the lists of sprites of lines y + 1 to y + lines - 1, that of y being made: LISTS has eight and a number."""
    lists = load64(work + LISTS)
    store8(lists + 9 * y + 8, load64(row + NUM_LISTED))
    for listed in range(8):
        store8(lists + 9 * y + listed, load8(row + LISTED + listed))
    for line in range(y + 1, y + lines):
        store8(lists + 9 * line + 8, 0)
    height = 16 if load64(row + CONTROL) & 0x20 else 8
    for sprite in range(load64(row + SPRITE_ADDRESS) >> 2, 64):
        top = load8(row + SPRITES + 4 * sprite) + 1
        for line in range(max(top, y + 1), min(top + height, y + lines)):
            listed = load8(lists + 9 * line + 8)
            if listed < 8:
                store8(lists + 9 * line + listed, sprite)
                store8(lists + 9 * line + 8, listed + 1)


@njit
def _draw_sprites(row: int, work: int, address: int, y: int, output: int) -> None:
    """Lay a line's sprites over its background, which begins at `address`: of several the first in the list shows.

    That one shows, or is hidden by the background, even where one behind it would not be.
    """
    lists = load64(work + LISTS)
    spread, colours, taken = load64(work + SPREAD), load64(work + COLOURS), lists + TAKEN
    kept = _keeps_rows(row)
    listed = load8(lists + 9 * y + 8)
    for number in range(listed):
        sprite = load8(lists + 9 * y + number)
        place = row + SPRITES + 4 * sprite
        attributes, x = load8(place + 2), load8(place + 3)
        pattern = _sprite_row(row, work, sprite, y, kept)
        turned = spread + (2048 if attributes & 0x40 else 0)
        low, high = load_word(turned + 8 * (pattern & 0xFF)), load_word(turned + 8 * (pattern >> 8))
        shown = low | high
        if x > WIDTH - 8:  # what lies beyond the right edge is the next line
            shown &= ALL >> np.uint64(8 * (x - (WIDTH - 8)))
        if x < 8 and not _is_on(row, SPRITES_LEFT):
            shown &= ALL << np.uint64(8 * (7 - x)) << EIGHT
        before = load_word(taken + x)
        shown &= ~before
        store_word(taken + x, before | shown)
        if attributes & 0x20 and _is_on(row, BACKGROUND):
            hidden = _background_bits(row, work, address, 0, x)
            shown &= ~load_word(spread + 8 * hidden)
        palette = row + PALETTE + 0x10 + 4 * (attributes & 3)
        colour_1 = np.uint64(load8(colours + (load8(palette + 1) & 0x3F))) * ONES
        colour_2 = np.uint64(load8(colours + (load8(palette + 2) & 0x3F))) * ONES
        colour_3 = np.uint64(load8(colours + (load8(palette + 3) & 0x3F))) * ONES
        pixels = (low & ~high & colour_1) | (high & ~low & colour_2) | (low & high & colour_3)
        store_word(output + x, (load_word(output + x) & ~shown) | (pixels & shown))
    for number in range(listed):
        x = load8(row + SPRITES + 4 * load8(lists + 9 * y + number) + 3)
        store_word(taken + x, np.uint64(0))


def draw_lines(row: int, work: int, address: int, y: int, lines: int, output: int) -> int:
    """Draw whole lines from y on, the first of which begins at `address`: 256 bytes each, from `output` on; returns 0."""
    background, sprites = _is_on(row, BACKGROUND), _is_on(row, SPRITES_ON)
    if background:
        _find_tiles(row, work)
    if sprites:
        list_sprites(row)
        _list_lines(row, work, y, lines)
    done = 0
    while done < lines:
        # After a line the address goes back to the left edge that the next ones begin at; this one may begin elsewhere.
        goes_on = background and sprites and (address ^ load64(row + NEXT_ADDRESS)) & HORIZONTAL == 0
        together = min(8 - (address >> 12 & 7), lines - done) if goes_on else 1
        place = output + WIDTH * done
        if background:
            _draw_background(row, work, address, together, place)
        else:
            _fill(place, together, _backdrop(row, work))
        for line in range(together):
            if sprites:
                _draw_sprites(row, work, address, y + done + line, place + WIDTH * line)
            address = _after_line(row, address)
        done += together
    return 0


@njit
def _after_line(row: int, address: int) -> int:
    """Where the next line begins."""
    if not _is_on(row, BACKGROUND):
        return address
    if _is_on(row, SPRITES_ON):
        return _next_line(address) & ~HORIZONTAL | load64(row + NEXT_ADDRESS) & HORIZONTAL
    return _next_line(_columns_on(address, 32))


# --- Time. ---


@njit
def _end_of_line(row: int, y: int) -> None:
    """Dot 341: which sprites the next line has is settled, though not worked out yet."""
    store64(row + UNLISTED_LINE, y)
    store64(row + ROWS_KEPT, 1 if y == HEIGHT - 1 and _is_on(row, SPRITES_ON) else 0)


@njit
def _whole_lines(row: int, work: int, y: int, lines: int) -> None:
    """Pass over visible lines, and draw them if the frame is drawn."""
    address, screen = load64(row + ADDRESS), load64(work + SCREEN)
    if screen:
        # The lists are made before UNLISTED_LINE moves on.
        call6(load64(work + DRAW_LINES), row, work, address, y, lines, screen + WIDTH * y)
    may_hit = load64(row + HIT) == 0 and _is_on(row, BACKGROUND | SPRITES_ON)
    for line in range(y, y + lines):
        if may_hit:
            store64(row + ADDRESS, address)
            if hit_between(row, work, line, 0, WIDTH) >= 0:
                store64(row + HIT, 1)
                may_hit = False
            store64(row + UNLISTED_LINE, line)
        address = _after_line(row, address)
    store64(row + ADDRESS, address)
    _end_of_line(row, y + lines - 1)


@njit
def _part_of_line(row: int, work: int, y: int, done: int, dots: int) -> None:
    """Do some dots of a visible line, of which `done` are done."""
    end = done + dots
    if done < WIDTH:
        begin, stop = done, min(end, WIDTH)
        address, fine_x = load64(row + ADDRESS), load64(row + FINE_X)
        if hit_between(row, work, y, begin, stop) >= 0:
            store64(row + HIT, 1)
        if load64(work + SCREEN):
            # As a whole line that has this part, of which the part is taken.
            whole = load64(work + LISTS) + ONE_LINE
            start = _columns_on(address, (fine_x >> 3) - (fine_x + begin >> 3)) if _is_on(row, BACKGROUND) else address
            call6(load64(work + DRAW_LINES), row, work, start, y, 1, whole)
            output = load64(work + SCREEN) + WIDTH * y
            for x in range(begin, stop):
                store8(output + x, load8(whole + x))
        if _is_on(row, BACKGROUND):
            store64(row + ADDRESS, _columns_on(address, (fine_x + stop >> 3) - (fine_x + begin >> 3)))
    address = load64(row + ADDRESS)
    if done < 257 <= end and _is_on(row, BACKGROUND):
        address = _next_line(address)
    if done < 258 <= end and _is_on(row, BACKGROUND | SPRITES_ON):
        address = address & ~HORIZONTAL | load64(row + NEXT_ADDRESS) & HORIZONTAL
    store64(row + ADDRESS, address)
    if end == LINE_DOTS:
        _end_of_line(row, y)


@njit
def _pre_render(row: int, done: int, left: int) -> int:
    """Do up to `left` dots of the line before the picture; returns how many."""
    both = _is_on(row, BACKGROUND | SPRITES_ON)
    # Every other picture is a dot shorter if there is something to draw when that dot would come.
    length = LINE_DOTS - 1 if both and load64(row + EVEN) == 0 and done < LINE_DOTS - 1 else LINE_DOTS
    dots = min(left, length - done)
    end = done + dots
    if done < 1 <= end:
        store64(row + BLANKING, 0)
        store64(row + HIT, 0)
    address, following = load64(row + ADDRESS), load64(row + NEXT_ADDRESS)
    if both and done < 258 <= end:
        address = address & ~HORIZONTAL | following & HORIZONTAL
    if both and done < 304 and end >= 281:
        address = address & ~VERTICAL | following & VERTICAL
    store64(row + ADDRESS, address)
    if end == length:
        store64(row + LINE, 1)
        end = 0
    store64(row + DOTS_OF_LINE, end)
    return dots


@njit
def _blank(row: int, line: int, done: int, left: int) -> int:
    """Do up to `left` dots of a line below the picture; returns how many."""
    dots = min(left, LINE_DOTS - done)
    end = done + dots
    if line == FIRST_BLANK and done == 0:
        store64(row + BLANKING, 1)
        store64(row + NMI, load64(row + CONTROL) >> 7)
    if end == LINE_DOTS:
        end = 0
        line += 1
        if line > LAST_BLANK:
            line = 0
            store64(row + EVEN, 1 - load64(row + EVEN))
        store64(row + LINE, line)
    store64(row + DOTS_OF_LINE, end)
    return dots


def advance_picture(row: int, target: int) -> int:
    """Do everything up to the frame's dot `target`, without it; returns 0."""
    work = load64(row + WORK)
    dots = load64(row + DOTS)
    while dots < target:
        line, done, left = load64(row + LINE), load64(row + DOTS_OF_LINE), target - dots
        if line > LAST_VISIBLE:
            dots += _blank(row, line, done, left)
        elif line == 0:
            dots += _pre_render(row, done, left)
        elif done == 0 and left >= LINE_DOTS:
            lines = min(left // LINE_DOTS, LAST_VISIBLE + 1 - line)
            _whole_lines(row, work, line - 1, lines)
            store64(row + LINE, line + lines)
            dots += lines * LINE_DOTS
        else:
            part = min(left, LINE_DOTS - done)
            _part_of_line(row, work, line - 1, done, part)
            at_end = done + part == LINE_DOTS
            store64(row + LINE, line + 1 if at_end else line)
            store64(row + DOTS_OF_LINE, 0 if at_end else done + part)
            dots += part
    store64(row + DOTS, dots)
    return 0


@njit
def dots_to_blanking(row: int) -> int:
    """How many dots come before the one that begins vertical blanking; if that isn't certain yet, fewer."""
    line, done = load64(row + LINE), load64(row + DOTS_OF_LINE)
    if line < FIRST_BLANK or (line == FIRST_BLANK and done == 0):
        left = (FIRST_BLANK - line) * LINE_DOTS - done
        is_certain = line > 0 or load64(row + EVEN) != 0
    else:
        left = (LAST_BLANK + 1 - line + FIRST_BLANK) * LINE_DOTS - done
        is_certain = load64(row + EVEN) == 0  # it changes before the pre-render line
    return left if is_certain else left - 1
