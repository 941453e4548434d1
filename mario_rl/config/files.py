"""YAML to config and back: reading, checking with one clear line per mistake, writing with every key explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mario_rl.config.schema import Config


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply `key=value` overrides to it."""
    raise NotImplementedError


def parse_config(tree: Mapping[str, Any], source: str) -> Config:
    """Check a tree of plain values."""
    raise NotImplementedError


def render_config(config: Config) -> str:
    """Write a config out as YAML with every key explained."""
    raise NotImplementedError
