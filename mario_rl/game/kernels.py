"""The game's compiled functions, and compiling all there is: `python -m mario_rl.game.kernels`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

from mario_rl.compiling import COMPILING_SECONDS, Library
from mario_rl.machine import usable_cores
from mario_rl.nes.kernels import KERNELS as CONSOLE

KERNELS = Library(
    "game",
    {
        "begin_stage": "mario_rl.game.mario",
        "reset_game": "mario_rl.game.episode",
        "step_game": "mario_rl.game.episode",
        "step_games": "mario_rl.game.episode",
        "help_out": "mario_rl.game.episode",
        "wake": "mario_rl.game.episode",
        "draw_game": "mario_rl.game.episode",
        "observe": "mario_rl.game.episode",
    },
    packages=("nes", "game"),
)

COMPILE_CONSOLE = "from mario_rl.nes.kernels import KERNELS; KERNELS.load()"


def load_emulator() -> None:
    """Load the console and the game, or compile them: side by side, the console in a process of its own."""
    helper = None
    if sys.executable and usable_cores() > 1 and CONSOLE.kept_in is None and KERNELS.kept_in is None:
        helper = subprocess.Popen([sys.executable, "-c", COMPILE_CONSOLE], stderr=subprocess.DEVNULL)
    try:
        KERNELS.load()
        if helper is not None:
            with suppress(subprocess.TimeoutExpired):
                helper.wait(COMPILING_SECONDS)
    finally:
        if helper is not None:
            helper.kill()  # nothing, where it has ended
            helper.wait()
    CONSOLE.load()


if __name__ == "__main__":
    load_emulator()
