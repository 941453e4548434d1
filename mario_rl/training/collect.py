"""Where transitions come from: environments of this process, played one after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mario_rl.agents import QAgent
from mario_rl.config import EnvConfig
from mario_rl.envs import make_env
from mario_rl.replay import ReplayBuffer
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeResult, State, Transition


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

    def start(self) -> None:
        """Begin the first episode of every environment."""
        for index, (env, seed) in enumerate(zip(self.envs, self._seeds, strict=True)):
            self._observations[index], _ = env.reset(seed=seed)

    def step(self, agent: QAgent, replay: ReplayBuffer, *, epsilon: float) -> list[FinishedEpisode]:
        """Take one agent step in every environment; returns the episodes that ended."""
        finished = []
        actions = agent.act(self._observations, epsilon=epsilon, generator=self.generator)
        for index, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            observation = self._observations[index]
            next_observation, reward, terminated, truncated, info = env.step(int(action))
            replay.add(
                index,
                Transition(observation, int(action), float(reward), next_observation, terminated, truncated),
            )
            if terminated or truncated:
                finished.append(FinishedEpisode(index, info["episode_result"]))
                next_observation, _ = env.reset()
            self._observations[index] = next_observation
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
        for index, (env, episode) in enumerate(zip(self.envs, state["episodes"], strict=True)):
            self._observations[index] = env.restore_episode(episode)

    def close(self) -> None:
        """Close the emulators."""
        for env in self.envs:
            env.close()
