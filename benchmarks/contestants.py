"""The programs that are compared: each trains, or only plays, with the same settings and says how fast it was.

Run by `compare.py`, one process each: `python benchmarks/contestants.py NAME '{"agent_steps": 2000, ...}'` prints one
line of JSON. The other people's programs are written anew from their descriptions, with their own wrappers and buffers.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import gymnasium as gym
import numpy as np
import torch
from gym_super_mario_bros.actions import RIGHT_ONLY  # its import registers the stages as well
from nes_py.wrappers import JoypadSpace
from torch import nn

STAGE = "SuperMarioBros-1-1-v0"
LEARNING_RATE = 2.5e-4
GAMMA = 0.9
SYNC_PERIOD_UPDATES = 500


@dataclass(frozen=True)
class Settings:
    """What is the same for all.

    agent_steps: measured ones, after `warmup_steps` without updates. capacity: transitions (for mario_rl frame slots).
    """

    agent_steps: int
    warmup_steps: int
    capacity: int
    steps_per_update: int
    batch_size: int = 32
    epsilon: float = 0.1
    seed: int = 0
    fill: bool = False  # write to all of the replay's memory first, as a long run would have done


class Stopwatch:
    """Runs from the first agent step with learning until the last."""

    def __init__(self, settings: Settings) -> None:
        self._begin_at = settings.warmup_steps + 100
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)

    def at(self, agent_steps: int) -> None:
        """Note that so many agent steps have been taken."""
        now = time.perf_counter(), agent_steps
        if self._first is None and agent_steps >= self._begin_at:
            self._first = now
        self._last = now

    @property
    def steps_per_second(self) -> float:
        assert self._first is not None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])


# --- mario_rl


def mario_rl(settings: Settings, *, bfloat16: bool = True, recipe: bool = False) -> float:
    """Run `mario_rl.training.train`: Double DQN, 8 environments; with all that the shipped recipe adds, or without."""
    from mario_rl.config import load_config, parse_config
    from mario_rl.training import Observer, Progress, train

    stopwatch = Stopwatch(settings)

    class Watch(Observer):
        def progressed(self, progress: Progress) -> None:
            stopwatch.at(progress.agent_steps)

    if settings.fill:
        session: Any = importlib.import_module("mario_rl.training.session")
        make_replay = session.make_replay

        def make_full_replay(*arguments: Any) -> Any:
            replay = make_replay(*arguments)
            for column in replay._columns().values():
                column[...] = 0
            replay._frames.load(slice(None), np.zeros((1, 84, 84), np.uint8))
            return replay

        session.make_replay = make_full_replay
    config = parse_config(
        {
            "env": {"action_set": "right_only", "noop_max": 0, "stall_limit": None, "max_agent_steps": None},
            "replay": {"capacity": settings.capacity, "warmup_steps": settings.warmup_steps},
            "agent": {
                "target": "double",
                "gamma": GAMMA,
                "n_step": 1,
                "learning_rate": LEARNING_RATE,
                "batch_size": settings.batch_size,
                "steps_per_update": settings.steps_per_update,
                "sync_period_updates": SYNC_PERIOD_UPDATES,
                "bfloat16": bfloat16,
                "epsilon": {"start": settings.epsilon, "end": settings.epsilon},
            },
            "training": {
                "agent_steps": settings.warmup_steps + settings.agent_steps,
                "checkpoint_every_steps": 10**9,
            },
            "evaluation": {"every_steps": None},
            "logging": {"trackers": [], "curve_every_seconds": 1e9},
            "seed": settings.seed,
        },
        "benchmark",
    )
    if recipe:
        shipped = load_config(Path(__file__).parents[1] / "configs" / "ddqn_right_only.yaml")
        same = {"batch_size": settings.batch_size, "steps_per_update": settings.steps_per_update}
        agent = shipped.agent.model_copy(update=same | {"epsilon": config.agent.epsilon})
        replay = shipped.replay.model_copy(
            update={"capacity": settings.capacity, "warmup_steps": settings.warmup_steps}
        )
        config = config.model_copy(
            update={"env": shipped.env, "network": shipped.network, "agent": agent, "replay": replay}
        )
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", observer=Watch())
    return stopwatch.steps_per_second


def mario_rl_environment(settings: Settings, *, grayscale: Any) -> float:
    """Play our environment at random."""
    from mario_rl.config import EnvConfig
    from mario_rl.envs import make_env

    config = EnvConfig(action_set="right_only", noop_max=0, stall_limit=None, max_agent_steps=None, grayscale=grayscale)
    return play(make_env(config), settings)


# --- Stable-Baselines3


def sb3_env() -> gym.Env[Any, Any]:
    """Make the game with the wrappers of Stable-Baselines3."""
    from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv, WarpFrame

    env: gym.Env[Any, Any] = WarpFrame(MaxAndSkipEnv(JoypadSpace(gym.make(STAGE), RIGHT_ONLY), skip=4))
    return env


def sb3(settings: Settings, *, envs: int, processes: bool = False) -> float:
    """Run its DQN (there is no Double DQN) with its own wrappers and buffer."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecTransposeImage

    stopwatch = Stopwatch(settings)

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            stopwatch.at(self.num_timesteps)
            return True

    games: Any = SubprocVecEnv([sb3_env] * envs) if processes else DummyVecEnv([sb3_env] * envs)
    model = DQN(
        "CnnPolicy",
        VecTransposeImage(VecFrameStack(games, 4)),
        learning_rate=LEARNING_RATE,
        buffer_size=settings.capacity,
        learning_starts=settings.warmup_steps,
        batch_size=settings.batch_size,
        gamma=GAMMA,
        train_freq=max(settings.steps_per_update // envs, 1),
        gradient_steps=max(envs // settings.steps_per_update, 1),
        target_update_interval=SYNC_PERIOD_UPDATES * settings.steps_per_update,
        exploration_initial_eps=settings.epsilon,
        exploration_final_eps=settings.epsilon,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
        seed=settings.seed,
        device="cpu",
    )
    if settings.fill:
        assert model.replay_buffer is not None
        model.replay_buffer.observations[...] = 0
    model.learn(settings.warmup_steps + settings.agent_steps, callback=Watch())
    games.close()
    return stopwatch.steps_per_second


# --- CleanRL's arrangement of DQN


def gymnasium_env() -> gym.Env[Any, Any]:
    """Make the game with Gymnasium's own wrappers."""
    env: gym.Env[Any, Any] = JoypadSpace(gym.make(STAGE), RIGHT_ONLY)
    env = gym.wrappers.MaxAndSkipObservation(env, skip=4)
    env = gym.wrappers.ResizeObservation(env, (84, 84))
    env = gym.wrappers.GrayscaleObservation(env)
    return gym.wrappers.FrameStackObservation(env, 4)


def nature_network() -> nn.Sequential:
    """Make the network that all contestants share: Mnih et al. 2015."""
    return nn.Sequential(
        nn.Conv2d(4, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
        nn.Linear(512, len(RIGHT_ONLY)),
    )


def cleanrl(settings: Settings) -> float:
    """Arrange DQN as CleanRL does: one environment, one loop, the buffer of Stable-Baselines3."""
    from stable_baselines3.common.buffers import ReplayBuffer

    stopwatch = Stopwatch(settings)
    envs = gym.vector.SyncVectorEnv([lambda: gym.wrappers.RecordEpisodeStatistics(gymnasium_env())])
    online, target = nature_network(), nature_network()
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=LEARNING_RATE)
    replay = ReplayBuffer(
        settings.capacity,
        envs.single_observation_space,
        envs.single_action_space,
        "cpu",
        optimize_memory_usage=True,
        handle_timeout_termination=False,
    )
    observation, _ = envs.reset(seed=settings.seed)
    for agent_step in range(1, settings.warmup_steps + settings.agent_steps + 1):
        if agent_step <= settings.warmup_steps or random.random() < settings.epsilon:
            actions = np.array([envs.single_action_space.sample()])
        else:
            with torch.no_grad():
                actions = online(torch.Tensor(observation) / 255).argmax(dim=1).numpy()
        next_observation, rewards, terminations, _, infos = envs.step(actions)
        replay.add(observation, next_observation, actions, rewards, terminations, [infos])
        observation = next_observation
        if agent_step > settings.warmup_steps and agent_step % settings.steps_per_update == 0:
            data = replay.sample(settings.batch_size)
            with torch.no_grad():
                best = target(data.next_observations / 255).max(dim=1).values
                wanted = data.rewards.flatten() + GAMMA * best * (1 - data.dones.flatten())
            values = online(data.observations / 255).gather(1, data.actions).squeeze()
            loss = nn.functional.mse_loss(wanted, values)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            if agent_step // settings.steps_per_update % SYNC_PERIOD_UPDATES == 0:
                target.load_state_dict(online.state_dict())
        stopwatch.at(agent_step)
    return stopwatch.steps_per_second


# --- the article's algorithm


class ArticleSkip(gym.Wrapper[Any, Any, Any, Any]):
    """Hold an action for 4 frames; show the maximum of the last two."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        total, seen = 0.0, []
        for _ in range(4):
            observation, reward, terminated, truncated, info = self.env.step(action)
            seen.append(observation)
            total += float(reward)
            if terminated or truncated:
                break
        return np.max(np.stack(seen[-2:]), axis=0), total, terminated, truncated, info


class ArticleObservation(gym.ObservationWrapper[Any, Any, Any]):
    """Gray, resized, cropped; a stack of 4 as float32 from 0 to 1."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Box(0, 1, (4, 84, 84), np.float32)
        self._stack = np.zeros((4, 84, 84), np.float32)

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        self._stack = np.zeros((4, 84, 84), np.float32)
        return super().reset(**arguments)

    def observation(self, observation: Any) -> Any:
        screen = observation.astype(np.float32)
        gray = screen[:, :, 0] * 0.299 + screen[:, :, 1] * 0.587 + screen[:, :, 2] * 0.114
        small = cv2.resize(gray, (84, 110), interpolation=cv2.INTER_AREA)[18:102].astype(np.uint8)
        self._stack = np.concatenate([self._stack[1:], small[None].astype(np.float32) / 255])
        return self._stack


def article(settings: Settings) -> float:
    """Learn as the article does: whole float32 states in tensors, one network, one environment."""
    stopwatch = Stopwatch(settings)
    env = ArticleObservation(ArticleSkip(JoypadSpace(gym.make(STAGE), RIGHT_ONLY)))
    online = nature_network()
    optimizer = torch.optim.Adam(online.parameters(), lr=LEARNING_RATE)
    criterion = nn.SmoothL1Loss()
    states, next_states = (torch.zeros(settings.capacity, 4, 84, 84) for _ in range(2))
    actions, rewards, dones = (torch.zeros(settings.capacity, 1) for _ in range(3))
    for agent_step, (state, action, reward, next_state, done) in enumerate(
        _transitions(env, online, settings), start=1
    ):
        place = (agent_step - 1) % settings.capacity
        states[place], next_states[place] = torch.Tensor(state), torch.Tensor(next_state)
        actions[place], rewards[place], dones[place] = float(action), reward, float(done)
        if agent_step > settings.warmup_steps and agent_step % settings.steps_per_update == 0:
            chosen = random.choices(range(min(agent_step, settings.capacity)), k=settings.batch_size)
            optimizer.zero_grad()
            best = online(next_states[chosen]).max(1).values.unsqueeze(1)
            wanted = rewards[chosen] + GAMMA * best * (1 - dones[chosen])
            values = online(states[chosen]).gather(1, actions[chosen].long())
            loss = criterion(values, wanted.detach())
            loss.backward()
            optimizer.step()
        stopwatch.at(agent_step)
        if agent_step == settings.warmup_steps + settings.agent_steps:
            break
    return stopwatch.steps_per_second


def _transitions(env: gym.Env[Any, Any], online: nn.Module, settings: Settings) -> Iterator[Any]:
    """Play on and on, epsilon-greedily."""
    for episode in count():
        state, _ = env.reset(seed=settings.seed + episode)
        done = False
        while not done:
            if random.random() < settings.epsilon:
                action = random.randrange(len(RIGHT_ONLY))
            else:
                with torch.no_grad():
                    action = int(online(torch.Tensor(state).unsqueeze(0)).argmax())
            next_state, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            yield state, action, reward, next_state, done
            state = next_state


# --- environments alone


def play(env: gym.Env[Any, Any], settings: Settings) -> float:
    """Take random agent steps, resets included."""
    rng = np.random.default_rng(settings.seed)
    env.reset(seed=settings.seed)
    began = time.perf_counter()
    for _ in range(settings.agent_steps):
        _, _, terminated, truncated, _ = env.step(int(rng.integers(len(RIGHT_ONLY))))
        if terminated or truncated:
            env.reset()
    return settings.agent_steps / (time.perf_counter() - began)


CONTESTANTS: dict[str, Callable[[Settings], float]] = {
    "mario_rl": mario_rl,
    "mario_rl, float32": lambda settings: mario_rl(settings, bfloat16=False),
    "mario_rl, shipped recipe": lambda settings: mario_rl(settings, recipe=True),
    "Stable-Baselines3, 1 environment": lambda settings: sb3(settings, envs=1),
    "Stable-Baselines3, 8 environments": lambda settings: sb3(settings, envs=8),
    "Stable-Baselines3, 8 processes": lambda settings: sb3(settings, envs=8, processes=True),
    "CleanRL's arrangement": cleanrl,
    "the article's algorithm": article,
    "environment: mario_rl, article": lambda settings: mario_rl_environment(settings, grayscale="article"),
    "environment: mario_rl, plain": lambda settings: mario_rl_environment(settings, grayscale="plain"),
    "environment: Gymnasium's wrappers": lambda settings: play(gymnasium_env(), settings),
    "environment: Stable-Baselines3's wrappers": lambda settings: play(sb3_env(), settings),
}


def main() -> None:
    """Run one contestant and print its agent steps per second."""
    settings = Settings(**json.loads(sys.argv[2]))
    random.seed(settings.seed)
    np.random.seed(settings.seed)  # noqa: NPY002  # what the buffer of Stable-Baselines3 draws from
    torch.manual_seed(settings.seed)
    print(json.dumps({"steps_per_second": CONTESTANTS[sys.argv[1]](settings)}))  # noqa: T201  # what compare.py reads


if __name__ == "__main__":  # child processes import this file as well
    main()
