"""What is left of a study: which of its runs are to be trained, and which only to be evaluated again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mario_rl.config.study import FinalConfig
from mario_rl.evaluation.finals import look_at_finals
from mario_rl.runs.study import StudyDir
from mario_rl.studies.arms import StudyRun


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
    """Look at every run of a study that is there."""
    left = Left([], [])
    for run in runs:
        state = look_at_finals(directory.run(run.arm, run.seed), run.config, final).state
        if state != "done":
            (left.train if state == "missing" else left.evaluate).append(run)
    return left
