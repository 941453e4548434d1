"""Wrappers of one's own: the agent sees no status line, and is rewarded for coming further than before.

    mario-rl train wrapper.yaml             # in this folder

Wrappers are those of Gymnasium for vector environments, put around the N games of training, evaluation, `mario-rl
watch` and `mario_rl.load(...).env()` alike. `HideStatus` keeps nothing, so there is nothing to save. `Novelty` keeps
how far each game has come, and says with `get_state` and `set_state` how that is saved: so a run that was interrupted
goes on as if it had not been.
"""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorObservationWrapper, VectorWrapper

STATUS_ROWS = 12  # of 84: score, coins, world and time, with the frames of env.grayscale: plain
PLACE_PIXELS = 64
PLACE_POINTS = 1.0


class HideStatus(VectorObservationWrapper):
    """Paint the status line black, so that nothing is learned from the clock."""

    def observations(self, observations: np.ndarray) -> np.ndarray:
        """Change uint8 (N, frame_stack, 84, 84) of all games at once."""
        observations[:, :, :STATUS_ROWS] = 0
        return observations


class Novelty(VectorWrapper):
    """Reward each stretch of 64 pixels once per episode, when Mario first comes there."""

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self.furthest = np.zeros(self.num_envs, dtype=np.int64)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes in the games of the mask, bool (N,); the others go on."""
        observations, infos = self.env.reset(seed=seed, options=options)
        mask = (options or {})["reset_mask"]
        self.furthest[mask] = infos["x_pos"][mask] // PLACE_PIXELS
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Add to the reward of all games, float64 (N,)."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        place = infos["x_pos"] // PLACE_PIXELS
        rewards = rewards + PLACE_POINTS * (place > self.furthest)
        self.furthest = np.maximum(self.furthest, place)
        return observations, rewards, terminated, truncated, infos

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint keeps: arrays and plain values."""
        return {"furthest": self.furthest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.furthest = state["furthest"].copy()
