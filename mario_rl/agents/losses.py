"""The mathematics of the agents on one page: what the next state is worth, the target, the loss.

B = batch, A = actions, N = quantiles of an action's return; N is 1 where only its mean is learned, as in DQN, and what
is written below for N quantiles is then the ordinary formula. A Q-function maps observations (B, ...) to (B, A, N), and
an action's value is the mean of its N.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mario_rl.config import Target

type QFunction = Callable[[Tensor], Tensor]
type NextValue = Callable[[QFunction, QFunction, Tensor], Tensor]


def online_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """max_a Q_online(s', a): no target network; the article's DQN. Returns (B, N)."""
    q_BAN = online(next_observation)
    return of_action(q_BAN, best_action(q_BAN))


def target_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """max_a Q_target(s', a): DQN with a target network (Mnih et al. 2015); the article's "DDQN". Returns (B, N)."""
    q_BAN = target(next_observation)
    return of_action(q_BAN, best_action(q_BAN))


def double_value(online: QFunction, target: QFunction, next_observation: Tensor) -> Tensor:
    """Q_target(s', argmax_a Q_online(s', a)): Double DQN (van Hasselt et al. 2016, equation 4). Returns (B, N)."""
    return of_action(target(next_observation), best_action(online(next_observation)))


NEXT_VALUE: dict[Target, NextValue] = {"none": online_value, "target": target_value, "double": double_value}
"""The agents differ in this alone: `agent.target` picks one."""


def best_action(q_BAN: Tensor) -> Tensor:
    """argmax_a Q(s, a); int64 (B,)."""
    return q_BAN.mean(dim=2).argmax(dim=1)


def of_action(q_BAN: Tensor, action_B: Tensor) -> Tensor:
    """Q(s, a) of one action each; (B, N)."""
    return q_BAN[torch.arange(len(q_BAN), device=q_BAN.device), action_B]


def bootstrapped_target(
    *, n_step_return_B: Tensor, discount_B: Tensor, terminated_B: Tensor, next_value_BN: Tensor
) -> Tensor:
    """Add what follows to the rewards seen: R + gamma^m * V(s'), and nothing where the game ended.

    A truncated episode is not terminated, so its last frame bootstraps (Pardo et al. 2018). Returns float32 (B, N).
    """
    following_BN = next_value_BN.float().masked_fill(terminated_B.unsqueeze(1), 0.0)
    return n_step_return_B.unsqueeze(1) + discount_B.unsqueeze(1) * following_BN


def action_gap(q_BAN: Tensor, action_B: Tensor) -> Tensor:
    """max_a Q(s, a) - Q(s, a_taken), never negative; float32 (B,).

    Advantage learning takes a share alpha of it off the target, so that actions that are not the best are valued lower
    and the greedy choice is less easily upset (Bellemare et al. 2016, equation 10; of the online network here, whose
    values of s are there already, where they take the target network's).
    """
    q_BA = q_BAN.float().mean(dim=2)
    return q_BA.amax(dim=1) - q_BA.gather(1, action_B.unsqueeze(1)).squeeze(1)


def td_error(taken_BN: Tensor, target_BN: Tensor) -> Tensor:
    """How far the taken actions' values are above the target; float32 (B,)."""
    return taken_BN.float().mean(dim=1) - target_BN.mean(dim=1)


def huber_loss(taken_BN: Tensor, target_BN: Tensor, weight_B: Tensor) -> Tensor:
    """Weighted Huber loss with delta 1 of the taken actions' values, averaged over the batch; a float32 scalar.

    One surprising death should not dominate the batch: the same effect as the error clipping of Mnih et al. 2015.
    With N quantiles, the quantile Huber loss between each of them and each of the target's (Dabney et al. 2018,
    equation 10): mistakes in one direction count 2 tau_i, in the other 2 (1 - tau_i). With one, both count 1.
    """
    quantiles = taken_BN.shape[1]
    taken_BNN = taken_BN.float().unsqueeze(2).expand(-1, -1, quantiles)
    target_BNN = target_BN.unsqueeze(1).expand(-1, quantiles, -1)
    tau_N1 = (torch.arange(quantiles, device=taken_BN.device).unsqueeze(1) + 0.5) / quantiles
    asymmetry_BNN = 2 * torch.where(target_BNN < taken_BNN, 1 - tau_N1, tau_N1)
    loss_BNN = asymmetry_BNN * torch.nn.functional.huber_loss(taken_BNN, target_BNN, reduction="none")
    return (weight_B * loss_BNN.mean(dim=(1, 2))).mean()


def margin_loss(q_BAN: Tensor, action_B: Tensor, demonstration_B: Tensor, weight_B: Tensor, *, margin: float) -> Tensor:
    """The large-margin loss of demonstrated actions, averaged over the batch; a float32 scalar.

    max_a [Q(s, a) + l(a)] - Q(s, a_taken), where l(a) is `margin` for every action but the one taken, which has 0: it
    is 0 once the demonstrated action is worth that much more than all others (Hester et al. 2018, equation 4; Piot et
    al. 2014). So actions that no demonstration has tried are not valued too highly. Of other transitions it is 0.
    """
    q_BA = q_BAN.float().mean(dim=2)
    taken_B1 = action_B.unsqueeze(1)
    with_margin_BA = (q_BA + margin).scatter(1, taken_B1, q_BA.gather(1, taken_B1))
    loss_B = with_margin_BA.amax(dim=1) - q_BA.gather(1, taken_B1).squeeze(1)
    return (weight_B * loss_B * demonstration_B).mean()
