"""The agent: act, learn from a batch, keep the target network, save and restore. DQN and Double DQN are both this."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from mario_rl.agents.beside import Beside
from mario_rl.agents.compiled import to_blocks
from mario_rl.agents.networks import build_network, to_pixels
from mario_rl.agents.optimizer import Adam, Rates
from mario_rl.agents.policy import BlocksPolicy, NetworkPolicy
from mario_rl.agents.recorded import RecordedUpdate
from mario_rl.agents.schedules import linear, multiplicative
from mario_rl.agents.update import Inputs, Networks, next_value, step
from mario_rl.agents.weights import Computing, FlatWeights
from mario_rl.config import AgentConfig, NetworkConfig
from mario_rl.devices import number_of_updates
from mario_rl.tensors import draw_shifts, require_like
from mario_rl.types import Batch, State


class LearnStats(NamedTuple):
    """What one update measured, on the agent's device.

    loss: of the batch, Huber's and that of the margin. mean_q: mean over the batch of the best action's value.
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
        demonstrated: whether batches may have demonstrations in them, to which `agent.margin` applies.
        cores: processors to keep busy where that is the CPU; None for all that may be used. The result is the same.

    Raises:
        ConfigError: `network.body` can't be used, see `build_network`.
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
        demonstrated: bool = False,
        cores: int | None = None,
    ) -> None:
        self.config = config
        self.device = device
        self._margin_weight = config.margin_weight if demonstrated else 0.0
        self.online = build_network(network, num_actions=num_actions, frame_stack=frame_stack, seed=seed).to(device)
        self._to_input = to_pixels if self.online.takes_pixels else to_blocks
        # Without a target network the online one stands in for it; the `none` target never asks.
        self.target = (
            self.online if config.target == "none" else copy.deepcopy(self.online).eval().requires_grad_(False)
        )
        # What is evaluated: every update moves the online network enough to upset some of its choices, its mean stays.
        self.averaged = self.online if config.averaging is None else copy.deepcopy(self.online).requires_grad_(False)
        self._beside = Beside(cores, device)
        self._number = number_of_updates(config.bfloat16, device)
        online = FlatWeights(self.online)
        self._computing = [Computing(online, self._number)]
        target = None
        if self.target is not self.online:
            target = FlatWeights(self.target)
            self._computing.append(Computing(target, self._number))
        self.optimizer = Adam(
            (online, self._computing[0]),
            None if target is None else (target, self._computing[1]),
            None if self.averaged is self.online else FlatWeights(self.averaged),
            epsilon=config.adam_epsilon,
            gradient_clip=config.gradient_clip,
            beside=self._beside,
        )
        evaluating = [one.evaluating() for one in self._computing]
        self._networks = Networks(
            learning=self._computing[0].network.train().quantiles,
            online=evaluating[0].quantiles,
            target=evaluating[-1].quantiles,
        )
        # In the numbers of the updates: what is tried out while learning need not be valued to the last digit.
        self.acting_policy = BlocksPolicy(evaluating[0], device, self._number, self._to_input)
        self.averaged_policy = NetworkPolicy(self.averaged, device)
        self.updates = 0
        self._recorded = RecordedUpdate(self._update, device) if device.type == "cuda" else None
        self.play_back = True
        """Whether updates on a CUDA device are recorded and played back; benchmarks compare."""

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
        self.optimizer.set_rates(self._rates())
        if self._recorded is None or not self.play_back:
            there = Batch(*(part.to(self.device, non_blocking=True) for part in batch))
            stats = self._beside.whole(lambda: self._update(there))
        else:
            stats = self._recorded(batch)
        self.updates += 1
        return stats

    def _update(self, batch: Batch) -> LearnStats:
        """Compute an update from a batch on the device."""
        # All that is random is drawn here, whichever core does the rest.
        shift, next_shift = self._draw_shifts(len(batch.action)), self._draw_shifts(len(batch.action))
        valued = self._beside.begin(
            lambda: next_value(
                self._networks, self._to_input(batch.next_observation, next_shift, self._number), self.config.target
            )
        )
        inputs = Inputs(
            observation=self._to_input(batch.observation, shift, self._number),
            action=batch.action,
            n_step_return=batch.n_step_return,
            terminated=batch.terminated,
            discount=batch.discount,
            weight=batch.weight,
            demonstration=batch.demonstration,
        )
        learned = step(
            self._networks,
            self._computing[0].parameters,
            inputs,
            valued,
            advantage_learning=self.config.advantage_learning,
            margin=self.config.margin,
            margin_weight=self._margin_weight,
        )
        gradient_norm = self.optimizer.move(learned.gradients)
        return LearnStats(learned.loss, learned.mean_q, gradient_norm, learned.td_error)

    def _rates(self) -> Rates:
        """How far the weights go in the next update."""
        config, number = self.config, self.updates + 1
        target_share = config.soft_update
        if target_share is None:
            target_share = 0.0 if number % config.sync_period_updates else 1.0
        # The plain mean of all its weights until they are many.
        averaged_share = 0.0 if config.averaging is None else max(config.averaging, 1 / number)
        return Rates(self.learning_rate, target_share, averaged_share)

    def begin_with(self, weights: State) -> None:
        """Take over another agent's network in place of random weights, before the first update.

        Raises:
            ValueError: they are of another network.
        """
        require_like(weights, self.online.state_dict(), "network")
        for network in (self.online, self.target, self.averaged):
            network.load_state_dict(weights)
        self._compute_with()

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
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: it is of another agent, or no such state; nothing is changed.
        """
        needed = self.state_dict()
        for name in ("online", "target", "averaged", "updates"):
            require_like(state.get(name), needed[name], name)
        self.optimizer.require(state.get("optimizer"), updates=state["updates"])
        self.online.load_state_dict(state["online"])
        if self.config.target != "none":
            self.target.load_state_dict(state["target"])
        if self.config.averaging is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]
        self._compute_with()

    def _compute_with(self) -> None:
        """Compute with weights that were loaded."""
        for computing in self._computing:
            computing.follow()

    def _draw_shifts(self, batch_size: int) -> Tensor | None:
        most = self.config.random_shift
        return draw_shifts(batch_size, most, self.device) if most else None
