"""Observations to blocks: compiled where they are in the processor's memory, by PyTorch on other devices."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pixel_unshuffle

from mario_rl.agents.compiled.kernels import KERNELS
from mario_rl.pixels import BLOCK
from mario_rl.tensors import random_shift, tensor_to_unit

SIDE = 84  # pixels
BLOCKS = SIDE // BLOCK  # either way


def to_blocks(observation: Tensor, shift_2B: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Shift observations, scale them to 0..1 and cut them into blocks.

    Args:
        observation: uint8 (B, stack, 84, 84).
        shift_2B: what `draw_shifts` drew; the border is repeated outwards. None for no shift.
        dtype: float32 or bfloat16, to the nearest there is.

    Returns:
        (B, 16 * stack, 21, 21), in memory with the channels last; channel 16 f + 4 i + j is pixel (i, j) of the block
        in frame f.
    """
    if observation.device.type != "cpu":
        shifted = observation if shift_2B is None else random_shift(observation, shift_2B)
        blocks = pixel_unshuffle(tensor_to_unit(shifted, dtype), BLOCK)
        return blocks.contiguous(memory_format=torch.channels_last)
    batch, stack = observation.shape[:2]
    observation = observation.contiguous()
    shift_2B = torch.zeros((2, batch), dtype=torch.int64) if shift_2B is None else shift_2B.contiguous()
    table = _table(dtype)
    blocks = torch.empty((batch, BLOCKS, BLOCKS, stack * BLOCK * BLOCK), dtype=dtype)
    KERNELS["cut_into_blocks"](
        observation.data_ptr(),
        shift_2B.data_ptr(),
        table.data_ptr(),
        int(dtype == torch.float32),
        blocks.data_ptr(),
        batch,
        stack,
    )
    return blocks.permute(0, 3, 1, 2)


@cache
def _table(dtype: torch.dtype) -> Tensor:
    """What each byte becomes, (256,)."""
    return tensor_to_unit(torch.arange(256, dtype=torch.uint8), dtype)
