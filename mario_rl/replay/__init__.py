"""Experience replay: `buffer` is the ring, `priorities` how likely each slot is drawn, `memory` what it takes."""

from typing import TYPE_CHECKING

from mario_rl.lazy import lazily

if TYPE_CHECKING:
    from mario_rl.replay.buffer import ReplayBuffer

__all__ = ["ReplayBuffer"]

__getattr__ = lazily(__name__, {"buffer": ("ReplayBuffer",)})
