"""One seed to independent named generators, so that a draw added in one place leaves the others as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Streams:
    """Seeds of one run: one per environment, and one each for what else is random in it."""

    environments: tuple[int, ...]
    network: int
    exploration: int
    replay: int
    dropout: int


def spawn_streams(seed: int, num_envs: int) -> Streams:
    """Derive a run's independent seeds from its one seed (NumPy SeedSequence)."""
    network, exploration, replay, environments, dropout = np.random.SeedSequence(seed).spawn(5)
    return Streams(
        environments=tuple(_as_int(child) for child in environments.spawn(num_envs)),
        network=_as_int(network),
        exploration=_as_int(exploration),
        replay=_as_int(replay),
        dropout=_as_int(dropout),
    )


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """Derive one independent seed per evaluation episode; the first k are the same for any number of episodes."""
    return [_as_int(child) for child in np.random.SeedSequence(seed).spawn(episodes)]


def generator_state(generator: np.random.Generator) -> str:
    """Describe where a generator stands, as JSON text (its words are wider than 64 bits)."""
    return json.dumps(generator.bit_generator.state)


def restore_generator(generator: np.random.Generator, state: str) -> None:
    """Put a generator where `generator_state` found it.

    Raises:
        ValueError: that is no such state.
    """
    try:
        restored: dict[str, Any] = json.loads(state)
        generator.bit_generator.state = restored
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"not the state of a {type(generator.bit_generator).__name__} generator") from error


def _as_int(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint32)[0])
