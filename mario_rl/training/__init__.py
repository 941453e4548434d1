"""Training: `loop` is the algorithm, `session` holds its parts and saves them, `collect` plays the environments."""

from mario_rl.training.loop import TrainingResult, resume, train
from mario_rl.training.observer import RECENT_EPISODES, Observer, Progress

__all__ = ["RECENT_EPISODES", "Observer", "Progress", "TrainingResult", "resume", "train"]
