"""How to repeat what a report says: the commands, the study file, and the commit that it was made with."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mario_rl.compare.runs import Arm
from mario_rl.config.files import read_config_text
from mario_rl.config.study import Study, load_study, parse_study
from mario_rl.files import printable
from mario_rl.runs.study import StudyDir
from mario_rl.shipped import find_config, find_study, study_names
from mario_rl.source import source_commit

MANY = "several; the table of what the runs were made with has each"
UNKNOWN = "commit not recorded"


PACKAGE = "mario-rl"


class Repeat(NamedTuple):
    """commands: of a shell. runs, page: what they were made with. study: the text of its file, "" without."""

    commands: list[str]
    runs: str
    page: str
    study: str


def how_to_repeat(path: Path, arms: Sequence[Arm]) -> Repeat:
    """Say how the runs of a report are made again, and the report.

    Args:
        path: of the study, or whatever directory the runs are below.
        arms: those runs.

    Raises:
        ConfigError: its file can't be read.
    """
    file = StudyDir(path).study
    name = shlex.quote(printable(path.resolve().name))
    text = read_config_text(file, "study") if file.is_file() else ""
    if text:
        study = parse_study(text, file)
        if (shipped := _shipped_name(study)) is not None:
            commands = [f"mario-rl compare {shipped} --out {name}"]
        else:
            base = Path(study.base)
            beside = "" if find_config(base) != base else f"  # with {printable(study.base)} beside it"
            commands = [f"mario-rl compare {name}/study.yaml --out {name}{beside}"]
    else:
        first = os.path.relpath(arms[0].runs[0].place.config, path)
        commands = [
            f"mario-rl train {shlex.quote(printable(f'{path.resolve().name}/{first}'))}  # and so for every run"
        ]
    commits = {run.record.commit for arm in arms for run in arm.runs}
    made = MANY if len(commits) > 1 else commits.pop() or UNKNOWN
    versions = {run.record.versions.get(PACKAGE) for arm in arms for run in arm.runs}
    if len(versions) == 1 and (version := versions.pop()):
        made = f"{PACKAGE} {version}, {made}"
    return Repeat([*commands, f"mario-rl compare {name} --report"], made, source_commit() or UNKNOWN, text)


def _shipped_name(study: Study) -> str | None:
    """Name the shipped study that asks for the same, if one does."""
    return next((name for name in study_names() if load_study(find_study(Path(name))) == study), None)
