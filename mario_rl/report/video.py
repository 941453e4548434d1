"""Videos: recorded joypad bytes are played again and become an MP4 or an animated picture that every browser plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video import VideoStream
from av.video.reformatter import ColorRange, Colorspace

from mario_rl import envs
from mario_rl.config import EnvConfig
from mario_rl.errors import UserError
from mario_rl.files import require_writable, write_atomically
from mario_rl.types import Pixels

GAME_FPS = 60  # frames the game shows per second


class Format(NamedTuple):
    """How a file is written, told by its ending.

    container, codec, pixels: their names in FFmpeg. container_options, options: of the container and of the encoder.
    """

    container: str
    codec: str
    pixels: str
    container_options: dict[str, str]
    options: dict[str, str]


FORMATS = {
    # No visible loss on flat colours and hard edges, at about 0.5 kB a frame; +faststart: plays before it is all there.
    ".mp4": Format("mp4", "libx264", "yuv420p", {"movflags": "+faststart"}, {"crf": "18", "preset": "veryfast"}),
    # No loss at all, at about 0.6 kB a frame of 256 x 240 pixels: a picture that moves, for a page of text.
    ".webp": Format("webp", "libwebp_anim", "bgra", {"loop": "0"}, {"lossless": "1"}),
}


class Recording(NamedTuple):
    """One episode, as it was played.

    stage: such as "1-1", or "game". buttons: the joypad byte of every emulator frame since the reset.
    caption: what to call it. rom: `env.rom` of what it was played on. heading: written over it from beginning to end.
    banner: written over its last frame, which is held for a second.
    """

    stage: str
    buttons: Sequence[int]
    caption: str
    rom: str | None = None
    heading: str = ""
    banner: str = ""


def film_title(path: Path) -> str:
    """Read what a film says of itself: its title, else its file's name.

    Raises:
        UserError: it can't be read as a film, to its end.
    """
    try:
        with av.open(str(path)) as container:
            title = container.metadata.get("title", "")
            stream = container.streams.video[0]
            frames = sum(1 for packet in container.demux(stream) if packet.size)
            if stream.frames and frames < stream.frames:
                raise UserError(f"{path}: not a whole film: {frames:,} of {stream.frames:,} frames are there")
    except (av.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "there is no picture in it"
        raise UserError(f"{path}: not a film that can be shown ({reason})") from error
    return title or path.name


class FilmingInterrupted(Exception):
    """Filming was stopped; there is no film."""


def write_video(
    path: Path,
    episodes: Sequence[Recording],
    *,
    scale: int | None = None,
    fps: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Play episodes again, one after the other, and write what the screen showed.

    The emulator is deterministic, so the bytes are all it takes. An episode begins with the frame its reset showed and
    ends with its last frame held for a second. The captions become the title of an MP4.

    Args:
        path: an MP4 (H.264, yuv420p) or an animated picture (.webp, lossless), 256 x 240 pixels times `scale`. Its
            folder is made if missing.
        episodes: at least one.
        scale: screen pixels become squares of this size; None for 2 in an MP4, 1 in a picture.
        fps: frames per second, a divisor of the game's 60; None for 60 in an MP4, 30 in a picture. As fast as the game
            whatever it is: frames are left out.
        should_stop: asked at every frame of the film.

    Returns:
        `path`.

    Raises:
        FilmingInterrupted: `should_stop` said so; what was there before is untouched.
        UserError: nothing can be written there, or its name ends otherwise; nothing has been played then.
        StorageError: the disk refused the write.
        ValueError: there are no episodes, or 60 is not a multiple of `fps`.
    """
    if not episodes:
        raise ValueError("no episodes to show")
    video = path.suffix == ".mp4"
    scale = (2 if video else 1) if scale is None else scale
    fps = (GAME_FPS if video else GAME_FPS // 2) if fps is None else fps
    if GAME_FPS % fps:
        raise ValueError(f"fps {fps} is not a divisor of {GAME_FPS}")
    title = "; ".join(episode.caption for episode in episodes)
    screens = (screen for episode in episodes for screen in _replay(episode, every=GAME_FPS // fps))
    return write_screens(path, _until(should_stop, screens), title=title, scale=scale, fps=fps)


def write_screens(path: Path, screens: Iterator[Pixels], *, title: str, scale: int = 2, fps: int = GAME_FPS) -> Path:
    """Write screens as they come, uint8 (height, width, 3), as `write_video` does.

    Raises:
        UserError: nothing can be written there, or its name ends otherwise.
        StorageError: the disk refused the write.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: not a video; the name must end in {' or '.join(FORMATS)}")
    require_writable(path)
    write_atomically(
        path, lambda partial: _encode(partial, FORMATS[path.suffix], screens, title=title, scale=scale, fps=fps)
    )
    return path


def last_screen(path: Path) -> Pixels:
    """Read the last frame of a video, uint8 (height, width, 3): how the episode in it ended.

    Raises:
        UserError: it can't be read, or holds no frame.
    """
    last = None
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.duration is not None:
                container.seek(stream.duration, stream=stream)  # to the last frame that can be read on its own
            for frame in container.decode(stream):
                last = frame
    except (OSError, av.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: no film that can be read ({' '.join(str(error).split())})") from error
    if last is None:
        raise UserError(f"{path}: no film that can be read (it holds no frame)")
    return last.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def written_over(screen: Pixels, *, heading: str = "", banner: str = "") -> Pixels:
    """Write over a screen, uint8 (240, 256, 3): a line at its foot, and one across its middle; without them, itself."""
    if not heading and not banner:
        return screen
    screen = screen.copy()
    for text, baseline, size in ((heading, screen.shape[0] - 8, 0.4), (banner, screen.shape[0] // 2, 0.5)):
        if text:
            width, height = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0]
            screen[baseline - height - 6 : baseline + 7] //= 5
            place = ((screen.shape[1] - width) // 2, baseline)
            cv2.putText(screen, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return screen


def _until(should_stop: Callable[[], bool], screens: Iterator[Pixels]) -> Iterator[Pixels]:
    for screen in screens:
        if should_stop():
            raise FilmingInterrupted
        yield screen


def _replay(episode: Recording, *, every: int) -> Iterator[Pixels]:
    """Show what the emulator showed: uint8 (240, 256, 3), each screen valid until the next is asked for.

    Every so many frames, counted from the reset's; then the last for a second.
    """
    env = envs.make_game(EnvConfig(stage=episode.stage, rom=episode.rom))
    try:
        screen, _ = env.reset()
        yield written_over(screen, heading=episode.heading)
        for number, button in enumerate(episode.buttons, start=1):
            screen, *_ = env.step(button)
            if number % every == 0:
                yield written_over(screen, heading=episode.heading)
        last = written_over(screen, heading=episode.heading, banner=episode.banner)
        for _ in range(GAME_FPS // every):
            yield last
    finally:
        env.close()


def _encode(path: Path, kind: Format, screens: Iterator[Pixels], *, title: str, scale: int, fps: int) -> None:
    # The format is named because the temporary file's name doesn't tell it.
    with av.open(str(path), "w", format=kind.container, options=kind.container_options) as container:
        container.metadata["title"] = title
        stream = container.add_stream(kind.codec, rate=fps, options=kind.options)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = kind.pixels
        stream.codec_context.time_base = Fraction(1, fps)
        if kind.pixels == "yuv420p":
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
