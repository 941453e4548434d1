"""The game's compiled functions, and compiling all there is: `python -m mario_rl.game.kernels`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

from mario_rl.compiling import COMPILING, COMPILING_SECONDS, Library, can_be_kept, say_once
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
COMPILE_GAME = "from mario_rl.game.kernels import KERNELS; KERNELS.load()"


def load_emulator() -> None:
    """Load the console and the game, or have them compiled first."""
    if sys.executable and can_be_kept():
        _compile_apart()
    KERNELS.load()
    CONSOLE.load()


def _compile_apart() -> None:
    """Compile what is not compiled yet, side by side if there are cores, in processes of their own.

    So this one answers signals meanwhile: what a handler raises is lost in LLVM, which calls Python in between.
    """
    codes = [code for library, code in ((KERNELS, COMPILE_GAME), (CONSOLE, COMPILE_CONSOLE)) if library.kept_in is None]
    if not codes:
        return
    say_once(COMPILING)
    if usable_cores() == 1:
        codes = ["; ".join(codes)]
    compiling: list[subprocess.Popen[bytes]] = []
    nothing = subprocess.DEVNULL
    try:
        for code in codes:
            # A session of its own: it is ended here, not by Ctrl-C.
            process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
            )
            compiling.append(process)
        with suppress(subprocess.TimeoutExpired):  # then it is done here
            for process in compiling:
                process.wait(COMPILING_SECONDS)
    finally:
        for process in compiling:
            process.kill()  # nothing, where it has ended
            process.wait()


if __name__ == "__main__":
    load_emulator()
