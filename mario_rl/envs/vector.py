"""N games as one Gymnasium vector environment, stepped in one compiled call: what a SyncVectorEnv of MarioEnv gives."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from mario_rl.config import EnvConfig
from mario_rl.envs.native import METADATA, merged_config, metadata_of, observation_space_of
from mario_rl.game import layout
from mario_rl.game.actions import action_names
from mario_rl.game.games import LEAVE, Games
from mario_rl.game.info import FLAGS
from mario_rl.machine import usable_cores
from mario_rl.pixels import to_unit
from mario_rl.types import Pixels
from mario_rl.wording import count_text

type Mask = NDArray[np.bool_]
"""bool (N,): which games."""

type Infos = dict[str, Any]
"""An array per key, and under `_key` a mask of the games that have it, as Gymnasium batches infos."""

type Steps = tuple[Any, NDArray[np.float64], Mask, Mask, Infos]

ENEMIES = tuple(name for name in layout.INFO_NAMES if name.startswith("enemy_"))
NUMBERS = tuple(name for name in layout.INFO_NAMES if name not in (*FLAGS, *ENEMIES))
RESULT_KEYS = {"classic_return": "return_", "best_x": "x", "from_snapshot": "from_snapshot"}
"""What of an ended episode's info is kept in its result, and where."""


class MarioVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """N games of Super Mario Bros. as the agent meets them, see `MarioEnv`.

    Observation: uint8 (N, frame_stack, 84, 84), a copy; float32 in [0, 1] if `normalize`.
    Action: MultiDiscrete, one of `action_names` per game; anything that is an int array of shape (N,).
    Infos: int64 (N,) of each number that is read from memory, bool (N,) of each flag, `enemy_types`, int64 (N, 5),
    `classic_return`, float64 (N,), `best_x`, `new_bests` and `from_snapshot`; at an episode's end `episode_result` and,
    where it was truncated or a warp zone ended it, `cut_by`. What MarioEnv derives from these (`y_pos`, `status`, ...)
    is left out.

    Episodes follow one another as Gymnasium has it (https://farama.org/Vector-Autoreset-Mode):
    NEXT_STEP: the step after an end begins the next episode, whatever its action, and earns 0.
    SAME_STEP: the next episode begins within the step; `infos["final_obs"]` and `infos["final_info"]` are of the one
    that ended (the latter without `new_bests`).
    DISABLED: `reset(options={"reset_mask": terminated | truncated})` begins it.

    Args:
        config: all of `env.*`; its defaults where it is left out.
        num_envs: N.
        threads: how many play; one per core where it is left out. What is played does not depend on it.
        autoreset_mode: see above.
        normalize: whether observations are floats.
        render_mode: None or "rgb_array".
        options: keys of `env.*` in place of the config's.

    Raises:
        ConfigError: such an option is not allowed. UserError: the ROM can't be played.
        ValueError: there is no such mode.
    """

    metadata = METADATA | {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        config: EnvConfig | None = None,
        num_envs: int = 1,
        threads: int | None = None,
        *,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        normalize: bool = False,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        self.config = config = merged_config(config, options)
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = metadata_of(config, render_mode) | {"autoreset_mode": self.autoreset_mode}
        self.render_mode, self._normalize = render_mode, normalize
        self.action_names = action_names(config.action_set)
        self.single_action_space = Discrete(len(self.action_names))
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space = observation_space_of(config, normalize=normalize)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._threads = threads or usable_cores()
        self._make_games()
        self._seeds = [self._seed(number, None) for number in range(num_envs)]
        self._begun = False
        self._over = np.zeros(num_envs, dtype=np.bool_)  # games whose episode has ended and no other begun
        self._any_over = False

    @property  # type: ignore[misc]  # nothing to set, as in SyncVectorEnv
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]  # as there, one each
        """The generator of each game, which everything random in it draws from."""
        return tuple(self._games.generator(number) for number in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]  # as in SyncVectorEnv, one each
        """The seed of each of them."""
        return tuple(self._seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, Infos]:
        """Begin an episode in every game, or in those of `options["reset_mask"]`, bool (N,).

        Args:
            seed: one for each game; from one number on, n, n + 1, ...; None leaves a game's generator as it is.
            options: besides the mask, `stage`, `noop_frames` and `opening` of all these episodes.

        Raises:
            UserError: `options["stage"]`, `options["noop_frames"]` or `options["opening"]` is not allowed.
            ValueError, TypeError: there is not one seed per game, or the mask is not such an array with a True in it.
            gymnasium.error.Error: a seed is not a whole number from 0 up.
            gymnasium.error.ResetNeeded: a mask leaves out games that have not begun yet.
        """
        wished = options or {}
        seeds = self._one_each(seed)
        mask = self._checked_mask(wished["reset_mask"]) if "reset_mask" in wished else np.ones(self.num_envs, np.bool_)
        if not self._begun and not mask.all():
            raise ResetNeeded("the first env.reset() must begin all games: no episode is in progress")
        for number in np.flatnonzero(mask).tolist():
            if seeds[number] is not None:
                self._seeds[number] = self._seed(number, seeds[number])
            self._games.reset(
                number, stage=wished.get("stage"), noop_frames=wished.get("noop_frames"), opening=wished.get("opening")
            )
        self._begun = True
        self._set_over(self._over & ~mask)
        return self._observations(), _masked(self._infos(), mask)

    def step(self, actions: ArrayLike) -> Steps:
        """Take an agent step in every game: observations, rewards, terminated, truncated, infos.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet or, in DISABLED mode, after some game's end.
            ValueError: there is no such action, or not one per game.
        """
        games, taken = self._games, self._checked_actions(actions)
        waiting = self._over if self._any_over else None
        if waiting is not None:
            if self.autoreset_mode is AutoresetMode.DISABLED:
                over = np.flatnonzero(waiting).tolist()
                raise ResetNeeded(
                    f"call env.reset(options={{'reset_mask': ...}}) before env.step(): games {over} are over"
                )
            taken = np.where(waiting, LEAVE, taken)
        games.step(taken)
        rewards, terminated, truncated = games.rewards, games.terminated, games.truncated
        if waiting is not None:
            for number in np.flatnonzero(waiting).tolist():
                games.reset(number)
            rewards[waiting], terminated[waiting], truncated[waiting] = 0.0, False, False
        ended = terminated | truncated
        infos = self._infos()
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            if ended.any():
                infos |= self._finals(ended, truncated)
        else:
            self._set_over(ended)
            if self._any_over:
                infos |= self._results(ended, truncated)
        return self._observations(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Pixels, ...] | None:
        """Return each game's screen as it is now: uint8 (240, 256, 3), RGB; None without a render mode.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet.
        """
        if self.render_mode is None:
            return None
        if not self._begun:
            raise ResetNeeded("call env.reset() before env.render()")
        return tuple(self._games.screen(number) for number in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        self._games.close()

    def __getstate__(self) -> dict[str, Any]:
        """Pickling and copying keep the episodes, not the memory that compiled code works in."""
        generators = copy.deepcopy(self.np_random)  # even a shallow copy must not draw from ours
        kept = {name: value for name, value in self.__dict__.items() if name not in ("_games", "_columns")}
        return kept | {"_seeds": list(self._seeds), "generators": generators, "games": self._games.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = dict(state)
        generators, games = kept.pop("generators"), kept.pop("games")
        self.__dict__.update(kept)
        self._make_games()
        for number, generator in enumerate(generators):
            self._games.set_generator(number, generator)
        if self._begun:
            self._games.load_state_dict(games)

    # --- What reset and step are made of. ---

    def _make_games(self) -> None:
        autoreset = self.autoreset_mode is AutoresetMode.SAME_STEP
        games = Games(self.config, self.num_envs, threads=self._threads, autoreset=autoreset, keep_buttons=False)
        self._games = games
        self._columns = {name: games.numbers(layout.INFO + 8 * place) for place, name in enumerate(layout.INFO_NAMES)}

    def _seed(self, number: int, seed: int | None) -> int:
        """Give a game a new generator, a seed being drawn where there is none; returns the seed."""
        generator, seed = seeding.np_random(seed)
        self._games.set_generator(number, generator)
        return seed

    def _one_each(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return range(seed, seed + self.num_envs)
        if len(seed) != self.num_envs:
            raise ValueError(f"{count_text(len(seed), 'seed')} for {count_text(self.num_envs, 'game')}")
        return seed

    def _checked_mask(self, mask: Any) -> Mask:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be a NumPy array of bool, not {mask!r}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"options['reset_mask'] must have shape ({self.num_envs},) and a True in it, not {mask}")
        return mask

    def _checked_actions(self, actions: ArrayLike) -> NDArray[np.int64]:
        if not self._begun:
            raise ResetNeeded("call env.reset() before env.step(): no episode is in progress")
        taken = np.asarray(actions)
        if taken.shape != (self.num_envs,) or taken.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be {count_text(self.num_envs, 'whole number')}, not {taken.dtype} of shape {taken.shape}"
            )
        if taken.min() < 0:  # Games would leave such a game as it is
            raise ValueError(f"action {taken.min()} is not one of 0 to {len(self.action_names) - 1}")
        return taken.astype(np.int64, copy=False)

    def _set_over(self, over: Mask) -> None:
        self._over, self._any_over = over, bool(over.any())

    def _observations(self) -> Any:
        observations = self._games.observations
        return to_unit(observations) if self._normalize else observations.copy()

    def _infos(self) -> Infos:
        """Make the infos that every game has."""
        games = self._games
        infos = _converted(self._columns)
        infos["classic_return"] = games.floats(layout.CLASSIC_RETURN).copy()
        infos["best_x"] = games.numbers(layout.BEST_X).copy()
        infos["new_bests"] = games.numbers(layout.NEW_BESTS).copy()
        infos["from_snapshot"] = games.numbers(layout.FROM_SNAPSHOT) != 0
        return _with_mask(infos, np.ones(self.num_envs, dtype=np.bool_))

    def _results(self, ended: Mask, truncated: Mask) -> Infos:
        """Make the infos that only games with an ended episode have."""
        results, cuts = np.full((2, self.num_envs), None, dtype=object)
        for number in np.flatnonzero(ended).tolist():
            results[number] = self._games.result(number)
            cuts[number] = results[number].end if truncated[number] or results[number].end == "warp" else None
        infos = {"episode_result": results, "_episode_result": ended.copy()}
        cut = cuts != None  # noqa: E711  # element by element
        return infos | ({"cut_by": cuts, "_cut_by": cut} if cut.any() else {})

    def _finals(self, ended: Mask, truncated: Mask) -> Infos:
        """Make `final_obs` and `final_info` of episodes that ended in a step in which others have begun."""
        observations = np.full(self.num_envs, None, dtype=object)
        results = self._results(ended, truncated)
        last = _converted(self._games.final_infos())
        for key, dtype in {"classic_return": np.float64, "best_x": np.int64, "from_snapshot": np.bool_}.items():
            last[key] = np.zeros(self.num_envs, dtype)
        for number in np.flatnonzero(ended).tolist():
            observation = self._games.final_observations[number]
            observations[number] = to_unit(observation) if self._normalize else observation.copy()
            for key, field in RESULT_KEYS.items():
                last[key][number] = getattr(results["episode_result"][number], field)
        last = _masked(_with_mask(last, ended), ended) | results
        return {
            "final_obs": observations,
            "_final_obs": ended.copy(),
            "final_info": last,
            "_final_info": ended.copy(),
        }


def _converted(columns: dict[str, NDArray[np.int64]]) -> Infos:
    """Copy the numbers that are read from memory, each to the type that it has in `MarioEnv`'s info."""
    infos: Infos = {name: columns[name].copy() for name in NUMBERS}
    for name in FLAGS:
        infos[name] = columns[name] != 0
    infos["enemy_types"] = np.array([columns[name] for name in ENEMIES]).T
    return infos


def _with_mask(infos: Infos, mask: Mask) -> Infos:
    """Add to every key that `mask` has it. They share one array: a step has no time for thirty."""
    return infos | {f"_{key}": mask for key in infos}


def _masked(infos: Infos, mask: Mask) -> Infos:
    """Leave zeros for all games but those of a mask, as Gymnasium does for what a game does not have."""
    if mask.all():
        return infos
    kept = {}
    for key, values in infos.items():
        if key.startswith("_"):
            kept[key] = mask.copy()
        else:
            kept[key] = values.copy()
            kept[key][~mask] = 0
    return kept
