"""Numbers as they stand in sentences: things that are counted, and how long something takes."""

from __future__ import annotations


def count_text(number: int, thing: str) -> str:
    """Write how many there are of a thing, which is named in the singular: 1 episode, 1,383 agent steps."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def duration_text(seconds: float) -> str:
    """Write a time in the units that a person would choose: 1 second, 59 minutes, 23 hours 3 minutes."""
    if round(seconds) < 60:
        return count_text(round(seconds), "second")
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return count_text(minutes, "minute")
    return f"{count_text(hours, 'hour')}{f' {count_text(minutes, "minute")}' if minutes else ''}"
