"""The agent: act, learn from a batch, keep the target network, save and restore. DQN and Double DQN are both this."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mario_rl.agents.blocks import to_blocks
from mario_rl.agents.losses import NEXT_VALUE, action_gap, bootstrapped_target, huber_loss, of_action, td_error
from mario_rl.agents.networks import QNetwork, build_network
from mario_rl.agents.policy import NetworkPolicy
from mario_rl.agents.schedules import linear, multiplicative
from mario_rl.config import AgentConfig, NetworkConfig
from mario_rl.tensors import draw_shifts
from mario_rl.types import Batch, State


class LearnStats(NamedTuple):
    """What one update measured, on the agent's device.

    loss: Huber loss of the batch. mean_q: mean over the batch of the best action's value.
    gradient_norm: before clipping. td_error: of each transition of the batch, float32 (B,); the others are scalars.
    """

    loss: Tensor
    mean_q: Tensor
    gradient_norm: Tensor
    td_error: Tensor


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
        # What is evaluated: every update moves the online network enough to upset some of its choices, its mean stays.
        self.averaged = self.online if config.averaging is None else copy.deepcopy(self.online).requires_grad_(False)
        self.optimizer = torch.optim.Adam(
            self.online.parameters(), lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )
        self.policy = NetworkPolicy(self.online, device)
        self.averaged_policy = NetworkPolicy(self.averaged, device)
        self.updates = 0

    def epsilon(self, *, agent_steps: int, episodes: int) -> float:
        """How often to explore, at this moment of training."""
        epsilon = self.config.epsilon
        if epsilon.schedule == "linear":
            return linear(epsilon.start, epsilon.end, decay_steps=epsilon.decay_steps, steps=agent_steps)
        count = episodes if epsilon.schedule == "per_episode" else self.updates
        return multiplicative(epsilon.start, epsilon.end, factor=epsilon.decay_factor, count=count)

    @property
    def learning_rate(self) -> float:
        """Adam's step size at this moment of training."""
        config = self.config
        if config.learning_rate_end is None:
            return config.learning_rate
        falling = max(0, self.updates - config.decay_start_updates)
        return linear(config.learning_rate, config.learning_rate_end, decay_steps=config.decay_updates, steps=falling)

    @property
    def finite(self) -> bool:
        """Whether all weights are finite numbers; waits for the device."""
        parameters = [one for network in (self.online, self.averaged) for one in network.parameters()]
        return bool(torch.stack([one.detach().isfinite().all() for one in parameters]).all())

    def learn(self, batch: Batch) -> LearnStats:
        """Make one update from a batch of uint8 stacks and keep the target network up to date."""
        batch = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
        observation, next_observation = self._to_blocks(batch.observation), self._to_blocks(batch.next_observation)
        alpha = self.config.advantage_learning
        with self._autocast():
            self.online.train()
            q_BAN = self.online.quantiles_of_blocks(observation)
            # Second, because autocast keeps the weights it has cast, and those cast without gradients can't learn.
            self.online.eval()
            with torch.no_grad():
                next_value_BN = NEXT_VALUE[self.config.target](
                    self.online.quantiles_of_blocks, self.target.quantiles_of_blocks, next_observation
                )
        gap_B = action_gap(q_BAN.detach(), batch.action) if alpha else 0.0
        target_BN = bootstrapped_target(
            n_step_return_B=batch.n_step_return - alpha * gap_B,
            discount_B=batch.discount,
            terminated_B=batch.terminated,
            next_value_BN=next_value_BN,
        )
        taken_BN = of_action(q_BAN, batch.action)
        loss = huber_loss(taken_BN, target_BN, batch.weight)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        limit = float("inf") if self.config.gradient_clip is None else self.config.gradient_clip
        gradient_norm = nn.utils.clip_grad_norm_(self.online.parameters(), limit)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.step()
        self.updates += 1
        self._sync()
        self._average()
        mean_q = q_BAN.detach().float().mean(dim=2).amax(dim=1).mean()
        return LearnStats(loss.detach(), mean_q, gradient_norm, td_error(taken_BN.detach(), target_BN))

    def begin_with(self, weights: State) -> None:
        """Take over another agent's network in place of random weights, before the first update.

        Raises:
            RuntimeError: they are of another network.
        """
        for network in (self.online, self.target, self.averaged):
            network.load_state_dict(weights)

    def state_dict(self) -> State:
        """Everything learning depends on: weights, target and averaged weights, optimiser, updates made."""
        return {
            "online": self.online.state_dict(),
            "target": None if self.config.target == "none" else self.target.state_dict(),
            "averaged": None if self.config.averaging is None else self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned."""
        self.online.load_state_dict(state["online"])
        if self.config.target != "none":
            self.target.load_state_dict(state["target"])
        if self.config.averaging is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bfloat16)

    def _to_blocks(self, observation: Tensor) -> Tensor:
        most = self.config.random_shift
        shift_2B = draw_shifts(len(observation), most, self.device) if most else None
        # In the type that autocast would make of it: once, not once per network.
        return to_blocks(observation, shift_2B, torch.bfloat16 if self.config.bfloat16 else torch.float32)

    def _sync(self) -> None:
        if self.config.target == "none":
            return
        if self.config.soft_update is not None:
            mix_in(self.online, self.target, self.config.soft_update)
        elif self.updates % self.config.sync_period_updates == 0:
            self.target.load_state_dict(self.online.state_dict())

    def _average(self) -> None:
        """Mix the online network into the average: the plain mean of all its weights until they are many."""
        if self.config.averaging is not None:
            mix_in(self.online, self.averaged, max(self.config.averaging, 1 / self.updates))


@torch.no_grad()
def mix_in(source: QNetwork, into: QNetwork, share: float) -> None:
    """Let the weights of `into` be (1 - share) of themselves and share of the source's."""
    torch._foreach_lerp_(list(into.parameters()), list(source.parameters()), share)
