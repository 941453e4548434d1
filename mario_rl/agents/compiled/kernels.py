"""The compiled functions of this package."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "agents",
    {
        "cut_into_blocks": "mario_rl.agents.compiled.cutting",
        "move_weights": "mario_rl.agents.compiled.moving",
        "normalize": "mario_rl.agents.compiled.normalizing",
        "normalize_back": "mario_rl.agents.compiled.normalizing",
    },
    packages=("agents/compiled", "nes"),
    quick=True,
)
