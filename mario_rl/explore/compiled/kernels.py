"""The search's compiled functions."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "explore",
    {"play_on": "mario_rl.explore.compiled.playing", "key_of": "mario_rl.explore.compiled.playing"},
    packages=("nes", "game", "explore/compiled"),
    quick=True,
)
