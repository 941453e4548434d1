"""What a value depends on, as a picture."""

from __future__ import annotations

import numpy as np
import torch

from mario_rl.agents import NetworkPolicy
from mario_rl.tensors import tensor_to_unit
from mario_rl.types import Pixels


def saliency(policy: NetworkPolicy, observation: Pixels, action: int) -> Pixels:
    """Work out what the value of an action depends on: the size of its gradient by each pixel (Simonyan et al. 2014).

    Args:
        policy: whose value.
        observation: uint8 (stack, 84, 84).
        action: which.

    Returns:
        uint8 (84, 84): the largest over the frames of the stack, 255 where it is largest of all.
    """
    pixels = tensor_to_unit(torch.from_numpy(observation[np.newaxis]).to(policy.device)).requires_grad_(True)
    value = policy.network.eval()(pixels)[0, action]
    (gradient,) = torch.autograd.grad(value, pixels)
    size = gradient[0].abs().amax(dim=0)
    scaled: Pixels = (size / size.max().clamp_min(1e-12) * 255).to(torch.uint8).cpu().numpy()
    return scaled
