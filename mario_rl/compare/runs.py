"""The runs under a directory, read back and sorted into arms, whoever made them."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mario_rl.config import Config, flat_values, with_portable_paths
from mario_rl.config.study import FinalConfig, Study, load_study
from mario_rl.errors import UserError
from mario_rl.evaluation.finals import look_at_finals
from mario_rl.files import printable
from mario_rl.names import ALGORITHMS, Target
from mario_rl.runs.directory import RunDir
from mario_rl.runs.packed import TABLES, archives_below, unpacked
from mario_rl.runs.record import Record, read_record
from mario_rl.runs.run import load_run
from mario_rl.runs.study import StudyDir
from mario_rl.runs.tables import RECENT_EPISODES, Table, read_evaluations
from mario_rl.types import Floats
from mario_rl.wording import value_text

RECENT = RECENT_EPISODES  # at the end of training, that a run's score is the mean over

NOT_COMPARED = (
    "seed",
    "device",
    "replay.device",
    "training.agent_steps",
    "training.episodes",
    "training.minutes",
    "training.clear_rate",
    "training.checkpoint_every_steps",
    "training.keep_checkpoints",
    "logging",
)
"""Keys, and a section, that say how long, where or how closely watched a run was, not what was compared.

Unless a study compares just that: what is an axis of a study tells the arms of its runs apart.
"""

MAX_LABEL = 44  # characters
ARTICLE_KEYS = ("agent.target", "env.action_set")


@dataclass(frozen=True)
class StudyRunData:
    """What one run left.

    episodes, evaluations: its tables as they were read, with a column `minutes`. final: the evaluations at
    its end, without rows where it is not done. record: what `run.json` says, empty where there is none. otherwise: why
    it does not count as done though it has evaluations at its end, others than its study asks for. failure: why it
    failed, where it did.
    """

    place: RunDir
    config: Config
    episodes: Table
    evaluations: Table
    final: Table
    record: Record
    otherwise: str = ""
    failure: str = ""

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def done(self) -> bool:
        """Whether it has been evaluated at its end."""
        return len(self.final["end"]) > 0

    @property
    def machine(self) -> str:
        """Processor, cores and device; empty where there is no record."""
        machine = self.record.machine
        return ", ".join(str(machine[key]) for key in ("processor", "cores", "device") if key in machine)

    def score(self, quantity: str) -> float:
        """Mean of `x` or `return` over the last 100 training episodes."""
        return float(np.mean(self.episodes[quantity][-RECENT:]))

    def merit(self) -> tuple[float, float]:
        """Clear rate and mean x of its best checkpoint; less than any where it has none."""
        best = self.record.best
        return (-1.0, 0.0) if best is None else (best.clear_rate, best.mean_x)

    def first_clear(self) -> tuple[float, float] | None:
        """Agent steps and minutes of the first training episode that ended at the flag; None where none did."""
        (cleared,) = (self.episodes["end"] == "clear").nonzero()
        if not cleared.size:
            return None
        return float(self.episodes["agent_steps"][cleared[0]]), float(self.episodes["minutes"][cleared[0]])

    def final_clears(self, protocol: str) -> tuple[int, int] | None:
        """Clears and episodes of the final evaluation under a protocol; None where it was not made."""
        rows = self.final["protocol"] == protocol
        if not rows.any():
            return None
        return int(np.sum(self.final["end"][rows] == "clear")), int(rows.sum())


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed alone.

    name: of files and of page elements. label: to read. values: dotted keys of the config that differ between arms.
    """

    name: str
    label: str
    values: dict[str, Any]
    runs: tuple[StudyRunData, ...]

    @property
    def target(self) -> Target:
        """`agent.target` of its runs."""
        return self.runs[0].config.agent.target

    @property
    def setting(self) -> tuple[tuple[str, str], ...]:
        """All that tells it from other arms but the target: what a comparison of targets holds fixed."""
        return tuple((key, json.dumps(value)) for key, value in self.values.items() if key != "agent.target")

    def scores(self, quantity: str) -> Floats:
        """The score of each run, float64 (runs,)."""
        return np.array([run.score(quantity) for run in self.runs])

    def final_clears(self, protocol: str) -> list[tuple[int, int]]:
        """Clears and episodes of the final evaluation of each run under a protocol, of those where it was made."""
        return [count for run in self.runs if (count := run.final_clears(protocol)) is not None]


