"""Arrays that several processes see at once, in memory that is gone when the last of them is, however it ends."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Mapping
from multiprocessing import reduction
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

type Layout = Mapping[str, tuple[tuple[int, ...], DTypeLike]]
"""Shape and dtype of each array, by name."""

type Arrays = dict[str, NDArray[Any]]

ALIGNMENT = 64  # bytes: a cache line, so that two arrays never share one


def private_arrays(layout: Layout) -> Arrays:
    """Make arrays of zeros for this process alone."""
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()}


class SharedArrays:
    """Arrays of zeros in memory that child processes share when this is among their arguments.

    The memory has no name, so nothing can be left behind: the system takes it back when the last process that has it
    ends, killed ones included. It is not limited by the size of /dev/shm, which containers keep small. It costs
    nothing until it is written to.

    arrays: by name; the same memory in every process.
    """

    def __init__(self, layout: Layout) -> None:
        size = sum(_padded_bytes(shape, dtype) for shape, dtype in layout.values())
        fd = _anonymous_file()
        os.ftruncate(fd, max(size, 1))
        self._attach(fd, layout)

    def __reduce__(self) -> tuple[Any, ...]:
        # Only while a child is being started; multiprocessing hands it the file descriptor.
        return _attached, (reduction.DupFd(self._fd), self._layout)

    def _attach(self, fd: int, layout: Layout) -> None:
        self._fd, self._layout = fd, dict(layout)
        memory = memoryview(mmap.mmap(fd, os.fstat(fd).st_size, trackfd=False))
        self.arrays: Arrays = {}
        offset = 0
        for name, (shape, dtype) in layout.items():
            nbytes = _bytes(shape, dtype)
            self.arrays[name] = np.frombuffer(memory[offset : offset + nbytes], dtype).reshape(shape)
            offset += _padded_bytes(shape, dtype)

    def __del__(self) -> None:
        # The mapping itself goes with the last array that lies in it.
        if hasattr(self, "_fd"):
            os.close(self._fd)


def _attached(handle: Any, layout: Layout) -> SharedArrays:
    shared = SharedArrays.__new__(SharedArrays)
    shared._attach(handle.detach(), layout)
    return shared


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mario_rl")
    with tempfile.TemporaryFile() as file:  # has no name from the start, or loses it at once
        return os.dup(file.fileno())


def _bytes(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize


def _padded_bytes(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return -(-_bytes(shape, dtype) // ALIGNMENT) * ALIGNMENT
