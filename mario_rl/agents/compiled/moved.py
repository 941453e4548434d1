"""The way into moving weights: compiled where they are in the processor's memory, by PyTorch on other devices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mario_rl.agents.compiled.kernels import KERNELS
from mario_rl.agents.compiled.layout import Moved


def move(moved: Moved, gradient: Tensor, numbers: Tensor, place: int) -> None:
    """Move a stretch of weights by its gradient, and let what follows them follow: Adam, then the mixing.

    Args:
        moved: all weights, in the processor's memory.
        gradient: of the stretch, float32 or bfloat16, contiguous.
        numbers: the fields of `Numbers`, float32 (8,).
        place: where the stretch begins.
    """
    rows = [0 if one is None else one.data_ptr() + place * one.element_size() for one in moved]
    addresses = np.array([*rows, gradient.data_ptr()], np.int64)
    wide = int(gradient.dtype == torch.float32)
    KERNELS["move_weights"](addresses.ctypes.data, numbers.data_ptr(), len(gradient), wide)


@torch.no_grad()
def move_by_pytorch(moved: Moved, gradient: Tensor, numbers: Tensor) -> None:
    """Do the same to all weights, on any device: what `move` is tested by. The gradient is float32, and is changed."""
    factor, beta_1, beta_2, step_size, correction, epsilon, target_share, averaged_share = numbers
    gradient.mul_(factor)
    moved.first_moment.add_((gradient - moved.first_moment).mul_(1 - beta_1))
    moved.second_moment.mul_(beta_2).add_(gradient.square_().mul_(1 - beta_2))
    root = moved.second_moment.sqrt().div_(correction).add_(epsilon)
    moved.weight.sub_((moved.first_moment * step_size).div_(root))
    if moved.copy is not None:
        moved.copy.copy_(moved.weight)
    for following, share in ((moved.target, target_share), (moved.averaged, averaged_share)):
        if following is not None:
            apart = moved.weight - following
            near, far = following + apart * share, moved.weight - apart * (1 - share)
            following.copy_(torch.where(share < 0.5, near, far))
    if moved.target is not None and moved.target_copy is not None:
        moved.target_copy.copy_(moved.target)
