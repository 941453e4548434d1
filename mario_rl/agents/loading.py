"""A policy from the weights of a checkpoint."""

from __future__ import annotations

import torch

from mario_rl.agents.networks import QNetwork, build_network
from mario_rl.agents.policy import NetworkPolicy
from mario_rl.config import NetworkConfig
from mario_rl.tensors import require_like
from mario_rl.types import State


def load_policy(
    network: NetworkConfig, weights: State, *, num_actions: int, frame_stack: int, device: torch.device
) -> NetworkPolicy:
    """Rebuild the policy of a checkpoint from the weights it keeps: of the online network, or their mean.

    Raises:
        ValueError: they are of another network; names the first tensor that differs.
    """
    online: QNetwork = build_network(network, num_actions=num_actions, frame_stack=frame_stack, seed=0)
    require_like(weights, online.state_dict(), "network", any_float=True)
    online.load_state_dict(weights)
    return NetworkPolicy(online.to(device), device)
