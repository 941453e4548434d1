"""All stages, one after another: those that have a trajectory are left out, those that were begun are gone on with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mario_rl.config.schema import STAGES
from mario_rl.errors import UserError
from mario_rl.explore.directory import ExploreDir
from mario_rl.explore.observer import ExploreObserver
from mario_rl.explore.search import Settings
from mario_rl.explore.sitting import COLUMNS, Limits, Outcome, begin, resume
from mario_rl.files import require_writable
from mario_rl.reading import Refused, parse_json, read_text
from mario_rl.runs.tables import write_table
from mario_rl.training.interrupts import Interrupts

TABLE = "stages.csv"
MOST_BYTES = 100_000

type Row = Mapping[str, Any]


class Several(NamedTuple):
    """How a sitting ended: rows of the stages that have a result, and the outcome of the one that was interrupted."""

    rows: list[Row]
    interrupted: Outcome | None


def explore_all(
    path: Path,
    settings: Callable[[str], Settings],
    limits: Limits,
    *,
    stages: Sequence[str] = STAGES,
    jobs: int | None = None,
    observer: ExploreObserver | None = None,
) -> Several:
    """Search stage after stage; each has a directory of its own below `path`, and `stages.csv` has a row of each.

    Args:
        path: where they are or shall be.
        settings: of each stage that is begun.
        limits: of each stage.
        stages: which, in this order.
        jobs: threads; None for all cores.
        observer: hears how it goes.

    Raises:
        UserError: `path` can't be written to, or a search below it is refused.
        StorageError, FailedError: as `sitting.begin`; what was found before is kept.
    """
    table = path / TABLE
    require_writable(table)
    with Interrupts() as interrupts:
        for stage in stages:
            directory = ExploreDir(path / stage, stage)
            if directory.trajectory.exists():
                continue
            if directory.search.exists():
                outcome = resume(directory.path, limits, jobs=jobs, observer=observer, interrupts=interrupts)
            else:
                outcome = begin(directory, settings(stage), limits, jobs=jobs, observer=observer, interrupts=interrupts)
            if outcome.end == "interrupted":
                return Several(_rows(path, stages), outcome)
            write_table(table, COLUMNS, _rows(path, stages))
    rows = _rows(path, stages)
    write_table(table, COLUMNS, rows)  # also where none was left to search: each may have been searched by itself
    return Several(rows, None)


def _rows(path: Path, stages: Sequence[str]) -> list[Row]:
    """Read the results of all stages that have one."""
    results = (ExploreDir(path / stage, stage).result for stage in stages)
    return [_read(result) for result in results if result.exists()]


def _read(path: Path) -> Row:
    try:
        tree = parse_json(read_text(path, most_bytes=MOST_BYTES), most_values=200, most_depth=2)
    except (OSError, Refused) as error:
        raise UserError(f"{path}: can't be read ({error})") from error
    if not isinstance(tree, dict) or set(COLUMNS) - set(tree):
        raise UserError(f"{path}: not the result of a search of this mario_rl; remove its folder to search again")
    return tree


def table_of(rows: Sequence[Row]) -> str:
    """Lay results out for a terminal: what each stage took, and how long its clear is or how far the search came."""
    layout = "{:<6} {:>8} {:>12} {:>8}  {}"
    lines = [layout.format("stage", "minutes", "agent steps", "cells", "result")]
    for row in rows:
        if row["end"] == "clear":
            result = f"cleared in {row['frames']:,} frames, {row['clear_seconds']:.1f} s"
        else:
            result = f"not cleared; best x {row['best_x']}, by area"
        lines.append(
            layout.format(row["stage"], f"{row['minutes']:.1f}", f"{row['agent_steps']:,}", f"{row['cells']:,}", result)
        )
    return "\n".join(lines)
