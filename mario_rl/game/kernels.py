"""The game's compiled functions."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "the game",
    {
        "begin_stage": "mario_rl.game.mario",
        "reset_game": "mario_rl.game.episode",
        "step_game": "mario_rl.game.episode",
        "step_games": "mario_rl.game.episode",
        "draw_game": "mario_rl.game.episode",
        "observe": "mario_rl.game.episode",
    },
    packages=("nes", "game"),
    seconds=15,
)
