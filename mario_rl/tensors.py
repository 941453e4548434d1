"""Tensors: pixels on their way into the network, scaled to 0..1 and shifted at random; states that must agree."""

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


def require_like(found: object, needed: object, name: str, *, any_float: bool = False) -> None:
    """Refuse a nested state that is not made like another: keys, shapes, dtypes and kinds of values.

    Args:
        found: from outside; plain values and tensors.
        needed: from inside; its values don't matter.
        name: of the whole, for messages.
        any_float: whether floating-point tensors may have another precision, to be converted when they are loaded.

    Raises:
        ValueError: names what differs first, what it is and what it must be.
    """
    if isinstance(needed, dict) and isinstance(found, dict):
        if missing := [key for key in needed if key not in found]:
            raise ValueError(f"{name} lacks {missing[0]}")
        if unknown := [key for key in found if key not in needed]:
            raise ValueError(f"{name} has {str(unknown[0])[:60]!r}, which it must not have")
        for key, value in needed.items():
            require_like(found[key], value, f"{name}.{key}", any_float=any_float)
        return
    if isinstance(needed, list | tuple) and isinstance(found, list | tuple):
        if len(found) != len(needed):
            raise ValueError(f"{name} has {len(found)} values; must have {len(needed)}")
        for index, (one, other) in enumerate(zip(found, needed, strict=True)):
            require_like(one, other, f"{name}.{index}", any_float=any_float)
        return
    floats = any_float and _is_float(found) and _is_float(needed)
    if _kind(found, precise=not floats) != _kind(needed, precise=not floats):
        raise ValueError(f"{name} is {_kind(found)}; must be {_kind(needed)}")


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _kind(value: object, *, precise: bool = True) -> str:
    """Describe what a value is: of a tensor dtype and shape, else its type."""
    if not isinstance(value, Tensor):
        return "null" if value is None else f"a {type(value).__name__}"
    dtype = str(value.dtype).removeprefix("torch.") if precise else "float"
    return f"{dtype} {tuple(value.shape)}"
