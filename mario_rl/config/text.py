"""YAML to plain values: how much a text says is known before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, NodeEvent, ScalarEvent

from mario_rl.errors import ConfigError
from mario_rl.reading import Refused

MOST_BYTES = 65_536
"""Of a YAML file: ten times a config with every key explained. More is read in no second."""

MOST_VALUES, MOST_DEPTH = 10_000, 32
MOST_CHARACTERS = 4_096  # of one value: the longest path that Linux takes


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML (1.2) of plain values: no tags, nothing that refers to itself; `source` is what messages call it.

    Raises:
        ConfigError: it is not, or says more than a config can.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{source}: more than {MOST_BYTES:,} characters, the most that is read")
    yaml = YAML(typ="safe", pure=True)
    try:
        _require_little(yaml.parse(text))
        return yaml.load(text)
    except Refused as error:
        raise ConfigError(f"{source}, {error}") from error
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigError(f"{source}{line}: not valid YAML ({' '.join(str(error.problem).split())})") from error
    except (YAMLError, ValueError, ArithmeticError) as error:  # also of a date that no calendar has
        raise ConfigError(f"{source}: not valid YAML ({str(error).splitlines()[0]})") from error


@dataclass
class _Said:
    """What a part of a text says, aliases written out: how many values, and how deep lists and mappings go in it."""

    values: int = 1
    depth: int = 0


def _require_little(events: Iterable[Event]) -> None:
    """Count what a text says, with every alias and merge key (`<<`) written out, as far as it may be much.

    Raises:
        Refused: names the line. What is no YAML is raised by the events themselves.
    """
    anchored: dict[str, _Said] = {}
    open_parts: list[tuple[str | None, _Said]] = []
    said = 0
    for event in events:
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, CollectionEndEvent):
            anchor, part = open_parts.pop()
        elif isinstance(event, NodeEvent):
            part = _looked_up(event, anchored, [one for one, _ in open_parts], where)
            anchor = None if isinstance(event, AliasEvent) else event.anchor
            said += part.values
        else:
            continue
        if said > MOST_VALUES:
            raise Refused(f"{where}: more than {MOST_VALUES:,} values, aliases written out")
        if isinstance(event, CollectionStartEvent):
            open_parts.append((anchor, part))
        elif open_parts:
            _, around = open_parts[-1]
            around.values += part.values
            around.depth = max(around.depth, part.depth + 1)
        if len(open_parts) + part.depth > MOST_DEPTH:
            raise Refused(f"{where}: nested more than {MOST_DEPTH} deep")
        if anchor is not None and not isinstance(event, CollectionStartEvent):
            anchored[anchor] = part


def _looked_up(event: NodeEvent, anchored: dict[str, _Said], open_anchors: list[str | None], where: str) -> _Said:
    """Say what a scalar, an alias or the beginning of a list or mapping adds; of an alias, all it stands for."""
    if isinstance(event, AliasEvent):
        if event.anchor in open_anchors:
            raise Refused(f"{where}: *{event.anchor} is inside of what it stands for")
        return anchored.get(event.anchor, _Said())  # the reader itself complains of one that is not there
    if event.anchor is not None and (event.anchor in anchored or event.anchor in open_anchors):
        raise Refused(f"{where}: &{event.anchor} is there twice")
    if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
        raise Refused(f"{where}: the tag {event.tag} is not allowed; values are text, numbers, true, false and null")
    if isinstance(event, ScalarEvent) and len(event.value) > MOST_CHARACTERS:
        raise Refused(f"{where}: a value of more than {MOST_CHARACTERS:,} characters")
    return _Said()
