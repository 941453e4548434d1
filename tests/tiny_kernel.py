"""A function that is compiled in a moment."""

from __future__ import annotations


def add(one: int, other: int) -> int:
    return one + other
