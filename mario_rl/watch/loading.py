"""Checkpoints loaded beside the game, which plays on meanwhile."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mario_rl.errors import UserError
from mario_rl.watch.background import in_background

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained


class Loaded(NamedTuple):
    """What came of loading a checkpoint.

    path, written: which, and when its file was written, as `written_at` has it. trained: None if it could not be used.
    failure: why not, a line.
    """

    path: Path
    written: int | None
    trained: Trained | None
    failure: str | None = None


class Loader:
    """Loads one checkpoint at a time; of those asked for meanwhile the last comes next, and the others never.

    For one thread, the game's.
    """

    def __init__(self) -> None:
        self._wanted: Path | None = None
        self._loading: Future[Loaded] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being loaded or about to be."""
        return self._wanted is None and self._loading is None

    def ask(self, checkpoint: Path) -> None:
        """Load a checkpoint as soon as what is being loaded has been."""
        self._wanted = checkpoint
        self._begin()

    def take(self) -> Loaded | None:
        """Hand over what has been loaded since, if anything; each once."""
        if self._loading is None or not self._loading.done():
            return None
        loaded, self._loading = self._loading.result(), None
        self._begin()
        return loaded

    def _begin(self) -> None:
        if self._loading is None and self._wanted is not None:
            self._loading = in_background("loading a checkpoint", partial(_load, self._wanted))
            self._wanted = None


def written_at(path: Path | None) -> int | None:
    """When a file was last written, nanoseconds; None where there is none."""
    if path is None:
        return None
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _load(path: Path) -> Loaded:
    from mario_rl.evaluation.trained import load_trained  # here, since nothing else of a page without agent needs torch

    written = written_at(path)
    try:
        return Loaded(path, written, load_trained(path))
    except UserError as error:  # gone or damaged since it was offered
        return Loaded(path, written, None, str(error))
    except Exception as error:  # whatever there may be in a file, or wrong with a disk: the game plays on
        return Loaded(path, written, None, f"{path}: can't be loaded ({type(error).__name__}: {error})")
