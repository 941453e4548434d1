"""A study to its runs: every combination of the axes' values is an arm, each trained from several seeds."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mario_rl.config import Config, load_config_with
from mario_rl.config.study import Study
from mario_rl.errors import ConfigError

MAX_RUNS = 10_000


class StudyRun(NamedTuple):
    """One run of a study: which arm, from which seed, with which config."""

    arm: str
    seed: int
    config: Config

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def expand(study: Study, path: Path) -> list[StudyRun]:
    """List the runs of a study, seed by seed, so that all arms have the same seeds whenever it is interrupted.

    Args:
        study: what `load_study` read.
        path: the file it came from; the base config is looked for beside it.

    Raises:
        ConfigError: the base or a combination of settings is no config, or two arms have one name; as `load_config`.
    """
    base = path.parent / study.base
    arms = dict(_arms(study, path))
    if len(arms) * len(study.seeds) > MAX_RUNS:
        raise ConfigError(f"{path}: axes: {len(arms) * len(study.seeds):,} runs; must be at most {MAX_RUNS:,}")
    return [
        StudyRun(name, seed, load_config_with(base, {**study.settings, **arm, "seed": seed}, str(path)))
        for seed in study.seeds
        for name, arm in arms.items()
    ]


def _arms(study: Study, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name every combination of the axes' values."""
    if "seed" in study.axes or "seed" in study.settings:
        raise ConfigError(f"{path}: seed: is not allowed here; the runs' seeds are under seeds")
    if twice := sorted(study.axes.keys() & study.settings.keys()):
        raise ConfigError(f"{path}: settings.{twice[0]}: is not allowed, it is an axis as well; keep one of the two")
    seen: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*study.axes.values()):
        arm = dict(zip(study.axes, values, strict=True))
        name = "-".join(_label(key, value) for key, value in arm.items())
        if name in seen:
            raise ConfigError(f"{path}: axes: two arms are both called {name}; leave out values that are there twice")
        seen[name] = arm
        yield name, arm


def _label(key: str, value: Any) -> str:
    """Write a value as part of a folder's name; words speak for themselves, numbers don't."""
    words = [value] if isinstance(value, str) else [key.rpartition(".")[2], json.dumps(value)]
    return "_".join(part for word in words for part in re.findall(r"[A-Za-z0-9._-]+", word)).strip(".") or "empty"
