"""Shipping an agent: its weights in a small file, and the card with what that file does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.cards import evaluating
from mario_rl.cards.card import MOST_EPISODES, Card, Claim
from mario_rl.cards.facts import read_facts
from mario_rl.cards.text import card_markdown
from mario_rl.config import Config, parse_config, with_portable_paths
from mario_rl.errors import CheckpointError, UserError
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import staged, storage_errors
from mario_rl.runs.averaging import load_mean
from mario_rl.runs.checkpoint import find_checkpoint, load_checkpoint, write_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


def ship(
    checkpoint: Path,
    output: Path,
    *,
    episodes: int = 100,
    seed: int = 1,
    mean_of: int = 1,
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
        mean_of: 1 for the checkpoint; more for the mean of that many step checkpoints, the newest of its run.
        should_stop: asked between two agent steps.
        on_episode: called after each episode with it and the number of episodes of its protocol.
        on_claim: called after each evaluation.

    Raises:
        CheckpointError: nothing there to ship, or it was trained on another ROM than is here.
        UserError: more episodes than a card can hold. StorageError: the disk refused.
        EvaluationInterrupted: `should_stop` said so.
    """
    import torch

    from mario_rl.devices import describe_machine
    from mario_rl.game.rom import load_rom

    file = find_checkpoint(checkpoint)
    state = load_checkpoint(file) if mean_of == 1 else load_mean(_run_of(file), mean_of)
    config = with_portable_paths(parse_config(state["config"], str(checkpoint)))
    _require_room(config, episodes)
    rom = load_rom(config.env.rom).sha256
    if state.get("rom", rom) != rom:  # older checkpoints don't say
        raise CheckpointError(f"{checkpoint}: was trained on the ROM of SHA-256 {state['rom']}, the one here is {rom}")
    state |= {"config": config.model_dump(mode="json"), "rom": rom}
    kept = ("config", "versions", "machine", "rom", "agent_steps", "updates", "episodes", "seconds")
    network = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state["network"].items()
    }
    before = {key: state.get(key, 0) for key in ("initial_agent_steps", "initial_seconds")}
    mean = {"mean_of": state["mean_of"]} if "mean_of" in state else {}
    card_file, text_file = output.with_suffix(".json"), output.with_suffix(".md")
    with staged(card_file, text_file, output) as (card_partial, text_partial, weights):
        with storage_errors(output):
            write_checkpoint(weights, {key: state[key] for key in kept} | before | mean | {"network": network})
        facts = read_facts(weights, output.name)
        claims = []
        for protocol in PROTOCOLS:
            claims.append(evaluating.play(weights, protocol, episodes, seed, should_stop, on_episode))
            on_claim(claims[-1])
        card = Card(
            **facts.model_dump(),
            date=datetime.now(UTC).date().isoformat(),
            evaluated_on=describe_machine(torch.device("cpu")),
            versions=evaluating.versions(),
            evaluations=claims,
        )
        with storage_errors(card_file):
            card_partial.write_text(card.model_dump_json() + "\n", encoding="utf-8")
        with storage_errors(text_file):
            text_partial.write_text(card_markdown(card), encoding="utf-8")
    return card


def _run_of(file: Path) -> RunDir:
    """Name the run that a checkpoint is one of; refuse a file that lies elsewhere."""
    run = RunDir(file.absolute().parent.parent)
    if file.absolute() not in run.all_checkpoints():
        raise CheckpointError(f"{file}: lies in no run, so there is nothing to take a mean of; give a run directory")
    return run


def _require_room(config: Config, episodes: int) -> None:
    """Refuse more episodes than a card can hold, before they are played."""
    stages = len(config.env.stages)
    counts = (rules.fixed_episodes or episodes for rules in PROTOCOLS.values())
    if (total := stages * sum(counts)) > MOST_EPISODES:
        raise UserError(
            f"episodes: {episodes} are not allowed, a card of all protocols would list {count_text(total, 'episode')}; "
            f"must be {MOST_EPISODES:,} at most"
        )
