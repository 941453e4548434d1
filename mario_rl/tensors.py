"""Pixels on their way into the network, as tensors: scaled to 0..1, shifted at random."""

from __future__ import annotations

import torch
from torch import Tensor

from mario_rl.pixels import MAX_PIXEL


def tensor_to_unit(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scale a uint8 tensor to 0..1 on the device it is on, any shape; in bfloat16, to the nearest there is."""
    return pixels.to(dtype).div_(MAX_PIXEL)


def draw_shifts(batch: int, pixels: int, device: torch.device) -> Tensor:
    """Draw how far each of a batch is shifted up and left, up to `pixels` each way; int64 (2, batch).

    From torch's global generator of that device (Yarats et al. 2021, DrQ).
    """
    return torch.randint(-pixels, pixels + 1, (2, batch), device=device)


def random_shift(observation: Tensor, shift_2B: Tensor) -> Tensor:
    """Shift each observation of a batch (B, stack, H, W) up and left by its own amounts, int64 (2, B).

    The border is repeated outwards, as if padded and cropped at random (Yarats et al. 2021, DrQ). All frames of a stack
    move together.
    """
    batch, stack, height, width = observation.shape
    device = observation.device
    dy_B, dx_B = shift_2B.unsqueeze(2)
    row_BH = (torch.arange(height, device=device) + dy_B).clamp_(0, height - 1)
    column_BW = (torch.arange(width, device=device) + dx_B).clamp_(0, width - 1)
    # One gather of the flat screen takes a third of the time that one of rows and one of columns take.
    place_BHW = row_BH.unsqueeze(2) * width + column_BW.unsqueeze(1)
    place_BSP = place_BHW.view(batch, 1, -1).expand(-1, stack, -1)
    return observation.flatten(2).gather(2, place_BSP).view_as(observation)
