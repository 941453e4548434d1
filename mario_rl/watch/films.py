"""Episodes of the sitting as files: films, each made once for all who ask for it, and trajectories."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from functools import partial
from pathlib import Path

from mario_rl.files import write_atomically
from mario_rl.report.video import write_video
from mario_rl.trajectories import write_trajectory
from mario_rl.watch.background import Closing, in_background
from mario_rl.watch.recorded import Recorded

KEPT_FILMS = 3  # an older one may still be on its way to somebody slow


class Films:
    """Makes one film at a time, in the background, in a temporary folder that goes with it."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stopped = threading.Event()
        self._turn = asyncio.Lock()
        self._making: asyncio.Future[Path] | None = None
        self._kept: dict[str, Path] = {}

    async def film(self, episode: Recorded) -> Path:
        """Name the film of an episode, as far as it has been played now.

        Raises:
            Closing: the page is. StorageError: the disk refused.
        """
        name = f"{episode.number}_{len(episode.buttons)}"
        async with self._turn:
            if self._stopped.is_set():
                raise Closing
            if name not in self._kept:
                self._making = asyncio.wrap_future(in_background("making a film", partial(self.make, episode, name)))
                try:
                    await self._making
                except asyncio.CancelledError:
                    raise Closing from None
            return self._kept[name]

    def make(self, episode: Recorded, name: str) -> Path:
        """Make the film; of all there are, the last few are kept."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mario_rl_watch_", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / f"{name}.mp4"
        write_video(path, [episode.film()], should_stop=self._stopped.is_set)
        self._kept[name] = path
        for old in list(self._kept)[:-KEPT_FILMS]:
            with contextlib.suppress(OSError):  # Windows keeps what somebody reads; it goes with the folder
                self._kept.pop(old).unlink()
        return path

    def close(self) -> None:
        """Stop what is being made at its next frame."""
        self._stopped.set()
        if self._making is not None:
            self._making.cancel()

    def remove(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.cleanup()


class Saved:
    """The files of a sitting, in a folder that is made with the first of them.

    Args:
        folder: where to.
        began: when the sitting did, for the names of files: `20261127-145000`.
        films: made before they are saved.
    """

    def __init__(self, folder: Path, began: str, films: Films) -> None:
        self._folder, self._began, self._films = folder, began, films

    async def save(self, episode: Recorded, kind: str) -> Path:
        """Save an episode, as far as it has been played, as a `film` or a `trajectory`; names the file.

        Raises:
            Closing: the page is. StorageError: the disk refused.
        """
        ending = "mp4" if kind == "film" else "json"
        path = self._folder / f"{episode.stage}_{self._began}_episode_{episode.number + 1}.{ending}"
        if kind == "film":
            film = await self._films.film(episode)
            work = partial(write_atomically, path, partial(shutil.copyfile, film))
        else:
            work = partial(_write, path, episode)
        await asyncio.wrap_future(in_background("saving an episode", work))
        return path


def _write(path: Path, episode: Recorded) -> None:
    write_trajectory(path, episode.trajectory())
