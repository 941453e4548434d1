"""A study to its runs: every combination of the axes' values is an arm, each trained from several seeds."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mario_rl.config import Config, load_configs_with
from mario_rl.config.study import Study
from mario_rl.errors import ConfigError
from mario_rl.shipped import find_config
from mario_rl.wording import count_text, value_text

MAX_RUNS = 10_000
MAX_NAME = 200  # characters of an arm, a part of which a folder's name may not have more than 255
MAX_SHOWN, MAX_FACTORS = 10**12, 8


class StudyRun(NamedTuple):
    """One run of a study: which arm, from which seed, with which config."""

    arm: str
    seed: int
    config: Config

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def expand(study: Study, path: Path) -> list[StudyRun]:
    """List the runs of a study, seed by seed, so that all arms have the same seeds whenever it is interrupted.

    How many there are is known before any is made.

    Args:
        study: what `load_study` read.
        path: the file it came from; the base config is looked for beside it, then among those of the package.

    Raises:
        ConfigError: there are too many, the base or a combination of settings is no config, or an arm can't have a name
            of its own; as `load_config`.
    """
    if "seed" in study.axes or "seed" in study.settings:
        raise ConfigError(f"{path}: seed: is not allowed here; the runs' seeds are under seeds")
    if twice := sorted(study.axes.keys() & study.settings.keys()):
        raise ConfigError(f"{path}: settings.{twice[0]}: is not allowed, it is an axis as well; keep one of the two")
    sizes = [len(values) for values in study.axes.values()]
    if math.prod(sizes) * len(study.seeds) > MAX_RUNS:
        raise ConfigError(
            f"{path}: axes: {_product(sizes)} arms from {count_text(len(study.seeds), 'seed')} are more than "
            f"{MAX_RUNS:,} runs, the most a study may have"
        )
    arms = dict(_arms(study, path))
    return [
        StudyRun(name, seed, config.model_copy(update={"seed": seed}))
        for seed in study.seeds
        for name, config in arms.items()
    ]


def _arms(study: Study, path: Path) -> Iterator[tuple[str, Config]]:
    """Name every combination of the axes' values, and make its config."""
    combinations = [dict(zip(study.axes, values, strict=True)) for values in itertools.product(*study.axes.values())]
    variants = ({**study.settings, **arm} for arm in combinations)
    seen: set[str] = set()
    base = find_config(path.parent / study.base, name=study.base)
    for arm, config in zip(combinations, load_configs_with(base, variants, str(path)), strict=True):
        name = "-".join(_label(key, value) for key, value in arm.items())
        if len(name) > MAX_NAME:
            raise ConfigError(
                f"{path}: axes: an arm's name, made of its values, has {len(name):,} characters ({name[:40]}...); "
                f"must be at most {MAX_NAME}: a folder is called that"
            )
        if name in seen:
            raise ConfigError(f"{path}: axes: two arms are both called {name}; leave out values that are there twice")
        seen.add(name)
        yield name, config


def _product(sizes: Sequence[int]) -> str:
    """Write how many combinations there are: the number where it can be read, else what it is the product of."""
    product = math.prod(sizes)
    if product <= MAX_SHOWN:
        return f"{product:,}"
    shown = [str(size) for size in sizes[:MAX_FACTORS]]
    return " x ".join([*shown, "..."] if len(sizes) > MAX_FACTORS else shown)


def _label(key: str, value: Any) -> str:
    """Write a value as part of a folder's name; words speak for themselves, numbers don't."""
    words = [value] if isinstance(value, str) else [key.rpartition(".")[2], value_text(value)]
    return "_".join(part for word in words for part in re.findall(r"[A-Za-z0-9._-]+", word)).strip(".") or "empty"
