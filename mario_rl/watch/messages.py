"""What a page may ask for: checked word by word, since anybody can open a socket."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator

from mario_rl.config import Protocol

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 0.0)
"""Times the game's own speed; 0: as fast as the machine goes."""

MAX_MESSAGE_BYTES = 4_096


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Simple(_Message):
    """Something to do that takes nothing else."""

    do: Literal["pause", "play", "step", "restart"]


class SetSpeed(_Message):
    """One of SPEEDS."""

    do: Literal["speed"]
    speed: float

    @field_validator("speed")
    @classmethod
    def _offered(cls, speed: float) -> float:
        if speed not in SPEEDS:
            raise ValueError("not one of the speeds")
        return speed


class SetStage(_Message):
    """A stage by name; refused by the game where it does not exist."""

    do: Literal["stage"]
    stage: Annotated[str, Field(max_length=4)]


class SetProtocol(_Message):
    """The source of chance of the episodes from now on."""

    do: Literal["protocol"]
    protocol: Protocol


class SetCheckpoint(_Message):
    """One of the checkpoints offered, by its place in their list."""

    do: Literal["checkpoint"]
    index: Annotated[int, Field(ge=0, lt=100_000)]


class Seek(_Message):
    """A frame of the episode so far, or of one before, to be gone back to; the game then stands still there."""

    do: Literal["seek"]
    episode: Annotated[int, Field(ge=0, le=10**9)]
    frame: Annotated[int, Field(ge=0, le=10**9)]


class SetAgent(_Message):
    """One of the agents and runs offered, by its place in their list."""

    do: Literal["agent"]
    index: Annotated[int, Field(ge=0, lt=100_000)]


class SetSaliency(_Message):
    """Whether to work out what the chosen value depends on."""

    do: Literal["saliency"]
    on: bool


class Pad(_Message):
    """What a person holds down; null gives the pad back to the agent, or lays it down where there is none."""

    do: Literal["pad"]
    held: (
        Annotated[
            tuple[Literal["left", "right", "up", "down", "A", "B", "select", "start"], ...],
            Field(strict=False, max_length=8),
        ]
        | None
    )


type Message = Annotated[
    Simple | SetSpeed | SetStage | SetProtocol | SetCheckpoint | SetAgent | SetSaliency | Seek | Pad,
    Field(discriminator="do"),
]

_ADAPTER: TypeAdapter[Message] = TypeAdapter(Message)


def read_message(text: str) -> Message:
    """Check one message of a page, JSON.

    Raises:
        ValueError: it is anything else.
    """
    if len(text) > MAX_MESSAGE_BYTES:
        raise ValueError("too long")
    return _ADAPTER.validate_json(text)
