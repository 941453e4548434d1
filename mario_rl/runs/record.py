"""`run.json`: what a run of a study was done with, and what its evidence was when it was done."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, NonNegativeInt

from mario_rl.config import Section, parse_section
from mario_rl.errors import UserError
from mario_rl.files import sha256_of
from mario_rl.reading import Refused, parse_json, read_text
from mario_rl.runs.directory import RunDir
from mario_rl.types import EpisodeEnd

MOST_BYTES = 1_000_000  # of a record, which has some 800

type Evidence = Literal["config.yaml", "episodes.csv", "evaluation.csv", "final.csv"]
"""The files that a report's numbers come from."""


class Film(Section):
    """What the film of the best checkpoint shows: how its episode ends, and where."""

    end: EpisodeEnd
    x: int


class Best(Section):
    """The best checkpoint: how it was evaluated when it was kept."""

    agent_steps: NonNegativeInt | None = None
    clear_rate: float
    mean_x: float
    film: Film | None = None


class Record(Section):
    """What a run was done with.

    commit: of the project, where it was known. files: the SHA-256 of the run's evidence, as it was when the run was
    done; empty where an older version wrote it.
    """

    model_config = ConfigDict(extra="allow")

    machine: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    threads: NonNegativeInt | None = None
    best: Best | None = None
    files: dict[Evidence, str] = Field(default_factory=dict)


def read_record(run: RunDir) -> Record:
    """Read a run's record; an empty one where it has none.

    Raises:
        UserError: it is damaged.
    """
    try:
        tree = parse_json(read_text(run.record, most_bytes=MOST_BYTES))
    except FileNotFoundError:
        return Record()
    except Refused as error:
        raise UserError(f"{run.record}: {error}") from error
    except OSError as error:
        raise UserError(f"{run.record}: can't be read ({error.strerror})") from error
    if not isinstance(tree, dict):
        raise UserError(f"{run.record}: must hold keys and values")
    return parse_section(Record, tree, str(run.record))


def require_unchanged(run: RunDir, record: Record, *, but: Path | None = None) -> None:
    """Refuse evidence, but one file, that was edited after the run was done, as far as its record says what it was.

    Raises:
        UserError: names the file.
    """
    for name, then in record.files.items():
        path = run.path / name
        if path == but:
            continue
        if not path.is_file():
            raise UserError(f"{path}: is gone, and was there when the run was done")
        if sha256_of(path) != then:
            raise UserError(f"{path}: was changed after the run was done; its SHA-256 is not the one in run.json")
