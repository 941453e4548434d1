"""What on a card contradicts the agent's file, itself, or the card for reading; nothing is played for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from mario_rl.cards.card import MOST_SHOWN, Card, Claim, Facts, shown
from mario_rl.cards.text import card_markdown
from mario_rl.config import parse_config
from mario_rl.config.schema import WHOLE_GAME
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.evaluation.report import summarize
from mario_rl.files import printable
from mario_rl.reading import Refused, read_text
from mario_rl.wording import count_text

MOST_TEXT_BYTES = 10_000_000  # of a card for reading
MOST_NAMED = 10  # differences of one kind
INTERVAL = ("clear_rate_low", "clear_rate_high")
"""What is computed with roots, whose last digit differs between machines; all other numbers are the same everywhere."""


class _Nothing:
    """What stands where there is no value."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


class Flaw(NamedTuple):
    """Something on a card that is not so. about: a protocol, else the card or a file. what: one line."""

    about: str
    what: str

    @property
    def holds(self) -> bool:
        """Never."""
        return False


def find_flaws(checkpoint: Path, card: Card, facts: Facts) -> Iterator[Flaw]:
    """Compare every value of a card with what it was made from.

    The facts of training with the agent's file; each evaluation's sums with its episodes, and the episodes with the
    protocol; the date with today's; the card for reading, where there is one, with what it would say of this card.
    What the episodes came to is for `verify` to play again. `evaluated_on` and `versions` can't be told from anything.

    Args:
        checkpoint: the agent's file.
        card: of that file.
        facts: what the file itself says.
    """
    said, found = card.model_dump(mode="json", include=set(Facts.model_fields)), facts.model_dump(mode="json")
    yield from _few("card", differences(said, found, "the agent's file"))
    yield from (Flaw("card", what) for what in _odd_date(card.date))
    yield from _few("card", _wrong_protocols(card.evaluations))
    yield from _few("card", _uneven(card.evaluations))
    env = parse_config(facts.config, str(checkpoint)).env
    for claim in card.evaluations:
        yield from _few(claim.protocol, _wrong_claim(claim, env.stages))
    yield from _wrong_text(checkpoint.with_suffix(".md"), card.model_copy(update=facts.model_dump()))


def differences(said: Any, found: Any, source: str, where: str = "") -> Iterator[str]:
    """Name what differs in two trees of plain values: the card's, and that of what it was made from."""
    if isinstance(said, dict) and isinstance(found, dict):
        for key in [*said, *(key for key in found if key not in said)]:
            yield from differences(
                said.get(key, NOTHING), found.get(key, NOTHING), source, f"{where}.{key}" if where else str(key)
            )
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for index, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from differences(one, other, source, f"{where}.{index}")
    elif type(said) is not type(found) or said != found:
        yield f"{printable(where, MOST_SHOWN)}: the card says {shown(said)}, {source} says {shown(found)}"


def _few(about: str, lines: Iterator[str]) -> Iterator[Flaw]:
    """Make flaws of the first lines, and say that there are more."""
    yield from (Flaw(about, line) for line in itertools.islice(lines, MOST_NAMED))
    if next(lines, None) is not None:
        yield Flaw(about, "and more")


def _odd_date(text: str) -> Iterator[str]:
    today = datetime.now(UTC).date()
    try:
        if date.fromisoformat(text) > today:
            yield f"date: {text} is not yet; today is {today}"
    except ValueError:
        yield f"date: {text} is no date"


def _wrong_protocols(claims: Sequence[Claim]) -> Iterator[str]:
    named = [claim.protocol for claim in claims]
    for protocol in PROTOCOLS:
        if named.count(protocol) != 1:
            yield f"evaluations: {protocol} is there {named.count(protocol)} times; must be once"
    if named != sorted(named, key=list(PROTOCOLS).index):
        yield f"evaluations: in the order {', '.join(named)}; must be {', '.join(PROTOCOLS)}"
    if len(seeds := {claim.seed for claim in claims}) > 1:
        yield f"evaluations: of the seeds {', '.join(map(shown, sorted(seeds)))}; must be of one"


def _uneven(claims: Sequence[Claim]) -> Iterator[str]:
    """See that all evaluations, and all episodes, say as much: an older card lacks younger values everywhere."""
    if len({frozenset(claim.model_fields_set) for claim in claims}) > 1:
        yield "evaluations: not all of them have the same values"
    if len({frozenset(row) for claim in claims for row in claim.results}) > 1:
        yield "evaluations: not all of their episodes have the same values"


def _wrong_claim(claim: Claim, stages: Sequence[str]) -> Iterator[str]:
    """Compare a claim over some stages with the episodes it lists, and those with what the protocol has."""
    rules, rows = PROTOCOLS[claim.protocol], claim.results
    if not rows:
        yield "its card lists no episodes"
        return
    each = rules.fixed_episodes or len(rows) // len(stages)
    if len(rows) != each * len(stages):
        wanted = f"{each * len(stages)} of them" if rules.fixed_episodes else "as many on each"
        listed = f"{count_text(len(rows), 'episode')} on {count_text(len(stages), 'stage')}"
        yield f"its card lists {listed}; must be {wanted}"
        return
    for number, row in enumerate(rows):
        begun = stages[number // each]
        where = {} if begun == WHOLE_GAME else {"stage": begun}
        expected = row | {"protocol": claim.protocol, "seed": claim.seed, "episode": number} | where
        yield from differences(row, expected, "the evaluation", f"results.{number}")
    stage = ",".join(dict.fromkeys(stages))
    found = summarize(rows, protocol=claim.protocol, seed=claim.seed, stage=stage)
    said = {name: value for name, value in claim if name in claim.model_fields_set and name != "results"}
    for name in INTERVAL:
        if math.isclose(said[name], found[name], rel_tol=1e-12):
            found[name] = said[name]
    yield from differences(said, {name: found[name] for name in said}, "the list of its episodes")


def _wrong_text(path: Path, card: Card) -> Iterator[Flaw]:
    """Compare the card for reading, where there is one, with what it would say of this card."""
    try:
        lines = read_text(path, most_bytes=MOST_TEXT_BYTES).replace("\r\n", "\n").split("\n")
    except FileNotFoundError:
        return
    except (OSError, Refused) as error:
        yield Flaw(path.name, f"can't be read ({' '.join(str(error).split())})")
        return
    for number, (said, expected) in enumerate(itertools.zip_longest(lines, card_markdown(card).split("\n")), start=1):
        if said != expected:
            alike = _alike(said or "", expected or "")
            says, gives = (shown(one[alike:]) if one is not None else NOTHING for one in (said, expected))
            yield Flaw(path.name, f"line {number}, from character {alike + 1} on: says {says}, the card gives {gives}")
            return


def _alike(one: str, other: str) -> int:
    """Count the characters that two texts begin alike with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))
