"""Videos: recorded joypad bytes are played again and become an MP4 that every browser plays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from mario_rl import envs
from mario_rl.files import require_writable, write_atomically
from mario_rl.types import Pixels

# No visible loss on flat colours and hard edges, at about 0.5 kB a frame.
ENCODER_OPTIONS = {"crf": "18", "preset": "veryfast"}


class Recording(NamedTuple):
    """One episode, as it was played.

    stage: such as "1-1", or "game". buttons: the joypad byte of every emulator frame since the reset.
    caption: what to call it.
    """

    stage: str
    buttons: Sequence[int]
    caption: str


def write_video(path: Path, episodes: Sequence[Recording], *, scale: int = 2, fps: int = 60) -> Path:
    """Play episodes again, one after the other, and write every emulator frame.

    The emulator is deterministic, so the bytes are all it takes. An episode begins with the frame its reset showed and
    ends with its last frame held for a second. The captions become the title of the file.

    Args:
        path: the MP4: H.264, yuv420p, 256 x 240 pixels times `scale`. Its folder is made if missing.
        episodes: at least one.
        scale: screen pixels become squares of this size.
        fps: frames per second; the game runs at 60.

    Returns:
        `path`.

    Raises:
        UserError: nothing can be written there; nothing has been played then.
        StorageError: the disk refused the write.
        ValueError: there are no episodes.
    """
    if not episodes:
        raise ValueError("no episodes to show")
    require_writable(path)
    title = "; ".join(episode.caption for episode in episodes)
    screens = (screen for episode in episodes for screen in _replay(episode, held_frames=fps))
    write_atomically(path, lambda partial: _encode(partial, screens, title=title, scale=scale, fps=fps))
    return path


def _replay(episode: Recording, *, held_frames: int) -> Iterator[Pixels]:
    """Show what the emulator showed: uint8 (240, 256, 3), each screen valid until the next is asked for."""
    env = envs.make_game(episode.stage)
    try:
        screen, _ = env.reset()
        yield screen
        for button in episode.buttons:
            screen, *_ = env.step(button)
            yield screen
        for _ in range(held_frames):
            yield screen
    finally:
        env.close()


def _encode(path: Path, screens: Iterator[Pixels], *, title: str, scale: int, fps: int) -> None:
    # The format is named because the temporary file's name doesn't tell it; +faststart: plays before it is all there.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["title"] = title
        stream = container.add_stream("libx264", rate=fps, options=ENCODER_OPTIONS)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, fps)
        # What PyAV converts to; said aloud, since players guess another matrix for pictures over 720 lines.
        stream.codec_context.colorspace, stream.codec_context.color_range = Colorspace.ITU601, ColorRange.MPEG
        for index, screen in enumerate(screens):
            enlarged = np.repeat(np.repeat(screen, scale, axis=0), scale, axis=1)  # a copy: the screen is live memory
            if index == 0:
                stream.height, stream.width = enlarged.shape[:2]
            frame = av.VideoFrame.from_ndarray(enlarged, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
