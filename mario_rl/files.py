"""Files that are whole or absent, and their names as text."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mario_rl.errors import StorageError, UserError

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems say that they have none."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How disks say that they are full, or that a file has become larger than it may."""

PARTIAL = re.compile(r"\..+\.[0-9]+-[0-9a-f]{8}\.partial", re.DOTALL)
"""What `_partial` names a file."""

MAX_NAME = 40  # characters of a file's name in that of its partial file, which has to fit into 255 bytes with more


class _TooLarge(OSError):
    """A disk that has no room for so many bytes."""

    needed: int


@contextmanager
def room_for(needed: int) -> Iterator[None]:
    """While a file of about so many bytes is written: where the disk has no room, whoever tells it knows how large."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        told = _TooLarge(error.errno, error.strerror)
        told.needed = needed
        raise told from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file.

    Raises:
        OSError: the disk refused; it knows how much room there has to be.
    """
    with room_for(len(content)):
        path.write_bytes(content)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(partial path)`, flush it to the disk and put it in the place of `path` in one step.

    Its folder is made if missing.

    Several may write the same file at once: each has a partial file of its own, and the last to finish wins.

    Raises:
        StorageError: the disk refused; the previous file is untouched and the partial one is gone.
    """
    with _partial_of(path, "what was there before is intact") as partial:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        _flush(partial)
        partial.replace(path)


def create_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Do the same, but only where there is no `path` yet: of several that make the same file at once, one does.

    Raises:
        FileExistsError: there is one, perhaps since a moment ago; it is untouched.
        StorageError: the disk refused; the partial file is gone.
    """
    with _partial_of(path, "nothing was left there") as partial:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            _flush(partial)
            _link(partial, path)
        except (FileExistsError, FileNotFoundError):  # partial files are cleared away by whoever has made the file
            if not os.path.lexists(path):
                raise
        else:
            return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


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
    except OSError as error:
        with suppress(OSError):  # first, since it takes room
            partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: could not be written ({_reason(error, path)}); {left}") from error
    finally:
        with suppress(OSError):
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
    except OSError as error:
        raise StorageError(
            f"{path}: could not be written ({_reason(error, path)}); what was there before is intact"
        ) from error


def remove_partials(folder: Path) -> None:
    """Remove what killed writers left in a folder; to be called while nobody writes there.

    That is regular files with the names that `write_atomically` gives; nothing behind a link.
    """
    if folder.is_symlink():
        return
    for partial in folder.glob(".*.partial"):
        if PARTIAL.fullmatch(partial.name) and partial.is_file() and not partial.is_symlink():
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


def sha256_of(path: Path) -> str:
    """Digest a file with SHA-256, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _partial(path: Path) -> Path:
    """Name the file that becomes `path` once it is whole: in the same folder, another for each writer anywhere."""
    name = path.name if len(path.name) <= MAX_NAME else f"{path.name[:MAX_NAME]}-{zlib.crc32(os.fsencode(path.name))}"
    return path.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


def _reason(error: OSError, path: Path) -> str:
    """Say why a file could not be written; where there is no room for it, how much is needed and how much there is."""
    reason = error.strerror or str(error).splitlines()[0]
    if error.errno not in NO_ROOM:
        return reason
    needed = f"it takes {_size(error.needed)}, " if isinstance(error, _TooLarge) else ""
    folder = next((one for one in path.absolute().parents if one.is_dir()), Path("/"))
    free = f"{_size(shutil.disk_usage(folder).free)} is free there"
    return f"{reason}: {needed}{free}; make room and do it again"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file's name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
