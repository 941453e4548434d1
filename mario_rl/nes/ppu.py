"""The picture unit: brought forward to a dot when somebody looks at it; draws whole lines where it can.

The processor runs ahead, and before it reads or writes a register of the picture unit, that is advanced to the dot of
the moment (`advance_picture`). In between its registers stand still, so lines are drawn, or passed over, in one go:

- Lines that nobody sees cost a few operations, however many. The list of the sprites on a line is made when needed.
- A line that is seen is made of 33 tiles of eight pixels, one 64-bit word each. A tile is coloured once per combination
  of four colours and kept; most of drawing is copying those words.
- Sprites are laid over it one by one, as masks of eight pixels.

What is exact here and how it differs from the documents is nes-py's, see CONTRIBUTING.md. Addresses are int64; `row` is
the state of a machine, `work` the area its thread has for all machines, both in `layout.py`.
"""

from __future__ import annotations

import numpy as np

from mario_rl.nes.layout import (
    ADDRESS,
    BLANKING,
    CANVAS,
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
    IS_DRAWN,
    LINE,
    LINE_ADDRESSES,
    LISTED,
    LISTED_OF_LINES,
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
    PIXELS,
    ROWS_KEPT,
    SCREEN,
    SPREAD,
    SPRITE_ADDRESS,
    SPRITE_ROW,
    SPRITES,
    TAKEN,
    TAKEN_BYTES,
    TILE_BYTES,
    TILE_KEYS,
    TILE_PALETTES,
    TILE_PLACES,
    TILE_SET_BYTES,
    TILE_SETS,
    TILE_VICTIM,
    TILES,
    TILES_OF_ROW,
    UNLISTED_LINE,
    WIDTH,
    WORK,
)
from mario_rl.nes.memory import (
    apart,
    call4,
    call6,
    copy,
    fill,
    helper,
    load8,
    load32,
    load64,
    load_word,
    mirrored,
    store8,
    store32,
    store64,
    store_word,
    store_words,
)

LINE_DOTS = 341
LAST_VISIBLE, FIRST_BLANK, LAST_BLANK = 240, 242, 261  # line numbers, see layout.LINE

BACKGROUND, SPRITES_ON = 0x08, 0x10  # bits of $2001
BACKGROUND_LEFT, SPRITES_LEFT = 0x02, 0x04  # whether the leftmost eight pixels show them

HORIZONTAL, VERTICAL = 0x41F, 0x7BE0  # bits of the address that say where on the line, and which line

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONES = np.uint64(0x0101010101010101)
EIGHT = np.uint64(8)


@helper
def table_place(work: int, address: int) -> int:
    """Where a byte of the name tables lies in the two there are."""
    second = address & load64(work + NAME_TABLE_BITS)
    return (address & 0x3FF) + (0x400 if second else 0)


@helper
def palette_place(address: int) -> int:
    """Where a colour lies: the first of each sprite palette is that of a background palette."""
    place = address & 0x1F
    return place & 0x0F if place & 0x13 == 0x10 else place


@helper
def read_picture(row: int, work: int, address: int) -> int:
    """Read a byte of the picture unit's memory: patterns, name tables, palette."""
    address &= 0x3FFF
    if address < 0x2000:
        return load8(load64(work + CHARACTERS) + address)
    if address < 0x3F00:
        return load8(row + NAME_TABLES + table_place(work, address))
    return load8(row + PALETTE + palette_place(address))


@helper
def _is_on(row: int, bits: int) -> bool:
    return load64(row + MASK) & bits == bits


@helper
def _columns_on(address: int, columns: int) -> int:
    """Move an address by columns, into the other name table where it leaves one."""
    x = (address & 0x1F) + columns
    return (address & ~0x1F) ^ ((x >> 5 & 1) << 10) | (x & 0x1F)


@helper
def _down(address: int, lines: int) -> int:
    """Move an address down by so many lines, at most 240.

    Row 29 is the last of a name table; 30 and 31 are its attributes, and after those comes row 0 of the same table.
    """
    y = (address >> 2 & 0xF8 | address >> 12 & 7) + lines
    in_attributes = address & 0x3C0 == 0x3C0
    if in_attributes and y >= 256:
        y -= 256
        in_attributes = False
    while y >= 240 and not in_attributes:
        y -= 240
        address ^= 0x800
    return address & ~0x73E0 | (y & 7) << 12 | (y & 0xF8) << 2


