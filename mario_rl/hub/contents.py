"""What a repository holds: which files, how large they may be, and the check that every agent passes, out or in."""

from __future__ import annotations

import re
from pathlib import Path

from mario_rl.cards import Card, load_card
from mario_rl.cards.card import MOST_BYTES as MOST_CARD_BYTES
from mario_rl.cards.checking import find_flaws
from mario_rl.cards.facts import read_facts
from mario_rl.config import parse_config
from mario_rl.errors import CheckpointError, UserError
from mario_rl.runs.checkpoint import TRAINING_KEY, load_checkpoint
from mario_rl.runs.schema import REQUIRED
from mario_rl.wording import count_text

FILM = "replay.mp4"
"""The film's name in a repository: the one that the Hub shows on the page of a reinforcement-learning model."""

MODEL_CARD = "README.md"

MOST_BYTES = {".pt": 1 << 30, ".json": MOST_CARD_BYTES, ".mp4": 100_000_000}
"""Of a file with each ending. The shipped agents have 3.5 MB, their cards 90 kB, a film of 1-1 1 MB."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
"""What an agent may be called: a plain file name on every system."""

OWN_KEYS = {*REQUIRED, "format", "rom", "initial_agent_steps", "initial_seconds", "mean_of"}
"""What the file of a shipped agent holds: its network and where that comes from, nothing to go on training with."""


def is_name(name: str) -> bool:
    """Whether an agent may be called so in a repository, where `README.md` is the model card's."""
    return NAME.fullmatch(name) is not None and name.lower() != "readme"


def require_sound(agent: Path) -> Card:
    """Check a shipped agent and its card as files that anybody may have written; nothing is played.

    Raises:
        UserError: the file is damaged or holds more than an agent, or its card says anything that isn't so.
    """
    card = load_card(agent)
    facts = read_facts(agent)
    state = load_checkpoint(agent)
    if (body := parse_config(state["config"], str(agent)).network.body) is not None:
        raise CheckpointError(
            f"{agent}: network.body is {str(body)[:100]!r}, a class that no repository brings and that loading "
            "the agent would import; only agents with mario_rl's own network are shared"
        )
    if more := sorted(state.keys() - OWN_KEYS):
        what = "the state of a training run" if TRAINING_KEY in more else repr(more[0][:60])
        raise CheckpointError(
            f"{agent}: holds {what} too; only weights are shared: `mario-rl ship` writes them to a file of their own"
        )
    if (flaw := next(find_flaws(agent, card, facts), None)) is not None:
        raise CheckpointError(f"{agent}: its card does not hold ({flaw.about}: {flaw.what})")
    from mario_rl.evaluation import load_trained

    load_trained(agent)  # the weights are those of the network in its config
    return card


def require_film(film: Path) -> None:
    """Refuse what is no MP4 file, by its first bytes; it is not decoded.

    Raises:
        UserError: it is not, or too large, or can't be read.
    """
    try:
        size = film.stat().st_size
        with film.open("rb") as file:
            begin = file.read(12)
    except OSError as error:
        raise UserError(f"{film}: can't be read ({error.strerror})") from error
    require_size(str(film), ".mp4", size)
    if begin[4:8] != b"ftyp":
        raise UserError(f"{film}: not an MP4 video; `mario-rl record` makes one")


def require_size(file: str, ending: str, size: int | None) -> None:
    """Refuse a file that is larger than its kind may be.

    Raises:
        UserError: it is, or its size is not known.
    """
    if size is None or not 0 <= size <= MOST_BYTES[ending]:
        has = "of unknown size" if size is None else count_text(size, "byte")
        raise UserError(f"{file}: refused, {has}; a {ending} file may have at most {MOST_BYTES[ending]:,}")
