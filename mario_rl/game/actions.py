"""Action sets: which buttons each action presses."""

from __future__ import annotations

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


def action_bytes(action_set: str | tuple[Buttons, ...]) -> tuple[int, ...]:
    """The joypad byte of every action of a set."""
    return tuple(joypad_byte(buttons) for buttons in action_buttons(action_set))


def button_names(byte: int) -> str:
    """Name what a joypad byte holds down as actions are named: "right+A", "NOOP"."""
    order = ("left", "right", "up", "down", "A", "B", "select", "start")
    return "+".join(button for button in order if byte & BUTTON_BITS[button]) or "NOOP"


ALL_BYTES: tuple[Buttons, ...] = tuple(
    tuple(button for button, bit in BUTTON_BITS.items() if byte & bit) or ("NOOP",) for byte in range(256)
)
"""An action for every joypad byte, in their order: whatever can be held down, opposite directions too."""
