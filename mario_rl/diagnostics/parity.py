"""Two emulators side by side: whether they do the same, and the first frame in which they don't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mario_rl.config import EnvConfig
from mario_rl.envs import make_game
from mario_rl.wording import count_text

HELD_FRAMES = (1, 4, 8, 16, 40)  # how long the buttons stay as they are
RIGHT, LEFT, DOWN, UP, START, JUMP, RUN = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01, 0x02
IDLE_PROBABILITY, IDLE_FRAMES = 0.0005, 12_000  # so long that the clock runs out, if nothing else happens
SHOWN = 8  # differences that a message names


class Parting(NamedTuple):
    """The first frame in which two emulators differ.

    frame: counted from 1 over the whole comparison. episode_frame: since the last reset. byte: what was pressed.
    memory: address, and what the native emulator and nes-py have there. pixels: how many of the screen differ.
    pixel: row and column of the first of them, None if there is none. info: keys of info that differ.
    """

    frame: int
    episode_frame: int
    byte: int
    memory: list[tuple[int, int, int]]
    pixels: int
    pixel: tuple[int, int] | None
    info: list[str]

    def __str__(self) -> str:
        """One line for a person."""
        parts = [f"frame {self.frame:,} (frame {self.episode_frame:,} of its episode, buttons ${self.byte:02X})"]
        if self.memory:
            named = ", ".join(f"${place:04X} is ${ours:02X}, not ${theirs:02X}" for place, ours, theirs in self.memory)
            parts.append(f"memory: {named}")
        if self.pixel is not None:
            parts.append(
                f"{count_text(self.pixels, 'pixel')}, the first in row {self.pixel[0]}, column {self.pixel[1]}"
            )
        if self.info:
            parts.append(f"info: {', '.join(self.info)}")
        return "; ".join(parts)


class Comparison(NamedTuple):
    """What came of playing on both emulators.

    parting: where they part; None if they don't. frames: how many were compared. ends: what ended how many episodes
    ("clock": a death with nothing left on it), and in the whole game how many "stages" were left behind and lives lost.
    """

    parting: Parting | None
    frames: int
    ends: dict[str, int]


def compare_emulators(
    stage: str,
    *,
    frames: int,
    seed: int,
    rom: str | None = None,
    on_frame: Callable[[], object] = lambda: None,
) -> Comparison:
    """Play the same bytes on both emulators, up to the frame in which they part.

    All 2,048 bytes of memory, every pixel, reward, end and info are compared after every frame.

    Args:
        stage: such as "1-1", or "game".
        frames: how many, over as many episodes as it takes.
        seed: of what is pressed.
        rom: `env.rom`.
        on_frame: called after each.

    Raises:
        UserError: the ROM can't be played.
    """
    games = [make_game(EnvConfig(stage=stage, rom=rom, emulator=name)) for name in ("native", "nes_py")]
    try:
        pressed = random_bytes(np.random.default_rng(seed))
        over, episode_frame = True, 0
        ends: Counter[str] = Counter()
        for frame in range(1, frames + 1):
            if over:
                for game in games:
                    _, before = game.reset()
                episode_frame = 0
            byte = next(pressed)
            episode_frame += 1
            ours, theirs = (game.step(byte) for game in games)
            memories = [_memory(game) for game in games]
            if parting := _parting(frame, episode_frame, byte, memories, ours, theirs):
                return Comparison(parting, frame, dict(ends))
            over = bool(ours[2] or ours[3])
            ends.update(_ends(before, ours[4], over=over))
            before = ours[4]
            on_frame()
    finally:
        for game in games:
            game.close()
    return Comparison(None, frames, dict(ends))


def _ends(before: dict[str, Any], now: dict[str, Any], *, over: bool) -> list[str]:
    """Name what a frame has ended."""
    if over:
        return ["clear" if now["flag_get"] else "clock" if now["time"] == 0 else "death"]
    lost = ["life"] if now["life"] < before["life"] else []
    return lost + (["stage"] if (now["world"], now["stage"]) != (before["world"], before["stage"]) else [])


def random_bytes(generator: np.random.Generator) -> Iterator[int]:
    """Make up what is pressed: mostly running and jumping to the right, often anything at all, now and then nothing."""
    while True:
        style = generator.random()
        held = int(generator.choice(HELD_FRAMES))
        if generator.random() < IDLE_PROBABILITY:
            yield from [0] * IDLE_FRAMES
        if style < 0.6:
            byte = RIGHT | (RUN if generator.random() < 0.7 else 0) | (JUMP if generator.random() < 0.5 else 0)
        elif style < 0.7:
            byte = int(generator.choice([0, LEFT, LEFT | JUMP, DOWN, DOWN | RIGHT, UP, START, LEFT | RIGHT | JUMP]))
        elif style < 0.9:
            byte = int(generator.integers(256))
        else:
            yield from (int(byte) for byte in generator.integers(256, size=held))
            continue
        yield from [byte] * held


def _memory(game: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    memory: np.ndarray[Any, np.dtype[np.uint8]] = game.unwrapped.ram
    return memory


def _parting(frame: int, episode_frame: int, byte: int, memories: list[Any], ours: Any, theirs: Any) -> Parting | None:
    places = np.flatnonzero(memories[0] != memories[1])
    same = np.array_equal(ours[0], theirs[0])  # the usual case, and cheaper than to look where
    pixels = np.empty((0, 2), dtype=np.int64) if same else np.argwhere((ours[0] != theirs[0]).any(axis=-1))
    outcome = [
        name
        for name, here, there in zip(("reward", "terminated"), ours[1:3], theirs[1:3], strict=True)
        if here != there
    ]
    info = [key for key, value in theirs[4].items() if key not in ours[4] or ours[4][key] != value]
    if not (len(places) or len(pixels) or outcome or info):
        return None
    return Parting(
        frame,
        episode_frame,
        byte,
        [(int(place), int(memories[0][place]), int(memories[1][place])) for place in places[:SHOWN]],
        len(pixels),
        (int(pixels[0][0]), int(pixels[0][1])) if len(pixels) else None,
        outcome + info,
    )
