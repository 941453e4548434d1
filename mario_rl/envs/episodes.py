"""How episodes begin, what disturbs them, what cuts them short, what is said of them, and how they are rebuilt."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded

from mario_rl.game.actions import NO_BUTTONS
from mario_rl.game.games import opening_bytes
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeEnd, EpisodeResult, Pixels, State

ACTION = np.dtype("<u2")
"""An action in the state of an episode; there are 256 joypad bytes, and as many of an agent's own actions at most."""

type Reset[Observation] = tuple[Observation, dict[str, Any]]
type Step[Observation] = tuple[Observation, float, bool, bool, dict[str, Any]]


class RecordButtons(gym.Wrapper[Any, int, Any, int]):
    """Keep what was sent to the emulator in this episode; everything passes unchanged.

    buttons_sent: one joypad byte per emulator frame since the last reset. Each episode gets a list of its own.
    """

    def __init__(self, env: gym.Env[Any, int]) -> None:
        super().__init__(env)
        self.buttons_sent: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        self.buttons_sent = []
        return self.env.reset(seed=seed, options=options)

    def step(self, action: int) -> Step[Any]:
        self.buttons_sent.append(int(action))
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), terminated, truncated, info


class NoopStart(gym.Wrapper[Any, int, Any, int]):
    """Begin each episode with 0 to `noop_max` frames without input, drawn uniformly (Mnih et al. 2015).

    Reset returns what the last of these frames showed; their rewards are dropped. Should one of them end the episode,
    the environment is reset once more and the episode begins at once. `reset(options={"noop_frames": 7})` plays that
    many instead of drawing, whatever `noop_max` is; `reset(options={"opening": bytes([0x80] * 60)})` plays these joypad
    bytes instead, such as the beginning of a trajectory.
    """

    def __init__(self, env: gym.Env[Any, int], *, noop_max: int) -> None:
        super().__init__(env)
        self._noop_max = noop_max

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        """Begin an episode.

        Raises:
            UserError: `options["noop_frames"]` is not a whole number from 0 up, or `options["opening"]` no bytes.
        """
        wished = options or {}
        opening = opening_bytes(wished.get("noop_frames"), wished.get("opening"))
        observation, info = self.env.reset(seed=seed, options=options)
        if opening is None:
            opening = bytes([NO_BUTTONS] * int(self.np_random.integers(self._noop_max + 1)))
        for byte in opening:
            observation, _, terminated, truncated, info = self.env.step(byte)
            if terminated or truncated:
                return self.env.reset(options=options)
        return observation, info


class StickyActions(gym.Wrapper[Any, int, Any, int]):
    """With `probability`, send the action sent before once more instead of the one asked for (Machado et al. 2018).

    Before an episode's first action, "the one before" is 0: no buttons. One draw per step; none if probability is 0.
    """

    def __init__(self, env: gym.Env[Any, int], *, probability: float) -> None:
        super().__init__(env)
        self._probability = probability
        self._sent = NO_BUTTONS

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        self._sent = NO_BUTTONS
        return self.env.reset(seed=seed, options=options)

    def step(self, action: int) -> Step[Any]:
        if self._probability == 0 or self.np_random.random() >= self._probability:
            self._sent = action
        observation, reward, terminated, truncated, info = self.env.step(self._sent)
        return observation, float(reward), terminated, truncated, info


class StallLimit(gym.Wrapper[Any, Any, Any, Any]):
    """Truncate an episode after `limit` steps in a row without progress; None for never.

    Progress is a change of `info["new_bests"]` (see `TrackProgress`). `info["cut_by"]` is then "stall"; an episode
    that ends on that very step by itself is left as it is.
    """

    def __init__(self, env: gym.Env[Any, Any], *, limit: int | None) -> None:
        super().__init__(env)
        self._limit = limit

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._new_bests, self._idle_steps = info["new_bests"], 0
        return observation, info

    def step(self, action: Any) -> Step[Any]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._idle_steps = self._idle_steps + 1 if info["new_bests"] == self._new_bests else 0
        self._new_bests = info["new_bests"]
        if self._idle_steps == self._limit and not (terminated or truncated):
            truncated, info = True, info | {"cut_by": "stall"}
        return observation, float(reward), terminated, truncated, info


class StepLimit(gym.Wrapper[Any, Any, Any, Any]):
    """Truncate an episode after `limit` steps; None for never.

    `info["cut_by"]` is then "limit"; an episode that ends on that very step by itself is left as it is.
    """

    def __init__(self, env: gym.Env[Any, Any], *, limit: int | None) -> None:
        super().__init__(env)
        self._limit = limit
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        self._steps = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Step[Any]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        if self._steps == self._limit and not (terminated or truncated):
            truncated, info = True, info | {"cut_by": "limit"}
        return observation, float(reward), terminated, truncated, info


