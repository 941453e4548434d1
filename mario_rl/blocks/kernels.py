"""The compiled function of this package."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "blocks",
    {"cut_into_blocks": "mario_rl.blocks.cutting", "move_weights": "mario_rl.blocks.moving"},
    packages=("blocks", "nes"),
    quick=True,
)
