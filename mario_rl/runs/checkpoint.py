"""State to a file and back: whole or absent, and loading never runs code from the file.

Torch is imported where a file is read or written: a path that leads nowhere is told at once.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.errors import CheckpointError
from mario_rl.files import write_atomically, write_bytes
from mario_rl.reading import Refused, require_bounded
from mario_rl.runs.directory import RunDir, directory_of_latest, find_run
from mario_rl.runs.schema import REQUIRED, flaw
from mario_rl.shipped import find_agent

if TYPE_CHECKING:
    from mario_rl.types import State

FORMAT = "mario_rl checkpoint 1"
"""What every checkpoint says of itself; the number goes up when old files can no longer be read."""

DAMAGED = "cut short, damaged or not a checkpoint at all"

TRAINING_KEY = "training"
"""What `latest.pt` carries besides, to go on training."""

MAX_BYTES = 4 << 30
"""Of a file: some 40 MB with the shipped configs, 2 GB with the widest hidden layers that a config may ask for."""

MAX_PICKLE = 16 << 20  # bytes that say what is in a file, tensors left out
MAX_VALUES, MAX_DEPTH = 200_000, 16


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` (tensors and plain values) to `path`; a kill at any moment leaves the previous file in place.

    Raises:
        StorageError: the disk refused; the previous file is untouched.
    """
    write_atomically(path, lambda partial: write_checkpoint(partial, state))


def write_checkpoint(path: Path, state: State) -> None:
    """Write `state` straight to `path`, which is put in its place by others.

    Raises:
        OSError: the disk refused.
    """
    import torch

    content = io.BytesIO()  # torch would write to the disk itself, and hide what the disk says
    torch.save({"format": FORMAT, **state}, content)
    write_bytes(path, content.getvalue())


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint onto the CPU, as tensors and plain values only (`weights_only`), and check all of it.

    Its sizes are looked at before it is read, and its checksums (CRC-32 of every part, as in any zip archive) before
    anything is made of it. What its values may be is said in `mario_rl.runs.schema`.

    Raises:
        CheckpointError: there is no such file, it is cut short, damaged or not one of ours, or a value in it can't be.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    _refuse_other_files(path)
    content = _read_whole(path)
    import torch

    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, it holds more than tensors and plain values") from error
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise CheckpointError(f"{path}: {DAMAGED}") from error
    try:
        require_bounded(state, most_values=MAX_VALUES, most_depth=MAX_DEPTH)
    except Refused as error:
        raise CheckpointError(f"{path}: refused, {error}") from error
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        shown = repr(found)[:60]
        raise CheckpointError(f"{path}: not a checkpoint this version reads (format {shown}, needed {FORMAT!r})")
    if missing := [key for key in REQUIRED if key not in state]:
        raise CheckpointError(f"{path}: incomplete checkpoint, it lacks {', '.join(missing)}")
    if (wrong := flaw(state)) is not None:
        raise CheckpointError(f"{path}: refused, {wrong}")
    return dict(state)


def _read_whole(path: Path) -> bytes:
    """Read an archive whose parts all have the checksums that it has for them.

    Raises:
        CheckpointError: one has not.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            whole = archive.testzip() is None
    except Exception as error:  # as above
        raise CheckpointError(f"{path}: {DAMAGED}") from error
    if not whole:
        raise CheckpointError(f"{path}: {DAMAGED}")
    return content


def find_checkpoint(path: Path) -> Path:
    """Name the file that stands for `path`.

    That is the file itself; of a run directory the best checkpoint, else the latest; of another directory those of the
    newest run below it that has one; and `DIR/latest` is what `DIR` is. Where nothing is there, a name stands for the
    agent of that name in the package, see `mario_rl.shipped.find_agent`.

    Raises:
        CheckpointError: nothing there to load.
    """
    if path.is_file():
        _refuse_other_files(path)
        return path
    run = find_run(path, has=has_checkpoint)
    if run is None and not path.exists() and (shipped := find_agent(path)) is not None:
        return shipped
    if run is None:
        raise CheckpointError(_why_none(path))
    return run.best if run.best.is_file() else run.latest


def has_checkpoint(run: RunDir) -> bool:
    """Whether a run can be played."""
    return run.best.is_file() or run.latest.is_file()


def _why_none(path: Path) -> str:
    if (below := directory_of_latest(path)) is not None:
        return f"{path}: no run with a checkpoint below {below}"
    if not path.is_dir():
        wanted = "a checkpoint (.pt), a run directory, or an agent that `mario-rl list` names"
        return f"{path}: no such file or directory; give {wanted}"
    if RunDir(path).config.is_file():
        return f"{path}: this run has no checkpoint yet; its first is written while it trains"
    if files := sorted(path.glob("*.pt")):
        return f"{path}: a directory of checkpoints; name one of them, such as {files[0]}"
    looked = "checkpoints/best.pt and latest.pt"
    return f"{path}: no checkpoint in this directory (looked for {looked}, also in the runs below it)"


def _refuse_other_files(path: Path) -> None:
    """Refuse, without PyTorch and before much is read, a file that is none of ours: by its kind and its sizes.

    What torch.save writes is a zip archive whose parts are stored as they are. (The older formats of torch are not
    looked into.)

    Raises:
        CheckpointError: it is something else, or would become larger in memory than it is.
    """
    if path.suffix in (".yaml", ".yml"):
        raise CheckpointError(f"{path}: a config, not a checkpoint; give a checkpoint (.pt) or a run directory")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise CheckpointError(f"{path}: refused, {size / 1e9:.1f} GB; a checkpoint has at most {MAX_BYTES / 1e9:.1f}")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise CheckpointError(f"{path}: {DAMAGED}") from error
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise CheckpointError(f"{path}: refused, it is compressed, which no checkpoint is")
    pickled = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
    repeated = len({part.filename for part in parts}) < len(parts)
    if repeated or pickled > MAX_PICKLE or sum(part.file_size for part in parts) > size:
        raise CheckpointError(f"{path}: {DAMAGED}")
