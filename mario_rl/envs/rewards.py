"""Rewards per emulator frame: the 7.x and 9.x definitions, what the config adds to them, and the reported return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from mario_rl.config import EnvConfig

type Info = Mapping[str, Any]
"""What the game says of one frame; read here: x_pos, time, flag_get, is_dying, is_dead, reward_total_unclipped."""

MAX_FRAME_PIXELS = 5
"""No honest move is longer, pixels per frame; what is (a pipe, a new life) is a change of place and earns nothing."""

DEATH_POINTS = -25.0
CLASSIC_BOUND = 15.0
"""What 7.x bounds the reward of a frame to, either way."""


def is_down(info: Info) -> bool:
    """Tell whether Mario is dying or dead on this frame."""
    return bool(info["is_dying"] or info["is_dead"])


def classic_reward(before: Info, after: Info) -> float:
    """Points of one frame as gym-super-mario-bros 7.x gives them, before it bounds them.

    The pixels moved to the right (0 for more than 5 either way), the game clock's ticks (only downwards), and -25 while
    Mario is dying or dead.
    """
    moved = after["x_pos"] - before["x_pos"]
    if abs(moved) > MAX_FRAME_PIXELS:
        moved = 0
    ticked = min(after["time"] - before["time"], 0)
    return float(moved + ticked) + (DEATH_POINTS if is_down(after) else 0.0)


def shaped_reward(before: Info, after: Info) -> float:
    """Points of one frame as gym-super-mario-bros 9.x gives them, before it bounds them; `before` plays no part."""
    return float(after["reward_total_unclipped"])


GAME_REWARDS: dict[str, Callable[[Info, Info], float]] = {"classic": classic_reward, "shaped": shaped_reward}
"""The definitions `env.reward` chooses from."""


def bounded(reward: float, bound: float | None) -> float:
    """Clip to +-bound; None leaves the reward alone."""
    return reward if bound is None else max(-bound, min(bound, reward))


def frame_reward(before: Info, after: Info, config: EnvConfig) -> float:
    """Points the agent gets for one frame.

    In this order: the game's reward, bounded to `reward_clip`; `clear_bonus` on the frame that clears a stage and
    `-death_penalty` on the frame Mario begins to die; all of it times `reward_scale`.
    """
    reward = bounded(GAME_REWARDS[config.reward](before, after), config.reward_clip)
    if after["flag_get"] and not before["flag_get"]:
        reward += config.clear_bonus
    if is_down(after) and not is_down(before):
        reward -= config.death_penalty
    return reward * config.reward_scale


class ClassicReturn(gym.Wrapper[Any, Any, Any, Any]):
    """Add up the unscaled classic reward, bounded to +-15 per frame, whatever the agent is rewarded for.

    `info["classic_return"]`, float: points since the reset, which counts 0. Reward and observation pass unchanged.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._before, self._return = info, 0.0
        return observation, info | {"classic_return": self._return}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._return += bounded(classic_reward(self._before, info), CLASSIC_BOUND)
        self._before = info
        return observation, float(reward), terminated, truncated, info | {"classic_return": self._return}


class FrameReward(gym.Wrapper[Any, Any, Any, Any]):
    """Replace each frame's reward by the configured one, `frame_reward`.

    The first frame is compared with what reset returned. The observation passes unchanged.

    Args:
        env: its info describes the frame, see `Info`.
        config: read are reward, reward_clip, clear_bonus, death_penalty and reward_scale.
    """

    def __init__(self, env: gym.Env[Any, Any], *, config: EnvConfig) -> None:
        super().__init__(env)
        self._config = config

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._before = info
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        reward = frame_reward(self._before, info, self._config)
        self._before = info
        return observation, reward, terminated, truncated, info
