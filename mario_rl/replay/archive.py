"""A replay file, read with a suspicion: nothing is larger than it must be, and every checksum is looked at."""

from __future__ import annotations

import zipfile
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

MAX_TEXT = 64  # characters
READ_BYTES = 1 << 20  # at once, since zipfile makes a copy of what it reads


class Flawed(ValueError):
    """What a file says can't be; the message says what, and leaves the file to the caller."""


class ReplayArchive:
    """An `.npz` whose arrays are stored as they are, each read only where its header says what is expected.

    So it takes no more memory than what is asked for, whatever it claims. The checksum of an array (CRC-32) is compared
    by zipfile when its end is reached.

    Args:
        file: open for reading.

    Raises:
        zipfile.BadZipFile: not an archive. Flawed: it is compressed, or names something twice.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(file)
        parts = self._archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise Flawed("it is compressed, which no replay is")
        if len({part.filename for part in parts}) < len(parts):
            raise Flawed("it names an array twice")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def value(self, name: str) -> int | str:
        """Read a single whole number or a short text.

        Raises:
            KeyError: there is none of that name. Flawed: it is something else.
        """
        texts = (np.dtype(f"<U{length}") for length in range(1, MAX_TEXT + 1))
        value: int | str = self._read(name, (), (np.dtype(np.int64), *texts)).item()
        return value

    def read(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Read an array of uint8 of a known shape.

        Raises:
            KeyError: there is none of that name. Flawed: it has another shape or dtype.
            zipfile.BadZipFile, EOFError: it is damaged.
        """
        array: NDArray[np.uint8] = self._read(name, shape, (np.dtype(np.uint8),))
        return array

    def read_into(self, name: str, array: NDArray[np.generic]) -> None:
        """Read an array into one of its shape and dtype; errors as `read`."""
        array[...] = self._read(name, array.shape, (array.dtype,))

    def _read(self, name: str, shape: tuple[int, ...], dtypes: tuple[np.dtype[Any], ...]) -> NDArray[Any]:
        with self._archive.open(f"{name}.npy") as part:
            if np.lib.format.read_magic(part) != (1, 0):
                raise Flawed(f"{name} is of another version")
            found_shape, fortran, dtype = np.lib.format.read_array_header_1_0(part)
            if found_shape != shape or dtype not in dtypes or (fortran and len(shape) > 1):
                raise Flawed(f"{name} is {dtype} {found_shape}, not {dtypes[0]} {shape}")
            array = np.empty(shape, dtype)
            content = memoryview(array.reshape(-1).view(np.uint8))
            if _fill(content, part) < len(content) or part.read(1):  # the end: now the checksum has been compared
                raise EOFError(name)
        return array


def _fill(content: memoryview, part: IO[bytes]) -> int:
    """Read until there is no more room or nothing more; returns how many bytes there were."""
    filled = 0
    while filled < len(content) and (read := part.readinto(content[filled : filled + READ_BYTES])):  # type: ignore[attr-defined]
        filled += read
    return filled
