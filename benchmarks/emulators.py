"""Frames per second of the emulators one can install, on the same ROM and the same second of 1-1, in turn.

    python benchmarks/emulators.py               # nes-py and ours
    pip install stable-retro                     # 120 MB; then Stable-Retro as well

Every emulator presses start until 1-1 is played, then runs to the right for 100 frames, again and again from a state it
has saved. `--output FILE.md` keeps the table. env-supermariobrosnes-turbo-emu takes the US release only, which is in no
package: its own figures are in docs/performance.md.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mario_rl.config import EnvConfig
from mario_rl.envs import load_nes_py, make_game
from mario_rl.game.rom import find_rom, load_rom, stage_start
from mario_rl.nes.console import Console

FRAMES = 100
RIGHT = 1 << 7  # the joypad byte
RETRO_GAME = "SuperMarioBros-Nes-v0"

type Play = Callable[[], None]
"""Plays FRAMES frames from the state that was saved."""


def native(*, draw: bool) -> Play:
    """Ours, drawing every frame or none."""
    cartridge = load_rom(None)
    console, start = Console(cartridge), stage_start(cartridge, "1-1").machine

    def play() -> None:
        console.restore(start)
        for _ in range(FRAMES):
            console.play(RIGHT, draw=draw)

    return play


def nes_py() -> Play:
    """nes-py, which always draws."""
    game: Any = make_game(EnvConfig(stage="1-1", emulator="nes_py")).unwrapped
    game.reset()
    start, advance = game.dump_state(), load_nes_py().frame_by_frame(game)

    def play() -> None:
        game.load_state(start)
        for _ in range(FRAMES):
            advance(RIGHT)

    return play


def stable_retro() -> Play:
    """Stable-Retro's emulator without its environment; it always draws."""
    import stable_retro as retro

    folder = Path(retro.data.path()) / "stable" / RETRO_GAME
    # It knows games by their hashes, and this release is not among them: the ROM is put where that one would be.
    shutil.copy(find_rom(None), folder / "rom.nes")
    env = retro.make(RETRO_GAME, state=retro.State.NONE, inttype=retro.data.Integrations.STABLE, render_mode=None)
    env.reset()
    emulator, nothing = env.em, np.zeros(len(env.buttons), dtype=np.int8)
    start_button, right = nothing.copy(), nothing.copy()
    start_button[env.buttons.index("START")] = right[env.buttons.index("RIGHT")] = 1
    for frame in range(400):
        emulator.set_button_mask(start_button if frame // 8 % 2 == 0 else nothing, 0)
        emulator.step()
    state = emulator.get_state()

    def play() -> None:
        emulator.set_state(state)
        for _ in range(FRAMES):
            emulator.set_button_mask(right, 0)
            emulator.step()

    return play


def rate(play: Play, seconds: float) -> float:
    """Frames per second, over so many seconds."""
    play()
    began, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        play()
        count += FRAMES
    return count / elapsed


def main() -> None:
    """Measure in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of which the median counts (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="per emulator and repeat (2)")
    parser.add_argument("--output", type=Path, help="a Markdown file")
    arguments = parser.parse_args()
    plays = {"nes-py": nes_py()}
    if find_spec("stable_retro"):
        plays["Stable-Retro"] = stable_retro()
    plays |= {"mario_rl, every frame drawn": native(draw=True), "mario_rl, nothing drawn": native(draw=False)}
    rates: dict[str, list[float]] = {name: [] for name in plays}
    for _ in range(arguments.repeats):
        for name, play in plays.items():
            rates[name].append(rate(play, arguments.seconds))
    rows = ["| emulator | frames/s (median) | lowest to highest | times nes-py |", "| --- | --- | --- | --- |"]
    for name, values in rates.items():
        times = median(values) / median(rates["nes-py"])
        between = f"{min(values):,.0f} to {max(values):,.0f}"
        rows.append(f"| {name} | {median(values):,.0f} | {between} | {times:.1f} |")
    table = "\n".join(rows)
    print(table)  # noqa: T201  (a script)
    if arguments.output is not None:
        arguments.output.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
