"""Running means over a run's episodes: over how many, and from which on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mario_rl.runs.tables import RECENT_EPISODES
from mario_rl.types import Floats

WINDOW = RECENT_EPISODES  # in a running mean


def running_mean(values: ArrayLike, window: int = WINDOW) -> Floats:
    """Mean of each value and the `window - 1` before it; float64, as long as `values`, one-dimensional.

    Nan where there are not as many: a mean over few episodes that becomes one over many seems to rise or fall, whatever
    the episodes do.
    """
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    means = np.full(len(sums) - 1, np.nan)
    means[window - 1 :] = (sums[window:] - sums[:-window]) / window
    return means


def mean_window(episodes: int) -> int:
    """Over how many episodes the running mean of a run is taken: 100; half of them where it has fewer than that yet."""
    return WINDOW if episodes >= WINDOW else (episodes + 1) // 2 or 1
