"""A study: settings of which every combination is an arm, each trained from several seeds; and where its files are."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, field_validator

from mario_rl.config import Config, Protocol, Section, load_config_with, parse_section, read_yaml
from mario_rl.errors import ConfigError
from mario_rl.runs.directory import RunDir

MAX_RUNS = 10_000


class FinalConfig(Section):
    """How the last weights of every run are evaluated when it is done."""

    protocols: Annotated[tuple[Protocol, ...], Field(strict=False, min_length=1)] = Field(
        ("noop", "sticky", "epsilon"), description="Which protocols, each once."
    )
    episodes: PositiveInt = Field(100, description="Episodes of sticky and epsilon; the others have a fixed number.")
    seed: NonNegativeInt = Field(
        1, description="Of the sticky and random actions; another than evaluation.seed, by which best.pt is chosen."
    )


class Study(Section):
    """A study file."""

    base: str = Field(description="The config that every run begins with, relative to the study file.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="What all runs change in it: dotted keys such as training.agent_steps."
    )
    axes: dict[str, Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]] = Field(
        min_length=1, description="Dotted keys, each with the values to compare; every combination is an arm."
    )
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1)] = Field(
        description="One run of every arm for each."
    )
    threads: PositiveInt = Field(1, le=1024, description="Processor threads of a run.")
    gpus: NonNegativeFloat = Field(0.0, description="Share of a GPU of a run, on a cluster; here `device` decides.")
    final: FinalConfig = Field(default_factory=FinalConfig, description="The evaluations at the end of a run.")

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("different seeds, each once")
        return seeds


class StudyRun(NamedTuple):
    """One run of a study: which arm, from which seed, with which config."""

    arm: str
    seed: int
    config: Config

    def __str__(self) -> str:
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class StudyDir:
    """A study's directory. Nothing is created by naming it.

    ```
    study.yaml              the study, as it was last asked for
    runs/ARM/seed_N/        an ordinary run directory, with final.csv, run.json and best.mp4 when it is done
    runs/ARM/seed_N.error   why it failed, where it did
    index.html              the report; its figures are in figures/, its tables in tables/
    ```
    """

    path: Path

    @property
    def study(self) -> Path:
        return self.path / "study.yaml"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def run(self, arm: str, seed: int) -> RunDir:
        """Name the directory of one run."""
        return RunDir(self.runs / arm / f"seed_{seed}")

    def error(self, arm: str, seed: int) -> Path:
        """Name the file that says why a run failed."""
        return self.runs / arm / f"seed_{seed}.error"


def load_study(path: Path) -> Study:
    """Read a study file and check its own keys; `expand` checks the configs it makes.

    Raises:
        ConfigError: one line naming the file, the key, its value and what is allowed.
    """
    tree = read_yaml(path, "study")
    if tree.keys() & Config.model_fields.keys() and not tree.keys() & Study.model_fields.keys():
        raise ConfigError(
            f"{path}: a training config, not a study; `mario-rl train {path}` takes it, and a study can name it as its "
            "base (configs/studies/ has examples)"
        )
    return parse_section(Study, tree, str(path))


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
