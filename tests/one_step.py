"""One environment's agent step in the form that the replay takes: that of N environments."""

from __future__ import annotations

import numpy as np

from mario_rl.types import Pixels, Steps


def one_step(
    frame: Pixels,
    last_frame: Pixels,
    *,
    action: int = 0,
    reward: float = 0.0,
    terminated: bool = False,
    truncated: bool = False,
) -> Steps:
    """Frames are (height, width): the newest before the action, and the newest after it."""
    return Steps(
        frame=frame[None],
        action=np.array([action]),
        reward=np.array([reward]),
        terminated=np.array([terminated]),
        truncated=np.array([truncated]),
        last_frame=last_frame[None],
    )


def only(env: int) -> np.ndarray:
    """The environment that such a step is of, as `ReplayBuffer.add` has it."""
    return np.array([env])
