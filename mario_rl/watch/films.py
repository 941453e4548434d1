"""Films of episodes that viewers have seen: each is made once, into a file that all who ask for it are sent."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from mario_rl.report.endings import caption
from mario_rl.report.video import Recording, write_video
from mario_rl.watch.background import Newest
from mario_rl.watch.game import Ended

KEPT_FILMS = 3  # an older one may still be on its way to somebody slow


class Films:
    """Makes one film at a time, in the background, in a temporary folder that goes with it.

    Args:
        last: the episode to film; None as long as none has ended. A later answer has no smaller number.
    """

    def __init__(self, last: Callable[[], Ended | None]) -> None:
        self._last = last
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stopped = threading.Event()
        self._newest = Newest("making a film", self._make)
        self._kept: list[Path] = []

    async def last(self) -> Path | None:
        """Name the film of the last episode; None as long as none has ended.

        Raises:
            Closing: the page is. StorageError: the disk refused.
        """
        last = self._last()
        return None if last is None else await self._newest.get(last.number)

    def close(self) -> None:
        """Stop what is being made at its next frame."""
        self._stopped.set()
        self._newest.close()

    def remove(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.cleanup()

    def _make(self) -> tuple[float, Path]:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="mario_rl_watch_", ignore_cleanup_errors=True)
        episode = self._last()
        assert episode is not None
        path = Path(self._folder.name) / f"{episode.number}.mp4"
        told = caption(episode.end, episode.x)
        recording = Recording(episode.stage, episode.buttons, f"{episode.stage}: {told}", episode.rom, banner=told)
        write_video(path, [recording], should_stop=self._stopped.is_set)
        self._kept.append(path)
        for old in self._kept[:-KEPT_FILMS]:
            with contextlib.suppress(OSError):  # Windows keeps what somebody reads; it goes with the folder
                old.unlink()
        del self._kept[:-KEPT_FILMS]
        return episode.number, path
