"""The mathematics of the agents on one page: what the next state is worth, the target, the loss.

B = batch, A = actions. A Q-function maps observations (B, ...) to values (B, A).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mario_rl.config import Target

type QFunction = Callable[[Tensor], Tensor]
type NextValue = Callable[[QFunction, QFunction, Tensor], Tensor]


def online_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """max_a Q_online(s', a): no target network; the article's DQN. Returns (B,)."""
    return online(next_observation).amax(dim=1)


def target_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """max_a Q_target(s', a): DQN with a target network (Mnih et al. 2015); the article's "DDQN". Returns (B,)."""
    return target(next_observation).amax(dim=1)


def double_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """Q_target(s', argmax_a Q_online(s', a)): Double DQN (van Hasselt et al. 2016, equation 4). Returns (B,)."""
    choice_B1 = online(next_observation).argmax(dim=1, keepdim=True)
    return target(next_observation).gather(1, choice_B1).squeeze(1)


NEXT_VALUE: dict[Target, NextValue] = {"none": online_value, "target": target_value, "double": double_value}
"""The agents differ in this alone: `agent.target` picks one."""


def bootstrapped_target(
    *, n_step_return_B: Tensor, discount_B: Tensor, terminated_B: Tensor, next_value_B: Tensor
) -> Tensor:
    """Add what follows to the rewards seen: R + gamma^m * V(s'), and nothing where the game ended.

    A truncated episode is not terminated, so its last frame bootstraps (Pardo et al. 2018). Returns float32 (B,).
    """
    return n_step_return_B + discount_B * next_value_B.float().masked_fill(terminated_B, 0.0)


def huber_loss(q_BA: Tensor, action_B: Tensor, target_B: Tensor) -> Tensor:
    """Huber loss with delta 1 of the taken actions' values, averaged over the batch; a float32 scalar.

    One surprising death should not dominate the batch: the same effect as the error clipping of Mnih et al. 2015.
    """
    taken_B = q_BA.float().gather(1, action_B.unsqueeze(1)).squeeze(1)
    return torch.nn.functional.huber_loss(taken_B, target_B, delta=1.0)
