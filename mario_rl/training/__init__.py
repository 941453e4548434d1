"""Training: `loop` is the algorithm, `session` holds its parts and saves them, `collect` plays the environments."""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.training.begin import RunDirTaken
    from mario_rl.training.checks import check_machine
    from mario_rl.training.interrupts import Interrupts
    from mario_rl.training.loop import TrainingResult, resume, train
    from mario_rl.training.observer import RECENT_EPISODES, Observer, Progress
    from mario_rl.training.session import make_replay

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
        "loop": ("TrainingResult", "resume", "train"),
        "session": ("make_replay",),
        "observer": ("RECENT_EPISODES", "Observer", "Progress"),
    },
)
