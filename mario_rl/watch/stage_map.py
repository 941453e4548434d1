"""A picture of a stage, put together from the screens that were shown: what has been seen of it so far."""

from __future__ import annotations

import cv2
import numpy as np

from mario_rl.types import Pixels

TOP = 32  # rows of the screen above it show the score, which does not scroll
SHRINK = 2  # screen pixels to a pixel of the picture, each way


class StageMap:
    """The screens of one area side by side, each column as it was when it first came into sight.

    Columns come into sight at the right edge of the screen, so neither Mario nor most enemies are on them.

    seen: x up to which there is a picture, pixels.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._columns: list[Pixels] = []

    def add(self, screen: Pixels, left: int) -> None:
        """Take what is new of a screen, uint8 (240, 256, 3), whose left edge is at x `left`."""
        right = left + screen.shape[1]
        if right <= self.seen:
            return
        if left > self.seen:  # nothing was shown of what lies between
            self._columns.append(np.zeros((screen.shape[0] - TOP, left - self.seen, 3), dtype=np.uint8))
            self.seen = left
        self._columns.append(screen[TOP:, self.seen - left :].copy())
        self.seen = right

    def picture(self) -> Pixels:
        """Put it together: uint8 (104, seen / 2, 3), RGB."""
        whole = np.hstack(self._columns)
        self._columns = [whole]
        size = (whole.shape[1] // SHRINK, whole.shape[0] // SHRINK)
        small: Pixels = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        return small
