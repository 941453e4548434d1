"""Training: `loop` is the algorithm, `session` holds its parts and saves them, `collect` plays the environments."""

from mario_rl.training.actors import make_replay, resolve_actors
from mario_rl.training.begin import RunDirTaken
from mario_rl.training.interrupts import Interrupts
from mario_rl.training.loop import TrainingResult, resume, train
from mario_rl.training.observer import RECENT_EPISODES, Observer, Progress
from mario_rl.training.session import check_machine

__all__ = [
    "RECENT_EPISODES",
    "Interrupts",
    "Observer",
    "Progress",
    "RunDirTaken",
    "TrainingResult",
    "check_machine",
    "make_replay",
    "resolve_actors",
    "resume",
    "train",
]
