"""Names that users write and read: the targets with the algorithms they make, and the evaluation protocols."""

from __future__ import annotations

from typing import Literal, get_args

type Target = Literal["none", "target", "double"]
type Protocol = Literal["greedy", "noop", "sticky", "epsilon"]

PROTOCOL_NAMES: tuple[Protocol, ...] = get_args(Protocol.__value__)

ALGORITHMS: dict[Target, str] = {"none": "DQN without a target network", "target": "DQN", "double": "Double DQN"}
"""What learning by each target is called."""
