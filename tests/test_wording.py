"""Numbers in sentences: the right plurals, and times in hours and minutes."""

import pytest

from mario_rl.wording import count_text, duration_text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 agent steps"), (1, "1 agent step"), (2, "2 agent steps"), (1_383, "1,383 agent steps")]
)
def test_what_is_counted_is_one_or_many(number, text):
    assert count_text(number, "agent step") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (89, "1 minute"),
        (3_569, "59 minutes"),
        (3_571, "1 hour"),
        (3_660, "1 hour 1 minute"),
        (7_200, "2 hours"),
        (1_383 * 60, "23 hours 3 minutes"),
        (100_000 * 60, "1,666 hours 40 minutes"),
    ],
)
def test_a_time_is_in_hours_and_minutes_or_in_less_if_it_is_less(seconds, text):
    assert duration_text(seconds) == text
