"""A trained agent for programs: loaded by name, it plays the environment that it was measured in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mario_rl.config import Config, Protocol
from mario_rl.envs import MarioEnv, OwnEnv, action_names, make_env
from mario_rl.envs.episodes import ResumableEpisodes
from mario_rl.evaluation import Trained, load_trained, protocol_env
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.types import Pixels


class LoadedAgent:
    """An agent, its environment and what it thinks of an observation.

    config: of its training, every key. file: where its weights come from. agent_steps: that it was trained for.
    """

    def __init__(self, trained: Trained) -> None:
        self.config: Config = trained.config
        self.file: Path = trained.file
        self.agent_steps: int = trained.agent_steps
        self._policy = trained.policy
        self._chance = np.random.default_rng(0)

    @property
    def actions(self) -> tuple[str, ...]:
        """What each action is called, such as `right+A`."""
        return action_names(self.config.env.action_set)

    def env(
        self, *, protocol: Protocol = "greedy", stage: str | None = None, render_mode: str | None = None
    ) -> MarioEnv | ResumableEpisodes | OwnEnv:
        """Make the environment that the agent is evaluated in under a protocol, see `make_env`.

        Args:
            protocol: the source of chance; the random actions of `epsilon` are the caller's, `act(..., epsilon=0.01)`,
                and so are the starts of `noop`, `reset(options={"noop_frames": 12})`.
            stage: None for the first that it was trained on.
            render_mode: None, or "rgb_array" for `render()` to give the screen.

        Raises:
            UserError: there is no such stage, or the ROM can't be played.
        """
        env = self.config.env
        return make_env(protocol_env(env, stage or env.stages[0], PROTOCOLS[protocol]), render_mode=render_mode)

    def values(self, observation: Pixels) -> NDArray[np.float32]:
        """Value each action, float32 (actions,): the discounted, scaled reward that is expected to follow.

        Args:
            observation: uint8 (frame_stack, 84, 84), oldest frame first, as `env()` gives it.
        """
        values: NDArray[np.float32] = self._policy.q_values(np.asarray(observation)[np.newaxis])[0]
        return values

    def act(self, observation: Pixels, *, epsilon: float = 0.0, seed: int | None = None) -> int:
        """Choose an action: the best by `values`, or with probability epsilon any.

        Args:
            observation: as for `values`.
            epsilon: how often any action is taken.
            seed: of that chance from here on; where it is left out the agent's own goes on, which begins with 0.
        """
        if seed is not None:
            self._chance = np.random.default_rng(seed)
        batch = np.asarray(observation)[np.newaxis]
        return int(self._policy.act(batch, epsilon=epsilon, generator=self._chance)[0])


def load(agent: str | Path, *, device: str = "cpu") -> LoadedAgent:
    """Load an agent.

    Args:
        agent: the name of one that the package brings (`mario-rl list`), a checkpoint, a run directory, a folder with
            runs below it.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: there is none, or it can't be used.
    """
    return LoadedAgent(load_trained(agent, device=device))
