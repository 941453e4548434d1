"""A reward of one's own: coins count, and so does every step that takes time.

    mario-rl train reward.yaml                      # in this folder
    mario-rl train demo env.reward=reward:Coins     # or beside any other config

It is asked once per agent step, for all games at once: arrays in, an array out. `return` in tables and pages stays the
classic one, so agents that were rewarded otherwise compare.
"""

from collections.abc import Mapping

import numpy as np

import mario_rl

COIN_POINTS = 10.0
STEP_POINTS = -0.2


class Coins(mario_rl.Reward):
    """The classic reward, 10 points for each coin, and a fifth of a point less for each agent step."""

    def __call__(
        self, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], classic: np.ndarray
    ) -> np.ndarray:
        coins = np.maximum(after["coins"] - before["coins"], 0)  # the counter begins anew after 99
        return classic + COIN_POINTS * coins + STEP_POINTS
