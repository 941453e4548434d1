"""Numbers and their intervals as they stand in sentences and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from mario_rl.compare.statistics import Estimate


def pixels_text(shown: Estimate) -> str:
    """A mean x, or return."""
    return _with_interval(shown, lambda number: f"{number:,.0f}")


def percent_text(shown: Estimate) -> str:
    """A share; what was not reached by the end of a run, as long as the other's, is more than all."""
    return _with_interval(shown, lambda number: ">100%" if number == math.inf else f"{number:.0%}")


def gap_text(shown: Estimate) -> str:
    """A difference, with its sign; over arms, so that one seed in some of them is for the sentence to say."""
    return _with_interval(shown, lambda number: f"{number:+.2f}", alone="")


def p_text(p_value: float) -> str:
    """A p-value; nothing where there is none."""
    if math.isnan(p_value):
        return ""
    return f"p = {p_value:.2g}" if p_value >= 0.001 else "p < 0.001"


def list_text(words: Iterable[str]) -> str:
    """One, one and another, or one, another and a third."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _with_interval(shown: Estimate, write: Callable[[float], str], alone: str = " (one seed)") -> str:
    if math.isnan(shown.low):
        return f"{write(shown.value)}{alone}"
    return f"{write(shown.value)} ({write(shown.low)} to {write(shown.high)})"
