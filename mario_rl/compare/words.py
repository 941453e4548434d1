"""Numbers and their intervals as they stand in sentences and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from mario_rl.compare.runs import Arm
from mario_rl.compare.statistics import FEWEST_TRIMMED, Estimate
from mario_rl.evaluation import wilson_interval


def pixels_text(shown: Estimate) -> str:
    """A mean x, or return."""
    return _with_interval(shown, lambda number: f"{number:,.0f}", pixel_range_text)


def pixel_range_text(low: float, high: float) -> str:
    """From one mean x, or return, to another; a dash beside a sign would be read as another."""
    return f"{low:,.0f}{' to ' if low < 0 else '\u2013'}{high:,.0f}"


def percent_text(shown: Estimate) -> str:
    """A share; what was not reached by the end of a run, as long as the other's, is more than all."""
    return _with_interval(shown, share_text, range_text)


def share_text(share: float) -> str:
    """A share of the whole; infinitely much, where something was never reached, is more than all."""
    return ">100 %" if share == math.inf else f"{100 * share:.0f} %"


def range_text(low: float, high: float) -> str:
    """From one share to another: `15-56 %`, with a dash; in full where either has no number."""
    if math.inf in (low, high):
        return f"{share_text(low)} to {share_text(high)}"
    return f"{100 * low:.0f}\u2013{100 * high:.0f} %"


def count_of_text(some: int, of: int) -> str:
    """Some of all, with Wilson's 95 % interval of the share: `0 of 31 (0-11 %)`."""
    return f"{some} of {of} ({range_text(*wilson_interval(some, of))})"


def gap_text(shown: Estimate) -> str:
    """A difference, with its sign; over arms, so that one seed in some of them is for the sentence to say."""
    return _with_interval(shown, _signed, lambda low, high: f"{_signed(low)} to {_signed(high)}", alone="")


def seeds_text(arms: Sequence[Arm]) -> str:
    """Say what stands for several seeds, at the beginning of a sentence: of fewer than four it is just their mean."""
    counts = sorted({len(arm.runs) for arm in arms})
    if counts == [1]:
        return "One seed"
    if counts[-1] < FEWEST_TRIMMED:
        return f"Mean of {counts[0]} seeds" if len(counts) == 1 else f"Mean of {counts[0]} to {counts[-1]} seeds"
    if counts[0] >= FEWEST_TRIMMED:
        of = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"Interquartile mean of {of} seeds"
    return "Interquartile mean over seeds (of fewer than four: their mean)"


def p_text(p_value: float) -> str:
    """A p-value; nothing where there is none."""
    if math.isnan(p_value):
        return ""
    return f"p = {p_value:.2g}" if p_value >= 0.001 else "p < 0.001"


def list_text(words: Iterable[str]) -> str:
    """One, one and another, or one, another and a third."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "\u2212")


def _with_interval(
    shown: Estimate, write: Callable[[float], str], between: Callable[[float, float], str], alone: str = " (one seed)"
) -> str:
    if math.isnan(shown.low):
        return f"{write(shown.value)}{alone}"
    return f"{write(shown.value)} ({between(shown.low, shown.high)})"
