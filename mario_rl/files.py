"""Files that are whole or absent."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mario_rl.errors import StorageError, UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(partial path)`, flush it to the disk and put it in the place of `path` in one step.

    Several may write the same file at once: each has a partial file of its own, and the last to finish wins.

    Raises:
        StorageError: the disk refused; the previous file is untouched and the partial one is gone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if not isinstance(error, OSError | RuntimeError):  # torch reports a full disk as a RuntimeError
            raise
        raise StorageError(
            f"{path}: could not be written ({_reason(error)}); what was there before is intact"
        ) from error


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


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]