class LeftOut(NamedTuple):
    """A run that does not count in a report, in part or at all, and why."""

    path: Path
    reason: str


class Place(NamedTuple):
    """Where a run is read from, and where it is: elsewhere, if it lies in an archive that was unpacked for reading."""

    read: RunDir
    run: RunDir


class Found(NamedTuple):
    """The runs below a directory, sorted into arms, and those that could not be or must not count."""

    arms: list[Arm]
    left_out: list[LeftOut]


def load_arms(directory: Path) -> Found:
    """Read every run directory below one and sort the runs into arms by what their configs differ in.

    The runs in an archive below it, `runs.zip`, are read as if their directories lay where the archive is. Where there
    is such a directory, that is read.

    The same seed of an arm counts once, however often it is there: the run that is done, else the one that has come
    furthest, else the first by its path.

    Raises:
        UserError: there is no run whose first episode has ended, or the study of one, or an archive, can't be read.
        StorageError: there is no room to unpack an archive.
    """
    with _found(directory) as (places, left_out):
        studies = _studies(places)
        runs, unread = _load_all(places, studies)
    left_out += unread
    if not runs:
        raise UserError(
            f"{directory}: no run in it whose first episode has ended, so there is nothing to report{_first(left_out)}"
        )
    flat = [flat_values(with_portable_paths(run.config)) for run in runs]
    roots = {_root(run.place) for run in runs}
    axes = {key for root, study in studies.items() if root in roots for key in study.axes}
    keys = [key for key in flat[0] if _compared(key, axes) and len({json.dumps(one[key]) for one in flat}) > 1]
    keys.sort(key=lambda key: (key not in ARTICLE_KEYS, key))
    groups: dict[str, list[StudyRunData]] = {}
    values: dict[str, dict[str, Any]] = {}
    for run, settings in zip(runs, flat, strict=True):
        chosen = {key: settings[key] for key in keys}
        groups.setdefault(json.dumps(chosen), []).append(run)
        values[json.dumps(chosen)] = chosen
    arms = []
    for number, key in enumerate(sorted(groups, key=lambda key: _order(values[key]))):
        kept, repeated = _each_seed_once(groups[key])
        left_out += repeated
        arms.append(Arm(f"arm{number}", _label(values[key], kept), values[key], tuple(kept)))
    arms = _told_apart(arms)
    return Found(arms, sorted([*left_out, *_not_done(arms)], key=lambda one: os.fspath(one.path)))


def finished(arms: Sequence[Arm]) -> list[Arm]:
    """Leave out runs that are not done, unless none is: half a run has no say in where training ends."""
    return [arm for arm in settled(arms) if arm.runs[0].done] or list(arms)


def settled(arms: Sequence[Arm]) -> list[Arm]:
    """Leave out runs that are not done of the arms that have others: one just begun would cut their curves short."""
    done = [tuple(run for run in arm.runs if run.done) for arm in arms]
    return [replace(arm, runs=runs or arm.runs) for arm, runs in zip(arms, done, strict=True)]


@contextmanager
def _found(directory: Path) -> Iterator[tuple[list[Place], list[LeftOut]]]:
    """Find what may be runs below a directory, by their paths, those of archives unpacked meanwhile.

    Also yields which runs of archives do not count, since a directory with other tables does.
    """
    found = {run.path: Place(run, run) for run in _run_dirs(directory)}
    left_out: list[LeftOut] = []
    with ExitStack() as stack:
        for archive in archives_below(directory):
            folder = stack.enter_context(unpacked(archive))
            for packed in _run_dirs(folder):
                run = RunDir(archive.parent / packed.path.relative_to(folder))
                known = found[run.path].read if run.path in found else packed
                if not known.path.is_dir():  # what is left of it is why it failed
                    known = packed
                found[run.path] = Place(known, run)
                if not _same_tables(known, packed):
                    reason = f"the copy in {printable(archive)} has other tables than the directory, which counts"
                    left_out.append(LeftOut(run.path, reason))
        yield [found[path] for path in sorted(found, key=os.fspath)], left_out


