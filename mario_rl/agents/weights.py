"""The weights of a network in one tensor, and copies of them as an update computes fastest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mario_rl.agents.networks import QNetwork, weights_over_blocks, weights_over_pixels


class FlatWeights:
    """Side by side in one tensor, float32 (P,), all parameters of a network: they become views of it.

    What is done to every weight alike is then done in one go, and can be split anywhere between two cores.
    """

    def __init__(self, network: QNetwork) -> None:
        self.network = network
        parameters = list(network.parameters())
        self.shapes = [one.shape for one in parameters]
        self.flat = torch.cat([one.detach().flatten() for one in parameters])
        for one, view in zip(parameters, self.views(self.flat), strict=True):
            one.data = view

    def views(self, flat: Tensor) -> list[Tensor]:
        """Cut such a tensor, (P,), into the shapes of the parameters, in their order."""
        parts = torch.functional.split(flat, [shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]


class Computing:
    """A network over blocks with the weights of another, which it follows: in bfloat16, or in float32.

    Its numbers lie in `flat`, (P,), in the order of the source's, which it is itself where those are float32 as well;
    only the convolutions, a twentieth, have copies of their own in the layout that they are fastest in.

    Args:
        source: the weights it follows.
        dtype: torch.float32 or torch.bfloat16.
    """

    def __init__(self, source: FlatWeights, dtype: torch.dtype) -> None:
        self._source = source
        self.flat = source.flat if dtype == source.flat.dtype else torch.empty_like(source.flat, dtype=dtype)
        self.network = source.network.over_blocks()
        self.parameters = tuple(self.network.parameters())
        self._convolutions: list[tuple[nn.Parameter, Tensor]] = []
        for one, view in zip(self.parameters, source.views(self.flat), strict=True):
            if one.dim() == 4:
                # Channels last: the backward pass of a convolution takes half the time.
                one.data = one.detach().to(dtype).contiguous(memory_format=torch.channels_last)
                self._convolutions.append((one, view))
            else:
                one.data = view
        for constant in self.network.buffers():  # of a body of one's own
            if constant.is_floating_point():
                constant.data = constant.to(dtype)
        self.follow()

    def follow(self) -> None:
        """Take over the source's weights."""
        self.flat.copy_(self._source.flat)
        self.lay_out()

    @torch.no_grad()
    def lay_out(self) -> None:
        """Let the convolutions have what is in `flat`, as everything else has."""
        for own, view in self._convolutions:
            own.copy_(view if own.shape == view.shape else weights_over_blocks(view))

    def evaluating(self) -> QNetwork:
        """Make a second network with the very same weights, in eval mode and without gradients."""
        other = self._source.network.over_blocks()
        for one, same in zip(other.parameters(), self.parameters, strict=True):
            one.data = same.data
        for constant, same_constant in zip(other.buffers(), self.network.buffers(), strict=True):
            constant.data = same_constant.data
        return other.eval().requires_grad_(False)

    def flattened(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Bring gradients of its parameters into the order of `flat`: a piece, one-dimensional, of each.

        Each lies in memory number by number, as compiled code reads it: a gradient may be one number seen many times.
        """
        return [
            (one if one.shape == shape else weights_over_pixels(one)).reshape(-1).contiguous()
            for one, shape in zip(gradients, self._source.shapes, strict=True)
        ]