class SummarizeEpisode(gym.Wrapper[Any, Any, Any, Any]):
    """Say at an episode's last step how it went: `info["episode_result"]`, an `EpisodeResult`.

    Everything else passes unchanged. Reads `stage_reached`, `classic_return`, `best_x`, `time`, `flag_get` and, if they
    are there, `from_snapshot` and `cut_by` from info; a truncation nobody signed counts as "limit".
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Any]:
        self._steps = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Step[Any]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        if terminated or truncated:
            result = EpisodeResult(
                stage=info["stage_reached"],
                return_=info["classic_return"],
                x=info["best_x"],
                length=self._steps,
                clock=info["time"],
                end=_end(terminated, info),
                from_snapshot=info.get("from_snapshot", False),
            )
            info = info | {"episode_result": result}
        return observation, float(reward), terminated, truncated, info


def _end(terminated: bool, info: dict[str, Any]) -> EpisodeEnd:
    if terminated and "cut_by" not in info:
        return "clear" if info["flag_get"] else "death"
    end: EpisodeEnd = info.get("cut_by", "limit")
    return end


class ResumableEpisodes(gym.Wrapper[Pixels, int, Pixels, int]):
    """Remember what makes up the episode in progress, so that it can be rebuilt: how it was reset, and the actions.

    The outermost wrapper. Rebuilding plays the actions again through all the others, so it is exact wherever the
    environment draws from `np_random` only, and the emulator draws from nothing.

    Args:
        env: deterministic but for its `np_random`.
        action_names: of the actions 0..n-1, for whoever shows them.
    """

    def __init__(self, env: gym.Env[Pixels, int], *, action_names: tuple[str, ...]) -> None:
        super().__init__(env)
        self._action_names = action_names
        self._start: State | None = None
        self._over = True
        self._actions: list[int] = []
        self.last_info: dict[str, Any] = {}
        """What the last reset or step said, of an episode that was rebuilt as well."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """The buttons of each action, such as "right+A"."""
        return self._action_names

    @property
    def buttons_sent(self) -> list[int]:
        """The joypad byte of every emulator frame of this episode, no-op and sticky frames included."""
        buttons: list[int] = self.env.get_wrapper_attr("buttons_sent")
        return buttons

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset[Pixels]:
        # A seed says all about the generator; without one, the episode depends on where the generator stands now.
        generator = generator_state(self.np_random) if seed is None else None
        # One of them may be where the episode begins.
        kept = self.env.has_wrapper_attr("snapshots_state")
        starts = {
            name: self.env.get_wrapper_attr(f"{name}_state")() if kept else {} for name in ("snapshots", "backward")
        }
        self._start = {"seed": seed, "generator": generator, "options": dict(options or {}), **starts}
        self._actions = []
        begun = self.env.reset(seed=seed, options=options)
        self._over = False
        self.last_info = begun[1]
        return begun

    def step(self, action: int) -> Step[Pixels]:
        """Take a step of the episode in progress.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet, or the episode is over.
        """
        if self._over:
            raise ResetNeeded("call env.reset() before env.step(): no episode is in progress")
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._actions.append(int(action))
        self._over = terminated or truncated
        self.last_info = info
        return observation, float(reward), terminated, truncated, info

    def episode_state(self) -> State:
        """Describe the episode in progress in plain Python values, enough for `restore_episode`.

        Raises:
            RuntimeError: there is none before the first reset.
        """
        if self._start is None:
            raise RuntimeError("no episode in progress: call reset first")
        return {**self._start, "actions": np.array(self._actions, ACTION).tobytes().hex()}  # one value, not many

    def restore_episode(self, state: State) -> Pixels:
        """Rebuild an episode and return its current observation, like the one the last reset or step returned.

        From here on everything is as in the environment that `state` came from: observations, rewards, info, generator.
        """
        for name in ("snapshots", "backward"):
            if state.get(name):  # older states have no `backward`
                self.env.get_wrapper_attr(f"restore_{name}")(state[name])
        if state["generator"] is not None:
            restore_generator(self.np_random, state["generator"])
        observation, _ = self.reset(seed=state["seed"], options=state["options"])
        actions = state["actions"]
        if isinstance(actions, str):  # older states have a list
            actions = np.frombuffer(bytes.fromhex(actions), ACTION)
        for action in actions:
            observation, *_ = self.step(int(action))
        return observation
