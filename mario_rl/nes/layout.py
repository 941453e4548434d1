"""Where everything lies in the state of one machine: a flat row of bytes, so that a snapshot is a copy.

A row is RAM, then what the picture unit has, then numbers of eight bytes, each of which has a name here. What the
cartridge adds (its RAM) comes last. What lies before SNAPSHOT_END says all about a machine but for the controller,
which nes-py's snapshots leave out too.
"""

from __future__ import annotations

from itertools import count

RAM = 0  # 2,048 bytes, $0000-$07FF
NAME_TABLES = 2048  # 2,048 bytes, two tables of 32 x 30 tiles and their attributes
SPRITES = 4096  # 256 bytes, object attribute memory: y, tile, attributes and x of 64 sprites
PALETTE = 4352  # 32 bytes, colours 0..63; four of them mirror others and stay unused
LISTED = 4384  # 8 bytes, the sprites on the line that is drawn next
_numbers = count(4392, 8)

# The processor: registers, flags, and when the next instruction begins.
PC = next(_numbers)
A = next(_numbers)
X = next(_numbers)
Y = next(_numbers)
STACK = next(_numbers)
STATUS = next(_numbers)  # N V - - D I Z C
CYCLE = next(_numbers)  # of this frame, at which the next instruction begins
CYCLES_BEFORE = next(_numbers)  # since reset, before this frame
FREE = next(_numbers)  # what CYCLE is if the last instruction was one that nes-py counts no cycles for; else less

# The picture unit. A line is 0 (pre-render), 1 to 240 (visible), 241 (post-render) or 242 to 261 (vertical blanking).
LINE = next(_numbers)
DOTS_OF_LINE = next(_numbers)  # done, 0 to 340; -1 after reset: that pre-render line has one dot more
DOTS = next(_numbers)  # done in this frame
ADDRESS = next(_numbers)  # "v" of the documents: y fine 3 bits, name table 2, y coarse 5, x coarse 5
NEXT_ADDRESS = next(_numbers)  # "t"
FINE_X = next(_numbers)
FIRST_WRITE = next(_numbers)  # whether the next write to $2005 or $2006 is the first of two
CONTROL = next(_numbers)  # $2000
MASK = next(_numbers)  # $2001
HIT = next(_numbers)  # sprite 0 has been hit
BLANKING = next(_numbers)  # the flag of $2002, not the time
SPRITE_ADDRESS = next(_numbers)  # $2003
READ_BUFFER = next(_numbers)  # of $2007
EVEN = next(_numbers)  # whether this picture is an even one
NUM_LISTED = next(_numbers)  # sprites in LISTED
UNLISTED_LINE = next(_numbers)  # y whose sprites are to be put into LISTED when they are needed; -1 if they are there
ROWS_KEPT = next(_numbers)  # whether nes-py would draw line 0 from the sprite rows it read at line 239

SNAPSHOT_END = next(_numbers)

# The controller; in nes-py neither in snapshots nor touched by reset.
BUTTONS = SNAPSHOT_END
RELEASED = next(_numbers)  # strobe is off, so that buttons come one after the other; at first it is on
LATCH = next(_numbers)

# Of use while a frame is played only, and 0 between frames.
LIMIT = next(_numbers)  # cycle before which an instruction may begin
ZERO_NEGATIVE = next(_numbers)  # see cpu.py
CARRY = next(_numbers)
OVERFLOW = next(_numbers)
INTERRUPT_DECIMAL = next(_numbers)
NMI = next(_numbers)  # the picture unit has asked for the interrupt
WORK = next(_numbers)  # address of the work area

CARTRIDGE_RAM = next(_numbers)
"""Where the cartridge's RAM begins, if it has any."""

# The work area: what the machines that one thread plays share. Numbers of eight bytes.
_shared = count(0, 8)
ROM = next(_shared)  # address of 65,536 + 16 bytes; those below $8000 can't be executed, see cpu.py
CARTRIDGE_RAM_BYTES = next(_shared)
NAME_TABLE_BITS = next(_shared)  # address bit that chooses the name table: 0x400 for vertical mirroring, 0x800 else
CHARACTERS = next(_shared)  # address of 8,192 bytes: two pages of 256 patterns
PATTERNS = next(_shared)  # address of 512 x 8 rows x 2 planes of eight bytes, 0 or 255 each
SPREAD = next(_shared)  # address of 256 x eight bytes: the bits of a byte, leftmost first, 0 or 255 each
COLOURS = next(_shared)  # address of 64 bytes: what a colour is drawn as
SCREEN = next(_shared)  # address of 240 x 256 bytes; 0 where the frame is not drawn
TILES = next(_shared)  # address of the tiles drawn before, see ppu.py
CANVAS = next(_shared)  # address of what drawing needs while it draws, see below
RUN_PROCESSOR = next(_shared)  # addresses of compiled functions
READ = next(_shared)
WRITE = next(_shared)
FETCH = next(_shared)
ADVANCE_PICTURE = next(_shared)
DRAW_LINES = next(_shared)
FIND_HIT = next(_shared)
TILE_KEYS = next(_shared)  # 4 numbers: the colours of the palettes that the next four are drawn in
for _ in range(3):
    next(_shared)
TILE_PLACES = next(_shared)  # 4 numbers: their addresses
for _ in range(3):
    next(_shared)
TILE_PALETTES = next(_shared)  # 2 numbers: the background palettes, as in PALETTE, that those are for
next(_shared)
TILE_VICTIM = next(_shared)  # counts, so that the oldest makes room
WORK_BYTES = next(_shared)

CACHE_LINES = 128  # bytes, two of them
"""Rows begin at multiples of this: where two threads play neighbours, none may write to what the other one reads."""

WIDTH, HEIGHT = 256, 240  # pixels
SCREEN_BYTES = WIDTH * HEIGHT + 8  # drawing writes words, and may write the last one beyond the end

TILE_BYTES = 64  # eight rows of eight pixels
NUM_PATTERNS = 512
TILE_SETS = 16  # combinations of four colours that are kept
IS_DRAWN = 8  # in a set of tiles, after its colours: a byte for each, whether it is drawn
PIXELS = 576  # and the tiles
TILE_SET_BYTES = PIXELS + NUM_PATTERNS * TILE_BYTES
ALL_TILE_BYTES = TILE_SETS * TILE_SET_BYTES

# The canvas. Nothing in it is needed from one call to the next.
TILES_OF_ROW = 0  # 34 numbers: addresses of the tiles on a line, from an even column on
LINE_ADDRESSES = TILES_OF_ROW + 34 * 8  # 240 numbers: the address that each line begins at
LISTED_OF_LINES = LINE_ADDRESSES + HEIGHT * 8  # 240 bytes: sprites found on each line
SPRITE_ROW = LISTED_OF_LINES + HEIGHT  # two words: a row of a sprite, low and high plane
TAKEN = SPRITE_ROW + 16  # 240 x 264 bytes: where a sprite is on each line
TAKEN_BYTES = WIDTH + 8
ONE_LINE = TAKEN + HEIGHT * TAKEN_BYTES  # a line, for one that is seen in parts
CANVAS_BYTES = ONE_LINE + WIDTH + 16
