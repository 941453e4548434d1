"""The agent: act, learn from a batch, keep the target network, save and restore. DQN and Double DQN are both this."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mario_rl.agents.losses import NEXT_VALUE, bootstrapped_target, huber_loss
from mario_rl.agents.policy import NetworkPolicy
from mario_rl.config import AgentConfig, NetworkConfig
from mario_rl.networks import QNetwork, build_network
from mario_rl.pixels import tensor_to_unit
from mario_rl.schedules import linear, multiplicative
from mario_rl.types import Batch, State


class LearnStats(NamedTuple):
    """What one update measured: scalars on the agent's device.

    loss: Huber loss of the batch. mean_q: mean over the batch of the best action's value.
    gradient_norm: before clipping.
    """

    loss: Tensor
    mean_q: Tensor
    gradient_norm: Tensor


class QAgent:
    """An epsilon-greedy agent over a Q-network, learning by the target that `agent.target` names.

    Args:
        config: how it learns.
        network: what the network looks like.
        num_actions: size of the action set.
        frame_stack: frames in one observation.
        seed: of the initial weights.
        device: where the networks live and learn.
    """

    def __init__(
        self,
        config: AgentConfig,
        network: NetworkConfig,
        *,
        num_actions: int,
        frame_stack: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.device = device
        self.online = build_network(network, num_actions=num_actions, frame_stack=frame_stack, seed=seed).to(device)
        if device.type == "cpu" and not config.bfloat16:
            # In this order of numbers float32 convolutions learn faster on processors; bfloat16 ones don't.
            self.online = self.online.to(memory_format=torch.channels_last)
        # Without a target network the online one stands in for it; the `none` target never asks.
        self.target = (
            self.online if config.target == "none" else copy.deepcopy(self.online).eval().requires_grad_(False)
        )
        self.optimizer = torch.optim.Adam(
            self.online.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.policy = NetworkPolicy(self.online, device)
        self.updates = 0

    def epsilon(self, *, agent_steps: int, episodes: int) -> float:
        """How often to explore, at this moment of training."""
        epsilon = self.config.epsilon
        if epsilon.schedule == "linear":
            return linear(epsilon.start, epsilon.end, decay_steps=epsilon.decay_steps, steps=agent_steps)
        count = episodes if epsilon.schedule == "per_episode" else self.updates
        return multiplicative(epsilon.start, epsilon.end, factor=epsilon.decay_factor, count=count)

    def learn(self, batch: Batch) -> LearnStats:
        """Make one update from a batch of uint8 stacks and keep the target network up to date."""
        batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
        with self._autocast():
            self.online.train()
            q_BA = self.online(self._to_unit(batch.observation))
            # Second, because autocast keeps the weights it has cast, and those cast without gradients can't learn.
            self.online.eval()
            with torch.no_grad():
                next_value_B = NEXT_VALUE[self.config.target](
                    self.online, self.target, self._to_unit(batch.next_observation)
                )
        target_B = bootstrapped_target(
            n_step_return_B=batch.n_step_return,
            discount_B=batch.discount,
            terminated_B=batch.terminated,
            next_value_B=next_value_B,
        )
        loss = huber_loss(q_BA, batch.action, target_B)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        limit = float("inf") if self.config.gradient_clip is None else self.config.gradient_clip
        gradient_norm = nn.utils.clip_grad_norm_(self.online.parameters(), limit)
        self.optimizer.step()
        self.updates += 1
        self._sync()
        return LearnStats(loss.detach(), q_BA.detach().float().amax(dim=1).mean(), gradient_norm)

    def state_dict(self) -> State:
        """Everything learning depends on: weights, target weights, optimiser, updates made."""
        return {
            "online": self.online.state_dict(),
            "target": None if self.config.target == "none" else self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned."""
        self.online.load_state_dict(state["online"])
        if self.config.target != "none":
            self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16)

    def _to_unit(self, pixels: Tensor) -> Tensor:
        # In the type that autocast would make of it: once, not once per network.
        return tensor_to_unit(pixels, torch.bfloat16 if self.config.bfloat16 else torch.float32)

    @torch.no_grad()
    def _sync(self) -> None:
        if self.config.target == "none":
            return
        if self.config.soft_update is not None:
            kept: list[Tensor] = list(self.target.parameters())
            learned: list[Tensor] = list(self.online.parameters())
            torch._foreach_lerp_(kept, learned, self.config.soft_update)
        elif self.updates % self.config.sync_period_updates == 0:
            self.target.load_state_dict(self.online.state_dict())


def load_policy(
    network: NetworkConfig, weights: State, *, num_actions: int, frame_stack: int, device: torch.device
) -> NetworkPolicy:
    """Rebuild the policy of a checkpoint from its online network's weights.

    Raises:
        RuntimeError: they are of another network.
    """
    online: QNetwork = build_network(network, num_actions=num_actions, frame_stack=frame_stack, seed=0)
    online.load_state_dict(weights)
    return NetworkPolicy(online.to(device), device)
