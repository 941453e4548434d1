"""A card: what is known of a shipped agent, in a file beside it that is checked when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints, ValidationError

from mario_rl.errors import CheckpointError
from mario_rl.files import printable, sha256_of
from mario_rl.names import Protocol
from mario_rl.reading import Refused, parse_json, read_text
from mario_rl.runs.schema import MeanOf, Sha256
from mario_rl.runs.tables import COLUMNS, EVALUATION_COLUMNS, YOUNGER_COLUMNS
from mario_rl.types import EpisodeEnd

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluationReport

FORMAT = "mario_rl card 1"
"""What every card says of itself; the number goes up when old cards can no longer be read."""

MOST_EPISODES = 50_000  # on a card; of each some 350 bytes and 27 values, keys included
MOST_BYTES, MOST_VALUES = 32_000_000, 2_000_000
MOST_SHOWN = 60  # characters of a key or value in a message

ROW_COLUMNS = tuple(name for name in EVALUATION_COLUMNS if name not in ("agent_steps", "seconds"))
"""What a card says of an episode: what evaluation.csv does, but for the moment in training."""


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be text on one line")
    return text


def _fitting_row(row: dict[str, Any]) -> dict[str, Any]:
    """See that a row has the columns of an episode, each in its range."""
    for name in row.keys() - set(ROW_COLUMNS):
        raise ValueError(f"{shown(name)} is unknown")
    for name in ROW_COLUMNS:
        if name not in row and name not in YOUNGER_COLUMNS:
            raise ValueError(f"{name} is missing")
        if name in row and not COLUMNS[name].allows(row[name]):
            raise ValueError(f"{name}: {shown(row[name])} is not allowed; must be {COLUMNS[name].allowed}")
    return row


type Text = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_one_line)]
type Named = Annotated[dict[Text, Text], Field(max_length=100)]
type Count = Annotated[int, Field(ge=0, le=10**15)]
type Minutes = Annotated[float, Field(ge=0, le=1e10)]
type Share = Annotated[float, Field(ge=0, le=1)]
type Row = Annotated[dict[str, Any], AfterValidator(_fitting_row)]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Machine(TypedDict):
    """What `describe_machine` says."""

    processor: Text
    cores: Annotated[str, StringConstraints(pattern="^[0-9]{1,6}$")]
    memory: Text
    device: Text


class Claim(BaseModel):
    """One evaluation as `EvaluationReport.summary` gives it, every episode in `results`.

    complete, episodes_asked: None on cards from before 2026-11-27, which say nothing of them.
    """

    model_config = STRICT

    protocol: Protocol
    seed: NonNegativeInt
    episodes: Count
    clears: Count
    clear_rate: Share
    clear_rate_low: Share
    clear_rate_high: Share
    mean_x: float
    results: list[Row]
    stage: Text
    complete: bool | None = None
    episodes_asked: Count | None = None
    mean_return: float
    median_return: float
    best_return: float
    median_x: float
    best_x: int
    mean_clock: float
    mean_length: float
    ends: dict[EpisodeEnd, Count]


class Facts(BaseModel):
    """What the file of a shipped agent says itself.

    file: its name. sha256: of the file, hexadecimal. rom: SHA-256 of the ROM it was trained on.
    seed, agent_steps, updates, minutes, trained_on, trained_with: of its training.
    initial_agent_steps, initial_minutes: of the training before, if it began with another agent's network.
    mean_of: how many checkpoints of its run its weights are the mean of.
    config: every key.
    """

    model_config = STRICT

    format: Literal["mario_rl card 1"]
    file: Text
    sha256: Sha256
    rom: Sha256
    seed: NonNegativeInt
    agent_steps: Count
    updates: Count
    minutes: Minutes
    initial_agent_steps: Count
    initial_minutes: Minutes
    mean_of: MeanOf = 1
    trained_on: Machine
    trained_with: Named
    config: dict[str, Any]


class Card(Facts):
    """What is known of a shipped agent; `NAME.json` beside `NAME.pt`.

    evaluations: made with the shipped file in float32 on one thread of the CPU, on the same ROM.
    date, evaluated_on, versions: of the evaluations; nothing else tells them, so that they can't be verified.
    """

    date: Annotated[str, StringConstraints(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    evaluated_on: Machine
    versions: Named
    evaluations: list[Claim]


def load_card(checkpoint: Path) -> Card:
    """Read the card beside a shipped agent, and see that it is that agent's.

    Raises:
        CheckpointError: there is none, it can't be read, or it describes another file.
    """
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such file; give a shipped agent (.pt)")
    path = checkpoint.with_suffix(".json")
    try:
        tree = parse_json(read_text(path, most_bytes=MOST_BYTES), most_values=MOST_VALUES)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such card; `mario-rl ship` writes an agent with its card") from error
    except (OSError, Refused) as error:
        raise CheckpointError(f"{path}: can't be read as a card ({' '.join(str(error).split())})") from error
    card = checked(Card, tree, path, "a card this version reads")
    if sha256_of(checkpoint) != card.sha256:
        raise CheckpointError(
            f"{checkpoint}: not the file that {path.name} describes, its SHA-256 is another; where `mario-rl ship` was "
            "cut short between the two, ship the agent again"
        )
    return card


def checked[M: BaseModel](model: type[M], tree: Mapping[str, Any], path: Path, what: str) -> M:
    """Check plain values against a model; `what` is what messages say that the file is not.

    Raises:
        CheckpointError: they don't fit; names the first that doesn't.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]) or "it", MOST_SHOWN)
        reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
        raise CheckpointError(f"{path}: not {what} ({where}: {printable(reason, 200)})") from error


def claim_of(report: EvaluationReport, file: Path) -> Claim:
    """Turn an evaluation into what a card says of it: through JSON, as the card's own went, so that both compare.

    Raises:
        CheckpointError: the agent's values are no numbers that a card can hold.
    """
    return checked(Claim, json.loads(json.dumps(report.summary())), file, "an agent whose values are finite numbers")


def shown(value: object) -> str:
    """Write a value of a card for a message, not all of a long one."""
    return printable(repr(value), MOST_SHOWN)
