"""Files that are whole or absent."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mario_rl.errors import StorageError, UserError

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems say that they have none."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(partial path)`, flush it to the disk and put it in the place of `path` in one step.

    Several may write the same file at once: each has a partial file of its own, and the last to finish wins.

    Raises:
        StorageError: the disk refused; the previous file is untouched and the partial one is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _partial_of(path, "what was there before is intact") as partial:
        write(partial)
        _flush(partial)
        partial.replace(path)


def create_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Do the same, but only where there is no `path` yet: of several that make the same file at once, one does.

    Raises:
        FileExistsError: there is one, perhaps since a moment ago; it is untouched.
        StorageError: the disk refused; the partial file is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _partial_of(path, "nothing was left there") as partial:
        try:
            write(partial)
            _flush(partial)
            _link(partial, path)
        except FileNotFoundError as error:
            if not path.exists():
                raise
            # Whoever has made the file goes on from there, and has cleared partial files away.
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error


def _link(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        # Where the file system has no hard links, a kill in these microseconds leaves a part of the file.
        with path.open("xb") as file:
            file.write(partial.read_bytes())
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _partial_of(path: Path, left: str) -> Iterator[Path]:
    """Name the partial file of `path`, which is gone at the end; messages end in `left`."""
    partial = _partial(path)
    try:
        yield partial
    except FileExistsError:
        raise
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise StorageError(f"{path}: could not be written ({_reason(error)}); {left}") from error
    finally:
        partial.unlink(missing_ok=True)


def _flush(partial: Path) -> None:
    with partial.open("rb+") as file:
        os.fsync(file.fileno())


def json_text(values: Any, *, indent: int | None = None) -> str:
    """Write plain values as JSON that every reader takes: numbers that are not finite, which it lacks, become null."""
    separators = (",", ":") if indent is None else None
    return json.dumps(_without_infinities(values), indent=indent, separators=separators, allow_nan=False)


def _without_infinities(values: Any) -> Any:
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, dict):
        return {key: _without_infinities(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_without_infinities(value) for value in values]
    return values


@contextmanager
def staged(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Yield a partial file for each path, to be written; then put them all in place, one after the other in this order.

    Before the first is, all are whole and on the disk. Where anything is raised before that, nothing changes. A kill
    between two of the renames leaves the first ones new: name last the file by which that is seen.

    Raises:
        StorageError: the disk refused; the partial files are gone.
    """
    partials = tuple(_partial(path) for path in paths)
    try:
        for path in paths:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        yield partials
        for partial, path in zip(partials, paths, strict=True):
            with storage_errors(path):
                _flush(partial)
        for partial, path in zip(partials, paths, strict=True):
            with storage_errors(path):
                partial.replace(path)
    except BaseException:
        for partial in partials:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        raise


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Say of what goes wrong here that `path` could not be written.

    Raises:
        StorageError: the disk refused.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise StorageError(
            f"{path}: could not be written ({_reason(error)}); what was there before is intact"
        ) from error


def remove_partials(folder: Path) -> None:
    """Remove what killed writers left in a folder; to be called while nobody writes there."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Refuse a file that can't be written, before the work that would fill it; its folder is made if missing.

    Raises:
        UserError: it is a folder or a device, or its own folder can't be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: can't be written, its folder can't be made ({error.strerror})") from error
    # Whatever is put in the place of a device such as /dev/null would be taken for it by every other program.
    if (path.exists() and not path.is_file()) or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: can't be written; name a file in a folder you may write to")


def _partial(path: Path) -> Path:
    """Name the file that becomes `path` once it is whole: in the same folder, another for each writer anywhere."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
