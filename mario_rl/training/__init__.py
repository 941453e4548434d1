"""Training: `loop` is the algorithm, `session` holds its parts and saves them, `collect` plays the environments."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_MODULES = {
    "begin": ("RunDirTaken",),
    "checks": ("check_machine",),
    "interrupts": ("Interrupts",),
    "loop": ("TrainingResult", "resume", "train"),
    "session": ("make_replay",),
    "observer": ("RECENT_EPISODES", "Observer", "Progress"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for and no more: some of it needs PyTorch, which takes seconds, and the rest does not."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
