"""Where transitions come from: environments of one process, played side by side; see `actors` for several processes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mario_rl.agents import NetworkPolicy, QAgent
from mario_rl.config import EnvConfig
from mario_rl.envs import ResumableEpisodes, make_env
from mario_rl.replay import ReplayBuffer
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeResult, Pixels, State, Transition


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
        self.envs = [make_env(config) for _ in seeds]
        self.generator = generator
        self._seeds = seeds
        self._exponents = exponents
        self._first_env = first_env
        space = self.envs[0].observation_space
        self._observations = np.stack([np.zeros(space.shape or (), dtype=np.uint8) for _ in seeds])
        # The emulator lets go of the interpreter lock, and nothing else runs meanwhile, so threads pay here.
        self._threads = ThreadPoolExecutor(min(len(seeds), num_threads or os.cpu_count() or 1))
        self._started: float | None = None  # seconds of the performance counter
        self._playing = 0.0  # seconds

    def start(self) -> None:
        """Begin the first episode of every environment; after this or `load_state_dict` it can play."""
        for index, (env, seed) in enumerate(zip(self.envs, self._seeds, strict=True)):
            self._observations[index], _ = env.reset(seed=seed)

    def step(self, agent: QAgent, replay: ReplayBuffer, *, epsilon: float) -> Played:
        """Take one agent step in every environment."""
        began = time.perf_counter()
        self._started = began if self._started is None else self._started
        played = self.play(agent.policy, replay, epsilon=epsilon)
        self._playing += time.perf_counter() - began
        return played

    def play(self, policy: NetworkPolicy, replay: ReplayBuffer, *, epsilon: float) -> Played:
        """Take one agent step in every environment."""
        finished = []
        actions = policy.act(self._observations, epsilon=epsilon**self._exponents, generator=self.generator)
        played = self._threads.map(_play, self.envs, self._observations, actions)
        for index, (transition, result, observation) in enumerate(played):
            replay.add(self._first_env + index, transition)
            if result is not None:
                finished.append(FinishedEpisode(self._first_env + index, result))
            self._observations[index] = observation
        return Played(len(self.envs), finished)

    @property
    def waited(self) -> Waited:
        """How long each side has waited since the first step: in one process, for all that the other does."""
        total = time.perf_counter() - self._started if self._started is not None else 0.0
        return Waited(learner=self._playing, environments=total - self._playing)

    def paused(self) -> AbstractContextManager[Played]:
        """Hold still as long as this is entered: between two steps nothing moves anyway."""
        return nullcontext(Played(0, []))

    def state_dict(self) -> State:
        """The episodes in progress and the exploration generator."""
        return {
            "generator": generator_state(self.generator),
            "episodes": [env.episode_state() for env in self.envs],
        }

    def load_state_dict(self, state: State) -> None:
        """Play the episodes in progress up to where they were: the emulator is deterministic."""
        restore_generator(self.generator, state["generator"])
        restored = self._threads.map(ResumableEpisodes.restore_episode, self.envs, state["episodes"])
        self._observations = np.stack(list(restored))

    def close(self) -> None:
        """Close the emulators."""
        self._threads.shutdown()
        for env in self.envs:
            env.close()


def _play(
    env: ResumableEpisodes, observation: Pixels, action: np.int64
) -> tuple[Transition, EpisodeResult | None, Pixels]:
    """Take one agent step, and begin the next episode where this one ends; returns what to act on next as well."""
    next_observation, reward, terminated, truncated, info = env.step(int(action))
    transition = Transition(observation, int(action), reward, next_observation, terminated, truncated)
    if not (terminated or truncated):
        return transition, None, next_observation
    first_observation, _ = env.reset()
    return transition, info["episode_result"], first_observation
