"""Names that users write and read: targets with their algorithms, evaluation protocols, what curves are drawn over."""

from __future__ import annotations

from typing import Literal, get_args

type Target = Literal["none", "target", "double"]
type Protocol = Literal["greedy", "noop", "sticky", "epsilon"]
type TimeAxis = Literal["agent_steps", "minutes"]

PROTOCOL_NAMES: tuple[Protocol, ...] = get_args(Protocol.__value__)
TIME_AXES: tuple[TimeAxis, ...] = get_args(TimeAxis.__value__)

ALGORITHMS: dict[Target, str] = {"none": "DQN without a target network", "target": "DQN", "double": "Double DQN"}
"""What learning by each target is called."""
