"""Exploration schedules: epsilon as a pure function of a counter, so that there is no state to restore."""

from __future__ import annotations


def linear(start: float, end: float, *, decay_steps: int, steps: int) -> float:
    """Go from start to end over `decay_steps` agent steps and stay there (Mnih et al. 2015, Methods)."""
    share = min(max(steps, 0) / decay_steps, 1.0)
    return start * (1.0 - share) + end * share


def multiplicative(start: float, end: float, *, factor: float, count: int) -> float:
    """Multiply by `factor` once per episode or update, never below `end` (the article)."""
    return max(end, start * factor**count)
