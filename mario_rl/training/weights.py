"""The online network's weights on their way from the learner to the actors, through shared memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from mario_rl.networks import QNetwork
from mario_rl.sharing import SharedArrays


class SharedWeights:
    """One writer, any number of readers, nobody waits: of two copies the newer is read while the older is written.

    Args:
        network: whose weights they will be; float32.
    """

    def __init__(self, network: QNetwork) -> None:
        size = sum(weight.numel() for weight in network.parameters())
        self._shared = SharedArrays({"copies": ((2, size), np.float32), "version": ((1,), np.int64)})

    @property
    def version(self) -> int:
        """How often weights have been published; 0 for never."""
        return int(self._shared.arrays["version"][0])

    @torch.no_grad()
    def publish(self, network: QNetwork) -> None:
        """Make the network's weights, on whatever device, the newest."""
        version = self.version + 1
        for weight, place in self._places(network.parameters(), version):
            place.copy_(weight)
        self._shared.arrays["version"][0] = version  # after the weights: from here on they are read

    @torch.no_grad()
    def load(self, network: QNetwork) -> int:
        """Copy the newest weights into a network on the CPU; returns their version."""
        while True:
            version = self.version
            for weight, place in self._places(network.parameters(), version):
                weight.copy_(place)
            if self.version == version:  # the writer may be at the other copy, but has not come back to this one
                return version

    def _places(self, weights: Iterable[Tensor], version: int) -> Iterable[tuple[Tensor, Tensor]]:
        """Pair each weight with where it lies in the copy that holds `version`."""
        copy = torch.from_numpy(self._shared.arrays["copies"][version % 2])
        offset = 0
        for weight in weights:
            yield weight, copy[offset : offset + weight.numel()].view_as(weight)
            offset += weight.numel()
