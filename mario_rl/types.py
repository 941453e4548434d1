"""The named types that cross borders between the parts: steps, batches, episodes, policies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the emulator needs no torch
    from torch import Tensor

type Pixels = NDArray[np.uint8]
"""Screen content, 0..255."""

type UnitPixels = NDArray[np.float32]
"""Screen content, 0..1."""

type Floats = NDArray[np.float64]
"""Measurements, in whatever unit."""

type EpisodeEnd = Literal["clear", "death", "stall", "limit", "warp"]
"""What ended an episode: the flag (or the axe), a lost life, no progress, too many agent steps, or a warp zone."""


class Steps(NamedTuple):
    """One agent step of each of N environments, as the replay takes it: every frame once.

    frame: uint8 (N, 84, 84), the newest of the observation that was acted on.
    action: int64 (N,), index into the action set.
    reward: float64 (N,), points summed over the skipped frames, after the configured bonuses, clipping and scaling.
    terminated: bool (N,), the game itself ended the episode (death, flag); nothing follows.
    truncated: bool (N,), the episode was cut short; the value of what was seen last still counts.
    last_frame: uint8 (N, 84, 84), the newest frame after the step; looked at only where an episode was truncated,
        elsewhere it is the next step's `frame`.
    """

    frame: Pixels
    action: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    last_frame: Pixels


class Batch(NamedTuple):
    """B transitions over up to n agent steps each.

    observation, next_observation: uint8 (B, stack, 84, 84); the second lies m <= n agent steps after the first and is
        meaningless where `terminated`.
    action: int64 (B,).
    n_step_return: float32 (B,), the sum of gamma^k * reward_k for k < m.
    terminated: bool (B,), the game ended within those m agent steps.
    discount: float32 (B,), gamma^m, what the value of next_observation is multiplied by.
    weight: float32 (B,), what each counts in the loss; 1 unless the replay is prioritised.
    slot: int64 (B, 2), where the replay has it, for `ReplayBuffer.prioritize`.
    demonstration: bool (B,), whether it is of a demonstration, not of what the agent played.
    """

    observation: Tensor
    action: Tensor
    n_step_return: Tensor
    next_observation: Tensor
    terminated: Tensor
    discount: Tensor
    weight: Tensor
    slot: Tensor
    demonstration: Tensor


class EpisodeResult(NamedTuple):
    """How one episode went, in the game's own terms, whatever the agent was rewarded for.

    stage: such as "1-1", the one it was begun on; for the whole game the stage reached.
    return_: the unscaled classic reward (7.x), summed; the column is named `return`.
    x: best x position in the stage's starting area, pixels.
    length: agent steps.
    clock: the game's clock at the end, in its own units (400 at the start of 1-1).
    end: what ended it.
    from_snapshot: it began somewhere on the stage (see `SnapshotStarts`), so it counts for no clear rate and no mean.
    """

    stage: str
    return_: float
    x: int
    length: int
    clock: int
    end: EpisodeEnd
    from_snapshot: bool = False


class BackwardStarts(NamedTuple):
    """Episodes that begin along a trajectory, further back as the agent masters what follows (Salimans & Chen 2018).

    trajectories: by stage, the joypad byte of every frame from its start to where it is cleared.
    probability: that an episode begins along the trajectory of its stage, until its start is reached.
    threshold: share of the last `window` episodes begun at a point that must be clears for the start to move back.
    window: see there.
    """

    trajectories: Mapping[str, bytes]
    probability: float
    threshold: float
    window: int

    @property
    def needed(self) -> int:
        """Clears among the last `window` episodes begun at a point with which the start moves back by one."""
        return max(1, math.ceil(round(self.threshold * self.window, 9)))


class Policy(Protocol):
    """Anything that values actions: what evaluation needs to know of an agent."""

    def q_values(self, observations: Pixels) -> NDArray[np.float32]:
        """Value each action: uint8 (N, stack, 84, 84) to float32 (N, actions)."""
        ...


type State = dict[str, Any]
"""What a part needs to go on after a restart: tensors and plain Python values only."""
