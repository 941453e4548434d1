"""Stable-Baselines3 takes the environments: its checker passes, and its DQN learns from both, for a moment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mario_rl.envs import MarioEnv, MarioVectorEnv, env_id

sb3 = pytest.importorskip("stable_baselines3", reason="needs Stable-Baselines3: pip install 'mario-rl[benchmarks]'")
env_checker = pytest.importorskip("stable_baselines3.common.env_checker")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")

pytestmark = pytest.mark.emulator

DQN: dict[str, Any] = {"buffer_size": 200, "learning_starts": 40, "train_freq": 8, "batch_size": 8, "seed": 0}


class SameStep(vec_env.VecEnv):  # type: ignore[misc, name-defined]
    """A vector environment of Gymnasium's in SAME_STEP mode as Stable-Baselines3 wants its own."""

    def __init__(self, env: MarioVectorEnv) -> None:
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        return self.env.reset(seed=[int(seed) if seed is not None else None for seed in self._seeds])[0]

    def step_async(self, actions: Any) -> None:
        self.actions = actions

    def step_wait(self) -> Any:
        observations, rewards, terminated, truncated, infos = self.env.step(self.actions)
        ended, singles = terminated | truncated, [{} for _ in range(self.num_envs)]  # type: list[Any]
        for number in np.flatnonzero(ended):
            cut = bool(truncated[number])
            singles[number] = {"terminal_observation": infos["final_obs"][number], "TimeLimit.truncated": cut}
        return observations, rewards.astype(np.float32), ended, singles

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


@pytest.mark.filterwarnings("error")
@pytest.mark.filterwarnings("ignore:.*image:UserWarning")  # a stack of four is no RGB image
def test_its_checker_passes() -> None:
    env_checker.check_env(MarioEnv(render_mode="rgb_array"), skip_render_check=False)


def test_its_dqn_runs_on_an_id() -> None:
    env = gym.make(env_id("1-1"), max_agent_steps=25)
    agent = sb3.DQN("CnnPolicy", env, **DQN).learn(96)
    assert (agent.num_timesteps, agent._episode_num) == (96, 3)


def test_its_dqn_runs_on_the_vector_environment() -> None:
    env = MarioVectorEnv(num_envs=4, autoreset_mode="SameStep", max_agent_steps=10)
    agent = sb3.DQN("CnnPolicy", SameStep(env), **DQN).learn(160)
    assert (agent.num_timesteps, agent._episode_num) == (160, 16)
