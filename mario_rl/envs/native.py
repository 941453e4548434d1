"""One game as a Gymnasium environment, played by the compiled emulator: what `mario_rl.envs.nes_py` specifies."""

from __future__ import annotations

import copy
import json
from typing import Any, SupportsInt

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import seeding

from mario_rl.config import EnvConfig, parse_section
from mario_rl.config.schema import REWARDS
from mario_rl.errors import ConfigError
from mario_rl.game import layout
from mario_rl.game.actions import action_names
from mario_rl.game.games import Games
from mario_rl.game.info import describe
from mario_rl.game.tables import SIDE
from mario_rl.pixels import MAX_PIXEL, to_unit
from mario_rl.types import Pixels, State

FRAMES_PER_SECOND = 60

METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND // 4}
"""What Gymnasium reads from the class, before there is an environment; at the default frame skip."""


def merged_config(config: EnvConfig | None, options: dict[str, Any]) -> EnvConfig:
    """Put keys of `env.*` in place of a config's, or of the defaults.

    Raises:
        ConfigError: one of them is not allowed, or asks for the other emulator or for what is put around it.
    """
    config = config or EnvConfig()
    if options:
        config = parse_section(EnvConfig, config.model_dump() | options, "env")
    if config.emulator != "native":
        raise ConfigError(f"env.emulator: {config.emulator} is what make_env makes; this environment is the native one")
    if config.reward not in REWARDS or config.wrappers:
        raise ConfigError(
            "env.reward, env.wrappers: a reward or wrappers of one's own are what make_env puts around this environment"
        )
    return config


def metadata_of(config: EnvConfig, render_mode: str | None) -> dict[str, Any]:
    """Say how an environment can be rendered, and at how many screens a second it plays as fast as the console.

    Raises:
        ValueError: there is no such mode.
    """
    if render_mode not in (None, *METADATA["render_modes"]):
        raise ValueError(f"render_mode {render_mode!r} is not allowed; must be rgb_array or None")
    return METADATA | {"render_fps": max(1, FRAMES_PER_SECOND // config.frame_skip)}


def observation_space_of(config: EnvConfig, *, normalize: bool) -> Box:
    """The space of one observation: uint8 (frame_stack, 84, 84), float32 in [0, 1] if `normalize`."""
    shape = (config.frame_stack, SIDE, SIDE)
    return Box(0.0, 1.0, shape, np.float32) if normalize else Box(0, MAX_PIXEL, shape, np.uint8)


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
        ValueError: there is no such render mode.
    """

    metadata = METADATA
    goes_on_after_warp = False
    """Whether an episode of one stage does; an agent's ends there."""

    def __init__(
        self,
        config: EnvConfig | None = None,
        *,
        normalize: bool = False,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.config = config = merged_config(config, options)
        self.metadata = metadata_of(config, render_mode)
        self.render_mode, self._normalize = render_mode, normalize
        self.action_names = action_names(config.action_set)
        self.action_space = Discrete(len(self.action_names))
        self.observation_space: Box = observation_space_of(config, normalize=normalize)
        self._games = Games(config, 1, goes_on_after_warp=self.goes_on_after_warp)
        self._np_random, self._np_random_seed = seeding.np_random()
        self._begun = False

    @property
    def _np_random(self) -> np.random.Generator:
        """What `np_random` gives and takes: the generator that everything random in the game draws from."""
        return self._games.generator(0)

    @_np_random.setter
    def _np_random(self, value: np.random.Generator) -> None:
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
        return list(self._games.buttons(0))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Raises:
            UserError: `options["stage"]`, `options["noop_frames"]` or `options["opening"]` is not allowed.
            gymnasium.error.Error: the seed is not a whole number from 0 up.
        """
        super().reset(seed=seed)
        wished = options or {}
        self._games.reset(
            0, stage=wished.get("stage"), noop_frames=wished.get("noop_frames"), opening=wished.get("opening")
        )
        self._begun = True
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
        return {"config": self._identity(), "games": self._games.state_dict()}

    def restore_episode(self, state: State) -> Any:
        """Go on with an episode; returns its current observation, like the one the last reset or step returned.

        From here on everything is as in the environment that `state` came from: observations, rewards, info, generator.

        Raises:
            ValueError: it is the state of an environment of another config, or of none; nothing is changed.
        """
        if state.get("config") != self._identity():
            raise ValueError(f"the episode is of another config: {state.get('config')}, not {self._identity()}")
        self._games.load_state_dict(state.get("games", {}))
        self._begun = True
        return self._observation()

    def close(self) -> None:
        """End what the games run in; a second time does nothing."""
        self._games.close()

    def __getstate__(self) -> dict[str, Any]:
        """Pickling and copying keep the episode, not the memory that compiled code works in."""
        generator = copy.deepcopy(self.np_random)  # even a shallow copy must not draw from ours
        kept = {name: value for name, value in self.__dict__.items() if name != "_games"}
        return kept | {"generator": generator, "games": self._games.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = dict(state)
        generator, games = kept.pop("generator"), kept.pop("games")
        self.__dict__.update(kept)
        self._games = Games(self.config, 1, goes_on_after_warp=self.goes_on_after_warp)
        self._games.set_generator(0, generator)
        if self._begun:
            self._games.load_state_dict(games)

    def _identity(self) -> str:
        """What an episode depends on: the config and the ROM's content, wherever that lies."""
        config = self.config.model_dump(mode="json", exclude={"rom", "emulator", "wrappers"})
        return json.dumps(config | {"rom": self._games.cartridge.sha256})

    def _observation(self) -> Any:
        observation = self._games.observations[0]
        return to_unit(observation) if self._normalize else observation.copy()
