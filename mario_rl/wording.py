"""Numbers and values as they stand in sentences: what is counted, how long something takes, what a key is set to."""

from __future__ import annotations

import json
from typing import Any


def count_text(number: int, thing: str) -> str:
    """Write how many there are of a thing, which is named in the singular: 1 episode, 1,383 agent steps."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def value_text(value: Any) -> str:
    """Write a setting's value as JSON; an empty list is called none."""
    return "none" if value == [] else json.dumps(value)


def duration_text(seconds: float) -> str:
    """Write a time in the units that a person would choose: 1 second, 59 minutes, 23 hours 3 minutes."""
    if round(seconds) < 60:
        return count_text(round(seconds), "second")
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return count_text(minutes, "minute")
    return f"{count_text(hours, 'hour')}{f' {count_text(minutes, "minute")}' if minutes else ''}"
