"""The films of a report: that of each arm's best run, with how it ends as its picture."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from mario_rl.compare.runs import Arm, StudyRunData
from mario_rl.errors import UserError
from mario_rl.report.endings import caption

JPEG_QUALITY = 80


class Film(NamedTuple):
    """file: where it is, from the page. poster: its last frame as a data URI, "" where it can't be read."""

    arm: str
    file: str
    poster: str
    label: str
    ending: str
    note: str


def films(path: Path, arms: Sequence[Arm]) -> Iterator[Film]:
    """Find the film of each arm's best run; where that has none it is of the best one that has, and says so.

    Args:
        path: the report's directory.
        arms: whose films.
    """
    for arm in arms:
        filmed = [run for run in arm.runs if run.place.film.is_file()]
        if not filmed:
            continue
        run, best = max(filmed, key=StudyRunData.merit), max(arm.runs, key=StudyRunData.merit)
        shown = None if run.record.best is None else run.record.best.film
        note = f"seed {best.seed} was better and was not filmed" if run.merit() < best.merit() else ""
        place = Path(os.path.relpath(run.place.film, path)).as_posix()
        yield Film(
            arm.name,
            quote(os.fsencode(place)),  # by its bytes, whatever is in a folder's name
            _poster(run.place.film),
            f"{arm.label}, seed {run.seed}",
            "" if shown is None else caption(shown.end, shown.x),
            note,
        )


def _poster(film: Path) -> str:
    """The last frame of a film, in the page itself, half as wide as the film: that of the game's own screen."""
    import cv2  # these two only where there is a film: they take 50 MB

    from mario_rl.report.video import last_screen

    with suppress(UserError):
        screen = last_screen(film)
        small = cv2.resize(screen, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if done:
            return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode('ascii')}"
    return ""
