"""The console's compiled functions."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "console",
    {
        "play_frame": "mario_rl.nes.frame",
        "execute_until": "mario_rl.nes.frame",
        "reset_machine": "mario_rl.nes.frame",
        "read_register": "mario_rl.nes.io",
        "write_register": "mario_rl.nes.io",
        "fetch_instruction": "mario_rl.nes.io",
        "advance_picture": "mario_rl.nes.ppu",
        "draw_lines": "mario_rl.nes.ppu",
        "find_hit": "mario_rl.nes.ppu",
        "colour_screen": "mario_rl.nes.ppu",
    },
    packages=("nes",),
)
