"""Where the frames of a replay lie: in the machine's memory, or in that of a GPU, which then gathers batches itself."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mario_rl.errors import UserError
from mario_rl.types import Pixels


class Frames(Protocol):
    """Rows of single frames, uint8 (rows, height, width)."""

    def write(self, row_E: NDArray[np.int64], frame_E: Pixels) -> None:
        """Put frames into rows."""
        ...

    def stacks(self, row_BS: NDArray[np.int64], hidden_BS: NDArray[np.bool_]) -> Tensor:
        """Gather stacks, uint8 (B, S, height, width), where they lie; zeros in place of those that are hidden."""
        ...

    def read(self, rows: slice) -> Pixels:
        """Return rows as they are in a file; where possible without a copy."""
        ...

    def load(self, rows: slice, frames: Pixels) -> None:
        """Take rows over from a file."""
        ...


class MemoryFrames:
    """Frames in the machine's memory.

    NumPy's, since its zeros cost no memory until they are written over, torch's do; and batches that torch allocated
    left 10 MB of fragments, NumPy's none.

    Args:
        rows: how many.
        shape: height and width of a frame.
        pinned: whether batches go to a GPU, and should lie where it can fetch them by itself.
    """

    def __init__(self, rows: int, shape: tuple[int, int], *, pinned: bool = False) -> None:
        self._frames: Pixels = np.zeros((rows, *shape), np.uint8)
        self._pinned = pinned

    def write(self, row_E: NDArray[np.int64], frame_E: Pixels) -> None:
        """Put frames into rows."""
        self._frames[row_E] = frame_E

    def stacks(self, row_BS: NDArray[np.int64], hidden_BS: NDArray[np.bool_]) -> Tensor:
        """Gather stacks; see `Frames`."""
        shape = (*row_BS.shape, *self._frames.shape[1:])
        stacks: Pixels
        if self._pinned:
            stacks = torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        else:
            stacks = np.empty(shape, np.uint8)
        # The rows are in bounds; "clip" only spares NumPy a copy of the result, which it makes to be able to raise.
        self._frames.take(row_BS, axis=0, out=stacks, mode="clip")
        stacks[hidden_BS] = 0
        return torch.from_numpy(stacks)

    def read(self, rows: slice) -> Pixels:
        """Return a view of rows."""
        return self._frames[rows]

    def load(self, rows: slice, frames: Pixels) -> None:
        """Take rows over from a file."""
        self._frames[rows] = frames


class DeviceFrames:
    """Frames in a GPU's memory: only the numbers of rows travel when a batch is drawn.

    Args:
        rows: how many.
        shape: height and width of a frame.
        device: a CUDA device.

    Raises:
        UserError: it has no memory for them.
    """

    def __init__(self, rows: int, shape: tuple[int, int], device: torch.device) -> None:
        try:
            self._frames = torch.zeros((rows, *shape), dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            needed = rows * shape[0] * shape[1] / 1e9
            raise UserError(
                f"replay.device: {needed:.2f} GB of frames do not fit into the memory of the GPU; a smaller "
                "replay.capacity or replay.device=cpu would"
            ) from error

    def write(self, row_E: NDArray[np.int64], frame_E: Pixels) -> None:
        """Put frames into rows."""
        self._frames[self._there(row_E)] = self._there(frame_E)

    def stacks(self, row_BS: NDArray[np.int64], hidden_BS: NDArray[np.bool_]) -> Tensor:
        """Gather stacks; see `Frames`."""
        stacks = self._frames[self._there(row_BS)]
        return stacks.masked_fill_(self._there(hidden_BS)[:, :, None, None], 0)

    def read(self, rows: slice) -> Pixels:
        """Return a copy of rows in the machine's memory."""
        frames: Pixels = self._frames[rows].cpu().numpy()
        return frames

    def load(self, rows: slice, frames: Pixels) -> None:
        """Take rows over from a file."""
        self._frames[rows] = torch.from_numpy(frames).to(self._frames.device)

    def _there(self, array: NDArray[np.generic]) -> Tensor:
        """Copy to the device; what is there already need not be waited for."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self._frames.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._frames.device, non_blocking=True)


def make_frames(
    rows: int, shape: tuple[int, int], *, device: torch.device, learner_device: torch.device
) -> MemoryFrames | DeviceFrames:
    """Make room for frames on a device, to be learned from on another or the same."""
    if device.type == "cpu":
        return MemoryFrames(rows, shape, pinned=learner_device.type == "cuda")
    return DeviceFrames(rows, shape, device)
