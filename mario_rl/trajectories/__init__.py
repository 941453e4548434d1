"""Trajectories: what was pressed from a stage's start on, in a small file that anybody can play again and check.

`coding` turns joypad bytes into text and back, `file` is the format, `playing` plays. None of it needs PyTorch, and
reading a file needs no emulator.
"""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.trajectories.coding import MOST_FRAMES, decode_buttons, encode_buttons
    from mario_rl.trajectories.file import (
        Emulator,
        Ending,
        Made,
        Maker,
        Trajectory,
        read_trajectory,
        trajectory_text,
        write_trajectory,
    )
    from mario_rl.trajectories.playing import Ends, make_trajectory, replay, require_end, require_rom

__all__ = [
    "MOST_FRAMES",
    "Emulator",
    "Ending",
    "Ends",
    "Made",
    "Maker",
    "Trajectory",
    "decode_buttons",
    "encode_buttons",
    "make_trajectory",
    "read_trajectory",
    "replay",
    "require_end",
    "require_rom",
    "trajectory_text",
    "write_trajectory",
]

__getattr__ = lazily(
    __name__,
    {
        "coding": ("MOST_FRAMES", "decode_buttons", "encode_buttons"),
        "file": (
            "Emulator",
            "Ending",
            "Made",
            "Maker",
            "Trajectory",
            "read_trajectory",
            "trajectory_text",
            "write_trajectory",
        ),
        "playing": ("Ends", "make_trajectory", "replay", "require_end", "require_rom"),
    },
)
