"""What numbers of episodes say: intervals of clear rates, and values predicted beside the returns that followed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

UNKNOWN_SHARE = 0.01
"""Weight of what follows a cut, in the return of a state before it, up to which it is left aside."""


def wilson_interval(clears: int, episodes: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a clear rate, 0..1."""
    from scipy.stats import binomtest  # takes as long to import as all else together

    interval = binomtest(clears, episodes).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def discounted_returns(rewards: Sequence[float], gamma: float) -> list[float]:
    """Sum the rewards from each step of an episode to its end, each a factor `gamma` less than the one before."""
    sums = itertools.accumulate(reversed(rewards), lambda later, reward: reward + gamma * later)
    return list(sums)[::-1]


def visited_means(
    q_visited: Sequence[float], returns: Sequence[float], gamma: float, *, truncated: bool
) -> tuple[float | None, float | None]:
    """Average what was predicted over the states of an episode, and what really followed from those same states.

    Their difference is the overestimation of van Hasselt et al. 2016, figure 3. After a cut nobody knows what would
    have followed: of a truncated episode the last states, for which that would have counted for more than 1 %, are left
    out, in both means.

    Args:
        q_visited: the highest value at each state, in order.
        returns: the discounted return from each.
        gamma: discount per agent step.
        truncated: whether the episode was cut short.

    Returns:
        The two means; None where no state is left.
    """
    count = len(returns)
    if truncated:
        count = sum(gamma ** (len(returns) - step) <= UNKNOWN_SHARE for step in range(len(returns)))
    if count == 0:
        return None, None
    return float(np.mean(q_visited[:count])), float(np.mean(returns[:count]))
