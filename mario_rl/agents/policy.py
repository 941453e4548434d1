"""From observations to actions: a network that values them, and epsilon-greedy choice among the values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mario_rl.agents.beside import Beside
from mario_rl.agents.compiled import to_blocks
from mario_rl.agents.networks import QNetwork
from mario_rl.devices import one_thread
from mario_rl.tensors import tensor_to_unit
from mario_rl.types import Pixels

BATCH = 16
"""Observations that are valued together; on one thread of a CPU more are hardly faster."""


class ActingPolicy(ABC):
    """A network that acts, epsilon-greedily."""

    def __init__(self, network: QNetwork, device: torch.device) -> None:
        self.network = network
        self.device = device

    @abstractmethod
    def q_values(self, observations: Pixels) -> NDArray[np.float32]:
        """Value each action: uint8 (N, stack, 84, 84) to float32 (N, actions)."""

    def act(
        self, observations: Pixels, *, epsilon: float | NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose an action for each of N observations, uint8 (N, stack, 84, 84); epsilon may be one for each (N,)."""
        if np.min(epsilon) >= 1.0:  # the values would not be looked at
            values = np.zeros((len(observations), self.network.num_actions), dtype=np.float32)
        else:
            values = self.q_values(observations)
        return epsilon_greedy(values, epsilon, generator)


class NetworkPolicy(ActingPolicy):
    """Value observations with a network, in float32 and without dropout, whatever it learns under.

    Whoever asks gets the same values on every machine of a kind: each of its threads has one of PyTorch's.
    """

    def __init__(self, network: QNetwork, device: torch.device) -> None:
        super().__init__(network, device)
        self._beside = Beside(None, device)

    @one_thread()
    def q_values(self, observations: Pixels) -> NDArray[np.float32]:
        """Value each action: uint8 (N, stack, 84, 84) to float32 (N, actions).

        What is given is filled up to whole batches of BATCH: sums come out in another order in a batch of another size,
        and the values of an observation should not depend on what else is asked for at the same time.
        """
        missing = -len(observations) % BATCH
        if missing:
            filling = np.zeros((missing, *observations.shape[1:]), dtype=np.uint8)
            whole = np.concatenate([observations, filling])
        else:
            whole = observations
        self.network.eval()
        batches = torch.functional.split(torch.from_numpy(whole), BATCH)
        halves = batches[: len(batches) // 2], batches[len(batches) // 2 :]
        if len(batches) > 1:
            first, second = self._beside.both(lambda half: self._values(halves[half]))
            values = first + second
        else:
            values = self._values(batches)
        kept: NDArray[np.float32] = torch.cat(values)[: len(observations)].cpu().numpy()
        return kept

    def _values(self, batches: Sequence[Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            return [self.network(tensor_to_unit(batch.to(self.device))) for batch in batches]


class BlocksPolicy(ActingPolicy):
    """Value observations with a network over blocks, as updates do: a third of the time, and less exact in bfloat16.

    Args:
        network: over blocks, in eval mode.
        device: where it is.
        dtype: its numbers.
        to_input: makes of uint8 observations what it takes: `to_blocks`, or `to_pixels` where it `takes_pixels`.
    """

    def __init__(
        self,
        network: QNetwork,
        device: torch.device,
        dtype: torch.dtype,
        to_input: Callable[[Tensor, Tensor | None, torch.dtype], Tensor] = to_blocks,
    ) -> None:
        super().__init__(network, device)
        self._dtype, self._to_input = dtype, to_input

    def q_values(self, observations: Pixels) -> NDArray[np.float32]:
        """Value each action: uint8 (N, stack, 84, 84) to float32 (N, actions)."""
        with torch.inference_mode():
            blocks = self._to_input(torch.from_numpy(observations).to(self.device), None, self._dtype)
            values: NDArray[np.float32] = self.network(blocks).float().cpu().numpy()
        return values


def epsilon_greedy(
    q_values: NDArray[np.float32], epsilon: float | NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Pick the best of each row of (N, actions), or with probability epsilon, one or (N,), any action; returns (N,).

    Draws the same number of random numbers whatever epsilon is, so that schedules can be compared on one seed.
    """
    rows, actions = q_values.shape
    explore = generator.random(rows) < epsilon
    anything = generator.integers(actions, size=rows)
    return np.where(explore, anything, q_values.argmax(axis=1)).astype(np.int64)
