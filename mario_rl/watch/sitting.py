"""The episodes of a sitting: how each ended, and what it takes to go back to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mario_rl.config import Protocol
from mario_rl.report.endings import caption
from mario_rl.trajectories import Trajectory
from mario_rl.watch.frames import Choice, Course
from mario_rl.watch.recorded import Recorded, as_recorded

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained

KEPT_EPISODES = 50  # that can be gone back to
KEPT_ENDS = 200  # past episodes in the strip of the stage


class Ended(NamedTuple):
    """An episode that ended.

    predicted, returns: the value at each agent step, and the discounted return that followed from it.
    """

    number: int
    stage: str
    end: str
    x: int
    predicted: list[float]
    returns: list[float]


class Past(NamedTuple):
    """An episode of this sitting, as far as it was played: what it takes to play it again, frame for frame.

    trained: None where no agent played. order: the episode's number under its seed. opening: what was played before the
    agent took over. choices: the agent's after that. frames: how many were shown after the reset.
    """

    number: int
    trained: Trained | None
    protocol: Protocol
    order: int
    opening: bytes | None
    choices: tuple[Choice, ...]
    recorded: Recorded
    caption: str

    @property
    def frames(self) -> int:
        return len(self.recorded.buttons)


class Tally(NamedTuple):
    """What became of the agent's own episodes of this sitting, with one checkpoint on one stage under one protocol."""

    clears: int = 0
    episodes: int = 0


class Sitting:
    """What has been played since the page was opened; viewers' threads read it: replaced, never changed.

    recording: a trajectory as the first episode; None where there is none. past: the last KEPT_EPISODES episodes by
    number, and the recording. ended: the last KEPT_ENDS that ended. order: of the last episode under the seed.

    Args:
        recording: the trajectory.
        name: of its file.
    """

    def __init__(self, recording: Trajectory | None, name: str) -> None:
        self.recording = None if recording is None else _as_past(recording, name)
        self.past: dict[int, Past] = {} if self.recording is None else {0: self.recording}
        self.ended: list[Ended] = []
        self.order = -1
        self._number = len(self.past) - 1
        self._tallies: dict[tuple[Path | None, str, Protocol], Tally] = {}

    def take_number(self) -> int:
        """Number a course of events; each that is shown has its own."""
        self._number += 1
        return self._number

    def take_order(self) -> int:
        """Number an episode under the seed."""
        self.order += 1
        return self.order

    def tally(self, trained: Trained | None, stage: str, protocol: Protocol) -> Tally:
        """Say what became of the episodes of an agent, or of a person's."""
        return self._tallies.get((None if trained is None else trained.file, stage, protocol), Tally())

    def keep(self, course: Course, recorded: Recorded, trained: Trained | None, x: int, *, goes_on: bool) -> None:
        """Keep an episode that is no longer shown.

        Args:
            course: it.
            recorded: what was pressed in it.
            trained: who played; None for a person.
            x: how far it got, where it has not ended.
            goes_on: it has not ended, and is gone on with when another has been looked at.
        """
        outcome = recorded.outcome = course.outcome
        told = "as far as it went" if outcome is None else caption(*outcome)
        past = Past(
            recorded.number,
            trained,
            course.protocol,
            course.order,
            course.opening,
            tuple(course.choices),
            recorded,
            f"episode {recorded.number + 1}, {course.stage}: {told}",
        )
        first = {} if self.recording is None else {self.recording.number: self.recording}
        others = [one for one in self.past.items() if one[0] not in first]
        self.past = first | dict([*others, (recorded.number, past)][-KEPT_EPISODES:])
        if not recorded.buttons or goes_on:
            return
        end, x = ("broken off", x) if outcome is None else outcome
        predicted, returns = ([round(value, 4) for value in values] for values in (course.predicted, course.returns))
        ended = Ended(recorded.number, course.stage, end, x, predicted, returns)
        self.ended = [*self.ended[1 - KEPT_ENDS :], ended]
        alone = {"human"} if trained is None else {"agent"}
        if outcome is not None and {recorded.made.by, *recorded.makers} == alone:
            clears, episodes = self.tally(trained, course.stage, course.protocol)
            key = (None if trained is None else trained.file, course.stage, course.protocol)
            self._tallies[key] = Tally(clears + (outcome.end == "clear"), episodes + 1)


def _as_past(trajectory: Trajectory, name: str) -> Past:
    """A trajectory as the first episode of a sitting."""
    recorded = as_recorded(trajectory)
    told = "unfinished" if recorded.outcome is None else caption(*recorded.outcome)
    return Past(0, None, "greedy", 0, None, (), recorded, f"{name}: {told}")
