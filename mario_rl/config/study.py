"""The study file: which settings to compare, from which seeds, evaluated how at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, NonNegativeFloat, PositiveInt

from mario_rl.config.files import SEARCH_KEY, parse_keys, parse_section, read_config_text
from mario_rl.config.schema import Config, EvaluatedEpisodes, PathText, Section, Seed
from mario_rl.errors import ConfigError
from mario_rl.names import Protocol


def _each_once[T](values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("different ones, each once")
    return values


type Distinct[T] = Annotated[tuple[T, ...], Field(strict=False, min_length=1), AfterValidator(_each_once)]


class FinalConfig(Section):
    """How the last weights of every run are evaluated when it is done."""

    protocols: Distinct[Protocol] = Field(("noop", "sticky", "epsilon"), description="Which protocols, each once.")
    episodes: EvaluatedEpisodes = Field(
        100, description="Episodes of sticky and epsilon; the others have a fixed number."
    )
    seed: Seed = Field(
        1, description="Of the sticky and random actions; another than evaluation.seed, by which best.pt is chosen."
    )


class Study(Section):
    """A study file."""

    base: PathText = Field(description="The config that every run begins with, relative to the study file.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="What all runs change in it: dotted keys such as training.agent_steps."
    )
    axes: dict[str, Annotated[tuple[JsonValue, ...], Field(strict=False, min_length=1)]] = Field(
        min_length=1, description="Dotted keys, each with the values to compare; every combination is an arm."
    )
    seeds: Distinct[Seed] = Field(description="One run of every arm for each.")
    threads: PositiveInt = Field(1, le=1024, description="Processor threads of a run.")
    gpus: NonNegativeFloat = Field(
        0.0, le=1024.0, description="Share of a GPU of a run, on a cluster; here `device` decides."
    )
    final: FinalConfig = Field(default_factory=FinalConfig, description="The evaluations at the end of a run.")


def load_study(path: Path) -> Study:
    """Read a study file and check its own keys; `expand` checks the configs it makes.

    Raises:
        ConfigError: one line naming the file, the key, its value and what is allowed.
    """
    return parse_study(read_config_text(path, "study"), path)


def parse_study(text: str, path: Path) -> Study:
    """Check the text of a study file, which came from `path`.

    Raises:
        ConfigError: as for `load_study`.
    """
    tree = parse_keys(text, path)
    if SEARCH_KEY in tree:
        raise ConfigError(f"{path}: a search, not a study; `mario-rl tune {path}` takes it")
    if tree.keys() & Config.model_fields.keys() and not tree.keys() & Study.model_fields.keys():
        raise ConfigError(
            f"{path}: a training config, not a study; `mario-rl train {path}` takes it, and a study can name it as its "
            "base (configs/studies/ has examples)"
        )
    return parse_section(Study, tree, str(path))
