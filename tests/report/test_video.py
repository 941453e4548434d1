"""Videos: joypad bytes played again on the real game, as a file that every browser plays."""

from __future__ import annotations

from pathlib import Path

import av
import gymnasium as gym
import numpy as np
import pytest
from PIL import Image, ImageSequence

from mario_rl import envs
from mario_rl.config import EnvConfig
from mario_rl.errors import UserError
from mario_rl.report.video import FilmingInterrupted, Recording, last_screen, write_video
from mario_rl.types import Pixels

RUN, JUMP = 0b1000_0010, 0b1000_0011  # right+B, right+A+B


def screens_of(stage: str, buttons: list[int]) -> list[Pixels]:
    """What the emulator shows: uint8 (240, 256, 3), first the screen of the reset."""
    env: gym.Env = envs.make_game(EnvConfig(stage=stage))
    screens = [env.reset()[0].copy()]
    screens += [env.step(button)[0].copy() for button in buttons]
    env.close()
    return screens


def frames_of(path: Path) -> list[Pixels]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def error(frame: Pixels, screen: Pixels) -> float:
    """Mean absolute difference of a frame, shrunk by leaving pixels out, and a screen; 0 to 255."""
    scale = frame.shape[0] // screen.shape[0]
    return float(np.abs(frame[::scale, ::scale].astype(float) - screen).mean())


@pytest.mark.emulator
def test_a_video_is_what_every_browser_plays(tmp_path):
    path = write_video(tmp_path / "new" / "mario.mp4", [Recording("1-1", [RUN] * 5, "1-1, death at x 315")])
    assert path == tmp_path / "new" / "mario.mp4"
    assert list(path.parent.iterdir()) == [path]
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (512, 480)
        assert stream.average_rate == 60
        assert container.metadata["title"] == "1-1, death at x 315"
    content = path.read_bytes()
    assert content[4:8] == b"ftyp"
    assert content.index(b"moov") < content.index(b"mdat")  # the index comes first: it plays before it is all there


@pytest.mark.emulator
def test_a_video_shows_the_reset_then_a_frame_per_byte_then_the_end_for_a_second(tmp_path):
    buttons = [RUN] * 40 + [JUMP] * 20
    screens = screens_of("1-1", buttons)
    frames = frames_of(write_video(tmp_path / "mario.mp4", [Recording("1-1", buttons, "")]))
    assert len(frames) == 1 + 60 + 60
    for number in (0, 1, 30, 60):
        assert error(frames[number], screens[number]) < 4
    assert error(frames[-1], screens[-1]) < 4
    assert error(frames[0], screens[-1]) > 8  # so the frames above do tell screens apart


@pytest.mark.emulator
def test_a_picture_that_moves_has_every_other_screen_to_the_last_pixel(tmp_path):
    buttons = [RUN] * 11
    path = write_video(tmp_path / "mario.webp", [Recording("1-1", buttons, "")])
    screens = screens_of("1-1", buttons)
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0  # for ever
        shown = []
        for frame in ImageSequence.Iterator(picture):
            shown.append((np.asarray(frame.convert("RGB")), picture.info["duration"]))
    # Screens alike are one frame shown for longer: 12 screens of which every other one counts, then a second's hold.
    assert sum(duration for _, duration in shown) == pytest.approx((6 + 30) * 1000 / 30, abs=2)
    np.testing.assert_array_equal(shown[0][0], screens[0])
    np.testing.assert_array_equal(shown[-1][0], screens[-1])


@pytest.mark.emulator
def test_episodes_follow_each_other_each_from_its_own_start(tmp_path):
    recordings = [
        Recording("1-1", [RUN] * 30, "first"),
        Recording("1-2", [], "second"),
        Recording("game", [0], "third"),
    ]
    path = write_video(tmp_path / "mario.mp4", recordings, scale=1, fps=30)
    frames = frames_of(path)
    assert len(frames) == (16 + 30) + (1 + 30) + (1 + 30)  # every other frame, so that it is as fast
    assert frames[0].shape == (240, 256, 3)
    assert error(frames[0], screens_of("1-1", [])[0]) < 8
    assert error(frames[46], screens_of("1-2", [])[0]) < 8
    assert error(frames[46 + 31], screens_of("game", [])[0]) < 8
    assert error(frames[0], frames[46]) > 50  # day and underground
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "first; second; third"
        assert container.streams.video[0].average_rate == 30


@pytest.mark.emulator
def test_the_last_screen_of_a_video_is_that_with_the_banner(tmp_path):
    path = write_video(tmp_path / "mario.mp4", [Recording("1-1", [0] * 270, "", banner="DIED at x 40")])
    *_, expected = frames_of(path)
    assert (last_screen(path) == expected).all()
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UserError, match=r"empty\.mp4: no film that can be read \("):
        last_screen(tmp_path / "empty.mp4")
    with pytest.raises(UserError, match=r"none\.mp4: no film that can be read \("):
        last_screen(tmp_path / "none.mp4")


@pytest.mark.emulator
def test_a_new_video_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "mario.mp4"
    path.write_bytes(b"old")
    write_video(path, [Recording("1-1", [], "")])
    assert len(frames_of(path)) == 61


def test_a_place_that_cannot_be_written_is_refused_in_one_line_before_anything_is_played(tmp_path, monkeypatch):
    monkeypatch.setattr(envs, "make_game", lambda config: pytest.fail("played"))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "file" / "mario.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(UserError) as caught:
            write_video(path, [Recording("1-1", [], "")])
        assert str(caught.value).startswith(f"{path}: can't be written")
        assert "\n" not in str(caught.value)


def test_a_name_that_tells_no_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"mario\.avi: not a video; the name must end in \.mp4 or \.webp"):
        write_video(tmp_path / "mario.avi", [Recording("1-1", [], "")])


def test_no_episodes_or_another_speed_is_a_programming_error(tmp_path):
    with pytest.raises(ValueError, match="no episodes"):
        write_video(tmp_path / "mario.mp4", [])
    with pytest.raises(ValueError, match="fps 25 is not a divisor of 60"):
        write_video(tmp_path / "mario.mp4", [Recording("1-1", [], "")], fps=25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.emulator
def test_a_film_that_is_stopped_is_none(tmp_path):
    asked = iter([False, False, True])
    with pytest.raises(FilmingInterrupted):
        write_video(tmp_path / "mario.mp4", [Recording("1-1", [0] * 60, "")], should_stop=lambda: next(asked))
    assert list(tmp_path.iterdir()) == []
