"""What the page is sent: PNGs, what a value depends on as a picture, and how both lie in one message."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mario_rl.agents import NetworkPolicy
from mario_rl.files import json_text
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


def pack(header: dict[str, Any], pictures: list[bytes]) -> bytes:
    """Lay out a message: the header's length (4 bytes, big-endian), the header as JSON, the pictures one after another.

    The header's `sizes` are their lengths in bytes; one that is left out has none.
    """
    text = json_text(header | {"sizes": [len(picture) for picture in pictures]}).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *pictures])


def png(picture: NDArray[Any]) -> bytes:
    """Encode uint8 (height, width), or (height, width, 3) in the order blue, green, red."""
    done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return encoded.tobytes()