def _same_tables(one: RunDir, other: RunDir) -> bool:
    """Whether two run directories have the same files that are packed, byte by byte."""
    if one.path == other.path:
        return True
    there = [[(run.path / name).is_file() for name in TABLES] for run in (one, other)]
    names = [name for name, is_there in zip(TABLES, there[0], strict=True) if is_there]
    with suppress(OSError):  # what can't be read is told when it is loaded
        return there[0] == there[1] and not any(filecmp.cmpfiles(one.path, other.path, names, shallow=False)[1:])
    return False


def _run_dirs(directory: Path) -> list[RunDir]:
    """List what may be run directories below one, by their paths."""
    paths = {file.parent for name in ("config.yaml", "episodes.csv") for file in directory.rglob(name)}
    paths |= {file.with_suffix("") for file in directory.rglob("seed_*.error")}  # of a study; it may have made nothing
    places = [RunDir(path) for path in sorted(paths, key=os.fspath)]
    return [place for place in places if place.episodes.is_file() or _is_begun(place)]


def _studies(places: Sequence[Place]) -> dict[Path, Study]:
    """Read the studies that runs are of, by their directories.

    Raises:
        UserError: a study file can't be read, and so nobody knows which runs belong together.
    """
    roots = sorted({root for place in places if (root := _root(place.run)) is not None}, key=os.fspath)
    return {root: load_study(file) for root in roots if (file := StudyDir(root).study).is_file()}


def _root(place: RunDir) -> Path | None:
    """Name the directory of the study that a run is of, by where it is; None where it is of none."""
    path = place.path.absolute()
    return path.parents[2] if path.match("runs/*/seed_*") else None


def _load_all(places: Sequence[Place], studies: Mapping[Path, Study]) -> tuple[list[StudyRunData], list[LeftOut]]:
    """Read all runs, and say why each of the others can't be."""
    runs: list[StudyRunData] = []
    left_out: list[LeftOut] = []
    for read, place in places:
        root = _root(place)
        study = None if root is None else studies.get(root)
        try:
            run = _load(read, None if study is None else study.final) if read.path.exists() else None
        except (UserError, OSError) as error:
            left_out.append(LeftOut(place.path, _within(read, str(error))))
            continue
        if run is None:
            left_out.append(LeftOut(place.path, f"no episode has ended yet{_failure(read.path)}"))
        else:
            runs.append(replace(run, place=place))
    return runs, left_out


def _within(place: RunDir, reason: str) -> str:
    """Name the files of a run, in a line that begins with the run, from there."""
    return reason.replace(f"{place.path}{os.sep}", "")


def _is_begun(place: RunDir) -> bool:
    """Whether a folder with a config but no episodes is a run that has only begun, not any folder with such a file."""
    if place.path.name.startswith("."):  # a run directory before it has its name
        return False
    signs = (place.checkpoints, place.lock, place.metrics, _error_file(place.path))
    return any(sign.exists() for sign in signs)


def _load(place: RunDir, asked: FinalConfig | None) -> StudyRunData | None:
    """Read a run; None before its first episode has ended.

    Args:
        place: its directory.
        asked: the evaluations at its end that its study asks for; None where it is of none.

    Raises:
        UserError: a file of it is missing or damaged, or was changed after it was done.
    """
    if not place.config.is_file():
        raise UserError(f"{place.config}: missing")
    if not place.episodes.is_file():
        return None
    run = load_run(place.path)
    assert run.config is not None
    if not len(run.episodes["x"]):
        return None
    evaluations = read_evaluations(place.evaluation)
    finals = look_at_finals(place, run.config, asked)
    if finals.state == "damaged":
        raise UserError(finals.why)
    otherwise, final = "", finals.table
    if finals.state == "others":
        otherwise, final = _within(place, finals.why), {name: column[:0] for name, column in final.items()}
    return StudyRunData(
        place, run.config, run.episodes, evaluations, final, read_record(place), otherwise, _failure(place.path)
    )


def _failure(path: Path) -> str:
    """Say why a run of a study failed, if it did: the last line of the file beside it."""
    error = _error_file(path)
    lines = error.read_text(encoding="utf-8", errors="replace").split("\n") if error.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"; it failed: {said[-1]}" if said else ""


