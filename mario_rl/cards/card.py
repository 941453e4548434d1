"""A card: what is known of a shipped agent, in a file beside it that is checked when it is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mario_rl.errors import CheckpointError
from mario_rl.names import Protocol

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluationReport


class Claim(BaseModel):
    """One evaluation as `EvaluationReport.summary` gave it, every episode in `results`."""

    model_config = ConfigDict(extra="allow")

    protocol: Protocol
    seed: int
    episodes: int
    clears: int
    clear_rate: float
    clear_rate_low: float
    clear_rate_high: float
    mean_x: float
    results: list[dict[str, Any]]


def _shipped_rom() -> str:
    """What cards without a ROM were evaluated on."""
    from mario_rl.nes.cartridge import SUPER_MARIO_BROS_PAL

    return SUPER_MARIO_BROS_PAL


class Card(BaseModel):
    """What is known of a shipped agent; `NAME.json` beside `NAME.pt`.

    sha256: of the `.pt`, hexadecimal. rom: SHA-256 of the ROM it was evaluated on.
    seed, agent_steps, updates, minutes, trained_on: of its training.
    initial_agent_steps, initial_minutes: of the training before, if it began with another agent's network.
    config: every key. evaluated_on, versions, date: of the evaluations, which were made with the shipped file in
    float32 on one thread of the CPU.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["mario_rl card 1"] = "mario_rl card 1"
    file: str
    sha256: str
    rom: str = Field(default_factory=_shipped_rom)
    seed: int
    agent_steps: int
    updates: int
    minutes: float
    initial_agent_steps: int = 0
    initial_minutes: float = 0.0
    trained_on: dict[str, str]
    trained_with: dict[str, str]
    config: dict[str, Any]
    date: str
    evaluated_on: dict[str, str]
    versions: dict[str, str]
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
        card = Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such card; `mario-rl ship` writes an agent with its card") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: can't be read as a card ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise CheckpointError(f"{path}: not a card this version reads ({where}: {first['msg']})") from error
    if sha256(checkpoint) != card.sha256:
        raise CheckpointError(
            f"{checkpoint}: not the file that {path.name} describes, its SHA-256 is another; where `mario-rl ship` was "
            "cut short between the two, ship the agent again"
        )
    return card


def claim_of(report: EvaluationReport) -> Claim:
    """Turn an evaluation into what a card says of it: through JSON, as the card's own went, so that both compare."""
    return Claim.model_validate(json.loads(json.dumps(report.summary())))


def sha256(path: Path) -> str:
    """Digest a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
