"""What may be removed of a run directory: files that training wrote and needs no more, never through a link."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mario_rl.runs.directory import RunDir

STEP_CHECKPOINT = re.compile(r"step_\d{9,}\.pt")
REPLAY = re.compile(r"generation_\d{6,}\.npz")


def passing_files(run_dir: RunDir) -> list[Path]:
    """List the step checkpoints and replays that are there: what comes and goes while a run is trained."""
    return [*_named(run_dir.checkpoints, STEP_CHECKPOINT), *_named(run_dir.replay, REPLAY)]


def remove_passing(run_dir: RunDir, *, but: Collection[Path] = ()) -> None:
    """Remove them, but some, and the folder of replays if nothing else is in it."""
    for path in passing_files(run_dir):
        if path not in but:
            path.unlink(missing_ok=True)
    if not run_dir.replay.is_symlink():
        with suppress(OSError):  # something else is in it, or it is gone
            run_dir.replay.rmdir()


def _named(folder: Path, names: re.Pattern[str]) -> list[Path]:
    """List the regular files of a folder with such names; none where it is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if names.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    )
