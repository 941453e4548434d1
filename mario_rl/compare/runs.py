"""The runs under a directory, read back and sorted into arms, whoever made them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mario_rl.config import Config
from mario_rl.errors import UserError
from mario_rl.metrics import EVALUATION_COLUMNS, read_table
from mario_rl.report.curve import Floats, Table, load_run
from mario_rl.rundir import RunDir

RECENT = 100  # episodes at the end of training that a run's score is the mean over

# Keys that say how long, where or how closely watched a run was, not what was compared.
NOT_COMPARED = ("seed", "device", "training", "evaluation", "logging")

MAX_LABEL = 44  # characters
ARTICLE_KEYS = ("agent.target", "env.action_set")
TARGETS = {"none": "DQN without target network", "target": "DQN", "double": "Double DQN"}


@dataclass(frozen=True)
class StudyRunData:
    """What one run left.

    episodes, evaluations: its tables, as `read_table` gives them, with a column `minutes`. final: the evaluations at
    its end, without rows where it is not done. record: what `run.json` says, empty where there is none.
    """

    place: RunDir
    config: Config
    episodes: Table
    evaluations: Table
    final: Table
    record: dict[str, Any]

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
        machine = self.record.get("machine", {})
        return ", ".join(str(machine[key]) for key in ("processor", "cores", "device") if key in machine)

    def score(self, quantity: str) -> float:
        """Mean of `x` or `return` over the last 100 training episodes."""
        return float(np.mean(self.episodes[quantity][-RECENT:]))

    def merit(self) -> tuple[float, float]:
        """Clear rate and mean x of its best checkpoint; less than any where it has none."""
        best = self.record.get("best")
        return (-1.0, 0.0) if best is None else (best["clear_rate"], best["mean_x"])

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
    def target(self) -> str:
        """`agent.target` of its runs."""
        return self.runs[0].config.agent.target

    @property
    def setting(self) -> tuple[tuple[str, str], ...]:
        """All that tells it from other arms but the target: what a comparison of targets holds fixed."""
        return tuple((key, json.dumps(value)) for key, value in self.values.items() if key != "agent.target")

    def scores(self, quantity: str) -> Floats:
        """The score of each run, float64 (runs,)."""
        return np.array([run.score(quantity) for run in self.runs])


def load_arms(directory: Path) -> list[Arm]:
    """Read every run directory below one and sort the runs into arms by what their configs differ in.

    Raises:
        UserError: there is no run whose first episode has ended, or a file of one can't be read.
    """
    places = sorted(path.parent for path in directory.rglob("config.yaml") if (path.parent / "episodes.csv").is_file())
    runs = [run for run in (_load(place) for place in places) if run is not None]
    if not runs:
        raise UserError(f"{directory}: no run in it whose first episode has ended, so there is nothing to report")
    flat = [_flatten(run.config.model_dump(mode="json")) for run in runs]
    keys = [
        key
        for key in flat[0]
        if key.split(".")[0] not in NOT_COMPARED and len({json.dumps(one[key]) for one in flat}) > 1
    ]
    keys.sort(key=lambda key: (key not in ARTICLE_KEYS, key))
    groups: dict[str, list[StudyRunData]] = {}
    values: dict[str, dict[str, Any]] = {}
    for run, settings in zip(runs, flat, strict=True):
        chosen = {key: settings[key] for key in keys}
        groups.setdefault(json.dumps(chosen), []).append(run)
        values[json.dumps(chosen)] = chosen
    ordered = sorted(groups, key=lambda key: _order(values[key]))
    return [
        Arm(f"arm{number}", _label(values[key], groups[key]), values[key], tuple(groups[key]))
        for number, key in enumerate(ordered)
    ]


def finished(arms: Sequence[Arm]) -> list[Arm]:
    """Leave out runs that are not done, unless none is: half a run has no say in where training ends."""
    return [arm for arm in settled(arms) if arm.runs[0].done] or list(arms)


def settled(arms: Sequence[Arm]) -> list[Arm]:
    """Leave out runs that are not done of the arms that have others: one just begun would cut their curves short."""
    done = [tuple(run for run in arm.runs if run.done) for arm in arms]
    return [replace(arm, runs=runs or arm.runs) for arm, runs in zip(arms, done, strict=True)]


def _load(path: Path) -> StudyRunData | None:
    run, place = load_run(path), RunDir(path)
    assert run.config is not None  # load_arms looked for it
    if not len(run.episodes["x"]):
        return None
    record = json.loads(place.record.read_text(encoding="utf-8")) if place.record.is_file() else {}
    evaluations, final = (read_table(file, EVALUATION_COLUMNS) for file in (place.evaluation, place.final))
    return StudyRunData(place, run.config, run.episodes, evaluations, final, record)


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _order(values: dict[str, Any]) -> tuple[Any, ...]:
    """Action sets from the smallest, then targets from the article's DQN on, then the rest as text."""
    ranks = {"right_only": 0, "simple": 1, "complex": 2} | {target: rank for rank, target in enumerate(TARGETS)}
    action_set, target = values.get("env.action_set"), values.get("agent.target")
    return (
        ranks.get(action_set, 9) if isinstance(action_set, str) else 9,
        ranks.get(target, 9) if isinstance(target, str) else 9,
        json.dumps(values),
    )


def _label(values: dict[str, Any], runs: Sequence[StudyRunData]) -> str:
    """Say what an arm's values are; where that is long, what its folder is called: the page lists the values."""
    parts = []
    for key, value in values.items():
        if key == "agent.target":
            parts.append(TARGETS[value])
        elif isinstance(value, str):
            parts.append(value)
        else:
            parts.append(f"{key.rpartition('.')[2]} {json.dumps(value)}")
    label = ", ".join(parts) or f"{TARGETS[runs[0].config.agent.target]}, {runs[0].config.env.action_set}"
    if len(label) <= MAX_LABEL:
        return label
    paths = [run.place.path for run in runs]
    return ", ".join(dict.fromkeys(path.parent.name if path.name.startswith("seed_") else path.name for path in paths))
