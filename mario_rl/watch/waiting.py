"""A run that has only just begun: waiting for its first checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from mario_rl.errors import CheckpointError
from mario_rl.runs.checkpoint import find_checkpoint
from mario_rl.runs.directory import RunDir

MOST_SECONDS = 120.0
"""A run saves its first checkpoint as soon as its games have begun; before that it may have to compile the emulator."""

SECONDS_BETWEEN_LOOKS = 0.2


def wait_for_checkpoint(place: Path, on_wait: Callable[[], None], *, most_seconds: float = MOST_SECONDS) -> Path:
    """Name the checkpoint that stands for `place`; of a run directory that has none yet, as soon as it has.

    Args:
        place: a checkpoint or run directory.
        on_wait: called once if there is something to wait for.
        most_seconds: how long at most.

    Raises:
        CheckpointError: nothing there to load, and it is not a run directory, or none came in that time.
    """
    given_up_at = None
    while True:
        try:
            return find_checkpoint(place)
        except CheckpointError as error:
            if not RunDir(place).config.is_file():
                raise
            if given_up_at is None:
                given_up_at = time.monotonic() + most_seconds
                on_wait()
            elif time.monotonic() > given_up_at:
                raise CheckpointError(
                    f"{place}: no checkpoint came in {most_seconds:.0f} seconds; is this run being trained? "
                    f"`mario-rl train --resume {place}` goes on with it"
                ) from error
        time.sleep(SECONDS_BETWEEN_LOOKS)
