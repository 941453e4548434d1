"""The wrapper that turns an action into the joypad byte."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.spaces import Discrete

from mario_rl.game.actions import Buttons, joypad_byte


class ButtonActions(gym.ActionWrapper[Any, Any, Any]):
    """Offer Discrete(n) actions on an environment that takes joypad bytes, Discrete(256).

    An action may be anything `int` takes: a Python or NumPy integer, or a tensor of one element.

    Args:
        env: takes joypad bytes.
        actions: the buttons of each action.
    """

    def __init__(self, env: gym.Env[Any, Any], *, actions: tuple[Buttons, ...]) -> None:
        super().__init__(env)
        self.action_space = Discrete(len(actions))
        self._bytes = tuple(joypad_byte(buttons) for buttons in actions)

    def action(self, action: int) -> int:
        """Translate an action.

        Raises:
            ValueError: the action is not one of 0..n-1 (a negative index would silently press another button).
        """
        index = int(action)
        if not 0 <= index < len(self._bytes):
            raise ValueError(f"action {index} is not one of 0 to {len(self._bytes) - 1}")
        return self._bytes[index]
