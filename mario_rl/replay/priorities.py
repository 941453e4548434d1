"""Prioritised replay: how likely each slot of the rings is drawn, and what that must weigh in the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.replay.archive import Flawed

SMALLEST_ERROR = 1e-3
"""Added to every TD error, so that nothing is never drawn again."""


class Priorities:
    """Proportional prioritisation (Schaul et al. 2016, section 3.3): P(i) = p_i^alpha / sum_k p_k^alpha.

    Knows the slots of N rings by number, as the replay does: the rings lie end to end, and number i of one is at i %
    size in it. A slot is ranked when its transition is complete, first as high as the highest so far, then by its last
    TD error: p = |error| + SMALLEST_ERROR + the bonus of its ring (Hester et al. 2018 give demonstrations one). Drawing
    adds up all priorities anew: 0.3 ms for 200,000, less than keeping a tree of sums from Python.

    Args:
        sizes: int64 (N,), slots of each ring.
        bonus: float32 (N,), of each ring; None for none.
        exponent: alpha; 0 would draw uniformly.
        importance_exponent: beta of the weights (N * P(i))^-beta, which are divided by the largest of the batch.
    """

    def __init__(
        self,
        sizes: NDArray[np.int64],
        *,
        exponent: float,
        importance_exponent: float,
        bonus: NDArray[np.float32] | None = None,
    ) -> None:
        self._sizes = sizes
        self._begins = sizes.cumsum() - sizes
        self._bonus = np.zeros(len(sizes), np.float32) if bonus is None else bonus
        self._exponent = exponent
        self._importance_exponent = importance_exponent
        self.values = np.zeros(int(sizes.sum()), np.float32)
        """float32 (rows,): p^alpha; 0 where there is nothing to sample."""
        self._highest = np.ones(1, np.float32)  # p^alpha, without any bonus
        self._ranked = np.zeros((2, len(sizes)), np.int64)  # the range of each ring that has priorities: first, end

    def follow(self, first: NDArray[np.int64], complete: NDArray[np.int64], is_tail: NDArray[np.bool_]) -> None:
        """Rank the slots that have become complete since the last time, forget those that can't be sampled any more.

        Args:
            first: int64 (N,), number of the first slot of each ring that can be sampled.
            complete: int64 (N,), the end of that range.
            is_tail: bool (rows,), slots that are never sampled.
        """
        known_first, known_end = self._ranked
        if (first == known_first).all() and (complete == known_end).all():
            return
        _, gone = self._rows(known_first, np.minimum(first, known_end))
        self.values[gone] = 0.0
        ring, new = self._rows(np.maximum(known_end, first), complete)
        self.values[new] = np.where(is_tail[new], 0.0, self._highest_with_bonus()[ring])
        self._ranked[:] = first, complete

    def draw(
        self, rng: np.random.Generator, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Draw slots with replacement; returns their rings, their numbers and their weights, each (size,)."""
        sums = self.values.cumsum(dtype=np.float64)
        total = sums[-1]
        # Below the total, whatever is rounded: the first row whose sum is above what was drawn has a priority.
        row = sums.searchsorted(np.minimum(rng.random(size) * total, np.nextafter(total, 0.0)), side="right")
        env = self._begins.searchsorted(row, side="right") - 1
        # The only number of the range [first, first + size) that lies at this place of the ring.
        first = self._ranked[0, env]
        number = first + (row - self._begins[env] - first) % self._sizes[env]
        weight = (np.count_nonzero(self.values) * self.values[row] / total) ** -self._importance_exponent
        return env, number, (weight / weight.max()).astype(np.float32)

    def update(self, env: NDArray[np.int64], number: NDArray[np.int64], td_error: NDArray[np.float32]) -> None:
        """Rank slots anew by their absolute TD errors, each (B,).

        Those overwritten meanwhile are left alone, and those whose error is no number: learning has diverged then,
        which training sees for itself, and until it looks there must be something to draw.
        """
        error = np.abs(td_error) + SMALLEST_ERROR
        known = np.isfinite(error)
        current = known & (number >= self._ranked[0, env])
        row = self._begins[env] + number % self._sizes[env]
        self.values[row[current]] = ((error + self._bonus[env]) ** self._exponent)[current]
        self._highest[0] = np.max(error[known] ** self._exponent, initial=self._highest[0])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything there is to save, by name; to restore, write into these."""
        return {"priorities": self.values, "highest_priority": self._highest, "ranked": self._ranked}

    def check(self, first: NDArray[np.int64], complete: NDArray[np.int64]) -> None:
        """Refuse what was restored if it can't have come about in rings that stand there now.

        Args:
            first: int64 (N,), number of the first slot of each ring that can be sampled.
            complete: int64 (N,), the end of that range.

        Raises:
            Flawed: says what can't be.
        """
        known_first, known_end = self._ranked
        if not (np.isfinite(self.values).all() and (self.values >= 0).all() and 0 < self._highest[0] < np.inf):
            raise Flawed("its priorities are not finite numbers from 0 up")
        ordered = (known_first >= 0) & (known_first <= known_end) & (known_first <= first) & (known_end <= complete)
        if not ordered.all() or (known_end - known_first > self._sizes).any():
            raise Flawed("its priorities are of other slots")
        ranked = np.zeros(len(self.values), np.bool_)
        ranked[self._rows(known_first, known_end)[1]] = True
        if self.values[~ranked].any():
            raise Flawed("it has priorities of slots that can't be sampled")

    def _highest_with_bonus(self) -> NDArray[np.float32]:
        """What a new slot of each ring is ranked with, float32 (N,)."""
        with_bonus = (self._highest ** (1 / self._exponent) + self._bonus) ** self._exponent
        return np.where(self._bonus > 0, with_bonus, self._highest)  # to the last digit, where there is none

    def _rows(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """List the rows of a range of slot numbers [begin, end) of every ring, both (N,), and the ring of each."""
        length = np.maximum(end - begin, 0)
        env = np.repeat(np.arange(len(length)), length)
        place = np.arange(len(env)) - np.repeat(length.cumsum() - length, length)
        rows: NDArray[np.int64] = self._begins[env] + (begin[env] + place) % self._sizes[env]
        return env, rows
