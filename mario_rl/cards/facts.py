"""What the file of a shipped agent says itself: its card is made of it, and compared with it."""

from __future__ import annotations

from pathlib import Path

from mario_rl.cards.card import FORMAT, Facts, checked
from mario_rl.config import parse_config
from mario_rl.files import printable, sha256_of


def read_facts(path: Path, name: str | None = None) -> Facts:
    """Read from a shipped file what its card has to say of it.

    Args:
        path: the file.
        name: what it is to be called; None for as it is.

    Raises:
        CheckpointError: it can't be read, or holds what a card can't. UserError: its ROM isn't here.
    """
    from mario_rl.game.rom import load_rom
    from mario_rl.runs.checkpoint import load_checkpoint

    called = path if name is None else path.with_name(name)
    state = load_checkpoint(path)
    config = parse_config(state["config"], str(called))
    facts = {
        "format": FORMAT,
        "file": printable(called.name),
        "sha256": sha256_of(path),
        "rom": state.get("rom") or load_rom(config.env.rom).sha256,  # older files don't say
        "seed": config.seed,
        "agent_steps": state["agent_steps"],
        "updates": state["updates"],
        "minutes": round(state["seconds"] / 60, 1),
        "initial_agent_steps": state.get("initial_agent_steps", 0),
        "initial_minutes": round(state.get("initial_seconds", 0) / 60, 1),
        "mean_of": state.get("mean_of", 1),
        "trained_on": state["machine"],
        "trained_with": state["versions"],
        "config": state["config"],
    }
    return checked(Facts, facts, called, "an agent that a card can describe")
