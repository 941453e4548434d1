"""Bytes to unit floats: the one place that knows 255."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mario_rl.types import Pixels, UnitPixels

MAX_PIXEL = 255


def to_unit(pixels: Pixels) -> UnitPixels:
    """Scale uint8 0..255 to float32 0..1, any shape."""
    return pixels.astype(np.float32) / np.float32(MAX_PIXEL)


def tensor_to_unit(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scale a uint8 tensor to 0..1 on the device it is on, any shape; in bfloat16, to the nearest there is."""
    return pixels.to(dtype).div_(MAX_PIXEL)
