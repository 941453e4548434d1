"""One game as a Gymnasium environment, played by the compiled emulator: what `mario_rl.envs.nes_py` specifies."""

from __future__ import annotations

import copy
from typing import Any, SupportsInt

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete

from mario_rl.config import EnvConfig, parse_section
from mario_rl.game import layout
from mario_rl.game.actions import action_names
from mario_rl.game.games import Games
from mario_rl.game.info import describe
from mario_rl.game.tables import SIDE
from mario_rl.pixels import MAX_PIXEL, to_unit
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import Pixels, State

FRAMES_PER_SECOND = 60


class MarioEnv(gym.Env[Any, Any]):
    """Super Mario Bros. as the agent meets it, see `make_env`.

    Observation: uint8 (frame_stack, 84, 84), oldest frame first; float32 in [0, 1] if `normalize`.
    Action: Discrete(n), n the size of the action set.
    `render()` gives the screen, uint8 (240, 256, 3), in mode "rgb_array".

    Args:
        config: all of `env.*`; its defaults where it is left out.
        normalize: whether observations are floats.
        render_mode: None or "rgb_array".
        options: keys of `env.*` in place of the config's, `action_set="simple"` for instance.

    Raises:
        ConfigError: such an option is not allowed. UserError: the ROM can't be played.
    """

    def __init__(
        self, config: EnvConfig | None = None, *, normalize: bool = False, render_mode: str | None = None, **options: Any
    ) -> None:
        config = config or EnvConfig()
        if options:
            config = parse_section(EnvConfig, config.model_dump() | options, "env")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode {render_mode!r} is not allowed; must be rgb_array or None")
        self.config, self.render_mode, self._normalize = config, render_mode, normalize
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": max(1, FRAMES_PER_SECOND // config.frame_skip)}
        self.action_names = action_names(config.action_set)
        self.action_space = Discrete(len(self.action_names))
        shape = (config.frame_stack, SIDE, SIDE)
        self.observation_space: Box = Box(0.0, 1.0, shape, np.float32) if normalize else Box(0, MAX_PIXEL, shape, np.uint8)
        self._games = Games(config, 1)
        self._begun = False
        self._buttons: list[int] = []

    @property
    def np_random(self) -> np.random.Generator:
        """What everything random in the game draws from."""
        return self._games.generator(0)

    @np_random.setter
    def np_random(self, value: np.random.Generator) -> None:
        self._games.set_generator(0, value)

    @property
    def ram(self) -> Pixels:
        """uint8 (2048,), the console's memory; live."""
        return self._games.ram(0)

    @property
    def stage(self) -> str:
        """The stage this episode is played on, as the config names it."""
        return self._games.stage_of(0)

    @property
    def buttons_sent(self) -> list[int]:
        """The joypad byte of every emulator frame of this episode, no-op and sticky frames included.

        An episode from a snapshot has those since the snapshot.
        """
        return self._buttons

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UserError: `options["stage"]` or `options["noop_frames"]` is not allowed.
        """
        if seed is not None:
            self._games.seed(0, seed)
            self._np_random_seed = seed
        wished = options or {}
        self._games.reset(0, stage=wished.get("stage"), noop_frames=wished.get("noop_frames"))
        self._begun = True
        noops = int(self._games.numbers(layout.NOOP_FRAMES)[0])
        from_snapshot = bool(self._games.numbers(layout.FROM_SNAPSHOT)[0])
        self._buttons = list(self._games.bytes_sent(0)) if from_snapshot else [0] * noops
        return self._observation(), describe(self._games, 0)

    def step(self, action: SupportsInt) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Hold an action's buttons for the frames of a step.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet, or the episode is over.
            ValueError: there is no such action.
        """
        if not self._begun or self._games.numbers(layout.OVER)[0]:
            raise ResetNeeded("call env.reset() before env.step(): no episode is in progress")
        index = int(action)
        if index < 0:
            raise ValueError(f"action {index} is not one of 0 to {len(self.action_names) - 1}")
        self._games.step([index])
        self._buttons += self._games.bytes_sent(0)
        return (
            self._observation(),
            float(self._games.rewards[0]),
            bool(self._games.terminated[0]),
            bool(self._games.truncated[0]),
            describe(self._games, 0),
        )

    def render(self) -> Any:
        """Return the screen as it is now: uint8 (240, 256, 3), RGB; None without a render mode.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet.
        """
        if self.render_mode is None:
            return None
        if not self._begun:
            raise ResetNeeded("call env.reset() before env.render()")
        return self._games.screen(0)

    def episode_state(self) -> State:
        """Describe the episode in progress, enough for `restore_episode`: plain Python values and arrays.

        Raises:
            RuntimeError: there is none before the first reset.
        """
        if not self._begun:
            raise RuntimeError("no episode in progress: call reset first")
        return {
            "games": self._games.state(),
            "generator": generator_state(self.np_random),
            "buttons": bytes(self._buttons),
        }

    def restore_episode(self, state: State) -> Any:
        """Go on with an episode; returns its current observation, like the one the last reset or step returned.

        From here on everything is as in the environment that `state` came from: observations, rewards, info, generator.

        Raises:
            ValueError: it is the state of an environment of another config.
        """
        self._games.restore(state["games"])
        restore_generator(self.np_random, state["generator"])
        self._buttons = list(state["buttons"])
        self._begun = True
        return self._observation()

    def close(self) -> None:
        """End what the games run in; a second time does nothing."""
        self._games.close()

    def __getstate__(self) -> dict[str, Any]:
        """Pickling and copying keep the config and the episode, not the memory that compiled code works in."""
        return {
            "config": self.config,
            "normalize": self._normalize,
            "render_mode": self.render_mode,
            "spec": self.spec,
            "generator": copy.deepcopy(self.np_random),
            "episode": self.episode_state() if self._begun else None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["config"], normalize=state["normalize"], render_mode=state["render_mode"])  # type: ignore[misc]
        self.spec = state["spec"]
        self.np_random = state["generator"]
        if state["episode"] is not None:
            self.restore_episode(state["episode"])

    def _observation(self) -> Any:
        observation = self._games.observations[0]
        return to_unit(observation) if self._normalize else observation.copy()
