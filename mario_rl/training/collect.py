"""Where transitions come from: environments of one process, played side by side; see `actors` for several processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mario_rl.agents import NetworkPolicy, QAgent
from mario_rl.config import EnvConfig
from mario_rl.envs import make_games
from mario_rl.errors import CheckpointError
from mario_rl.machine import usable_cores
from mario_rl.replay import ReplayBuffer
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeResult, State, Transition


class FinishedEpisode(NamedTuple):
    """An episode that ended, and in which environment, counted over the whole run."""

    env: int
    result: EpisodeResult


class Played(NamedTuple):
    """What was played since the last time it was asked: agent steps over all environments, episodes that ended."""

    agent_steps: int
    finished: list[FinishedEpisode]


class Waited(NamedTuple):
    """Seconds that one side stood still for the other: the learner for transitions, the environments for updates.

    Of several actor processes, their mean.
    """

    learner: float
    environments: float


class Collector:
    """Plays N environments side by side and writes what happens to the replay.

    Args:
        config: of every environment.
        seeds: one per environment.
        generator: for the exploration of all of them.
        exponents: one per environment; it explores with epsilon to that power.
        first_env: number of the first of them in the replay and in what is reported.
        num_threads: how many step environments at once; None for one per core.
    """

    def __init__(
        self,
        config: EnvConfig,
        *,
        seeds: tuple[int, ...],
        generator: np.random.Generator,
        exponents: NDArray[np.float64],
        first_env: int = 0,
        num_threads: int | None = None,
    ) -> None:
        self.games = make_games(config, len(seeds), threads=num_threads or usable_cores(), autoreset=True)
        self.generator = generator
        self._seeds = seeds
        self._exponents = exponents
        self._first_env = first_env
        self._started: float | None = None  # seconds of the performance counter
        self._playing = 0.0  # seconds

    def start(self) -> None:
        """Begin the first episode of every environment; after this or `load_state_dict` it can play."""
        for number, seed in enumerate(self._seeds):
            self.games.seed(number, seed)
            self.games.reset(number)

    def step(self, agent: QAgent, replay: ReplayBuffer, *, epsilon: float) -> Played:
        """Take one agent step in every environment."""
        began = time.perf_counter()
        self._started = began if self._started is None else self._started
        played = self.play(agent.policy, replay, epsilon=epsilon)
        self._playing += time.perf_counter() - began
        return played

    def play(self, policy: NetworkPolicy, replay: ReplayBuffer, *, epsilon: float) -> Played:
        """Take one agent step in every environment."""
        games = self.games
        observations = games.observations.copy()  # they are live
        actions = policy.act(observations, epsilon=epsilon**self._exponents, generator=self.generator)
        games.step(actions)
        finished = []
        rewards, terminated, truncated = games.rewards, games.terminated, games.truncated
        for number in range(games.num_games):
            over = bool(terminated[number] or truncated[number])
            following = games.final_observations if over else games.observations
            transition = Transition(
                observations[number],
                int(actions[number]),
                float(rewards[number]),
                following[number],
                bool(terminated[number]),
                bool(truncated[number]),
            )
            replay.add(self._first_env + number, transition)
            if over:
                finished.append(FinishedEpisode(self._first_env + number, games.result(number)))
        return Played(games.num_games, finished)

    @property
    def waited(self) -> Waited:
        """How long each side has waited since the first step: in one process, for all that the other does."""
        total = time.perf_counter() - self._started if self._started is not None else 0.0
        return Waited(learner=self._playing, environments=total - self._playing)

    def paused(self) -> AbstractContextManager[Played]:
        """Hold still as long as this is entered: between two steps nothing moves anyway."""
        return nullcontext(Played(0, []))

    def state_dict(self) -> State:
        """The games in progress and the exploration generator."""
        return {"generator": generator_state(self.generator), "games": _to_tensors(self.games.state_dict())}

    def load_state_dict(self, state: State) -> None:
        """Go on with the games where they were.

        Raises:
            CheckpointError: an older version kept the games otherwise. ValueError: the state is of other games.
        """
        if "games" not in state:
            raise CheckpointError(
                "this run's games were kept as actions to be played again, by a version before the compiled emulator; "
                "begin another run from its agent: training.initial_checkpoint=RUN_DIR"
            )
        restore_generator(self.generator, state["generator"])
        self.games.load_state_dict(_to_arrays(state["games"]))

    def close(self) -> None:
        """Close the emulators."""
        self.games.close()


def _to_tensors(state: State) -> State:
    """Checkpoints hold tensors and plain values only."""
    return _mapped(state, lambda leaf: torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf)


def _to_arrays(state: State) -> State:
    return _mapped(state, lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf)


def _mapped(state: State, change: Callable[[Any], Any]) -> State:
    return {key: _mapped(value, change) if isinstance(value, dict) else change(value) for key, value in state.items()}
