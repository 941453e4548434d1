"""What a checkpoint may hold: its plain values with their types and ranges, and tensors that are what they seem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mario_rl.names import Protocol

if TYPE_CHECKING:
    from torch import Tensor

MAX_COUNT = 1 << 53
"""Beyond this, numbers that tables keep as float64 are not whole any more."""

MAX_TEXT = 1_000_000  # characters: the longest is the state of a generator

NETWORK = "network."
"""Where nothing but tensors may be."""

WITH_TENSORS = (NETWORK, "training.agent.", "training.collector.", "training.torch_generators.")
"""Where tensors may be."""

type Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
type Seconds = Annotated[float, Field(ge=0.0, le=1e12)]
type MeanOf = Annotated[int, Field(ge=1, le=10_000)]
type Rate = Annotated[float, Field(ge=0.0, le=1.0)]
type Text = Annotated[str, Field(max_length=MAX_TEXT)]
type Words = dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=1_000)]]
type Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    """Younger versions may add keys, which older ones then carry along."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class Evaluation(_Part):
    """Of `best.pt`: the evaluation that it was kept for. merit: what it is compared by, which older files lack."""

    protocol: Protocol
    clear_rate: Rate
    mean_x: float
    merit: Annotated[tuple[float, float, float], Field(strict=False)] | None = None


class Training(_Part):
    """Of `latest.pt`: what training goes on from. The states of agent and games are checked where they are loaded."""

    agent: dict[str, Any]
    collector: dict[str, Any]
    replay_generation: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    replay_generator: Text
    torch_generators: dict[str, Any]
    evaluated_at: Count
    best: Annotated[tuple[float, ...], Field(strict=False, min_length=2, max_length=3)] | None
    recent: Annotated[
        list[Annotated[tuple[float, int, bool], Field(strict=False)]], Field(strict=False, max_length=100)
    ]
    snapshot_episodes: Count


class Checkpoint(_Part):
    """Of every checkpoint. initial_agent_steps, initial_seconds, rom: older files lack them.

    mean_of: how many checkpoints of its run the weights are the mean of, see `load_mean`.
    """

    config: dict[str, Any]
    versions: Words
    machine: Words
    agent_steps: Count
    updates: Count
    episodes: Count
    seconds: Seconds
    network: dict[str, Any]
    rom: Sha256 | None = None
    initial_agent_steps: Count = 0
    initial_seconds: Seconds = 0.0
    mean_of: MeanOf = 1
    evaluation: Evaluation | None = None
    training: Training | None = None


REQUIRED = tuple(name for name, field in Checkpoint.model_fields.items() if field.is_required())
"""What no checkpoint lacks: with this much it can be evaluated alone. The seed is in its config."""


def flaw(state: dict[str, Any]) -> str | None:
    """Say what is wrong with what a file says, in a few words that name the key; None where nothing is.

    Args:
        state: plain values and tensors, nested; not without bounds.
    """
    for name, leaf in _leaves(state):
        if not _is_plain(leaf) and not name.startswith(WITH_TENSORS):
            return f"{name}: a {type(leaf).__name__}; must be a plain value"
        if _is_plain(leaf) and name.startswith(NETWORK):
            return f"{name}: a {type(leaf).__name__}; must be a tensor"
        if (wrong := _flaw_of_leaf(leaf)) is not None:
            return f"{name}: {wrong}"
    try:
        Checkpoint.model_validate(state)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}"
    return None


def _leaves(state: dict[str, Any]) -> Iterator[tuple[str, object]]:
    waiting: list[tuple[str, object]] = [("", state)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, dict):
            waiting += [(f"{name}.{key}" if name else str(key)[:100], value) for key, value in part.items()]
        elif isinstance(part, list | tuple):
            waiting += [(f"{name}.{index}", value) for index, value in enumerate(part)]
        else:
            yield name, part


def _is_plain(leaf: object) -> bool:
    return leaf is None or isinstance(leaf, bool | int | float | str)


def _flaw_of_leaf(leaf: object) -> str | None:
    import torch

    if isinstance(leaf, torch.Tensor):
        return _flaw_of_tensor(leaf)
    if leaf is None or isinstance(leaf, bool):
        return None
    if isinstance(leaf, str):
        return None if len(leaf) <= MAX_TEXT else f"a text of {len(leaf):,} characters"
    if isinstance(leaf, int):
        return None if abs(leaf) <= MAX_COUNT else "a whole number beyond 2 to the power of 53"
    if isinstance(leaf, float):
        return None if abs(leaf) < float("inf") else f"{leaf} is not a finite number"
    return f"a {type(leaf).__name__}, neither a tensor nor a plain value"


def _flaw_of_tensor(tensor: Tensor) -> str | None:
    """Refuse what is no plain array: a view that says it is larger than what is there, sparse or quantized numbers."""
    import torch

    plain = type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_quantized or tensor.is_complex() or tensor.requires_grad:
        return "not a plain tensor"
    if not tensor.is_contiguous() or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "a tensor whose numbers do not lie side by side"
    if tensor.is_floating_point() and not tensor.isfinite().all():
        return "not finite numbers: damaged, or of an agent that diverged"
    return None
