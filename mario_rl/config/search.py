"""The search file: which settings to search, within which bounds, by how many trials, judged by what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, NonNegativeInt, PlainValidator, PositiveInt, model_validator

from mario_rl.config.files import (
    SEARCH_KEY,
    load_config,
    load_configs_with,
    parse_keys,
    parse_section,
    read_config_text,
    render_tree,
)
from mario_rl.config.schema import Config, Count, EvaluatedEpisodes, PathText, Section, Seed
from mario_rl.config.study import Distinct, FinalConfig, Study
from mario_rl.errors import ConfigError
from mario_rl.names import Protocol
from mario_rl.shipped import find_config

MOST = 1e15  # of a bound: beyond, a float does not tell whole numbers apart
MOST_TRIALS = 10_000

STEPS = "training.agent_steps"
OTHER_ENDS = ("training.episodes", "training.minutes", "training.clear_rate")
FIXED = ("seed", STEPS, *OTHER_ENDS, "env.stage", "env.rom")
"""Keys that no search may vary: trials that differ in them would not be judged by the same measure."""

type Objective = Literal["final_x", "clear_rate", "training_x"]
OBJECTIVES: dict[Objective, str] = {
    "final_x": "mean x of the evaluation at the end [pixels]",
    "clear_rate": "clear rate of the evaluation at the end [share of episodes]",
    "training_x": "mean x of the last 100 training episodes [pixels]",
}
"""What a trial is judged by, with its unit: the higher, the better."""


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:  # nan is refused too
        raise ValueError(f"a number from -{MOST:.0e} to {MOST:.0e}")
    return value


type Number = Annotated[int | float, PlainValidator(_number)]


class Range(Section):
    """The numbers from low to high: whole ones where both are written as such (1, not 1.0), else any."""

    low: Number = Field(description="The least.")
    high: Number = Field(description="The most.")
    log: bool = Field(False, description="Whether to draw uniformly in the logarithm: as many from 1 to 10 as to 100.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be less than high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be more than 0 where log is true")
        return self

    @property
    def whole(self) -> bool:
        """Whether it has whole numbers alone."""
        return isinstance(self.low, int) and isinstance(self.high, int)


type Choices = tuple[Any, ...]
type Space = Mapping[str, Range | Choices]
"""What may be chosen for each dotted key: a range, or one of some plain values."""


class SearchFinalConfig(FinalConfig):
    """How the last weights of a trial are evaluated, by which it is judged: on a seed that no reported number uses."""

    protocols: Distinct[Protocol] = Field(("epsilon",), description="Which protocols, each once.")
    episodes: EvaluatedEpisodes = Field(
        50, description="Episodes of sticky and epsilon; the others have a fixed number."
    )
    seed: Seed = Field(
        20_000, description="Of the sticky and random actions; another than agents are compared and chosen by."
    )


class Search(Section):
    """A search file."""

    base: PathText = Field(description="The config that every trial begins with, relative to the search file.")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="What all trials change in it: dotted keys such as replay.capacity."
    )
    space: dict[str, Any] = Field(
        min_length=1,
        description="Dotted keys, each with a range {low: 1.0e-4, high: 1.0e-3, log: true} or a list of choices.",
    )
    objective: Objective = Field(
        "final_x",
        description="To be as high as possible: final_x, clear_rate (both of the evaluation at the end), training_x.",
    )
    trials: Annotated[int, Field(gt=0, le=MOST_TRIALS)] = Field(30, description="How many settings to try, in all.")
    agent_steps: Count = Field(50_000, description="Agent steps that each run of a trial is trained for.")
    seeds: Distinct[Seed] = Field(
        (1_000,), description="A trial makes a run from each, one after the other; its value is their mean."
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="tpe: learns from the trials before (Bergstra et al. 2011); random."
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        "median",
        description="Ends trials early whose best so far is below what most others have then; none: sees all through.",
    )
    startup_trials: NonNegativeInt = Field(
        10, le=MOST_TRIALS, description="Trials drawn at random before tpe learns from them and median prunes any."
    )
    seed: Seed = Field(0, description="What the settings of all trials are drawn from.")
    threads: PositiveInt = Field(1, le=1024, description="Processor threads of a run.")
    final: SearchFinalConfig = Field(default_factory=SearchFinalConfig, description="The evaluation at a run's end.")


DEFAULT_SPACE: dict[str, JsonValue] = {
    "agent.learning_rate": {"low": 5.0e-5, "high": 1.0e-3, "log": True},
    "agent.gamma": {"low": 0.8, "high": 0.99},
    "agent.n_step": {"low": 1, "high": 10},
    "agent.steps_per_update": [16, 32, 64],
    "agent.advantage_learning": {"low": 0.0, "high": 0.6},
    "replay.priority_exponent": {"low": 0.0, "high": 0.7},
    "network.hidden_size": [128, 256, 512],
}
"""What is searched where a config is all that is given."""


def load_search(path: Path) -> tuple[Search, str]:
    """Read a search file; of a config, search what is most often worth it; of a study, what its axes hold.

    Returns:
        The search, and its text: that of the file, or how it would stand in one.

    Raises:
        ConfigError: one line naming the file, the key, its value and what is allowed.
    """
    text = read_config_text(path, "search")
    tree = parse_keys(text, path)
    if SEARCH_KEY in tree:
        search = parse_section(Search, tree, str(path))
    elif "axes" in tree:
        search = _search_of_study(parse_section(Study, tree, str(path)), path)
    elif "base" not in tree:
        load_config(path)  # said of the config itself
        search = Search(base=str(path.absolute()), space=DEFAULT_SPACE)
    else:
        raise ConfigError(f"{path}: space: missing; a search names the keys it varies there, a study has axes")
    trial_configs(search, path, corners(space_of(search, path)))
    if SEARCH_KEY not in tree:
        text = f"# Made by mario-rl tune of {path.name}.\n{render_tree(search.model_dump(mode='json'))}"
    return search, text


def space_of(search: Search, path: Path) -> Space:
    """Read what may be chosen for each key.

    Raises:
        ConfigError: an entry is neither a range nor a list of different values, or its key is not to be searched.
    """
    for where, keys in (("settings", search.settings), ("space", search.space)):
        refused = [key for key in keys if key in FIXED and (where == "space" or not key.startswith("env."))]
        refused += [key for key in keys if where == "space" and key.partition(".")[0] == "evaluation"]
        if refused:
            raise ConfigError(
                f"{path}: {where}.{refused[0]}: is not allowed; all trials share it: a run is as long as agent_steps "
                "says, its seeds are seeds, its evaluation is final"
            )
    if twice := sorted(search.space.keys() & search.settings.keys()):
        raise ConfigError(f"{path}: settings.{twice[0]}: is not allowed, it is searched as well; keep one of the two")
    return {key: _dimension(f"{path}: space.{key}", entry) for key, entry in search.space.items()}


def _dimension(source: str, entry: Any) -> Range | Choices:
    if isinstance(entry, dict):
        return parse_section(Range, entry, source)
    if not _is_plain(entry) or len({json.dumps(value) for value in entry}) < max(len(entry), 2):
        raise ConfigError(f"{source}: must be a range such as {{low: 1, high: 10}}, or a list of different values")
    return tuple(entry)


def _is_plain(entry: Any) -> bool:
    """Whether an entry is a list of what JSON has too; YAML has dates besides."""
    try:
        json.dumps(entry)
    except TypeError:
        return False
    return isinstance(entry, list)


def trial_configs(search: Search, path: Path, variants: Iterable[Mapping[str, Any]]) -> list[Config]:
    """Make the configs of trials from the values of the searched keys; their seed is the base's.

    Args:
        search: what `load_search` read.
        path: the file it came from.
        variants: plain values by dotted key, for each trial.

    Raises:
        ConfigError: a value, or some together, are no config.
    """
    ends = {**dict.fromkeys(OTHER_ENDS), STEPS: search.agent_steps}
    common = {"evaluation.every_steps": None, **search.settings, **ends}
    return _configs(search, path, ({**common, **values} for values in variants))


def found_config(search: Search, path: Path, values: Mapping[str, Any]) -> Config:
    """Make the config to go on with: the base, with the settings of the search and those found, as long as the base."""
    return _configs(search, path, [{**search.settings, **values}])[0]


def _configs(search: Search, path: Path, variants: Iterable[Mapping[str, Any]]) -> list[Config]:
    return list(load_configs_with(find_config(path.parent / search.base, name=search.base), variants, str(path)))


def corners(space: Space) -> Iterable[dict[str, Any]]:
    """List settings in which every bound and every choice is there once: the lows together, the highs together."""
    columns = [[one.low, one.high] if isinstance(one, Range) else list(one) for one in space.values()]
    for row in range(max(map(len, columns))):
        yield {key: column[min(row, len(column) - 1)] for key, column in zip(space, columns, strict=True)}


def _search_of_study(study: Study, path: Path) -> Search:
    """Search the axes of a study, on other seeds than its own, for as many agent steps."""
    base = find_config(path.parent / study.base, name=study.base)
    steps = study.settings.get(STEPS) or load_config(base).training.agent_steps
    return parse_section(
        Search,
        {
            "base": str(base.absolute()),
            "settings": {key: value for key, value in study.settings.items() if key not in (STEPS, *OTHER_ENDS)},
            "space": {key: list(values) for key, values in study.axes.items()},
            "trials": min(30, math.prod(len(values) for values in study.axes.values())),
            "threads": study.threads,
            **({} if steps is None else {"agent_steps": steps}),
        },
        str(path),
    )
