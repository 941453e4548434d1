"""Where everything in the directory of a search of a stage is, and who may write there."""

from __future__ import annotations

import os
import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mario_rl.errors import UserError
from mario_rl.files import PARTIAL, remove_partials, require_writable

SEARCH, LOCK = "search.archive", ".lock"


def resume_command(path: Path) -> str:
    """Say what goes on with the search in a directory."""
    return f"mario-rl explore --resume {shlex.quote(str(path))}"


@dataclass(frozen=True)
class ExploreDir:
    """The directory of a search. Nothing is created by naming it.

    ```
    search.archive   the search itself, to go on with it
    1-1.json         the trajectory that clears the stage; named after it
    result.json      what the search took, and how far it came
    archive.png      the cells that were reached, over a picture of the stage
    ```
    """

    path: Path
    stage: str

    @property
    def search(self) -> Path:
        return self.path / SEARCH

    @property
    def trajectory(self) -> Path:
        return self.path / f"{self.stage}.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def picture(self) -> Path:
        return self.path / "archive.png"

    def require_free(self) -> None:
        """See that a search may be begun here: nothing is there yet, or a directory with nothing but a search's debris.

        Raises:
            UserError: something else is there, or it can't be made or written to.
        """
        require_writable(self.search)
        try:
            names = os.listdir(self.path) if self.path.exists() else []
        except OSError as error:
            raise UserError(f"{self.path}: can't be used ({error.strerror}); name another --out") from error
        if [name for name in names if name != LOCK and not PARTIAL.fullmatch(name)]:
            raise UserError(f"{self.path}: exists already; name another --out, or go on with it by --resume")


def held(path: Path) -> AbstractContextManager[object]:
    """Keep other processes out of a search's directory while this is entered.

    The directory is made, and what killed processes left there removed.

    Raises:
        UserError: another one works there, or it can't be made.
    """
    require_writable(path / SEARCH)
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{path}: in use, another process searches there") from error
    remove_partials(path)
    return lock
