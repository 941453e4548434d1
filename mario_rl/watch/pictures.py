"""What the page is sent: PNGs, and how they lie in one message."""

from __future__ import annotations

from typing import Any

import cv2
from numpy.typing import NDArray

from mario_rl.files import json_text


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
