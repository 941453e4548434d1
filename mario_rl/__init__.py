"""Value-based reinforcement learning on NES Super Mario Bros.: train, evaluate and compare.

`load` an agent by name to play with it; `train` and `evaluate` do what the commands of these names do.
"""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.evaluation import evaluate
    from mario_rl.loaded import LoadedAgent, load
    from mario_rl.training import train

__version__ = "0.1.0"
__all__ = ["LoadedAgent", "__version__", "evaluate", "load", "train"]

__getattr__ = lazily(__name__, {"loaded": ("LoadedAgent", "load"), "training": ("train",), "evaluation": ("evaluate",)})
