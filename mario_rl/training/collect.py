"""Where transitions come from: environments of this process, stepped side by side in threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from mario_rl.agents import QAgent
from mario_rl.config import EnvConfig
from mario_rl.envs import ResumableEpisodes, make_env
from mario_rl.replay import ReplayBuffer
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeResult, Pixels, State, Transition


class FinishedEpisode(NamedTuple):
    """An episode that ended in this round, and in which environment."""

    env: int
    result: EpisodeResult


class Collector:
    """Plays N environments side by side and writes what happens to the replay.

    Args:
        config: of every environment.
        seeds: one per environment.
        generator: for the exploration of all of them.
    """

    def __init__(self, config: EnvConfig, *, seeds: tuple[int, ...], generator: np.random.Generator) -> None:
        self.envs = [make_env(config) for _ in seeds]
        self.generator = generator
        self._seeds = seeds
        space = self.envs[0].observation_space
        self._observations = np.stack([np.zeros(space.shape or (), dtype=np.uint8) for _ in seeds])
        # The emulator lets go of the interpreter lock, and nothing else runs meanwhile, so threads pay here.
        self._threads = ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1))

    def start(self) -> None:
        """Begin the first episode of every environment."""
        for index, (env, seed) in enumerate(zip(self.envs, self._seeds, strict=True)):
            self._observations[index], _ = env.reset(seed=seed)

    def step(self, agent: QAgent, replay: ReplayBuffer, *, epsilon: float) -> list[FinishedEpisode]:
        """Take one agent step in every environment; returns the episodes that ended."""
        finished = []
        actions = agent.act(self._observations, epsilon=epsilon, generator=self.generator)
        played = self._threads.map(_play, self.envs, self._observations, actions)
        for index, (transition, result, observation) in enumerate(played):
            replay.add(index, transition)
            if result is not None:
                finished.append(FinishedEpisode(index, result))
            self._observations[index] = observation
        return finished

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
