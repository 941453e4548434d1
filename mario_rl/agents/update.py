"""One update as a pure step: networks and a batch in, loss, errors and gradients out; nothing is changed by it.

The same on every device; `agent.py` says what is then done with the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mario_rl.agents.losses import (
    NEXT_VALUE,
    QFunction,
    action_gap,
    bootstrapped_target,
    huber_loss,
    margin_loss,
    of_action,
    td_error,
)
from mario_rl.config import Target


class Networks(NamedTuple):
    """Q-functions as the step asks them, over blocks (B, 16 * stack, 21, 21), see `mario_rl.agents.compiled`.

    With a body of one's own, over pixels (B, stack, 84, 84).

    learning: the online network, its hidden units dropped where dropout is on; it is differentiated.
    online: the same weights, nothing dropped.
    target: the target network; the online one where there is none.
    """

    learning: QFunction
    online: QFunction
    target: QFunction


class Inputs(NamedTuple):
    """A batch on the device of the networks; see `Batch` for the rest.

    observation, next_observation: blocks, or pixels, in the networks' numbers.
    """

    observation: Tensor
    action: Tensor
    n_step_return: Tensor
    terminated: Tensor
    discount: Tensor
    weight: Tensor
    demonstration: Tensor


class Learned(NamedTuple):
    """What a step found.

    loss, mean_q: float32 scalars; the first with the margin's, the second is the mean over the batch of the best
        action's value.
    td_error: float32 (B,).
    gradients: of the loss by each of the weights, in their shapes and numbers.
    """

    loss: Tensor
    mean_q: Tensor
    td_error: Tensor
    gradients: tuple[Tensor, ...]


@torch.no_grad()
def next_value(networks: Networks, next_observation: Tensor, target: Target) -> Tensor:
    """Value what was seen next, as `agent.target` says: (B, N)."""
    return NEXT_VALUE[target](networks.online, networks.target, next_observation)


def step(
    networks: Networks,
    weights: Sequence[Tensor],
    inputs: Inputs,
    next_value_BN: Callable[[], Tensor],
    *,
    advantage_learning: float,
    margin: float = 0.0,
    margin_weight: float = 0.0,
) -> Learned:
    """Find the loss of a batch and its gradients.

    Args:
        networks: as above.
        weights: those of `networks.learning`.
        inputs: the batch.
        next_value_BN: what `next_value` returned; asked for after the first pass, so that another core may see to it.
        advantage_learning: the share of the action gap taken off the target.
        margin: by which demonstrated actions should be worth more than others.
        margin_weight: of the loss where they are not; 0 for none.
    """
    q_BAN = networks.learning(inputs.observation)
    gap_B = action_gap(q_BAN.detach(), inputs.action) if advantage_learning else 0.0
    target_BN = bootstrapped_target(
        n_step_return_B=inputs.n_step_return - advantage_learning * gap_B,
        discount_B=inputs.discount,
        terminated_B=inputs.terminated,
        next_value_BN=next_value_BN(),
    )
    taken_BN = of_action(q_BAN, inputs.action)
    loss = huber_loss(taken_BN, target_BN, inputs.weight)
    if margin_weight:
        missed = margin_loss(q_BAN, inputs.action, inputs.demonstration, inputs.weight, margin=margin)
        loss = loss + margin_weight * missed
    gradients = torch.autograd.grad(loss, tuple(weights))
    mean_q = q_BAN.detach().float().mean(dim=2).amax(dim=1).mean()
    return Learned(loss.detach(), mean_q, td_error(taken_BN.detach(), target_BN), gradients)
