"""Replay and agent together learn a four-cell corridor, to values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_step import one_step

from mario_rl.agents import QAgent
from mario_rl.config import AgentConfig, NetworkConfig
from mario_rl.replay import ReplayBuffer
from mario_rl.types import Pixels

LEFT, RIGHT, STAY = 0, 1, 2
GOAL = 3
GAMMA = 0.5


def picture(cell: int) -> Pixels:
    """A frame whose cell-th quarter is white; the stack is one frame deep."""
    frame = np.zeros((84, 84), dtype=np.uint8)
    frame[:, 21 * cell : 21 * (cell + 1)] = 255
    return frame


def fill(replay: ReplayBuffer, transitions: int) -> None:
    """Wander at random: one point for reaching the goal, which ends the episode."""
    generator = np.random.default_rng(0)
    cell = 0
    for _ in range(transitions):
        action = int(generator.integers(3))
        after = max(cell - 1, 0) if action == LEFT else cell + (action == RIGHT)
        reached = after == GOAL
        steps = one_step(picture(cell), picture(after), action=action, reward=float(reached), terminated=reached)
        replay.add(steps)
        cell = 0 if reached else after


@pytest.mark.parametrize("target", ["none", "target", "double"])
def test_the_values_of_going_right_become_powers_of_gamma(target):
    replay = ReplayBuffer(500, num_envs=1, frame_stack=1, n_step=1, gamma=GAMMA, rng=np.random.default_rng(1))
    fill(replay, 500)
    agent = QAgent(
        AgentConfig(
            target=target, gamma=GAMMA, n_step=1, learning_rate=1e-3, sync_period_updates=20, gradient_clip=None
        ),
        NetworkConfig(hidden_size=32),
        num_actions=3,
        frame_stack=1,
        seed=2,
        device=torch.device("cpu"),
    )
    for _ in range(200):
        agent.learn(replay.sample(16))
    q_values = agent.acting_policy.q_values(np.stack([picture(cell)[None] for cell in range(GOAL)]))
    assert (q_values.argmax(axis=1) == RIGHT).all()
    # Two steps from the reward after the first, one, none: 0.5^2, 0.5^1, 0.5^0.
    assert q_values[:, RIGHT] == pytest.approx([0.25, 0.5, 1.0], abs=0.08)
    assert q_values[:, STAY] == pytest.approx([0.125, 0.25, 0.5], abs=0.08)
