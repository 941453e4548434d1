"""Schedules: epsilon and the learning rate as pure functions of a counter, so that there is no state to restore."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear(start: float, end: float, *, decay_steps: int, steps: int) -> float:
    """Go from start to end over `decay_steps` agent steps, or updates, and stay there (Mnih et al. 2015, Methods)."""
    share = min(max(steps, 0) / decay_steps, 1.0)
    return start * (1.0 - share) + end * share


def multiplicative(start: float, end: float, *, factor: float, count: int) -> float:
    """Multiply by `factor` once per episode or update, never below `end` (the article)."""
    return max(end, start * factor**count)


def exploration_exponents(envs: int, spread: float) -> NDArray[np.float64]:
    """Let environment i of N explore with epsilon to the power of 1 + spread * i / (N - 1); float64 (N,).

    Ape-X has a spread of 7 on an epsilon of 0.4 (Horgan et al. 2018, section 4): few explore much, most little.
    """
    return 1.0 + spread * np.linspace(0.0, 1.0, envs)
