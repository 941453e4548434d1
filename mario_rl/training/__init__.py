"""Training: `loop` is the algorithm, `session` its parts, `sitting` begins a run or goes on with it."""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.training.begin import RunDirTaken
    from mario_rl.training.checks import check_machine
    from mario_rl.training.interrupts import Interrupts
    from mario_rl.training.observer import RECENT_EPISODES, Observer, Progress
    from mario_rl.training.session import make_replay
    from mario_rl.training.sitting import TrainingResult, resume, train

__all__ = [
    "RECENT_EPISODES",
    "Interrupts",
    "Observer",
    "Progress",
    "RunDirTaken",
    "TrainingResult",
    "check_machine",
    "make_replay",
    "resume",
    "train",
]

__getattr__ = lazily(
    __name__,
    {
        "begin": ("RunDirTaken",),
        "checks": ("check_machine",),
        "interrupts": ("Interrupts",),
        "sitting": ("TrainingResult", "resume", "train"),
        "session": ("make_replay",),
        "observer": ("RECENT_EPISODES", "Observer", "Progress"),
    },
)
