"""Batches to time and compare updates with: noise, the same for the same seed."""

from __future__ import annotations

import numpy as np
import torch

from mario_rl.types import Batch

ACTIONS = 5


def noise(size: int, seed: int = 0) -> Batch:
    """Make a batch of random transitions of four stacked frames."""
    random = np.random.default_rng(seed)
    pixels = [random.integers(256, size=(size, 4, 84, 84), dtype=np.uint8) for _ in range(2)]
    return Batch(
        observation=torch.from_numpy(pixels[0]),
        action=torch.from_numpy(random.integers(ACTIONS, size=size)),
        n_step_return=torch.ones(size),
        next_observation=torch.from_numpy(pixels[1]),
        terminated=torch.zeros(size, dtype=torch.bool),
        discount=torch.full((size,), 0.5),
        weight=torch.ones(size),
        slot=torch.zeros((size, 2), dtype=torch.int64),
        demonstration=torch.zeros(size, dtype=torch.bool),
    )
