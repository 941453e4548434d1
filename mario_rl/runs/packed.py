"""`runs.zip`: the tables of many runs in one compressed file, which stands for their run directories."""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mario_rl.errors import StorageError, UserError
from mario_rl.files import write_atomically
from mario_rl.reading import Refused, open_regular, read_bytes
from mario_rl.wording import count_text

ARCHIVE = "runs.zip"

TABLES = (
    "config.yaml",
    "episodes.csv",
    "evaluation.csv",
    "final.csv",
    "metrics.csv",
    "run.json",
    "snapshots.csv",
)
"""The files of a run directory that are packed: what reports and plots are made from."""

ERROR = re.compile(r"seed_[0-9]{1,20}\.error")
"""A file beside a run directory of a study that is packed too: it says why the run failed, see `StudyDir`."""

MOST_ARCHIVE_BYTES = 200_000_000
MOST_UNPACKED_BYTES = 1_000_000_000
MOST_FILES = 10_000
MOST_DEPTH = 8  # folders
MOST_INDEX_BYTES = MOST_FILES * 300  # of the list of files at the end of an archive; a name is some 50 characters
COPY_BYTES = 1 << 20  # at once

END_RECORD = struct.Struct("<4s4H2LH")
"""How a zip file without a comment ends: signature, four counts, size and place of its list of files, comment size."""

LARGE_FILE_MARK = b"PK\x06\x07"
"""Where a zip file has this before its end record, the list of files is elsewhere, as in files of over 4 GB."""


def pack(directory: Path) -> tuple[Path, int]:
    """Write the tables of all run directories below a directory to its `runs.zip`; the directories stay as they are.

    A run that is in the archive already and has no directory (any more) stays in it. The same tables give the same
    bytes. What was written is read back before it takes the place of what was there.

    Returns:
        The archive, and how many runs are in it.

    Raises:
        UserError: there is no run, too much to pack, or what is there can't be read.
        StorageError: the disk refused; an archive that was there before is intact.
    """
    archive = directory / ARCHIVE
    with _temporary_folder() as earlier:
        here = dict(_files_below(directory))
        files = here
        if archive.exists():
            _unpack(archive, earlier)
            replaced = {_run_of(name) for name in here if not ERROR.fullmatch(PurePosixPath(name).name)}
            kept = {name: path for name, path in _files_below(earlier) if _run_of(name) not in replaced}
            files = kept | here
        runs = set(map(_run_of, files))
        if not runs:
            raise UserError(f"{directory}: no run directory below it whose tables could be packed")
        contents = {name: _content(files[name]) for name in sorted(files)}
        _require_within_limits(archive, contents)
        write_atomically(archive, lambda partial: _write(partial, contents))
    return archive, len(runs)


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """Yield a temporary folder with the run directories of an archive, which is gone afterwards.

    Nothing of the archive is trusted: names, kinds and sizes are checked before anything is written, and only files
    that `pack` could have written are.

    Raises:
        UserError: it can't be read, or is not what `pack` writes; the message names the archive.
        StorageError: the temporary folder has no room.
    """
    with _temporary_folder() as folder:
        _unpack(archive, folder)
        yield folder


def archives_below(directory: Path) -> list[Path]:
    """List the archives at or below a directory, by their paths."""
    return sorted((path for path in directory.rglob(ARCHIVE) if path.is_file()), key=os.fspath)


def packed_runs(archive: Path) -> set[str]:
    """Name the runs of an archive by their folders, relative to its own: `runs/double-simple/seed_0`.

    Raises:
        UserError: as `unpacked`.
    """
    with _refusals(archive), open_regular(archive) as file, _opened(file) as zipped:
        return {_run_of(part.filename) for part in _checked(zipped)}


def _files_below(directory: Path) -> Iterator[tuple[str, Path]]:
    """List what is packed of a directory: names relative to it, and files. Links are not followed."""
    for folder, _, names in directory.walk():
        is_run = "episodes.csv" in names or "metrics.csv" in names
        for name in names:
            path = folder / name
            relative = path.relative_to(directory)
            wanted = (is_run and name in TABLES) or ERROR.fullmatch(name)
            if not wanted or path.is_symlink() or any(part.startswith(".") for part in relative.parts):
                continue
            if len(relative.parts) == 1 and name in TABLES:
                raise UserError(f"{directory}: a run directory itself; name one that has run directories in it")
            yield relative.as_posix(), path


def _run_of(name: str) -> str:
    """Name the folder of the run that a file of an archive is of."""
    path = PurePosixPath(name)
    return os.fspath(path.with_suffix("") if ERROR.fullmatch(path.name) else path.parent)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="mario_rl-")
    except OSError as error:
        raise StorageError(f"no temporary folder can be made ({error.strerror}); TMPDIR names another place") from error
    with folder as path:
        yield Path(path)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, most_bytes=MOST_UNPACKED_BYTES)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    except Refused as error:
        raise UserError(f"{path}: {error}") from error


