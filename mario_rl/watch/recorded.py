"""Episodes of a sitting as what was pressed in them: enough to save each as a trajectory or as a film."""

from __future__ import annotations

from dataclasses import dataclass, field

from mario_rl.report.endings import caption
from mario_rl.report.video import Recording
from mario_rl.trajectories import Emulator, Made, Maker, Trajectory, make_trajectory
from mario_rl.watch.frames import Outcome


@dataclass
class Recorded:
    """An episode as far as it was played; it grows as long as it is.

    number: of the course of events, as viewers know it. rom: `env.rom`. made: how it began; who else had a hand in it
    is in `makers`. buttons: the joypad byte of every frame. outcome: None as long as it has not ended.
    """

    number: int
    stage: str
    rom: str | None
    emulator: Emulator
    made: Made
    buttons: bytearray = field(default_factory=bytearray)
    makers: set[Maker] = field(default_factory=set)
    outcome: Outcome | None = None

    def branch(self, number: int, frames: int) -> Recorded:
        """Another course of events after so many frames of this one."""
        begun = bytearray(self.buttons[:frames])
        return Recorded(number, self.stage, self.rom, self.emulator, self.made, begun, set(self.makers))

    def trajectory(self) -> Trajectory:
        """Make its trajectory, which plays it again."""
        makers = {self.made.by, *self.makers}
        made = self.made if len(makers) == 1 else self.made.model_copy(update={"by": "several"})
        return make_trajectory(self.stage, bytes(self.buttons), made, emulator=self.emulator, rom=self.rom)

    def film(self) -> Recording:
        """What its film shows."""
        told = "" if self.outcome is None else caption(*self.outcome)
        title = f"{self.stage}: {told}" if told else self.stage
        return Recording(self.stage, bytes(self.buttons), title, self.rom, banner=told)


def as_recorded(trajectory: Trajectory) -> Recorded:
    """Take a trajectory for the first episode of a sitting."""
    ending = trajectory.ending
    outcome = None if ending.end == "unfinished" else Outcome(ending.end, ending.x)
    buttons = bytearray(trajectory.buttons)
    return Recorded(0, trajectory.stage, None, trajectory.emulator, trajectory.made, buttons, outcome=outcome)
