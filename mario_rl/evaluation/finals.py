"""The evaluations at a run's end: whether they are there, whole, unchanged, and those that its study asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

from mario_rl.config import Config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.runs.directory import RunDir
from mario_rl.runs.record import read_record, require_unchanged
from mario_rl.runs.tables import EVALUATION_COLUMNS, Table, empty_table, read_evaluations
from mario_rl.wording import count_text

type State = Literal["done", "missing", "others", "damaged"]


class Finals(NamedTuple):
    """The evaluations at a run's end.

    state: done; missing; others than those asked for; damaged, or made of evidence that was changed afterwards.
    why: in one line that begins with the file, where it is others or damaged.
    table: their rows, also of others; else none.
    """

    state: State
    table: Table
    why: str = ""


class Made(NamedTuple):
    """How an evaluation was made: so many episodes, their chance from this seed."""

    episodes: int
    seed: int


def look_at_finals(run: RunDir, config: Config, asked: FinalConfig | None) -> Finals:
    """Say how it stands with the evaluations at a run's end; everybody who asks whether a run is done asks here.

    Args:
        run: its directory.
        config: of the run.
        asked: what the study asks for; None where nobody does, so that any will do.
    """
    if not run.final.exists():
        return Finals("missing", empty_table(EVALUATION_COLUMNS))
    try:
        require_unchanged(run, read_record(run))
        table = read_evaluations(run.final)
        made = _made(run.final, table)
    except (UserError, OSError) as error:
        return Finals("damaged", empty_table(EVALUATION_COLUMNS), str(error))
    if asked is None or made == (wanted := asked_finals(config, asked)):
        return Finals("done", table)
    return Finals("others", table, f"{run.final}: has episodes of {_text(made)}; the study asks for {_text(wanted)}")


def asked_finals(config: Config, asked: FinalConfig) -> dict[str, Made]:
    """Say which evaluations a study asks for at a run's end, by protocol."""
    stages = len(config.env.stages)
    return {
        protocol: Made(stages * (PROTOCOLS[protocol].fixed_episodes or asked.episodes), asked.seed)
        for protocol in asked.protocols
    }


def _made(path: Path, table: Table) -> dict[str, Made]:
    """Say which evaluations a table has, by protocol.

    Raises:
        UserError: it is not the whole of any.
    """
    if _is_torn(path) or not len(table["end"]):
        raise UserError(f"{path}: cut short, it has {count_text(len(table['end']), 'whole row')}")
    if len(set(table["agent_steps"])) > 1:
        raise UserError(f"{path}: column agent_steps must be the same in every row, that of the last weights")
    made = {}
    for protocol in sorted(set(table["protocol"])):
        rows = table["protocol"] == protocol
        count, seeds = int(rows.sum()), set(table["seed"][rows])
        if len(seeds) > 1 or sorted(table["episode"][rows]) != list(range(count)):
            raise UserError(f"{path}: the {protocol} episodes are not those of one evaluation, each once")
        made[str(protocol)] = Made(count, int(seeds.pop()))
    return made


def _text(finals: dict[str, Made]) -> str:
    return ", ".join(f"{protocol} {made.episodes:,} (seed {made.seed})" for protocol, made in sorted(finals.items()))


def _is_torn(path: Path) -> bool:
    """Tell whether a file's last line has no end; what is read of a table leaves that line out."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
