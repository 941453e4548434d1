"""What is left of a study: which of its runs are to be trained, and which only to be evaluated again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.evaluation.finals import look_at_finals
from mario_rl.runs.packed import ARCHIVE, packed_runs
from mario_rl.runs.study import StudyDir
from mario_rl.studies.arms import StudyRun
from mario_rl.wording import count_text


class Left(NamedTuple):
    """The runs of a study that are not done as it asks.

    train: from their beginning or from where they are. evaluate: trained, but evaluated otherwise, or not whole.
    """

    train: list[StudyRun]
    evaluate: list[StudyRun]

    @property
    def runs(self) -> list[StudyRun]:
        """All of them, those that take long first."""
        return [*self.train, *self.evaluate]


def what_is_left(runs: Sequence[StudyRun], directory: StudyDir, final: FinalConfig) -> Left:
    """Look at every run of a study that is there.

    Raises:
        UserError: some of them are there only in an archive, where they can be reported on but not gone on with.
    """
    _require_unpacked(runs, directory)
    left = Left([], [])
    for run in runs:
        state = look_at_finals(directory.run(run.arm, run.seed), run.config, final).state
        if state != "done":
            (left.train if state == "missing" else left.evaluate).append(run)
    return left


def _require_unpacked(runs: Sequence[StudyRun], directory: StudyDir) -> None:
    """Refuse to train anew, perhaps for days, what lies packed beside."""
    archive = directory.path / ARCHIVE
    if not archive.is_file():
        return
    packed = packed_runs(archive)
    paths = [directory.run(run.arm, run.seed).path for run in runs]
    only_packed = [
        path for path in paths if not path.exists() and path.relative_to(directory.path).as_posix() in packed
    ]
    if only_packed:
        raise UserError(
            f"{archive}: holds {count_text(len(only_packed), 'run')} of this study that would be made anew; unpack it "
            f"(python -m zipfile -e {shlex.quote(str(archive))} {shlex.quote(str(directory.path))}), or name another "
            "directory with --out"
        )
