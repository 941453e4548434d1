"""Action sets: which buttons each action presses, and the wrapper that turns an action into the joypad byte."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.spaces import Discrete

from mario_rl.errors import ConfigError

type Buttons = tuple[str, ...]
"""The buttons one action holds down, such as ("right", "A")."""

BUTTON_BITS = {
    "A": 0b0000_0001,
    "B": 0b0000_0010,
    "select": 0b0000_0100,
    "start": 0b0000_1000,
    "up": 0b0001_0000,
    "down": 0b0010_0000,
    "left": 0b0100_0000,
    "right": 0b1000_0000,
    "NOOP": 0b0000_0000,
}
"""Each button's bit in the joypad byte (nes-py's order)."""

NO_BUTTONS = BUTTON_BITS["NOOP"]

_RIGHT_ONLY: tuple[Buttons, ...] = (("NOOP",), ("right",), ("right", "A"), ("right", "B"), ("right", "A", "B"))
_SIMPLE = (*_RIGHT_ONLY, ("A",), ("left",))
_COMPLEX = (*_SIMPLE, ("left", "A"), ("left", "B"), ("left", "A", "B"), ("down",), ("up",))

ACTION_SETS: dict[str, tuple[Buttons, ...]] = {"right_only": _RIGHT_ONLY, "simple": _SIMPLE, "complex": _COMPLEX}
"""The named sets, action by action as in gym-super-mario-bros (RIGHT_ONLY, SIMPLE_MOVEMENT, COMPLEX_MOVEMENT)."""


def action_buttons(action_set: str | tuple[Buttons, ...]) -> tuple[Buttons, ...]:
    """Look up the buttons of every action; a list of the user's own is returned as it is.

    Raises:
        ConfigError: there is no set of that name, or no button of that name.
    """
    if isinstance(action_set, str):
        if action_set not in ACTION_SETS:
            raise ConfigError(f"env.action_set: {action_set!r} is not allowed; must be one of {', '.join(ACTION_SETS)}")
        return ACTION_SETS[action_set]
    for button in (button for buttons in action_set for button in buttons):
        if button not in BUTTON_BITS:
            raise ConfigError(f"env.action_set: no button {button!r}; must be one of {', '.join(BUTTON_BITS)}")
    return action_set


def num_actions(action_set: str | tuple[Buttons, ...]) -> int:
    """Count the actions of a set."""
    return len(action_buttons(action_set))


def action_names(action_set: str | tuple[Buttons, ...]) -> tuple[str, ...]:
    """Name every action of a set by its buttons, such as "right+A" or "NOOP"."""
    return tuple("+".join(buttons) for buttons in action_buttons(action_set))


def joypad_byte(buttons: Buttons) -> int:
    """Combine buttons into the byte the emulator takes: one bit each, whatever the order."""
    byte = NO_BUTTONS
    for button in buttons:
        byte |= BUTTON_BITS[button]
    return byte


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
