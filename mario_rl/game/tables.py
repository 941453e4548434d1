"""Numbers and tables that the compiled observation is called with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mario_rl.nes.layout import WIDTH

SIDE = 84
"""Height and width of an observation, pixels."""

CELL_ROWS = 4  # of the screen that a pixel of the observation covers at most; fewer count as one of weight 0

SCRATCH_BYTES = 4 * WIDTH + CELL_ROWS * 4 * SIDE
"""What `plain_observation` and `article_observation` need at `scratch`; its content means nothing between calls."""

LUMA_WEIGHTS = tuple(np.float32(weight) for weight in (0.299, 0.587, 0.114))
"""Red, green, blue, in the order in which the article adds them."""

NUM_COLORS = 64


def article_tables(palette: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Tabulate the article's luma of every two colours' maximum: uint8 (64, 3), RGB, to float32 (4096,).

    Entry `before + 64 * last`; `article_observation` wants its address.
    """
    maximum = np.maximum(palette[:, None], palette[None]).astype(np.float32)
    luma = np.zeros((NUM_COLORS, NUM_COLORS), np.float32)
    for channel, weight in enumerate(LUMA_WEIGHTS):
        luma += maximum[..., channel] * weight
    return luma.reshape(-1)
