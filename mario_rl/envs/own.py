"""Rewards and wrappers of one's own, put on N games of either emulator: `env.reward` and `env.wrappers`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from mario_rl.config import EnvConfig
from mario_rl.config.schema import REWARDS
from mario_rl.envs.native import observation_space_of
from mario_rl.envs.pool import GamePool
from mario_rl.errors import ConfigError, FailedError
from mario_rl.extensions import blamed, find_class
from mario_rl.game.games import INFO_FLOATS, INFO_NUMBERS
from mario_rl.game.info import FLAGS
from mario_rl.pixels import to_unit
from mario_rl.types import EpisodeResult, Pixels, State

REWARD_KEY, WRAPPERS_KEY = "env.reward", "env.wrappers"
CLASSIC_BOUND = 15.0  # of the reported return, per frame
KEPT_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
MOST_KEPT = 2**53  # in size, of a number in a checkpoint

type Seen = Mapping[str, NDArray[Any]]
"""What is known of N games at one moment, an array (N,) of each; see `Reward`. Read-only."""


class Reward(ABC):
    """What the agent gets for an agent step, in place of the game's own reward: `env.reward: package.module:Name`.

    Derive from it and write `__call__`. It is made without arguments, once per pool of games, and called once per agent
    step for all N games together, on either emulator, with the same numbers:

    int64 (N,): `x_pos` and `y_pixel` (pixels), `time` (the game's clock, 400 at the start of 1-1), `score`, `coins`,
    `life`, `status_value` (0 small, 1 tall, 2 and more fiery), `world`, `stage`, `area`, `x_pos_max`, `left_x_pos`,
    `player_state`, `y_viewport`, `enemy_0` to `enemy_4` (types), `best_x` (the best x in the stage's starting area).
    bool (N,): `flag_get`, `is_dead`, `is_dying`, `is_game_over`, `is_stage_over`, `is_world_over`.
    float64 (N,): `classic_return`, points so far, as tables have it.

    `before` is the moment the action was chosen at: at an episode's first step what reset showed. `after` is the last
    frame of the step; where the episode ended, the frame that ended it, never the next episode's beginning.

    What the config adds stays: `env.clear_bonus`, `env.death_penalty`, and `env.reward_scale` last of all. Only
    `env.reward_clip` plays no part, which bounds frames. `return` in tables and reports is the classic one, whatever
    the agent is rewarded for, so that agents compare.

    It must be a function of what it is given: without memory and without chance, so that a run that was interrupted
    goes on as if it had not been, and games can be played in any order.
    """

    @abstractmethod
    def __call__(self, before: Seen, after: Seen, classic: NDArray[np.float64]) -> ArrayLike:
        """Reward each of N games for one agent step.

        Args:
            before: what was known when the action was chosen.
            after: what is known now.
            classic: float64 (N,), the classic reward of the step, bounded per frame and summed, unscaled.

        Returns:
            Points, finite numbers (N,), float32 or wider.
        """


class PlayedGames(VectorEnv[Any, Any, NDArray[Any]]):
    """N games as the vector environment that wrappers are put around; every episode is begun by hand.

    Observation: uint8 (N, frame_stack, 84, 84), a copy. Rewards: float64 (N,). Infos: those of `Reward`, an array each.
    `reset(seed=[...], options={"reset_mask": mask})` begins the episodes of a mask, bool (N,), and leaves the others.

    Args:
        games: without autoreset.
        config: of these games.
    """

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012  (Gymnasium's own form)

    def __init__(self, games: GamePool, config: EnvConfig, num_actions: int) -> None:
        self.games, self.config, self.num_envs = games, config, games.num_games
        self.single_observation_space: Box = observation_space_of(config, normalize=False)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.single_action_space = Discrete(num_actions)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.playing = np.ones(self.num_envs, dtype=np.bool_)
        """Which games the next step plays; the action of the others does not count."""
        self._reward: Reward | None = None
        if config.reward not in REWARDS:
            reward_class = find_class(
                config.reward,
                Reward,  # type: ignore[type-abstract]  # what is found has written __call__, or can't be made
                key=REWARD_KEY,
                base_name="mario_rl.Reward",
            )
            with blamed(REWARD_KEY, config.reward, "being made", kind=ConfigError):
                self._reward = reward_class()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Pixels, dict[str, Any]]:
        wished = options or {}
        mask = wished.get("reset_mask", np.ones(self.num_envs, dtype=np.bool_))
        seeds = seed if isinstance(seed, Sequence) else [seed] * self.num_envs
        for number in np.flatnonzero(mask).tolist():
            if (own := seeds[number]) is not None:
                self.games.seed(number, own)
            self.games.reset(
                number, stage=wished.get("stage"), noop_frames=wished.get("noop_frames"), opening=wished.get("opening")
            )
        return self.games.observations.copy(), dict(self._seen())

    def step(
        self, actions: Any
    ) -> tuple[Pixels, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        games, before = self.games, self._seen() if self._reward is not None else {}
        games.step(np.where(self.playing, np.asarray(actions), -1))
        after = self._seen()
        rewards = games.rewards if self._reward is None else self._own_rewards(self._reward, before, after)
        return games.observations.copy(), rewards, games.terminated, games.truncated, dict(after)

    def close_extras(self, **kwargs: Any) -> None:
        self.games.close()

    def _own_rewards(self, reward: Reward, before: Seen, after: Seen) -> NDArray[np.float64]:
        """Ask for points, and add what the config adds: float64 (N,)."""
        name = self.config.reward
        classic = after["classic_return"] - before["classic_return"]
        with blamed(REWARD_KEY, name, "__call__"):
            points = np.asarray(reward(before, after, classic), dtype=np.float64)
        if points.shape != (self.num_envs,) or not np.isfinite(points[self.playing]).all():
            found = "numbers that are not finite" if points.shape == (self.num_envs,) else f"the shape {points.shape}"
            raise FailedError(f"{REWARD_KEY}: {name}: gave {found}; must be a finite number for each of {classic.size}")
        # The games below give the classic reward, bounded as its return is and unscaled, plus bonus and penalty.
        extra = self.games.rewards - classic
        scaled: NDArray[np.float64] = (points + extra) * self.config.reward_scale
        return scaled

    def _seen(self) -> Seen:
        seen: dict[str, NDArray[Any]] = dict(self.games.infos())
        for name in FLAGS:
            seen[name] = seen[name] != 0
        for values in seen.values():
            values.flags.writeable = False
        return seen


class OwnGames:
    """N games with rewards and wrappers of one's own: a `GamePool` like those below it.

    What a wrapper changes is passed on, where its kind stays: observations uint8 (N, frame_stack, 84, 84), rewards
    finite (N,), ends as they are. Of an observation its newest frame counts; those before it are the newest frames of
    earlier steps, since the replay keeps every frame once and builds stacks of them again.

    Args:
        games: without autoreset.
        config: of these games, with what is one's own in it.
        num_actions: size of the action set.
        autoreset: whether the next episode begins within the step that ends one.

    Raises:
        ConfigError: a class is not there or not of the right kind, can't be made, or changes what must stay.
    """

    def __init__(self, games: GamePool, config: EnvConfig, num_actions: int, *, autoreset: bool) -> None:
        self.num_games, self._games, self._autoreset = games.num_games, games, autoreset
        self._base = PlayedGames(games, config, num_actions)
        self._layers: list[tuple[str, VectorWrapper[Any, Any, Any, Any, Any]]] = []
        env: VectorEnv[Any, Any, Any] = self._base
        for name in config.wrappers:
            env = self._wrapped(env, name)
        self._env = env
        self.observations: Pixels = np.zeros_like(games.observations)
        self.final_observations: Pixels = np.zeros_like(games.observations)
        self._rewards = np.zeros(self.num_games)
        self.terminated, self.truncated = np.zeros((2, self.num_games), dtype=np.bool_)
        self._seeds: list[int | None] = [None] * self.num_games

    @property
    def rewards(self) -> NDArray[np.float64]:
        """float64 (N,), of the last step."""
        return self._rewards.copy()

    def seed(self, number: int, seed: int) -> None:
        """Begin a game's generator anew, at its next reset."""
        self._seeds[number] = seed

    def reset(
        self, number: int, *, stage: str | None = None, noop_frames: int | None = None, opening: bytes | None = None
    ) -> None:
        """Begin an episode in one game."""
        mask = np.zeros(self.num_games, dtype=np.bool_)
        mask[number] = True
        self._begin(mask, {"stage": stage, "noop_frames": noop_frames, "opening": opening})

    def step(self, actions: Sequence[int] | NDArray[np.int64]) -> None:
        """Take an agent step in every game whose action is not -1."""
        taken = np.asarray(actions, dtype=np.int64)
        playing = self._base.playing = taken >= 0
        with self._blaming("step"):
            observations, rewards, terminated, truncated, _ = self._env.step(np.where(playing, taken, 0))
        newest = self._checked_frames(observations)
        self._rewards = np.where(playing, self._checked_rewards(rewards, playing), self._rewards)
        if (terminated != self._games.terminated).any() or (truncated != self._games.truncated).any():
            raise FailedError(f"{WRAPPERS_KEY}: {self._names}: changed where episodes end, which they must not")
        self.terminated, self.truncated = self._games.terminated, self._games.truncated
        self.observations[playing, :-1] = self.observations[playing, 1:]
        self.observations[playing, -1] = newest[playing]
        over = playing & (self.terminated | self.truncated)
        if over.any():
            self.final_observations[over] = self.observations[over]
            if self._autoreset:
                self._begin(over, {})

    def infos(self) -> Mapping[str, NDArray[Any]]:
        """What is known of each game."""
        return self._games.infos()

    def result(self, number: int) -> EpisodeResult:
        """How the episode that ended last in a game went."""
        return self._games.result(number)

    def buttons(self, number: int) -> bytes:
        """The joypad byte of every frame since the last reset."""
        return self._games.buttons(number)

    def state_dict(self) -> State:
        """The games, what was last seen of them, and the state of each wrapper that has one.

        Raises:
            FailedError: a wrapper's `get_state` fails, or gives what a checkpoint can't hold.
        """
        wrappers: State = {}
        for place, (name, wrapper) in enumerate(self._layers):
            if hasattr(wrapper, "get_state"):
                with blamed(WRAPPERS_KEY, name, "get_state"):
                    state = wrapper.get_state()
                    if not isinstance(state, dict):
                        raise TypeError(f"it gave a {type(state).__name__}; must be a dict")
                    wrappers[str(place)] = _kept(state)
        return {"inner": self._games.state_dict(), "seen": self.observations.copy(), "wrappers": wrappers}

    def load_state_dict(self, state: State) -> None:
        """Go on from there.

        Raises:
            ValueError: it is another pool's. FailedError: a wrapper's `set_state` fails.
        """
        if "inner" not in state:
            raise ValueError("the games' state has no rewards or wrappers of one's own")
        seen = state["seen"]
        if seen.shape != self.observations.shape or seen.dtype != np.uint8:
            raise ValueError(f"what was seen is {seen.dtype} {seen.shape}, not uint8 {self.observations.shape}")
        self._games.load_state_dict(state["inner"])
        for place, (name, wrapper) in enumerate(self._layers):
            if str(place) in state["wrappers"]:
                with blamed(WRAPPERS_KEY, name, "set_state"):
                    wrapper.set_state(state["wrappers"][str(place)])  # type: ignore[attr-defined]  # get_state was there
        self.observations[...] = seen

    def close(self) -> None:
        """End what the games run in; wrappers are told."""
        with self._blaming("close"):
            self._env.close()

    @property
    def _names(self) -> str:
        return ", ".join(name for name, _ in self._layers) or "none"

    def _blaming(self, doing: str) -> Any:
        return blamed(WRAPPERS_KEY, self._names, doing)

    def _wrapped(self, env: VectorEnv[Any, Any, Any], name: str) -> VectorEnv[Any, Any, Any]:
        wrapper_class: type[VectorWrapper[Any, Any, Any, Any, Any]] = find_class(
            name, VectorWrapper, key=WRAPPERS_KEY, base_name="gymnasium.vector.VectorWrapper"
        )
        if hasattr(wrapper_class, "get_state") != hasattr(wrapper_class, "set_state"):
            raise ConfigError(f"{WRAPPERS_KEY}: {name}: has one of get_state and set_state; must have both or neither")
        with blamed(WRAPPERS_KEY, name, "being made", kind=ConfigError):
            wrapper = wrapper_class(env)
        for what in ("num_envs", "single_observation_space", "single_action_space"):
            if getattr(wrapper, what) != getattr(self._base, what):
                raise ConfigError(
                    f"{WRAPPERS_KEY}: {name}: changes {what} to {getattr(wrapper, what)}; must stay "
                    f"{getattr(self._base, what)}"
                )
        self._layers.append((name, wrapper))
        return wrapper

    def _begin(self, mask: NDArray[np.bool_], wished: dict[str, Any]) -> None:
        seeds = [seed if begins else None for seed, begins in zip(self._seeds, mask, strict=True)]
        options = {key: value for key, value in wished.items() if value is not None}
        with self._blaming("reset"):
            # A list of seeds is Gymnasium's as well, which types its vector environments' as one number.
            observations, _ = self._env.reset(seed=seeds, options={"reset_mask": mask, **options})  # type: ignore[arg-type]
        newest = self._checked_frames(observations)
        for number in np.flatnonzero(mask).tolist():
            self._seeds[number] = None
        self.observations[mask] = 0
        self.observations[mask, -1] = newest[mask]

    def _checked_frames(self, observations: Any) -> Pixels:
        """The newest frame of each observation, uint8 (N, 84, 84)."""
        found = np.asarray(observations)
        if found.shape != self.observations.shape or found.dtype != np.uint8:
            raise FailedError(
                f"{WRAPPERS_KEY}: {self._names}: gave observations {found.dtype} {found.shape}; must stay uint8 "
                f"{self.observations.shape}"
            )
        newest: Pixels = found[:, -1]
        return newest

    def _checked_rewards(self, rewards: Any, playing: NDArray[np.bool_]) -> NDArray[np.float64]:
        found = np.asarray(rewards, dtype=np.float64)
        if found.shape != (self.num_games,) or not np.isfinite(found[playing]).all():
            raise FailedError(
                f"{WRAPPERS_KEY}: {self._names}: gave rewards that are not {self.num_games} finite numbers"
            )
        return found


class OneGame:
    """One environment as a pool of one game, so that what is put on pools can be put on it."""

    num_games = 1

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        self.env = env
        space = env.observation_space
        self.observations: Pixels = np.zeros((1, *(space.shape or ())), dtype=np.uint8)
        self.final_observations: Pixels = np.zeros_like(self.observations)
        self.rewards = np.zeros(1)
        self.terminated, self.truncated = np.zeros((2, 1), dtype=np.bool_)
        self.info: dict[str, Any] = {}
        self._seed: int | None = None

    def seed(self, number: int, seed: int) -> None:
        self._seed = seed

    def reset(
        self, number: int, *, stage: str | None = None, noop_frames: int | None = None, opening: bytes | None = None
    ) -> None:
        wished = {"stage": stage, "noop_frames": noop_frames, "opening": opening}
        options = {key: value for key, value in wished.items() if value is not None}
        self.observations[0], self.info = self.env.reset(seed=self._seed, options=options)
        self._seed = None

    def step(self, actions: Sequence[int] | NDArray[np.int64]) -> None:
        self.observations[0], reward, self.terminated[0], self.truncated[0], self.info = self.env.step(int(actions[0]))
        self.rewards[0] = reward

    def infos(self) -> Mapping[str, NDArray[Any]]:
        return stacked_infos([self.info])

    def result(self, number: int) -> EpisodeResult:
        result: EpisodeResult = self.info["episode_result"]
        return result

    def buttons(self, number: int) -> bytes:
        buttons: list[int] = self.env.get_wrapper_attr("buttons_sent")
        return bytes(buttons)

    def state_dict(self) -> State:
        raise NotImplementedError("episodes with what is one's own around them are kept by pools of games alone")

    def load_state_dict(self, state: State) -> None:
        raise NotImplementedError("episodes with what is one's own around them are kept by pools of games alone")

    def close(self) -> None:
        self.env.close()


class OwnEnv(gym.Wrapper[Any, Any, Any, Any]):
    """One game with the reward and the wrappers that its config names around it, see `make_env`.

    Spaces, info, rendering and the generator are those of the environment inside.

    Args:
        env: what is inside, of a config without them; its observations are uint8.
        config: with them.
        normalize: whether observations are floats.
    """

    def __init__(self, env: gym.Env[Any, Any], config: EnvConfig, *, normalize: bool) -> None:
        super().__init__(env)
        self.config, self._normalize = config, normalize
        self._inside = OneGame(env)
        actions: Any = env.action_space
        self._games = OwnGames(self._inside, config, int(actions.n), autoreset=False)
        self._over = True
        self.observation_space = observation_space_of(config, normalize=normalize)

    @property
    def action_names(self) -> tuple[str, ...]:
        """The buttons of each action, such as "right+A"."""
        names: tuple[str, ...] = self.env.get_wrapper_attr("action_names")
        return names

    @property
    def buttons_sent(self) -> list[int]:
        """The joypad byte of every emulator frame of this episode, no-op and sticky frames included."""
        return list(self._games.buttons(0))

    @property
    def ram(self) -> Pixels:
        """uint8 (2048,), the console's memory; live."""
        ram: Pixels = self.env.get_wrapper_attr("ram")
        return ram

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; options as those of the environment inside."""
        if seed is not None:
            self._games.seed(0, seed)
        known = {name: (options or {}).get(name) for name in ("stage", "noop_frames", "opening")}
        self._games.reset(0, **known)
        self._over = False
        return self._observation(), dict(self._inside.info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an agent step.

        Raises:
            ValueError: there is no such action. gymnasium.error.ResetNeeded: no episode is in progress.
        """
        index = int(action)
        if not 0 <= index < len(self.action_names):
            raise ValueError(f"action {index} is not one of 0 to {len(self.action_names) - 1}")
        if self._over:
            raise ResetNeeded("call env.reset() before env.step(): no episode is in progress")
        self._games.step([index])
        games = self._games
        ends = bool(games.terminated[0]), bool(games.truncated[0])
        self._over = any(ends)
        return self._observation(), float(games.rewards[0]), *ends, dict(self._inside.info)

    def close(self) -> None:
        """End the game."""
        self._games.close()

    def _observation(self) -> Any:
        observation = self._games.observations[0]
        return to_unit(observation) if self._normalize else observation.copy()


def has_own(config: EnvConfig) -> bool:
    """Tell whether a config names a reward or wrappers of one's own."""
    return config.reward not in REWARDS or bool(config.wrappers)


def without_own(config: EnvConfig) -> EnvConfig:
    """Give the config of the games below what is one's own.

    Below a reward of one's own they earn the classic reward as it is reported, with bonus and penalty, unscaled.
    """
    changes: dict[str, Any] = {"wrappers": ()}
    if config.reward not in REWARDS:
        changes |= {"reward": "classic", "reward_clip": CLASSIC_BOUND, "reward_scale": 1.0}
    return config.model_copy(update=changes)


def require_own(config: EnvConfig) -> None:
    """See that the classes a config names are there, and can be put on a game.

    Raises:
        ConfigError: one can't.
    """
    if has_own(config):
        from mario_rl.envs.factory import make_games

        make_games(config.model_copy(update={"emulator": "native", "stage": "1-1"}), 1).close()


def stacked_infos(infos: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Put the infos of single games into arrays, (N,) each, by the names that `Games.infos` has; zeros without info."""
    whole = {
        name: np.array([_number(info, name) if info else 0 for info in infos], dtype=np.int64) for name in INFO_NUMBERS
    }
    return whole | {
        name: np.array([info[name] if info else 0.0 for info in infos], dtype=np.float64) for name in INFO_FLOATS
    }


def _number(info: Mapping[str, Any], name: str) -> int:
    if name.startswith("enemy_"):
        return int(info["enemy_types"][int(name.removeprefix("enemy_"))])
    return int(info[name])


def _kept(value: Any) -> Any:
    """Copy a value that a checkpoint can hold and that can be read back: plain arrays and plain Python values.

    Raises:
        TypeError, ValueError: it is no such value.
    """
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("its keys must be text")
        return {key: _kept(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        if any(isinstance(one, np.ndarray | dict) for one in value):
            raise TypeError("lists must be of plain values; put arrays into a dict")
        return [_kept(one) for one in value]
    if isinstance(value, np.ndarray):
        if value.dtype.name not in KEPT_DTYPES:
            raise TypeError(f"an array of {value.dtype} can't be kept; must be one of {', '.join(KEPT_DTYPES)}")
        if not np.isfinite(value).all():
            raise ValueError("an array has numbers that are not finite")
        return np.array(value, order="C")
    if isinstance(value, int | float) and not abs(value) <= MOST_KEPT:  # also where it is no number
        raise ValueError(f"{value} can't be kept; must be finite and at most 2**53, a generator's state be text")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} can't be kept; must be arrays, numbers, text, true, false or None")
