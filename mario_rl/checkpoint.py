"""State to a file and back: whole or absent, and loading never runs code from the file."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch

from mario_rl.errors import CheckpointError
from mario_rl.files import write_atomically
from mario_rl.rundir import RunDir
from mario_rl.types import State

FORMAT = "mario_rl checkpoint 1"
"""What every checkpoint says of itself; the number goes up when old files can no longer be read."""

POLICY_KEYS = ("config", "versions", "machine", "agent_steps", "updates", "episodes", "seconds", "network")
"""What a checkpoint carries so that it can be evaluated alone. The seed is in its config."""

TRAINING_KEY = "training"
"""What `latest.pt` carries besides, to go on training."""


def save_checkpoint(path: Path, state: State) -> None:
    """Write `state` (tensors and plain values) to `path`; a kill at any moment leaves the previous file in place.

    Raises:
        StorageError: the disk refused; the previous file is untouched.
    """
    write_atomically(path, lambda partial: torch.save({"format": FORMAT, **state}, partial))


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint onto the CPU, as tensors and plain values only (`weights_only`).

    Raises:
        CheckpointError: there is no such file, it is cut short, damaged or not one of ours, or its weights are not
            finite numbers.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    damaged = f"{path}: cut short, damaged or not a checkpoint at all"
    if not zipfile.is_zipfile(path):  # what torch.save writes; the older formats are not looked into
        raise CheckpointError(damaged)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, it holds more than tensors and plain values") from error
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise CheckpointError(damaged) from error
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
    """Name the file that stands for `path`: itself, or a run directory's best (else latest) checkpoint.

    Raises:
        CheckpointError: nothing there to load.
    """
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or directory; give a checkpoint (.pt) or a run directory")
    if path.is_file():
        return path
    for candidate in (RunDir(path).best, RunDir(path).latest):
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"{path}: no checkpoint in this directory (looked for checkpoints/best.pt and latest.pt)")


def _finite(tree: object) -> bool:
    """Tell whether all tensors in nested states hold finite numbers."""
    if isinstance(tree, torch.Tensor):
        return bool(tree.isfinite().all())
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return all(_finite(part) for part in parts)
