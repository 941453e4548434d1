"""How a run directory comes to be: one process makes it, whole, whoever else wants the same one at the same time."""

from __future__ import annotations

import os
from pathlib import Path

from mario_rl.config import Config, render_config
from mario_rl.errors import UserError
from mario_rl.files import create_atomically, write_atomically
from mario_rl.runs.directory import RunDir

OF_NO_ACCOUNT = ("lost+found",)
"""What an empty directory may hold: every new file system of Linux has it."""


class RunDirTaken(UserError):
    """Something is in the place of the run directory already."""


def new_run_dir(path: Path) -> RunDir:
    """Name a run directory that may be begun: nothing is there yet, or an empty directory, perhaps mounted or a link.

    Raises:
        RunDirTaken: something else is there.
        UserError: it can't be made, or is an empty directory that can't be written to.
    """
    directory = RunDir(path if path.name not in ("", "..") else path.resolve())  # the one in which one is has a name
    if path.is_dir() and _is_empty(path):
        if not os.access(path, os.W_OK | os.X_OK):
            raise UserError(f"{path}: can't be written to; name another --run-dir")
    elif path.exists():
        raise _taken(directory)
    else:
        _require_place(path)
    return directory


def begin(directory: RunDir, config: Config) -> None:
    """Make a run directory of what `new_run_dir` found free.

    Its config is written in one step, and only where there is none: that is what makes a directory a run's. So it can
    always be resumed, and of several processes that begin in the same place one does. One that is killed on the way
    leaves an empty directory, in which a run can be begun.

    Raises:
        RunDirTaken: another process has begun a run there meanwhile.
        UserError: the directory can't be made. StorageError: the disk refused the config.
    """
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        if directory.path.exists():
            raise _taken(directory) from error
        raise UserError(f"{directory.path}: can't be made, it is a link to nothing; name another --run-dir") from error
    except OSError as error:
        raise UserError(f"{directory.path}: can't be made ({error.strerror}); name another --run-dir") from error
    if not _is_empty(directory.path):
        raise _taken(directory)
    try:
        create_atomically(directory.config, lambda partial: partial.write_text(render_config(config), encoding="utf-8"))
    except FileExistsError as error:
        raise _taken(directory) from error


def write_config(directory: RunDir, config: Config) -> None:
    """Write config.yaml anew, every key resolved and explained."""
    write_atomically(directory.config, lambda partial: partial.write_text(render_config(config), encoding="utf-8"))


def _require_place(path: Path) -> None:
    """Refuse a directory that can't be made, before anything slow: its nearest existing folder says so."""
    above = next((one for one in path.absolute().parents if os.path.lexists(one)), Path("/"))
    if not above.is_dir():
        reason = f"{above} is not a directory"
    elif not os.access(above, os.W_OK | os.X_OK):
        reason = f"{above} can't be written to"
    else:
        return
    raise UserError(f"{path}: can't be made, {reason}; name another --run-dir")


def _is_empty(path: Path) -> bool:
    """Tell whether nothing is in a directory but what others, killed or as far as we are, were about to begin."""
    try:
        names = [one.name for one in path.iterdir()]
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); name another --run-dir") from error
    begun = [name for name in names if name.startswith(".config.yaml.") and name.endswith(".partial")]
    return not set(names) - set(begun) - set(OF_NO_ACCOUNT)


def _taken(directory: RunDir) -> RunDirTaken:
    return RunDirTaken(f"{directory.path}: exists already; name another --run-dir, or go on with it by --resume")