def _require_within_limits(archive: Path, contents: Mapping[str, bytes]) -> None:
    """Refuse to write what nobody could read back."""
    total = sum(map(len, contents.values()))
    if len(contents) > MOST_FILES or total > MOST_UNPACKED_BYTES:
        raise UserError(
            f"{archive}: would hold {count_text(len(contents), 'file')} and {count_text(total, 'byte')}; must be "
            f"{MOST_FILES:,} and {MOST_UNPACKED_BYTES:,} at most, so pack parts of it on their own"
        )
    for name in contents:
        if not _is_packed_name(name):
            raise UserError(f"{archive.parent / name}: can't be packed under this name; rename its folders")


def _write(partial: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for name, content in contents.items():
            part = zipfile.ZipInfo(name)  # of 1980, so that the same tables give the same bytes
            part.external_attr = (stat.S_IFREG | 0o644) << 16
            part.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(part, content)
    with _refusals(partial), open_regular(partial) as file, _opened(file) as zipped:
        for part in _checked(zipped):
            if zipped.read(part) != contents[part.filename]:
                raise StorageError(f"{partial}: {part.filename} was not written as it is")


def _unpack(archive: Path, folder: Path) -> None:
    with _refusals(archive), open_regular(archive) as file, _opened(file) as zipped:
        for part in _checked(zipped):
            _unpack_file(zipped, part, folder)


def _unpack_file(zipped: zipfile.ZipFile, part: zipfile.ZipInfo, folder: Path) -> None:
    path = folder.joinpath(*part.filename.split("/"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    except OSError as error:
        raise _no_room(folder, error) from error
    with target, zipped.open(part) as source:
        while block := source.read(COPY_BYTES):  # never more than the size that was checked; the end has a checksum
            try:
                target.write(block)
                target.flush()
            except OSError as error:
                raise _no_room(folder, error) from error
        if target.tell() != part.file_size:
            raise Refused(f"{part.filename} is shorter than it says")


def _no_room(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder}: an archive can't be unpacked there ({error.strerror}; "
        f"{shutil.disk_usage(folder.parent).free / 1e6:.0f} MB are free); the variable TMPDIR names another folder"
    )


@contextmanager
def _refusals(archive: Path) -> Iterator[None]:
    """Say in one line, which begins with the archive, why it can't be read."""
    try:
        yield
    except Refused as error:
        raise UserError(f"{archive}: {error}") from error
    except OSError as error:
        raise UserError(f"{archive}: can't be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, UserError | StorageError):
            raise
        raise UserError(f"{archive}: damaged, or no zip archive; `mario-rl compare DIR --pack` writes one") from error


def _opened(file: BinaryIO) -> zipfile.ZipFile:
    """Open an archive whose list of files, which is read at once, has a bounded size.

    Raises:
        Refused: it is too large or ends as no archive of `pack` does.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MOST_ARCHIVE_BYTES:
        raise Refused(f"larger than {count_text(MOST_ARCHIVE_BYTES, 'byte')}, the most that is read")
    if size < END_RECORD.size:
        raise Refused("damaged, or no zip archive; `mario-rl compare DIR --pack` writes one")
    file.seek(max(0, size - END_RECORD.size - 20))
    end = file.read()
    signature, *_, index_bytes, _, comment_bytes = END_RECORD.unpack(end[-END_RECORD.size :])
    if signature != b"PK\x05\x06" or comment_bytes or end.startswith(LARGE_FILE_MARK):
        raise Refused("damaged, or no zip archive; `mario-rl compare DIR --pack` writes one")
    if index_bytes > MOST_INDEX_BYTES:
        raise Refused(f"lists more than {count_text(MOST_FILES, 'file')}, the most that is read")
    return zipfile.ZipFile(file)


def _checked(zipped: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """List the files of an archive.

    Raises:
        Refused: one has a name, a kind or a size that no file of `pack` has.
    """
    parts = zipped.infolist()
    if len(parts) > MOST_FILES:
        raise Refused(f"lists more than {count_text(MOST_FILES, 'file')}, the most that is read")
    known: set[str] = set()
    for part in parts:
        name = part.filename
        if part.orig_filename != name or not _is_packed_name(name):
            raise Refused(f"a file in it is called {name[:80]!r}; must be FOLDER/TABLE, such as seed_0/episodes.csv")
        if name.casefold() in known:  # on some disks these are one file
            raise Refused(f"{name} is in it twice")
        known.add(name.casefold())
        if stat.S_IFMT(part.external_attr >> 16) not in (0, stat.S_IFREG):
            raise Refused(f"{name} is not a regular file")
        if part.flag_bits & 0x1 or part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{name} is encrypted, or compressed by another method than deflate")
    if sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
        raise Refused(f"unpacks to more than {count_text(MOST_UNPACKED_BYTES, 'byte')}, the most that is read")
    return parts


def _is_packed_name(name: str) -> bool:
    """Whether a name is one that `pack` gives: folders, none of them hidden or called as a file is, and a table."""
    *folders, last = name.split("/")
    return (
        0 < len(folders) <= MOST_DEPTH
        and (last in TABLES or ERROR.fullmatch(last) is not None)
        and not any(one in TABLES or ERROR.fullmatch(one) or not _is_plain(one) for one in folders)
    )


def _is_plain(folder: str) -> bool:
    return 0 < len(folder) <= 200 and not folder.startswith(".") and not re.search(r'[\\:*?"<>|\x00-\x1f]', folder)
