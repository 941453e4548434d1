"""The file of a trajectory: small, whole, of a known version, and as it was written; else one line says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mario_rl.errors import UserError
from mario_rl.trajectories import Ending, Made, Trajectory, read_trajectory, trajectory_text, write_trajectory
from mario_rl.trajectories.file import MOST_BYTES

BUTTONS = bytes([0x82] * 40 + [0x83] * 12 + [0])


def trajectory(buttons: bytes = BUTTONS, **made: Any) -> Trajectory:
    return Trajectory(
        stage="1-1",
        rom="ab" * 32,
        emulator="native",
        made=Made(**{"by": "human", "name": "somebody", "date": "2026-11-27T14:50:00Z"} | made),
        ending=Ending(end="death", x=297, frames=len(buttons), stage="1-1"),
        buttons=buttons,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mario.json"
    write_trajectory(path, trajectory())
    return path


MADE = st.fixed_dictionaries(
    {
        "by": st.sampled_from(["agent", "human", "search", "several"]),
        "name": st.text(max_size=200).filter(str.isprintable),
        "protocol": st.none() | st.sampled_from(["greedy", "noop", "sticky", "epsilon"]),
        "seed": st.none() | st.integers(0, 10**15),
        "episode": st.none() | st.integers(0, 10**15),
    }
)


@settings(max_examples=30)  # each is flushed to the disk
@given(st.binary(max_size=300), MADE)
def test_what_is_written_is_read(tmp_path_factory, buttons, made):
    path = tmp_path_factory.mktemp("file") / "mario.json"
    written = trajectory(buttons, **made)
    write_trajectory(path, written)
    assert read_trajectory(path) == written


@given(st.data())
def test_of_a_file_that_was_cut_or_changed_nothing_else_than_before_is_ever_read(tmp_path_factory, data):
    whole = trajectory_text(trajectory()).encode()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(
        st.sampled_from([whole[:place], whole[:place] + whole[place + 1 :]])
        | st.integers(0, 255).map(lambda byte: whole[:place] + bytes([byte]) + whole[place + 1 :])
    )
    path = tmp_path_factory.mktemp("file") / "mario.json"
    path.write_bytes(changed)
    said, read = "", None
    try:
        read = read_trajectory(path)
    except UserError as error:
        said = str(error)
    if read is not None:  # white space between the values says nothing
        assert read == trajectory()
    else:
        assert said.startswith(f"{path}: ")
        assert len(said.splitlines()) == 1


def test_a_minute_of_play_takes_little_room(file):
    assert file.stat().st_size < 700
    write_trajectory(file, trajectory(bytes(index // 4 % 251 for index in range(3_600))))  # another byte every 4 frames
    assert file.stat().st_size < 6_000


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format": "mario_rl card 1"}, "not a trajectory; its file says"),
        ({"version": 2}, "a trajectory of format version 2; this mario_rl reads version 1"),
        ({"stage": "9-9"}, "a damaged trajectory (stage: "),
        ({"stage": "1-2"}, "it was changed after it was written"),
        ({"buttons": "82*40 83*12 80"}, "it was changed after it was written"),
        ({"buttons": "right"}, "a damaged trajectory ('right' is no run of buttons, such as 82*12)"),
        ({"buttons": [130, 130]}, "buttons: must be text such as 82*12 83*8"),
        ({"ending": {"end": "clear", "x": 3161, "frames": 53, "stage": "1-1"}}, "it was changed after it was written"),
        ({"extra": 1}, "a damaged trajectory (extra: Extra inputs are not permitted)"),
        ({"sha256": "00"}, "it was changed after it was written"),
    ],
)
def test_a_changed_value_is_named_or_seen_by_the_checksum(values, says, file):
    change(file, **values)
    with pytest.raises(UserError) as refused:
        read_trajectory(file)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{file}: ")


def test_buttons_and_end_must_agree_even_where_the_checksum_does(tmp_path):
    path = tmp_path / "mario.json"
    short = trajectory().model_copy(update={"buttons": BUTTONS[:-1]})
    write_trajectory(path, short)
    with pytest.raises(UserError, match="it has buttons for 52 frames, and ends after 53"):
        read_trajectory(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a trajectory, or not a whole one (not JSON"),
        (b"\x80\x04\x95pickle", "not a trajectory, or not a whole one (not a text file in UTF-8)"),
        (b"[1, 2]", "not a trajectory; its file says"),
        (b"[" * 5_000, "not a trajectory, or not a whole one ("),
        (b"{" + b" " * MOST_BYTES + b"}", "larger than 3,100,000 bytes, the most that is read"),
    ],
    ids=["empty", "pickle", "list", "deep", "large"],
)
def test_what_is_no_trajectory_is_told_in_a_line(content, says, tmp_path):
    path = tmp_path / "mario.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_trajectory(path)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_where_there_is_no_file_or_none_that_ends_it_says_so(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        read_trajectory(tmp_path / "none.json")
    with pytest.raises(UserError, match="can't be read"):
        read_trajectory(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(UserError, match="not a regular file"):
        read_trajectory(tmp_path / "pipe.json")


def test_it_says_in_words_who_made_it_and_where_it_ends():
    agent = Made(
        by="agent", name="ddqn_simple", protocol="noop", seed=0, episode=3, date="2026-11-27T14:50:00Z", version="0.1.0"
    )
    assert str(agent) == "an agent (ddqn_simple), protocol noop, seed 0, episode 3, 2026-11-27"
    assert str(Made(by="human", date="2026-11-27T14:50:00Z")) == "a human, 2026-11-27"
    assert str(trajectory().ending) == "dies in 1-1 at x 297 after 53 frames"
