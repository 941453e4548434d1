"""Shipping an agent: its weights in a small file, and the card with what that file does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.cards import evaluating
from mario_rl.cards.card import Card, Claim, sha256
from mario_rl.cards.text import card_markdown
from mario_rl.config import parse_config, with_portable_paths
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import printable, staged, storage_errors
from mario_rl.runs.checkpoint import find_checkpoint, load_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


def ship(
    checkpoint: Path,
    output: Path,
    *,
    episodes: int = 100,
    seed: int = 1,
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
    on_claim: Callable[[Claim], None] = lambda claim: None,
) -> Card:
    """Write a checkpoint's network as float16, evaluate that file under every protocol, and write its card.

    The file and its card are put in place together at the very end, the card first: a kill between the two leaves a
    card that is not the file's, which `load_card` refuses. Whatever else ends it leaves what was there before.

    Args:
        checkpoint: a checkpoint or run directory.
        output: where to, `.pt`; the card goes beside it, `.json` and `.md`.
        episodes: of sticky and epsilon.
        seed: of theirs; not the one that `evaluation.seed` chose the best checkpoint by.
        should_stop: asked between two agent steps.
        on_episode: called after each episode with it and the number of episodes of its protocol.
        on_claim: called after each evaluation.

    Raises:
        CheckpointError: nothing there to ship. StorageError: the disk refused.
        EvaluationInterrupted: `should_stop` said so.
    """
    import torch

    from mario_rl.devices import describe_machine
    from mario_rl.game.rom import load_rom

    state = load_checkpoint(find_checkpoint(checkpoint))
    config = with_portable_paths(parse_config(state["config"], str(checkpoint)))
    state["config"] = config.model_dump(mode="json")
    kept = ("config", "versions", "machine", "agent_steps", "updates", "episodes", "seconds")
    network = {name: tensor.half() for name, tensor in state["network"].items()}
    before = {key: state.get(key, 0) for key in ("initial_agent_steps", "initial_seconds")}
    card_file, text_file = output.with_suffix(".json"), output.with_suffix(".md")
    with staged(card_file, text_file, output) as (card_partial, text_partial, weights):
        with storage_errors(output):
            write_checkpoint(weights, {key: state[key] for key in kept} | before | {"network": network})
        claims = []
        for protocol in PROTOCOLS:
            claims.append(evaluating.play(weights, protocol, episodes, seed, should_stop, on_episode))
            on_claim(claims[-1])
        card = Card(
            file=printable(output.name),
            sha256=sha256(weights),
            rom=load_rom(config.env.rom).sha256,
            seed=config.seed,
            agent_steps=state["agent_steps"],
            updates=state["updates"],
            minutes=round(state["seconds"] / 60, 1),
            initial_agent_steps=before["initial_agent_steps"],
            initial_minutes=round(before["initial_seconds"] / 60, 1),
            trained_on=state["machine"],
            trained_with=state["versions"],
            config=state["config"],
            date=datetime.now(UTC).date().isoformat(),
            evaluated_on=describe_machine(torch.device("cpu")),
            versions=evaluating.versions(),
            evaluations=claims,
        )
        with storage_errors(card_file):
            card_partial.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        with storage_errors(text_file):
            text_partial.write_text(card_markdown(card), encoding="utf-8")
    return card
