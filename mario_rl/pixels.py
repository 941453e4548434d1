"""Bytes of the screen to unit floats: the one place that knows 255."""

from __future__ import annotations

import numpy as np

from mario_rl.types import Pixels, UnitPixels

MAX_PIXEL = 255


def to_unit(pixels: Pixels) -> UnitPixels:
    """Scale uint8 0..255 to float32 0..1, any shape."""
    return pixels.astype(np.float32) / np.float32(MAX_PIXEL)


BLOCK = 4
"""Side of the blocks of pixels that the first convolution takes as one, see `mario_rl.agents.compiled`: its stride."""
