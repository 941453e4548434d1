"""From gradients to weights: Adam, and the target network and the average that follow the online network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mario_rl.agents.beside import Beside
from mario_rl.agents.compiled import Moved, Numbers, move, move_by_pytorch
from mario_rl.agents.compiled.layout import FACTOR, TARGET_SHARE
from mario_rl.agents.weights import Computing, FlatWeights
from mario_rl.tensors import require_like
from mario_rl.types import State

BETA_1, BETA_2 = 0.9, 0.999


class Rates(NamedTuple):
    """How far the weights go in one update.

    learning_rate: Adam's step size.
    target_share, averaged_share: of the online network, mixed into target network and average; 0 leaves them, 1 copies.
    """

    learning_rate: float
    target_share: float
    averaged_share: float


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) over all weights, gradient clipping, and what follows the online network.

    On the CPU compiled code does all of it in one pass through memory, each half of the weights on a core of its own;
    elsewhere PyTorch does the same in several.

    Args:
        online: the weights that learn, and what is computed with.
        target: the target network's; None where there is none.
        averaged: the average's; None where there is none.
        epsilon: Adam's.
        gradient_clip: largest norm; None for no limit.
        beside: the second core.
    """

    def __init__(
        self,
        online: tuple[FlatWeights, Computing],
        target: tuple[FlatWeights, Computing] | None,
        averaged: FlatWeights | None,
        *,
        epsilon: float,
        gradient_clip: float | None,
        beside: Beside,
    ) -> None:
        self._online, self._computing = online
        self._target = target
        self._epsilon = epsilon
        self._limit = float("inf") if gradient_clip is None else gradient_clip
        self._beside = beside
        self.steps = 0
        self.first_moment = torch.zeros_like(self._online.flat)
        self.second_moment = torch.zeros_like(self._online.flat)
        self._moved = Moved(
            weight=self._online.flat,
            first_moment=self.first_moment,
            second_moment=self.second_moment,
            target=None if target is None else target[0].flat,
            averaged=None if averaged is None else averaged.flat,
            copy=self._computing.flat if self._computing.flat is not self._online.flat else None,
            target_copy=None if target is None or target[1].flat is target[0].flat else target[1].flat,
        )
        self._on_cpu = self._online.flat.device.type == "cpu"
        self._numbers = torch.zeros(len(Numbers._fields), device=self._online.flat.device)
        self._halves = _in_halves([shape.numel() for shape in self._online.shapes])

    def set_rates(self, rates: Rates) -> None:
        """Say how far the next move goes."""
        self.steps += 1
        numbers = Numbers(
            factor=1.0,
            beta_1=BETA_1,
            beta_2=BETA_2,
            step_size=rates.learning_rate / (1 - BETA_1**self.steps),
            correction=(1 - BETA_2**self.steps) ** 0.5,
            epsilon=self._epsilon,
            target_share=rates.target_share,
            averaged_share=rates.averaged_share,
        )
        self._numbers.copy_(torch.tensor(numbers))

    def move(self, gradients: Sequence[Tensor]) -> Tensor:
        """Move the weights, and all that follows them; returns the gradients' norm before clipping, a float32 scalar.

        Args:
            gradients: by the parameters of the network that is computed with, in its numbers.
        """
        pieces = self._computing.flattened(gradients)
        norm = self._move_in_halves(pieces) if self._on_cpu else self._move_at_once(pieces)
        self._computing.lay_out()
        if self._target is not None:
            self._target[1].lay_out()
        return norm

    def _move_in_halves(self, pieces: list[Tensor]) -> Tensor:
        stretches = [
            [(pieces[part.piece][part.begin : part.end], part.place) for part in half] for half in self._halves
        ]

        def norm_of(half: int) -> Tensor:
            return _norm([gradient for gradient, _ in stretches[half]])

        norm = _norm(self._beside.both(norm_of))
        self._numbers[FACTOR] = _factor(norm, self._limit)
        # What does not follow this time need not be read.
        follows = bool(self._numbers[TARGET_SHARE])
        moved = self._moved if follows else self._moved._replace(target=None)

        def move_half(half: int) -> None:
            for gradient, place in stretches[half]:
                move(moved, gradient, self._numbers, place)

        self._beside.both(move_half)
        return norm

    def _move_at_once(self, pieces: list[Tensor]) -> Tensor:
        gradient = torch.cat([piece.float() for piece in pieces])
        norm = _norm([gradient])
        self._numbers[FACTOR] = _factor(norm, self._limit)
        move_by_pytorch(self._moved, gradient, self._numbers)
        return norm

    def state_dict(self) -> State:
        """Describe it as PyTorch describes its Adam over the parameters one by one."""
        moments = zip(self._online.views(self.first_moment), self._online.views(self.second_moment), strict=True)
        steps = torch.tensor(float(self.steps))
        state = {
            number: {"step": steps, "exp_avg": first, "exp_avg_sq": second}
            for number, (first, second) in enumerate(moments)
        }
        return {"state": state, "param_groups": [{"betas": (BETA_1, BETA_2), "params": list(state)}]}

    def require(self, state: object, *, updates: int) -> None:
        """Refuse a state that these weights can't go on from, with so many updates behind them.

        Raises:
            ValueError: it is of other weights, or no such state; says what differs.
        """
        moments = state.get("state") if isinstance(state, dict) else None
        if moments == {} and updates == 0:  # none before the first update, says PyTorch
            return
        require_like(moments, self.state_dict()["state"], "optimizer.state")
        assert isinstance(moments, dict)
        for number, moment in moments.items():
            if float(moment["step"]) != updates:
                raise ValueError(f"optimizer.state.{number}.step is {float(moment['step'])}; must be {updates}")
            if (moment["exp_avg_sq"] < 0).any():
                raise ValueError(f"optimizer.state.{number}.exp_avg_sq has numbers below 0")

    def load_state_dict(self, state: State) -> None:
        """Go on from what `state_dict` returned, or PyTorch's Adam, once `require` has found nothing against it."""
        moments = state["state"]
        firsts, seconds = self._online.views(self.first_moment), self._online.views(self.second_moment)
        for number, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
            first.copy_(moments[number]["exp_avg"] if moments else torch.zeros(()))
            second.copy_(moments[number]["exp_avg_sq"] if moments else torch.zeros(()))
        self.steps = int(moments[0]["step"]) if moments else 0


class _Part(NamedTuple):
    """A stretch of one parameter, from `begin` to `end`, which lies at `place` among all weights."""

    piece: int
    begin: int
    end: int
    place: int


def _in_halves(sizes: Sequence[int]) -> tuple[list[_Part], list[_Part]]:
    """Cut parameters that lie side by side into two halves of as many weights."""
    halves: tuple[list[_Part], list[_Part]] = ([], [])
    middle, place = sum(sizes) // 2, 0
    for piece, size in enumerate(sizes):
        cut = min(max(middle - place, 0), size)
        if cut:
            halves[0].append(_Part(piece, 0, cut, place))
        if cut < size:
            halves[1].append(_Part(piece, cut, size, place + cut))
        place += size
    return halves


def _norm(parts: Sequence[Tensor]) -> Tensor:
    norms = torch.stack([torch.linalg.vector_norm(one, dtype=torch.float32) for one in parts])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


def _factor(norm: Tensor, limit: float) -> Tensor:
    """What gradients of this norm are multiplied by to have one of `limit` at most."""
    return (limit / (norm + 1e-6)).clamp(max=1.0)
