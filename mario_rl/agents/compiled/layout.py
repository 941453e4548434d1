"""What the compiled code is told: how many numbers it takes at once, and in which order it reads what moves weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # compiling needs no PyTorch
    from torch import Tensor


WIDTH = 16
"""Numbers that compiled code takes at once."""

NORM_EPSILON = 1e-5
"""Added to the variance in layer norm, as PyTorch does."""


class Numbers(NamedTuple):
    """What one update does to every weight; float32 (8,) where it is a tensor.

    factor: of the gradient, to clip it.
    beta_1, beta_2: how slowly the moments forget.
    step_size: the learning rate over 1 - beta_1 ** steps.
    correction: the root of 1 - beta_2 ** steps.
    epsilon: added to the root of the second moment.
    target_share, averaged_share: of the new weights, mixed into those of target network and average.
    """

    factor: float
    beta_1: float
    beta_2: float
    step_size: float
    correction: float
    epsilon: float
    target_share: float
    averaged_share: float


class Moved(NamedTuple):
    """What moves, each one-dimensional, contiguous and as long as the others, or None where there is no such.

    weight, first_moment, second_moment: float32.
    target, averaged: float32, the weights that follow.
    copy, target_copy: bfloat16, of weight and target.
    """

    weight: Tensor
    first_moment: Tensor
    second_moment: Tensor
    target: Tensor | None
    averaged: Tensor | None
    copy: Tensor | None
    target_copy: Tensor | None


FACTOR, BETA_1, BETA_2, STEP_SIZE, CORRECTION, EPSILON, TARGET_SHARE, AVERAGED_SHARE = range(len(Numbers._fields))
"""Places among the numbers."""

WEIGHT, FIRST, SECOND, TARGET, AVERAGED, COPY, TARGET_COPY = range(len(Moved._fields))
"""Places in the row of addresses, int64 (8,); 0 where there is none."""

GRADIENT = len(Moved._fields)
"""Behind them: the gradient's."""
