"""What a page may ask for, and that all else is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.watch.messages import MAX_MESSAGE_BYTES, SPEEDS, Pad, SetSpeed, Simple, read_message

REFUSED = [
    "",
    "null",
    "[]",
    "{}",
    "{",
    '"pause"',
    '{"do": "destroy"}',
    '{"do": "pause", "also": 1}',
    '{"do": ["pause"]}',
    '{"do": "speed"}',
    '{"do": "speed", "speed": 3}',
    '{"do": "speed", "speed": "1"}',
    '{"do": "speed", "speed": 1e999}',
    '{"do": "stage", "stage": "../../etc/passwd"}',
    '{"do": "protocol", "protocol": "none"}',
    '{"do": "checkpoint", "index": -1}',
    '{"do": "checkpoint", "index": "latest.pt"}',
    '{"do": "saliency", "on": 1}',
    '{"do": "seek", "episode": 0}',
    '{"do": "seek", "episode": -1, "frame": 0}',
    '{"do": "seek", "episode": 0, "frame": 1.5}',
    '{"do": "pad", "held": ["turbo"]}',
    '{"do": "pad", "held": "left"}',
    '{"do": "pad", "held": ' + json.dumps(["A"] * 9) + "}",
    "x" * (MAX_MESSAGE_BYTES + 1),
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40] or "nothing")
def test_what_is_no_message_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_message(text)


@given(st.text(max_size=60) | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)).map(json.dumps))
def test_nothing_but_a_message_or_a_refusal_comes_of_any_text(text):
    try:
        read_message(text)
    except ValueError:
        return


def test_messages_are_read():
    assert read_message('{"do": "step"}') == Simple(do="step")
    assert read_message('{"do": "pad", "held": ["left", "A"]}') == Pad(do="pad", held=("left", "A"))
    assert read_message('{"do": "pad", "held": null}') == Pad(do="pad", held=None)
    for speed in SPEEDS:
        assert read_message(json.dumps({"do": "speed", "speed": speed})) == SetSpeed(do="speed", speed=speed)
