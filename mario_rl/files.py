"""Files that are whole or absent, and their names as text."""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mario_rl.errors import StorageError, UserError

MAX_NAME = 40  # characters of a file's name in that of its partial file, which has to fit into 255 bytes with more


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(partial path)`, flush it to the disk and put it in the place of `path` in one step.

    Its folder is made if missing.

    Several may write the same file at once: each has a partial file of its own, and the last to finish wins.

    Raises:
        StorageError: the disk refused; the previous file is untouched and the partial one is gone.
    """
    name = path.name if len(path.name) <= MAX_NAME else f"{path.name[:MAX_NAME]}-{zlib.crc32(os.fsencode(path.name))}"
    partial = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError | RuntimeError):  # torch reports a full disk as a RuntimeError
            raise
        raise StorageError(
            f"{path}: could not be written ({_reason(error)}); what was there before is intact"
        ) from error


def remove_partials(folder: Path) -> None:
    """Remove what killed writers left in a folder; to be called while nobody writes there."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Refuse a file that can't be written, before the work that would fill it. Nothing is made, not even its folder.

    Raises:
        UserError: it is a folder or a device, its name is not possible, or its folder can't be made or written to.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:  # a folder on the way is a file, or a name is too long
        raise UserError(f"{path}: can't be written ({error.strerror})") from error
    nearest = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    # Whatever is put in the place of a device such as /dev/null would be taken for it by every other program.
    if not stat.S_ISREG(mode) or not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"{path}: can't be written; name a file in a folder you may write to")


def printable(name: str | os.PathLike[str], most: int | None = None) -> str:
    r"""Write a name so that any file, page, terminal and figure takes it, on one line.

    Bytes of a file's name that are no text become `\xff`, control characters `\n` or `\x1b`; all else stays.

    Args:
        name: any text, a path for instance.
        most: characters that there is room for; of a longer one the middle is left out.
    """
    text = "".join(one if one.isprintable() else _escaped(one) for one in os.fspath(name))
    if most is None or len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0]


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file's name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
