"""An update on a CUDA device, recorded once and played back: nothing is launched from Python or waited for."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mario_rl.types import Batch

WARMING_UPDATES = 3
"""Made one by one first, so that all that is set up at first use has been before anything is recorded."""


class RecordedUpdate[Stats: tuple[torch.Tensor, ...]]:
    """A CUDA graph of an update, for batches of one size; another size is recorded anew.

    Args:
        compute: what a batch on the device does to the networks, with tensors alone: no decision, no wait. What it is
            to do otherwise from one update to the next must be in tensors that it reads.
        device: where.
    """

    def __init__(self, compute: Callable[[Batch], Stats], device: torch.device) -> None:
        self._compute = compute
        self._device = device
        self._batch: Batch | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._found: Stats | None = None
        self._warmed = 0

    def __call__(self, batch: Batch) -> Stats:
        """Make an update from a batch, on any device; what it found is the caller's to keep."""
        if self._batch is None or len(self._batch.action) != len(batch.action):
            self._batch = Batch(*(torch.empty_like(part, device=self._device) for part in batch))
            self._graph, self._warmed = None, 0
        for here, part in zip(self._batch, batch, strict=True):
            here.copy_(part, non_blocking=True)
        if self._warmed < WARMING_UPDATES:
            self._warmed += 1
            return self._aside(self._batch)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._found = self._compute(self._batch)
        assert self._found is not None
        self._graph.replay()
        # The next playback writes over them.
        return type(self._found)(*(part.clone() for part in self._found))

    def _aside(self, batch: Batch) -> Stats:
        """Make an update on a stream of its own, as PyTorch asks for before recording."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            found = self._compute(batch)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return found