@helper
def _lines_down(row: int, address: int, lines: int) -> int:
    """Where the line begins that is so many, 1 to 240, below the one that an address is on."""
    if not _is_on(row, BACKGROUND):
        return address
    if _is_on(row, SPRITES_ON):
        address = address & ~HORIZONTAL | load64(row + NEXT_ADDRESS) & HORIZONTAL
    elif lines & 1:
        address = _columns_on(address, 32)
    return _down(address, lines)


@helper
def list_sprites(row: int) -> None:
    """Make the list of sprites that the next line shows, unless it is there: at most eight, in their order."""
    y = load64(row + UNLISTED_LINE)
    if y < 0:
        return
    height = np.uint64(16 if load64(row + CONTROL) & 0x20 else 8)
    listed = 0
    for sprite in range(load64(row + SPRITE_ADDRESS) >> 2, 64):
        if np.uint64(y - load8(row + SPRITES + 4 * sprite)) < height:  # a negative number is a big one
            store8(row + LISTED + listed, sprite)
            listed += 1
            if listed == 8:
                break
    for unused in range(listed, 8):
        store8(row + LISTED + unused, 0)
    store64(row + NUM_LISTED, listed)
    store64(row + UNLISTED_LINE, -1)


@helper
def _sprite_row(row: int, work: int, sprite: int, y: int, rows_kept: bool) -> int:
    """The pattern of a sprite on line y: low plane | high plane << 8.

    Line 0 shows the list of line 239, so the row may be negative, and the pattern may lie anywhere. Where nes-py still
    has the rows that it read at line 239, it shows those.
    """
    apart()
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


@helper
def _bits_mirrored(bits: int) -> int:
    """Turn a byte round."""
    bits = bits >> 4 & 0x0F | bits << 4 & 0xF0
    bits = bits >> 2 & 0x33 | bits << 2 & 0xCC
    return bits >> 1 & 0x55 | bits << 1 & 0xAA


@helper
def _tile_bits(row: int, work: int, address: int) -> int:
    """Which of a tile's eight pixels on a line are not transparent, the leftmost in bit 7."""
    tile = load8(row + NAME_TABLES + table_place(work, address & 0xFFF))
    page = (load64(row + CONTROL) & 0x10) << 8
    place = load64(work + CHARACTERS) + (page | tile * 16 + (address >> 12 & 7))
    return load8(place) | load8(place + 8)


@helper
def _background_bits(row: int, work: int, address: int, begin: int, x: int) -> int:
    """Which of the pixels x to x + 7 have an opaque background, where `address` is that of pixel `begin`."""
    apart()
    fine_x = load64(row + FINE_X)
    address = _columns_on(address, (fine_x + x >> 3) - (fine_x + begin >> 3))
    both = _tile_bits(row, work, address) << 8 | _tile_bits(row, work, _columns_on(address, 1))
    bits = both >> 8 - (fine_x + x & 7) & 0xFF
    if x < 8 and not _is_on(row, BACKGROUND_LEFT):
        bits &= 0xFF >> 8 - x
    return bits


@helper
def _lists_sprite_0(row: int) -> bool:
    """Whether sprite 0 is on the line that is drawn next."""
    y = load64(row + UNLISTED_LINE)
    if y < 0:
        return load64(row + NUM_LISTED) > 0 and load8(row + LISTED) == 0
    height = 16 if load64(row + CONTROL) & 0x20 else 8
    return load64(row + SPRITE_ADDRESS) < 4 and 0 <= y - load8(row + SPRITES) < height


@helper
def _keeps_rows(row: int) -> bool:
    return load64(row + ROWS_KEPT) != 0 and load64(row + NUM_LISTED) >= 2


