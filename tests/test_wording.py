"""Numbers in sentences: the right plurals, and times in hours and minutes; and what no page and no help text says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mario_rl.cli import cli
from mario_rl.config.schema import Config, Section
from mario_rl.wording import count_text, duration_text, value_text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 agent steps"), (1, "1 agent step"), (2, "2 agent steps"), (1_383, "1,383 agent steps")]
)
def test_what_is_counted_is_one_or_many(number, text):
    assert count_text(number, "agent step") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (89, "1 minute"),
        (3_569, "59 minutes"),
        (3_571, "1 hour"),
        (3_660, "1 hour 1 minute"),
        (7_200, "2 hours"),
        (1_383 * 60, "23 hours 3 minutes"),
        (100_000 * 60, "1,666 hours 40 minutes"),
    ],
)
def test_a_time_is_in_hours_and_minutes_or_in_less_if_it_is_less(seconds, text):
    assert duration_text(seconds) == text


ROOT = Path(__file__).parents[1]
INSTEAD = {
    "asked for": "goal",
    "what followed": "the actual return",
    "that followed": "actual",
    "count nowhere": "are excluded from all other statistics",
    "as many at once as": "in parallel, as",
    "says what it takes": "estimates time, memory and disk",
    "needs a declared source of": "depends on where randomness enters",
    "easily chance alone": "p-values",
    "is named and started anew": "is reported and restarted",
}
"""Private shorthand, and what the words of the field are for it."""


def shorthand(text: str) -> list[str]:
    """Name what a text should say otherwise, wherever its lines break."""
    plain = re.sub(r"\s+", " ", text).lower()
    return [f"{phrase!r}: write {instead!r}" for phrase, instead in INSTEAD.items() if phrase in plain]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_use_the_words_of_the_field(page):
    assert shorthand(page.read_text(encoding="utf-8")) == []


def help_texts(command: click.Command) -> Iterator[str]:
    """All that `--help` shows of a command and of those below it."""
    yield command.get_help(click.Context(command))
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from help_texts(below)


@pytest.mark.parametrize(
    ("value", "text"), [([], "none"), (["1-1"], '["1-1"]'), (0.5, "0.5"), (None, "null"), (False, "false")]
)
def test_a_value_is_written_as_json_and_an_empty_list_as_none(value, text):
    assert value_text(value) == text


def descriptions(section: type[Section]) -> Iterator[str]:
    """What `mario-rl config` says of every key of a section and of those below it."""
    for field in section.model_fields.values():
        yield field.description or ""
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from descriptions(field.annotation)


def test_help_and_config_keys_use_the_words_of_the_field():
    texts = [*help_texts(cli), *descriptions(Config)]
    assert len(texts) > 80
    assert [found for text in texts for found in shorthand(text)] == []
