"""A run directory on its way between machines that share no disk, in pieces that fit into messages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mario_rl.runs.directory import RunDir

PIECE_BYTES = 32 << 20


class Piece(NamedTuple):
    """Bytes of a file from an offset on. path: within the run directory, with slashes."""

    path: str
    offset: int
    content: bytes


class Complete(NamedTuple):
    """All pieces of what changed have been sent. paths: every file there is now, in the order to put them in place."""

    paths: list[str]


type Parcel = Piece | Complete


class Sender:
    """Sends a run directory, and later what has changed in it since; nobody may write there meanwhile."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._sent: dict[str, tuple[int, int]] = {}

    def changes(self) -> Iterator[Parcel]:
        """List what is new, a piece at a time, then what is there."""
        paths = [path.relative_to(self._run_dir.path).as_posix() for path in _in_order(self._run_dir)]
        for name in paths:
            path = self._run_dir.path / name
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if self._sent.get(name) == stamp:
                continue
            with path.open("rb") as file:
                offset = 0
                while (content := file.read(PIECE_BYTES)) or offset == 0:
                    yield Piece(name, offset, content)
                    offset += len(content)
                    if not content:
                        break
            self._sent[name] = stamp
        yield Complete(paths)


class Receiver:
    """Puts together what a `Sender` sends, beside the run directory, and in its place once it is complete.

    So the directory always holds a state that can be gone on with: a checkpoint is put in place after the replay it
    names, and the replay of the one before goes last.
    """

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._incoming = run_dir.path.with_name(f".{run_dir.path.name}.incoming")
        self.discard()

    def receive(self, parcel: Parcel) -> None:
        """Take the next one in.

        Raises:
            OSError: the disk refuses; the run directory is what it was.
        """
        if isinstance(parcel, Complete):
            self._put_in_place(parcel.paths)
            return
        path = self._incoming / parcel.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if parcel.offset else "wb") as file:
            file.seek(parcel.offset)
            file.write(parcel.content)

    def discard(self) -> None:
        """Forget what is not complete."""
        shutil.rmtree(self._incoming, ignore_errors=True)

    def _put_in_place(self, paths: list[str]) -> None:
        for name in paths:
            if (self._incoming / name).exists():
                place = self._run_dir.path / name
                place.parent.mkdir(parents=True, exist_ok=True)
                (self._incoming / name).replace(place)
        kept = {self._run_dir.path / name for name in paths}
        self._run_dir.remove_step_checkpoints(but=kept)
        self._run_dir.remove_replays(but=kept)
        self.discard()


def _in_order(run_dir: RunDir) -> Iterator[Path]:
    """List the files that matter, the checkpoint that names the replay after it, `final.csv` (done!) last of all.

    Links are none of them, nor what is behind one.
    """
    files = sorted(path for path in run_dir.path.rglob("*") if path.is_file() and not _left_out(path, run_dir))
    last = [path for path in (run_dir.latest, run_dir.final) if path in files]
    return iter([*(path for path in files if path not in last), *last])


def _left_out(path: Path, run_dir: RunDir) -> bool:
    trackers = (run_dir.tensorboard, run_dir.wandb)
    return path.is_symlink() or path.name.startswith(".") or any(path.is_relative_to(one) for one in trackers)
