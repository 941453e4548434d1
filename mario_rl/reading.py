"""Text from files that anybody may have written: how much of it is read, and how large what it says may be."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mario_rl.wording import count_text

BLOCK_BYTES = 1 << 20  # of lines that are read at once


class Refused(ValueError):
    """What was read is not taken; the message says why and what is allowed, and leaves the file to the caller."""


def read_text(path: Path, *, most_bytes: int) -> str:
    """Read a text file that has a size; devices and pipes, which may never end, are not opened for long.

    Raises:
        Refused: it is too large, no regular file, or not UTF-8.
        OSError: it can't be read.
    """
    return _as_text(read_bytes(path, most_bytes=most_bytes))


def read_bytes(path: Path, *, most_bytes: int) -> bytes:
    """Read a whole file that has a size, as `read_text` does.

    Raises:
        Refused: it is too large or no regular file.
        OSError: it can't be read.
    """
    with open_regular(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise _too_large(most_bytes)
    return content


def read_lines(path: Path, *, most_bytes: int, most_line_bytes: int) -> Iterator[list[str]]:
    r"""Read the lines of a text file in blocks of about 1 MB, without their ends, which are `\n` or `\r\n`.

    A last line that has no end yet is left out: somebody may be writing it. No more is ever held than a block.

    Raises:
        Refused: the file or one line is too large, it is no regular file, or not UTF-8.
        OSError: it can't be read.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise _too_large(most_bytes)
        torn, size = b"", 0
        while block := file.read(BLOCK_BYTES):
            size += len(block)
            if size > most_bytes:  # it grows meanwhile
                raise _too_large(most_bytes)
            *lines, torn = (torn + block).split(b"\n")
            if max(map(len, [*lines, torn])) > most_line_bytes:
                raise Refused(f"a line of it is longer than {count_text(most_line_bytes, 'byte')}")
            if lines:
                yield _as_text(b"\n".join(lines)).replace("\r\n", "\n").removesuffix("\r").split("\n")


def open_regular(path: Path) -> BinaryIO:
    """Open a file that has a size; not a device or a pipe, which may never end.

    Raises:
        Refused: it is no regular file. OSError: it can't be opened.
    """
    if "\0" in str(path):
        raise Refused("a path can't hold the character NUL")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")  # of a descriptor: a pipe that nobody writes to would block
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise Refused("not a regular file")


def _too_large(most_bytes: int) -> Refused:
    return Refused(f"larger than {count_text(most_bytes, 'byte')}, the most that is read")


def _as_text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("not a text file in UTF-8") from error


def parse_json(text: str, *, most_values: int = 1_000_000, most_depth: int = 32) -> Any:
    """Read JSON as the standard has it: no NaN, no numbers beyond those of a computer, nothing nested without end.

    A key that stands twice in one object is refused too: readers differ in which of the two they take.

    Raises:
        Refused: it is not, or says too much.
    """

    def finite(number: str) -> float:
        value = float(number)
        if not math.isfinite(value):
            raise Refused(f"{number[:20]} is not a finite number")
        return value

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
            raise Refused(f"the key {twice[:40]!r} stands twice in one object")
        return tree

    try:
        tree = json.loads(text, parse_float=finite, parse_constant=finite, object_pairs_hook=distinct)
    except Refused:
        raise
    except RecursionError as error:
        raise Refused(f"nested more than {most_depth} deep") from error
    except ValueError as error:  # also of a whole number with thousands of digits
        raise Refused(f"not JSON ({' '.join(str(error).split())})") from error
    require_bounded(tree, most_values=most_values, most_depth=most_depth)
    return tree


def require_bounded(tree: object, *, most_values: int, most_depth: int) -> None:
    """Refuse nested lists and mappings that say too much; what is named several times counts every time.

    So whoever walks through the tree afterwards comes to an end.

    Raises:
        Refused: more values, keys included, or deeper.
    """
    count, waiting = 0, [(tree, 0)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        if depth > most_depth:
            raise Refused(f"nested more than {most_depth} deep")
        if isinstance(part, dict):
            children = [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            children = list(part)
        else:
            continue
        if count + len(waiting) + len(children) > most_values:
            raise Refused(f"more than {count_text(most_values, 'value')}")
        waiting += [(child, depth + 1) for child in children]
