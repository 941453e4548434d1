"""State to a file and back: whole or absent, and loading never runs code from the file.

Torch is imported where a file is read or written: a path that leads nowhere is told at once.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.errors import CheckpointError
from mario_rl.files import write_atomically
from mario_rl.runs.directory import RunDir, directory_of_latest, find_run

if TYPE_CHECKING:
    from mario_rl.types import State

FORMAT = "mario_rl checkpoint 1"
"""What every checkpoint says of itself; the number goes up when old files can no longer be read."""

POLICY_KEYS = ("config", "versions", "machine", "agent_steps", "updates", "episodes", "seconds", "network")
"""What a checkpoint carries so that it can be evaluated alone. The seed is in its config."""

DAMAGED = "cut short, damaged or not a checkpoint at all"

TRAINING_KEY = "training"
"""What `latest.pt` carries besides, to go on training."""


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` (tensors and plain values) to `path`; a kill at any moment leaves the previous file in place.

    Raises:
        StorageError: the disk refused; the previous file is untouched.
    """
    write_atomically(path, lambda partial: write_checkpoint(partial, state))


def write_checkpoint(path: Path, state: State) -> None:
    """Write `state` straight to `path`, which is put in its place by others."""
    import torch

    torch.save({"format": FORMAT, **state}, path)


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint onto the CPU, as tensors and plain values only (`weights_only`).

    Raises:
        CheckpointError: there is no such file, it is cut short, damaged or not one of ours, or its weights are not
            finite numbers.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    _refuse_other_files(path)
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, it holds more than tensors and plain values") from error
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise CheckpointError(f"{path}: {DAMAGED}") from error
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint this version reads (format {found!r}, needed {FORMAT!r})")
    missing = [key for key in POLICY_KEYS if key not in state]
    if missing:
        raise CheckpointError(f"{path}: incomplete checkpoint, it lacks {', '.join(missing)}")
    learner = state.get(TRAINING_KEY)
    if not _finite([state["network"], learner.get("agent") if isinstance(learner, dict) else None]):
        raise CheckpointError(f"{path}: damaged, or of an agent that diverged: its weights are not finite numbers")
    return dict(state)


def find_checkpoint(path: Path) -> Path:
    """Name the file that stands for `path`.

    That is the file itself; of a run directory the best checkpoint, else the latest; of another directory those of the
    newest run below it that has one; and `DIR/latest` is what `DIR` is.

    Raises:
        CheckpointError: nothing there to load.
    """
    if path.is_file():
        _refuse_other_files(path)
        return path
    run = find_run(path, has=has_checkpoint)
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
        return f"{path}: no such file or directory; give a checkpoint (.pt) or a run directory"
    if RunDir(path).config.is_file():
        return f"{path}: this run has no checkpoint yet; its first is written while it trains"
    if files := sorted(path.glob("*.pt")):
        return f"{path}: a directory of checkpoints; name one of them, such as {files[0]}"
    looked = "checkpoints/best.pt and latest.pt"
    return f"{path}: no checkpoint in this directory (looked for {looked}, also in the runs below it)"


def _refuse_other_files(path: Path) -> None:
    """Refuse a file of another kind by its first bytes: what torch.save writes is a zip archive."""
    if zipfile.is_zipfile(path):  # the older formats of torch are not looked into
        return
    if path.suffix in (".yaml", ".yml"):
        raise CheckpointError(f"{path}: a config, not a checkpoint; give a checkpoint (.pt) or a run directory")
    raise CheckpointError(f"{path}: {DAMAGED}")


def _finite(tree: object) -> bool:
    """Tell whether all tensors in nested states hold finite numbers."""
    import torch

    if isinstance(tree, torch.Tensor):
        return bool(tree.isfinite().all())
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return all(_finite(part) for part in parts)
