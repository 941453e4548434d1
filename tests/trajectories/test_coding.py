"""Joypad bytes as text: whatever was pressed comes back, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.trajectories import MOST_FRAMES, decode_buttons, encode_buttons

RUNS = st.lists(st.tuples(st.integers(0, 255), st.integers(1, 300)), max_size=40)


@given(RUNS)
def test_what_was_pressed_comes_back(runs):
    buttons = b"".join(bytes([byte]) * length for byte, length in runs)
    assert decode_buttons(encode_buttons(buttons)) == buttons


@given(st.binary(max_size=200))
def test_bytes_without_any_run_come_back_too(buttons):
    assert decode_buttons(encode_buttons(buttons)) == buttons


def test_a_run_is_its_byte_and_its_length_and_one_frame_is_its_byte():
    assert encode_buttons(bytes([0x82] * 12 + [0x83] + [0] * 3)) == "82*12 83 00*3"
    assert encode_buttons(b"") == ""


@given(st.text(alphabet="0123456789abcdef* ", max_size=30))
def test_a_text_is_refused_or_is_the_only_one_for_its_buttons(text):
    try:
        buttons = decode_buttons(text)
    except ValueError:
        return
    assert encode_buttons(buttons) == text


@pytest.mark.parametrize(
    "text",
    [
        "8",
        "82*0",
        "82*1",
        "82*012",
        "82*-4",
        "82*1e9",
        "G0",
        "8A",
        "82  83",
        " 82",
        "82 ",
        "82 82*3",
        "82\n83",
        "\u0660\u0660",
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="run"):
        decode_buttons(text)


def test_no_text_makes_more_frames_than_a_trajectory_may_have():
    assert len(decode_buttons(f"82*{MOST_FRAMES}")) == MOST_FRAMES
    with pytest.raises(ValueError, match="more than 1,000,000 frames"):
        decode_buttons("82*9999999")
    with pytest.raises(ValueError, match="more than 1,000,000 frames"):
        decode_buttons(" ".join(["82*600000", "83*600000"]))
