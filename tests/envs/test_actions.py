"""Action sets: the published ones, the user's own, and the joypad byte of each action."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from env_fakes import ScriptedGame
from gym_super_mario_bros.actions import COMPLEX_MOVEMENT, RIGHT_ONLY, SIMPLE_MOVEMENT
from gymnasium.spaces import Discrete
from nes_py.wrappers import JoypadSpace

from mario_rl.config.schema import ACTION_SETS as CONFIG_ACTION_SETS
from mario_rl.config.schema import BUTTONS
from mario_rl.envs import ACTION_SETS, ButtonActions, action_buttons, action_names, num_actions
from mario_rl.errors import ConfigError
from mario_rl.game.actions import BUTTON_BITS, joypad_byte


@pytest.mark.parametrize(
    ("name", "size", "published"),
    [("right_only", 5, RIGHT_ONLY), ("simple", 7, SIMPLE_MOVEMENT), ("complex", 12, COMPLEX_MOVEMENT)],
)
def test_named_sets_are_the_published_ones_action_by_action(name: str, size: int, published: list[list[str]]) -> None:
    assert num_actions(name) == size
    assert action_buttons(name) == tuple(tuple(buttons) for buttons in published)


def test_config_and_environments_know_the_same_sets_and_buttons() -> None:
    assert set(CONFIG_ACTION_SETS) == set(ACTION_SETS)
    assert set(BUTTONS) == set(BUTTON_BITS)


def test_actions_are_named_by_their_buttons() -> None:
    assert action_names("right_only") == ("NOOP", "right", "right+A", "right+B", "right+A+B")
    assert action_names((("down",), ("left", "B"))) == ("down", "left+B")


def test_a_list_of_the_users_own_is_taken_as_it_is() -> None:
    own = (("right",), ("right", "A"))
    assert action_buttons(own) == own
    assert num_actions(own) == 2


@pytest.mark.parametrize("wrong", ["right", (("jump",),)])
def test_an_unknown_set_or_button_is_refused_with_what_is_allowed(wrong: str | tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ConfigError, match=r"^env\.action_set: .*must be one of \w+, .*$"):
        action_buttons(wrong)


def test_joypad_bytes_are_nes_pys() -> None:
    assert JoypadSpace._button_map == BUTTON_BITS
    assert joypad_byte(("right", "A")) == joypad_byte(("A", "right")) == 0b1000_0001
    assert joypad_byte(("NOOP",)) == 0
    assert joypad_byte(("left", "A", "B")) == 0b0100_0011


@pytest.mark.parametrize("action", [2, np.int64(2), torch.tensor(2), torch.tensor([2])])
def test_an_action_may_be_any_kind_of_integer(action: int) -> None:
    game = ScriptedGame()
    env = ButtonActions(game, actions=action_buttons("right_only"))
    env.reset()
    env.step(action)
    assert env.action_space == Discrete(5)
    assert game.actions == [0b1000_0001]


@pytest.mark.parametrize("action", [-1, 5])
def test_an_action_outside_the_set_is_refused(action: int) -> None:
    env = ButtonActions(ScriptedGame(), actions=action_buttons("right_only"))
    env.reset()
    with pytest.raises(ValueError, match=f"action {action} is not one of 0 to 4"):
        env.step(action)
