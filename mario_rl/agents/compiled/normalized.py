"""The way into layer norm with its ReLU: compiled where it is in the processor's memory, else by PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, relu

from mario_rl.agents.compiled.kernels import KERNELS
from mario_rl.agents.compiled.layout import NORM_EPSILON, WIDTH


class NormalizedReLU(nn.Module):
    """What `nn.GroupNorm(1, channels)` and `nn.ReLU()` do one after the other, with the parameters of the first.

    In layer norm (Ba et al. 2016) of a picture, all channels and pixels of an observation share mean and variance.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, height, width) to the same; float32 or bfloat16."""
        fast = x.device.type == "cpu" and x.shape[1] % WIDTH == 0
        return _Compiled.apply(x, self.weight, self.bias) if fast else normalized_by_pytorch(x, self.weight, self.bias)


def normalized_by_pytorch(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Do the same on any device: what the compiled code is tested by."""
    return relu(group_norm(x, 1, weight, bias, NORM_EPSILON))


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        y = torch.empty_like(x)
        moments = torch.empty((len(x), 2))
        KERNELS["normalize"](
            *(one.data_ptr() for one in (x, weight, bias, y, moments)), *_sizes(x), int(x.dtype == torch.float32)
        )
        ctx.save_for_backward(x, y, weight, moments)
        return y

    @staticmethod
    def backward(ctx: Any, of_y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y, weight, moments = ctx.saved_tensors
        of_y = of_y.contiguous(memory_format=torch.channels_last)
        of_x = torch.empty_like(x)
        of_weight, of_bias = torch.zeros((2, len(weight)))
        KERNELS["normalize_back"](
            *(one.data_ptr() for one in (x, y, weight, moments, of_y, of_x, of_weight, of_bias)),
            *_sizes(x),
            int(x.dtype == torch.float32),
        )
        return of_x, of_weight.to(weight.dtype), of_bias.to(weight.dtype)


def _sizes(x: Tensor) -> tuple[int, int, int]:
    batch, channels, height, width = x.shape
    return batch, height * width, channels
