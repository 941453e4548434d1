"""Joypad bytes as text: runs of the same byte, `82*12 83*8 00`."""

from __future__ import annotations

import re
from itertools import groupby

MOST_FRAMES = 1_000_000
"""Frames of a trajectory, at most: 4.6 hours of play, and 3 MB of text if every byte differs from the one before."""

RUN = re.compile(r"([0-9a-f]{2})(?:\*([1-9][0-9]{0,6}))?")


def encode_buttons(buttons: bytes) -> str:
    """Write joypad bytes as runs: two hexadecimal digits, and how often where that is more than once.

    Args:
        buttons: one byte per emulator frame, its bits as `mario_rl.game.actions.BUTTON_BITS` has them.
    """
    lengths = [(byte, sum(1 for _ in run)) for byte, run in groupby(buttons)]
    return " ".join(f"{byte:02x}" if length == 1 else f"{byte:02x}*{length}" for byte, length in lengths)


def decode_buttons(text: str) -> bytes:
    """Read what `encode_buttons` wrote.

    Raises:
        ValueError: it is something else, or has more than MOST_FRAMES; a line that says what is wrong.
    """
    if not text:
        return b""
    pieces, frames, last = [], 0, -1
    for word in text.split(" "):
        run = RUN.fullmatch(word)
        if run is None:
            raise ValueError(f"{word[:20]!r} is no run of buttons, such as 82*12")
        byte, length = int(run[1], 16), int(run[2] or 1)
        if byte == last or run[2] == "1":
            raise ValueError(f"{word!r} is not how a run is written")
        frames, last = frames + length, byte
        if frames > MOST_FRAMES:
            raise ValueError(f"more than {MOST_FRAMES:,} frames")
        pieces.append(bytes([byte]) * length)
    return b"".join(pieces)
