"""Value-based reinforcement learning on NES Super Mario Bros.: train, evaluate and compare.

`load` an agent by name to play with it; `train` and `evaluate` do what the commands of these names do. `Reward` and
`Observer` are what rewards and observers of one's own derive from.
"""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.envs import Reward
    from mario_rl.evaluation import evaluate
    from mario_rl.loaded import LoadedAgent, load
    from mario_rl.training import Observer, train

__version__ = "0.1.0"
__all__ = ["LoadedAgent", "Observer", "Reward", "__version__", "evaluate", "load", "train"]

__getattr__ = lazily(
    __name__,
    {
        "loaded": ("LoadedAgent", "load"),
        "training": ("Observer", "train"),
        "evaluation": ("evaluate",),
        "envs": ("Reward",),
    },
)