@helper
def _hit_on_line(row: int, y: int, address: int, begin: int, end: int) -> int:
    """The first x in begin..end-1 of line y where sprite 0, which is listed, meets the background; -1 for none.

    `address` is that of pixel `begin`.
    """
    apart()
    work = load64(row + WORK)
    left = load8(row + SPRITES + 3)
    x = max(left, begin)
    if x >= min(left + 8, end):
        return -1
    pattern = _sprite_row(row, work, 0, y, _keeps_rows(row))
    bits = pattern & 0xFF | pattern >> 8
    if load8(row + SPRITES + 2) & 0x40:
        bits = _bits_mirrored(bits)
    bits = bits << (x - left) & 0xFF & _background_bits(row, work, address, begin, x)
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


def find_hit(row: int, y: int, begin: int, end: int) -> int:
    """Do what `hit_between` says, whether or not there was a hit before."""
    if not _is_on(row, BACKGROUND | SPRITES_ON):
        return -1
    address = load64(row + ADDRESS)
    if _lists_sprite_0(row):
        if y == 0:
            list_sprites(row)
        x = _hit_on_line(row, y, address, begin, min(end, WIDTH))
        if x >= 0:
            return x
    if load64(row + SPRITE_ADDRESS) >= 4:
        return -1
    # On the lines below it is where it is now.
    top = load8(row + SPRITES) + 1
    height = 16 if load64(row + CONTROL) & 0x20 else 8
    for line in range(max(top, y + 1), min(top + height, y + 1 + end // LINE_DOTS)):
        x = _hit_on_line(row, line, _lines_down(row, address, line - y), 0, WIDTH)
        if x >= 0:
            return (line - y) * LINE_DOTS + x
    return -1


@helper
def hit_between(row: int, work: int, y: int, begin: int, end: int) -> int:
    """The first dot in begin..end-1 where sprite 0 meets the background; -1 if there is none, or was one before.

    Dots are counted from the beginning of line y, where `begin` lies and the picture is. `end` lies there, too, or is
    x = 256 of a line below: then this looks ahead, as if nothing were changed until then.
    """
    return -1 if load64(row + HIT) else call4(load64(work + FIND_HIT), row, y, begin, end)


# --- Drawing. ---


@helper
def _tile_set(work: int, key: int) -> int:
    """Where tiles in these colours are kept; the set that makes room for new ones is none of those in use."""
    apart()
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
        store64(place + IS_DRAWN + 8 * word, 0)
    return place


@helper
def _change_tile_sets(row: int, work: int) -> None:
    """Find the tiles for the palettes that have changed."""
    apart()
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


@helper
def _find_tile_sets(row: int, work: int) -> None:
    """See to it that TILE_PLACES has, for each background palette, where tiles in its colours are kept."""
    palette, last = row + PALETTE, work + TILE_PALETTES
    if load64(palette) == load64(last) and load64(palette + 8) == load64(last + 8) and load64(work + TILE_PLACES):
        return
    store64(last, load64(palette))
    store64(last + 8, load64(palette + 8))
    _change_tile_sets(row, work)


@helper
def _eight(colour: int) -> np.uint64:
    """Eight pixels of one colour."""
    return np.uint64(colour) * ONES


@helper
def _backdrop(row: int, work: int) -> int:
    """The colour behind everything."""
    return load8(load64(work + COLOURS) + (load8(row + PALETTE) & 0x3F))


@helper
def _draw_tile(work: int, place: int, tile: int) -> None:
    """Colour a tile: eight rows of eight pixels."""
    apart()
    key = load64(place)
    backdrop = _eight(key & 0xFF)
    # What changes a pixel from the first colour to another, where the bits of its planes are set.
    change_1, change_2 = backdrop ^ _eight(key >> 8 & 0xFF), backdrop ^ _eight(key >> 16 & 0xFF)
    change_3 = change_1 ^ change_2 ^ backdrop ^ _eight(key >> 24 & 0xFF)
    pattern = load64(work + PATTERNS) + tile * 2 * TILE_BYTES
    drawn = place + PIXELS + tile * TILE_BYTES
    for line in range(8):
        low, high = load_word(pattern + 16 * line), load_word(pattern + 16 * line + 8)
        store_word(drawn + 8 * line, backdrop ^ (low & change_1) ^ (high & change_2) ^ (low & high & change_3))
    store8(place + IS_DRAWN + tile, 1)


@helper
def _find_tiles(row: int, work: int, address: int, columns: int, found: int) -> None:
    """Write down, from `found` on, where the pixels of the tiles from an address on lie, coloured.

    The first one is in an even column, where the address may be one further: two columns have one palette.
    """
    table = row + NAME_TABLES + table_place(work, address & 0xC00)
    following = row + NAME_TABLES + table_place(work, address & 0xC00 ^ 0x400)
    names, attributes, shift = address & 0x3E0, 0x3C0 | address >> 4 & 0x38, address >> 4 & 4
    page = (load64(row + CONTROL) & 0x10) << 4
    first_row = PIXELS + page * TILE_BYTES + (address >> 12 & 7) * 8
    x = address & 0x1E
    for pair in range((address & 1) + columns + 1 >> 1):
        if x == 32:
            x, table = 0, following
        palette = load8(table + attributes + (x >> 2)) >> (shift | x & 2) & 3
        tiles = load64(work + TILE_PLACES + 8 * palette)
        for column in range(2):
            tile = load8(table + names + x + column)
            if load8(tiles + IS_DRAWN + page + tile) == 0:
                _draw_tile(work, tiles, page + tile)
            store64(found + 16 * pair + 8 * column, tiles + first_row + tile * TILE_BYTES)
        x += 2


@helper
def _draw_background(row: int, work: int, address: int, lines: int, begin: int, end: int, output: int) -> None:
    """Draw lines of one row of tiles, 256 bytes each from `output` on; of each, the pixels begin..end-1 and around.

    `address` is that of pixel `begin`. The rightmost tile goes beyond the end of a line, and the leftmost one of the
    next line is drawn over that. So up to eight bytes too many are written after the last line.
    """
    fine_x = load64(row + FINE_X)
    first, last = fine_x + begin >> 3, fine_x + end >> 3
    found = load64(work + CANVAS) + TILES_OF_ROW
    _find_tiles(row, work, address, last - first + 1, found)
    sources, targets = found + 8 * (address & 1) - 8 * first, output - fine_x
    if lines == 8:  # a number that the compiler knows makes twice as fast, and so do two words at once
        for column in range(31, 0, -2):
            source, second = load64(sources + 8 * column), load64(sources + 8 * column + 8)
            target = targets + 8 * column
            for line in range(8):
                store_words(target + WIDTH * line, load_word(source + 8 * line), load_word(second + 8 * line))
    else:
        for column in range(last, max(first, 1) - 1, -1):
            source, target = load64(sources + 8 * column), targets + 8 * column
            for line in range(lines):
                store_word(target + WIDTH * line, load_word(source + 8 * line))
    if first == 0:
        source, hidden = load64(sources), np.uint64(8 * fine_x)
        seen = ALL >> hidden
        for line in range(lines):
            place = output + WIDTH * line
            store_word(place, load_word(source + 8 * line) >> hidden | load_word(place) & ~seen)
    if not _is_on(row, BACKGROUND_LEFT):
        for line in range(lines):
            store_word(output + WIDTH * line, _eight(_backdrop(row, work)))


@helper
def _draw_sprite(row: int, work: int, sprite: int, y: int, lines: int, pattern: int, begin: int, output: int) -> None:
    """Lay a sprite over lines from y on, the first of which begins at `output`.

    Of several sprites the first that is listed shows, or is hidden by the background, even where one behind it would
    not be. So what is taken is kept; sprites come in the order of the lists.

    Args:
        row: the machine.
        work: the work area.
        sprite: its number.
        y: first line.
        lines: how many.
        pattern: address of the two words of its row on line y. The following rows lie behind it, or before it if the
            sprite is upside down.
        begin: the pixel that LINE_ADDRESSES are of.
        output: where line y is drawn.
    """
    apart()
    canvas, colours = load64(work + CANVAS), load64(work + COLOURS)
    attributes, x = load8(row + SPRITES + 4 * sprite + 2), load8(row + SPRITES + 4 * sprite + 3)
    step = -16 if attributes & 0x80 else 16
    palette = row + PALETTE + 0x10 + 4 * (attributes & 3)
    colour_1 = _eight(load8(colours + (load8(palette + 1) & 0x3F)))
    colour_2 = _eight(load8(colours + (load8(palette + 2) & 0x3F)))
    change_3 = colour_1 ^ colour_2 ^ _eight(load8(colours + (load8(palette + 3) & 0x3F)))
    seen = ALL
    if x > WIDTH - 8:  # what lies beyond the right edge is the next line
        seen >>= np.uint64(8 * (x - (WIDTH - 8)))
    if x < 8 and not _is_on(row, SPRITES_LEFT):
        seen &= ALL << np.uint64(8 * (7 - x)) << EIGHT
    behind = attributes & 0x20 and _is_on(row, BACKGROUND)
    for line in range(y, y + lines):
        listed = load8(canvas + LISTED_OF_LINES + line)
        if listed < 8:
            store8(canvas + LISTED_OF_LINES + line, listed + 1)
            taken = canvas + TAKEN + TAKEN_BYTES * line
            if listed == 0:
                for word in range(TAKEN_BYTES // 8):
                    store64(taken + 8 * word, 0)
            low, high = load_word(pattern), load_word(pattern + 8)
            if attributes & 0x40:
                low, high = mirrored(low), mirrored(high)
            shown = (low | high) & seen
            before = load_word(taken + x)
            store_word(taken + x, before | shown)
            shown &= ~before
            if behind:
                start = load64(canvas + LINE_ADDRESSES + 8 * line)
                shown &= ~load_word(load64(work + SPREAD) + 8 * _background_bits(row, work, start, begin, x))
            pixels = (low & colour_1) ^ (high & colour_2) ^ (low & high & change_3)
            store_word(output + x, load_word(output + x) & ~shown | pixels & shown)
        pattern += step
        output += WIDTH


@helper
def _draw_listed(row: int, work: int, y: int, begin: int, output: int) -> None:
    """Draw the sprites that are listed for line y; since the line above they may have been changed."""
    list_sprites(row)
    kept, spread = _keeps_rows(row), load64(work + SPREAD)
    place = load64(work + CANVAS) + SPRITE_ROW
    for number in range(load64(row + NUM_LISTED)):
        sprite = load8(row + LISTED + number)
        pattern = _sprite_row(row, work, sprite, y, kept)
        store_word(place, load_word(spread + 8 * (pattern & 0xFF)))
        store_word(place + 8, load_word(spread + 8 * (pattern >> 8)))
        _draw_sprite(row, work, sprite, y, 1, place, begin, output)


@helper
def _draw_sprites(row: int, work: int, y: int, lines: int, output: int) -> None:
    """Draw the sprites of lines from y on, which are listed as they are now; the first line begins at `output`."""
    control, patterns = load64(row + CONTROL), load64(work + PATTERNS)
    height = 16 if control & 0x20 else 8
    reach = np.uint64(height + lines - 1)
    for sprite in range(load64(row + SPRITE_ADDRESS) >> 2, 64):
        place = row + SPRITES + 4 * sprite
        if np.uint64(load8(place) + height - y) < reach:  # one comparison for two: a negative number is a big one
            top = load8(place) + 1
            begin, end = max(top, y), min(top + height, y + lines)
            tile, line = load8(place + 1), begin - top
            if load8(place + 2) & 0x80:
                line ^= height - 1
            first = tile & 0xFE | (tile & 1) << 8 if height == 16 else tile | (control & 0x08) << 5
            pattern = patterns + first * 2 * TILE_BYTES + 16 * line
            _draw_sprite(row, work, sprite, begin, end - begin, pattern, 0, output + WIDTH * (begin - y))


def draw_lines(row: int, address: int, y: int, lines: int, begin: int, end: int) -> int:
    """Draw lines from y on, of each the pixels begin..end-1; fewer than all only of a single line. Returns 0.

    `address` is that of pixel `begin` on line y.
    """
    work = load64(row + WORK)
    background, sprites = _is_on(row, BACKGROUND), _is_on(row, SPRITES_ON)
    canvas = load64(work + CANVAS)
    screen = load64(work + SCREEN) + WIDTH * y
    output = screen if end - begin == WIDTH else canvas + ONE_LINE
    behind_end = load_word(output + WIDTH * lines)  # which the background is drawn over
    if background:
        _find_tile_sets(row, work)
    done = 0
    while done < lines:
        # After a line the address goes back to the left edge that the next ones begin at; this one may begin elsewhere.
        goes_on = background and sprites and (address ^ load64(row + NEXT_ADDRESS)) & HORIZONTAL == 0
        together = min(8 - (address >> 12 & 7), lines - done) if goes_on else 1
        if background:
            _draw_background(row, work, address, together, begin, end, output + WIDTH * done)
        else:
            fill(output + WIDTH * done, _backdrop(row, work), WIDTH)
        for line in range(together):
            store64(canvas + LINE_ADDRESSES + 8 * (y + done + line), address + (line << 12))
        address = _lines_down(row, address + (together - 1 << 12), 1)
        done += together
    store_word(output + WIDTH * lines, behind_end)
    if sprites:
        fill(canvas + LISTED_OF_LINES + y, 0, lines)
        _draw_listed(row, work, y, begin, output)
        if lines > 1:
            _draw_sprites(row, work, y + 1, lines - 1, output + WIDTH)
    if end - begin < WIDTH:
        copy(screen + begin, output + begin, end - begin)
    return 0


# --- Time. ---


@helper
def _end_of_line(row: int, y: int) -> None:
    """Dot 341: which sprites the next line has is settled, though not worked out yet."""
    store64(row + UNLISTED_LINE, y)
    store64(row + ROWS_KEPT, 1 if y == HEIGHT - 1 and _is_on(row, SPRITES_ON) else 0)


@helper
def _whole_lines(row: int, work: int, y: int, lines: int) -> None:
    """Pass over visible lines, and draw them if the frame is drawn."""
    address = load64(row + ADDRESS)
    if load64(work + SCREEN):
        call6(load64(work + DRAW_LINES), row, address, y, lines, 0, WIDTH)
    if hit_between(row, work, y, 0, (lines - 1) * LINE_DOTS + WIDTH) >= 0:
        store64(row + HIT, 1)
    store64(row + ADDRESS, _lines_down(row, address, lines))
    _end_of_line(row, y + lines - 1)


@helper
def _part_of_line(row: int, work: int, y: int, done: int, dots: int) -> None:
    """Do some dots of a visible line, of which `done` are done."""
    end = done + dots
    if done < WIDTH:
        begin, stop = done, min(end, WIDTH)
        address, fine_x = load64(row + ADDRESS), load64(row + FINE_X)
        if hit_between(row, work, y, begin, stop) >= 0:
            store64(row + HIT, 1)
        if load64(work + SCREEN):
            call6(load64(work + DRAW_LINES), row, address, y, 1, begin, stop)
        if _is_on(row, BACKGROUND):
            store64(row + ADDRESS, _columns_on(address, (fine_x + stop >> 3) - (fine_x + begin >> 3)))
    address = load64(row + ADDRESS)
    if done < 257 <= end and _is_on(row, BACKGROUND):
        address = _down(address, 1)
    if done < 258 <= end and _is_on(row, BACKGROUND | SPRITES_ON):
        address = address & ~HORIZONTAL | load64(row + NEXT_ADDRESS) & HORIZONTAL
    store64(row + ADDRESS, address)
    if end == LINE_DOTS:
        _end_of_line(row, y)


@helper
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


@helper
def _blank(row: int, line: int, done: int, left: int) -> int:
    """Do up to `left` dots below the picture; returns how many."""
    if line == FIRST_BLANK and done == 0:
        store64(row + BLANKING, 1)
        store64(row + NMI, load64(row + CONTROL) >> 7)
    lines = 1 if line < FIRST_BLANK else LAST_BLANK + 1 - line
    dots = min(left, lines * LINE_DOTS - done)
    end = done + dots
    line += end // LINE_DOTS
    if line > LAST_BLANK:
        line = 0
        store64(row + EVEN, 1 - load64(row + EVEN))
    store64(row + LINE, line)
    store64(row + DOTS_OF_LINE, end % LINE_DOTS)
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


@helper
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


def colour_screen(indices: int, colours: int, output: int) -> int:
    """Turn the numbers of a screen's colours into red, green and blue; returns 0.

    Args:
        indices: address of 240 x 256 bytes, below 64.
        colours: address of 64 x 4 bytes: red, green, blue and one unused.
        output: address of 240 x 256 x 3 bytes and one more.
    """
    for pixel in range(WIDTH * HEIGHT):
        store32(output + 3 * pixel, load32(colours + 4 * load8(indices + pixel)))
    return 0