def _error_file(path: Path) -> Path:
    """Name the file that says why a run of a study failed, see `StudyDir`."""
    return path.with_name(f"{path.name}.error")


def _first(left_out: Sequence[LeftOut]) -> str:
    """Name one of those left out, and how many more there are, for the end of a line."""
    if not left_out:
        return ""
    more = f", and {len(left_out) - 1} more" if len(left_out) > 1 else ""
    return f" ({left_out[0].path}: {left_out[0].reason}{more})"


def _compared(key: str, axes: set[str]) -> bool:
    """Whether a key of the config tells arms apart."""
    sections = {key[:place] for place, letter in enumerate(key) if letter == "."} | {key}
    return bool(sections & axes) or not sections & set(NOT_COMPARED)


def _each_seed_once(runs: Sequence[StudyRunData]) -> tuple[list[StudyRunData], list[LeftOut]]:
    """Keep one run of every seed, in the order they came in; say of the others which one counts instead."""
    counts: dict[int, StudyRunData] = {}
    for run in runs:
        known = counts.get(run.seed)
        if known is None or _standing(run) > _standing(known):
            counts[run.seed] = run
    kept = [run for run in runs if counts[run.seed] is run]
    return kept, [
        LeftOut(run.place.path, f"the same arm and seed {run.seed} as {counts[run.seed].place.path}, which counts")
        for run in runs
        if counts[run.seed] is not run
    ]


def _standing(run: StudyRunData) -> tuple[bool, float]:
    return run.done, float(run.episodes["agent_steps"][-1])


def _not_done(arms: Sequence[Arm]) -> list[LeftOut]:
    """Say which runs don't count because they are not done, while others are: `settled` and `finished`.

    And which ended with other evaluations than are asked for: those are shown nowhere.
    """
    drawn, counting = (
        {run.place.path for arm in chosen for run in arm.runs} for chosen in (settled(arms), finished(arms))
    )
    return [
        LeftOut(run.place.path, reason)
        for arm in arms
        for run in arm.runs
        if (reason := _why_not(run, drawn=run.place.path in drawn, counting=run.place.path in counting))
    ]


def _why_not(run: StudyRunData, *, drawn: bool, counting: bool) -> str:
    failure = run.otherwise or run.failure.removeprefix("; ")
    where = "in curves only" if drawn else "in no figure"
    if not counting:
        return f"not done, so {where}: others have been evaluated at their end" + (f"; {failure}" if failure else "")
    return run.otherwise


def _told_apart(arms: Sequence[Arm]) -> list[Arm]:
    """Number the labels that several arms have."""
    labels = [arm.label for arm in arms]
    return [
        arm if labels.count(arm.label) == 1 else replace(arm, label=f"{arm.label} ({number})")
        for number, arm in enumerate(arms, start=1)
    ]


def _order(values: dict[str, Any]) -> tuple[Any, ...]:
    """Action sets from the smallest, then targets from the article's DQN on, then the rest as text."""
    ranks = {"right_only": 0, "simple": 1, "complex": 2} | {target: rank for rank, target in enumerate(ALGORITHMS)}
    action_set, target = values.get("env.action_set"), values.get("agent.target")
    return (
        ranks.get(action_set, 9) if isinstance(action_set, str) else 9,
        ranks.get(target, 9) if isinstance(target, str) else 9,
        json.dumps(values),
    )


def value_label(key: str, value: Any) -> str:
    """Write a value as part of a label: words speak for themselves, the rest needs the name of its key."""
    return printable(value) if isinstance(value, str) else f"{key.rpartition('.')[2]} {value_text(value)}"


def _label(values: dict[str, Any], runs: Sequence[StudyRunData]) -> str:
    """Say what an arm's values are; where that is long, what its folder is called: the page lists the values."""
    parts = [ALGORITHMS[value] if key == "agent.target" else value_label(key, value) for key, value in values.items()]
    label = ", ".join(parts) or f"{ALGORITHMS[runs[0].config.agent.target]}, {runs[0].config.env.action_set}"
    if len(label) <= MAX_LABEL:
        return printable(label)
    paths = [run.place.path.absolute() for run in runs]
    names = dict.fromkeys(path.parent.name if path.name.startswith("seed_") else path.name for path in paths)
    return printable(", ".join(names), MAX_LABEL)
