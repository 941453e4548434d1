"""Which stage an episode plays: one emulator per stage, opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import seeding

from mario_rl.errors import UserError


class StagePool(gym.Wrapper[Any, Any, Any, Any]):
    """Play each episode on one of several stages, drawn uniformly (a stage listed twice is drawn twice as often).

    Owns the generator that everything random in the environment draws from: `np_random` of every wrapper around this
    one leads here and outlives a change of stage. `reset(seed=...)` sets it; `reset(options={"stage": "1-2"})` plays
    that stage of the list instead of drawing one.

    stage: the one this episode is played on.

    Args:
        stages: their names. The first is opened at once, for the spaces all of them share.
        open_stage: makes the environment of a stage.
    """

    def __init__(self, stages: Sequence[str], *, open_stage: Callable[[str], gym.Env[Any, Any]]) -> None:
        self._stages = tuple(stages)
        self._open_stage = open_stage
        self._envs: dict[str, gym.Env[Any, Any]] = {}
        self._generator, _ = seeding.np_random()
        self.stage = self._stages[0]
        super().__init__(self._env_of(self._stages[0]))

    @property
    def np_random(self) -> np.random.Generator:
        return self._generator

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self._generator = value

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]  # gym.Wrapper has it as a property too
        """None: no stage's id describes the pool, and Gymnasium can't make it anew from one."""
        return None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UserError: `options["stage"]` is not one of the stages.
        """
        if seed is not None:
            self._generator, _ = seeding.np_random(seed)
        self.stage = self._choose((options or {}).get("stage"))
        self.env = self._env_of(self.stage)
        return self.env.reset(seed=seed, options=options)

    def close(self) -> None:
        """Close every emulator; a second time does nothing."""
        while self._envs:
            _, env = self._envs.popitem()
            env.close()

    def _choose(self, wanted: str | None) -> str:
        if wanted is None:
            return self._stages[int(self._generator.integers(len(self._stages)))]
        if wanted not in self._stages:
            raise UserError(f"reset option stage: {wanted!r} is not allowed; must be one of {', '.join(self._stages)}")
        return wanted

    def _env_of(self, stage: str) -> gym.Env[Any, Any]:
        if stage not in self._envs:
            self._envs[stage] = self._open_stage(stage)
        return self._envs[stage]
