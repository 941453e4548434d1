"""Classes of one's own that tests name in configs, as a user's module would have them."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import VectorObservationWrapper, VectorRewardWrapper, VectorWrapper
from torch import Tensor, nn

import mario_rl
from mario_rl.training import Observer

# --- Bodies. ---


class Small(nn.Module):
    """One convolution, with chance of its own while learning and a constant."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(frame_stack, 4, kernel_size=8, stride=8)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("middle", torch.tensor(0.25))

    def forward(self, observation: Tensor) -> Tensor:
        return self.dropout(torch.relu(self.convolution(observation - self.middle))).flatten(1)


class Indexed(Small):
    """Has a constant of whole numbers."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack)
        self.register_buffer("order", torch.arange(frame_stack).flip(0))

    def forward(self, observation: Tensor) -> Tensor:
        return super().forward(observation[:, self.order])


class Summed(Small):
    """Has weights of which the sum alone counts, so that they all have one gradient."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack)
        self.scale = nn.Parameter(torch.full((64,), 1 / 64))

    def forward(self, observation: Tensor) -> Tensor:
        return super().forward(observation) * self.scale.sum()


class Mnih(nn.Module):
    """The convolutions that the package brings."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(frame_stack, 32, kernel_size=8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3),
            nn.ReLU(),
            nn.Flatten(),
        )

    def forward(self, observation: Tensor) -> Tensor:
        return self.layers(observation)


class Image(nn.Conv2d):
    """Gives an image in place of features."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack, 2, kernel_size=8)


class Normalised(Small):
    """Keeps means of what it has seen."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack)
        self.normalise = nn.BatchNorm2d(frame_stack)

    def forward(self, observation: Tensor) -> Tensor:
        return super().forward(self.normalise(observation))


class Idle(Small):
    """Has weights that play no part."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack)
        self.idle = nn.Linear(3, 3)


class Frozen(Small):
    """Has weights that must not learn."""

    def __init__(self, frame_stack: int) -> None:
        super().__init__(frame_stack)
        self.convolution.requires_grad_(False)


class Nothing(nn.Module):
    """Takes no frames."""


# --- Rewards. ---


class EveryNumber(mario_rl.Reward):
    """Depends on all that a reward gets."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        assert before.keys() == after.keys()
        points = classic.astype(np.float32)
        for place, name in enumerate(sorted(before)):
            points = points + (place + 1) * (after[name].astype(np.float32) - before[name]) / 64
        return points


class Nought(mario_rl.Reward):
    """Gives nothing for anything."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        return np.zeros_like(classic)


class Classic(mario_rl.Reward):
    """Gives what the game gives."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        return classic


class OneForAll(mario_rl.Reward):
    """Gives one number in place of one for each game."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        return 1.0


class Endless(mario_rl.Reward):
    """Divides by nothing."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        return np.full_like(classic, np.inf)


class Writes(mario_rl.Reward):
    """Changes what it is given."""

    def __call__(self, before: Any, after: Any, classic: Any) -> Any:
        after["x_pos"][:] = 0
        return classic


class Unwritten(mario_rl.Reward):
    """Has nothing of its own."""


# --- Wrappers. ---


class Inverted(VectorObservationWrapper):
    """Shows the negative."""

    def observations(self, observations: Any) -> Any:
        return 255 - observations


class Doubled(VectorRewardWrapper):
    """Doubles the reward."""

    def rewards(self, reward: Any) -> Any:
        return 2 * reward


class Counting(VectorWrapper):
    """Rewards each agent step with its number in the episode, and shows it in a corner."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.steps = np.zeros(self.num_envs, dtype=np.int64)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        observations, infos = self.env.reset(seed=seed, options=options)
        self.steps[options["reset_mask"]] = 0
        return self.shown(observations), infos

    def step(self, actions: Any) -> Any:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self.steps += 1
        return self.shown(observations), rewards + self.steps, terminated, truncated, infos

    def shown(self, observations: Any) -> Any:
        observations[:, -1, 0, 0] = self.steps
        return observations

    def get_state(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def set_state(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"].copy()


class Unsaveable(Counting):
    """Keeps what no checkpoint can."""

    def get_state(self) -> dict[str, Any]:
        return {"generator": np.random.default_rng(0)}


class HalfSaved(VectorWrapper):
    """Saves, and does not restore."""

    def get_state(self) -> dict[str, Any]:
        return {}


class FewerActions(VectorWrapper):
    """Takes actions away."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.single_action_space = Discrete(2)


class Smaller(VectorWrapper):
    """Shows less, and says so."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.single_observation_space = Box(0, 255, (4, 42, 42), np.uint8)


class Floats(VectorObservationWrapper):
    """Shows floats, and does not say so."""

    def observations(self, observations: Any) -> Any:
        return observations / 255.0


class Immortal(VectorWrapper):
    """Hides that episodes end."""

    def step(self, actions: Any) -> Any:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        return observations, rewards, terminated & False, truncated & False, infos


class Failing(VectorWrapper):
    """Fails at a step."""

    def step(self, actions: Any) -> Any:
        raise KeyError("no such thing")


# --- Observers. ---


class Diary(Observer):
    """Writes down all that it hears of, by name and agent steps."""

    def started(self, config: Any, run_dir: Any, agent_steps: int) -> None:
        self.file = run_dir / "diary.txt"
        self.write(f"started {agent_steps}")

    def progressed(self, progress: Any) -> None:
        self.write(f"progressed {progress.agent_steps}")

    def episode_ended(self, row: Any) -> None:
        self.write(f"episode_ended {row['agent_steps']}")

    def measured(self, row: Any) -> None:
        self.write(f"measured {row['agent_steps']}")

    def evaluating(self, episode: Any, total: int) -> None:
        self.write(f"evaluating {total}")

    def evaluated(self, report: Any, agent_steps: int, *, best: bool) -> None:
        self.write(f"evaluated {agent_steps}")

    def saved(self, path: Any, agent_steps: int) -> None:
        self.write(f"saved {agent_steps}")

    def ended(self) -> None:
        self.write("ended")

    def write(self, line: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{line}\n")


class Stops(Observer):
    """Interrupts the run at its 60th agent step, as Ctrl-C would."""

    def progressed(self, progress: Any) -> None:
        if progress.agent_steps == 60:
            os.kill(os.getpid(), signal.SIGINT)


class FailsAtAnEpisode(Diary):
    def episode_ended(self, row: Any) -> None:
        raise ZeroDivisionError("division by zero")


class FailsAtTheEnd(Observer):
    def ended(self) -> None:
        raise OSError("the pen is empty")


class NeedsMore(Observer):
    def __init__(self, more: int) -> None:
        self.more = more
