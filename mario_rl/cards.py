"""Agents to hand on: weights alone in a small file, beside it a card with what they do, and the check that they do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML

from mario_rl.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from mario_rl.config import Protocol, parse_config
from mario_rl.devices import describe_machine, software_versions
from mario_rl.errors import CheckpointError
from mario_rl.evaluation import PROTOCOLS, EvaluatedEpisode, evaluate, wilson_interval
from mario_rl.files import printable, write_atomically
from mario_rl.game.rom import load_rom
from mario_rl.nes.cartridge import SUPER_MARIO_BROS_PAL

CPU = torch.device("cpu")


class Claim(BaseModel):
    """One evaluation as `EvaluationReport.summary` gave it, every episode in `results`."""

    model_config = ConfigDict(extra="allow")

    protocol: Protocol
    seed: int
    episodes: int
    clears: int
    clear_rate: float
    clear_rate_low: float
    clear_rate_high: float
    mean_x: float
    results: list[dict[str, Any]]


class Card(BaseModel):
    """What is known of a shipped agent; `NAME.json` beside `NAME.pt`.

    sha256: of the `.pt`, hexadecimal. rom: SHA-256 of the ROM it was evaluated on.
    seed, agent_steps, updates, minutes, trained_on: of its training.
    initial_agent_steps, initial_minutes: of the training before, if it began with another agent's network.
    config: every key. evaluated_on, versions, date: of the evaluations, which were made with the shipped file in
    float32 on one thread of the CPU.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal["mario_rl card 1"] = "mario_rl card 1"
    file: str
    sha256: str
    rom: str = SUPER_MARIO_BROS_PAL
    seed: int
    agent_steps: int
    updates: int
    minutes: float
    initial_agent_steps: int = 0
    initial_minutes: float = 0.0
    trained_on: dict[str, str]
    trained_with: dict[str, str]
    config: dict[str, Any]
    date: str
    evaluated_on: dict[str, str]
    versions: dict[str, str]
    evaluations: list[Claim]


class Verdict(NamedTuple):
    """What repeating one evaluation of a card gave.

    changed: episodes that went otherwise than on the card, to the last number the card has of them.
    comparable: here are the card's versions and platform, so that it has to be the same.
    """

    claim: Claim
    repeated: Claim
    changed: int
    comparable: bool

    @property
    def holds(self) -> bool:
        """The same where it must be; elsewhere, no fewer clears than the claim's Wilson 95 % interval has room for."""
        if self.comparable:
            return self.changed == 0
        return self.repeated.clear_rate >= wilson_interval(self.claim.clears, self.claim.episodes)[0]


def ship(
    checkpoint: Path,
    output: Path,
    *,
    episodes: int = 100,
    seed: int = 1,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> Card:
    """Write a checkpoint's network as float16, evaluate that file under every protocol, and write its card.

    Args:
        checkpoint: a checkpoint or run directory.
        output: where to, `.pt`; the card goes beside it, `.json` and `.md`.
        episodes: of sticky and epsilon.
        seed: of theirs; not the one that `evaluation.seed` chose the best checkpoint by.
        on_episode: called after each episode with it and the number of episodes of its protocol.

    Raises:
        CheckpointError: nothing there to ship. StorageError: the disk refused.
    """
    state = load_checkpoint(find_checkpoint(checkpoint))
    config = parse_config(state["config"], str(checkpoint))
    kept = ("config", "versions", "machine", "agent_steps", "updates", "episodes", "seconds")
    network = {name: tensor.half() for name, tensor in state["network"].items()}
    before = {key: state.get(key, 0) for key in ("initial_agent_steps", "initial_seconds")}
    save_checkpoint(output, {key: state[key] for key in kept} | before | {"network": network})
    card = Card(
        file=printable(output.name),
        sha256=_sha256(output),
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
        evaluated_on=describe_machine(CPU),
        versions=_versions(),
        evaluations=[_evaluate(output, protocol, episodes, seed, on_episode) for protocol in PROTOCOLS],
    )
    _write(output.with_suffix(".json"), card.model_dump_json(indent=1) + "\n")
    _write(output.with_suffix(".md"), card_markdown(card))
    return card


def load_card(checkpoint: Path) -> Card:
    """Read the card beside a shipped agent, and see that it is that agent's.

    Raises:
        CheckpointError: there is none, it can't be read, or it describes another file.
    """
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such file; give a shipped agent (.pt)")
    path = checkpoint.with_suffix(".json")
    try:
        card = Card.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such card; `mario-rl ship` writes an agent with its card") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: can't be read as a card ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise CheckpointError(f"{path}: not a card this version reads ({where}: {first['msg']})") from error
    if _sha256(checkpoint) != card.sha256:
        raise CheckpointError(f"{checkpoint}: not the file that {path.name} describes, its SHA-256 is another")
    return card


def verify(
    checkpoint: Path,
    *,
    protocols: Collection[Protocol] = (),
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> Iterator[Verdict]:
    """Repeat the evaluations of a shipped agent's card, one by one.

    Args:
        checkpoint: the shipped file; its card lies beside it.
        protocols: which evaluations; none for all on the card.
        on_episode: called after each episode with it and the number of episodes of its protocol.

    Raises:
        CheckpointError: file or card can't be used, or the card has no evaluation under a protocol asked for.
    """
    card = load_card(checkpoint)
    claimed = [claim.protocol for claim in card.evaluations]
    for protocol in protocols:
        if protocol not in claimed:
            raise CheckpointError(
                f"{checkpoint}: its card has no evaluation under {protocol}, only {', '.join(claimed)}"
            )
    rom = load_rom(parse_config(card.config, card.file).env.rom).sha256
    if rom != card.rom:
        raise CheckpointError(f"{checkpoint}: was evaluated on the ROM of SHA-256 {card.rom}, the one here is {rom}")
    comparable = card.versions == _versions()
    for claim in card.evaluations:
        if not protocols or claim.protocol in protocols:
            repeated = _evaluate(checkpoint, claim.protocol, claim.episodes, claim.seed, on_episode)
            yield Verdict(claim, repeated, changed_episodes(claim.results, repeated.results), comparable)


def changed_episodes(claimed: list[dict[str, Any]], repeated: list[dict[str, Any]]) -> int:
    """Count the episodes that differ in anything a card says of them; what it does not say may be there besides."""
    return sum(
        any(key not in now or now[key] != value for key, value in then.items())
        for then, now in zip(claimed, repeated, strict=True)
    )


def card_markdown(card: Card) -> str:
    """Lay a card out for reading."""
    config = parse_config(card.config, card.file)
    stage = config.env.stage if isinstance(config.env.stage, str) else ", ".join(config.env.stage)
    actions = config.env.action_set if isinstance(config.env.action_set, str) else "own buttons"
    algorithm = {"none": "DQN without a target network", "target": "DQN", "double": "Double DQN"}[config.agent.target]
    rows = [
        f"| `{claim.protocol}` | {claim.clears} of {claim.episodes} | {_rate(claim)} | {claim.mean_x:,.0f} "
        f"| {_failures(claim)} |"
        for claim in card.evaluations
    ]
    changed = StringIO()
    YAML(typ="safe", pure=True).dump(config.model_dump(mode="json", exclude_defaults=True), changed)
    return "\n".join(
        [
            f"# {Path(card.file).stem}",
            "",
            f"{algorithm} on {stage} with the action set {actions}: {card.agent_steps:,} agent steps in "
            f"{card.minutes:,.0f} minutes, seed {card.seed}{_before(card)}.",
            "",
            "| protocol | cleared | clear rate | mean x [pixels] | x where the others ended |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Measured {card.date} with the shipped file (float16 weights) in float32 on one thread of "
            f"{_machine(card.evaluated_on)}; sticky and epsilon with seed {card.evaluations[-1].seed}. "
            f"`mario-rl verify {card.file}` repeats it.",
            "",
            f"Trained on {_machine(card.trained_on)}, with "
            + ", ".join(f"{name} {number}" for name, number in card.trained_with.items())
            + ".",
            "",
            "What its config changes from the defaults:",
            "",
            "```yaml",
            changed.getvalue().rstrip(),
            "```",
            "",
        ]
    )


def _evaluate(
    file: Path,
    protocol: Protocol,
    episodes: int,
    seed: int,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None,
) -> Claim:
    count = None if PROTOCOLS[protocol].fixed_episodes is not None else episodes
    with _one_thread():
        report = evaluate(file, protocol=protocol, episodes=count, seed=seed, device="cpu", on_episode=on_episode)
    # Through JSON, as the card's own went, so that both compare.
    return Claim.model_validate(json.loads(json.dumps(report.summary())))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on machines with other numbers of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _versions() -> dict[str, str]:
    with _one_thread():
        return software_versions()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _rate(claim: Claim) -> str:
    if PROTOCOLS[claim.protocol].fixed_episodes is not None:
        return f"{claim.clear_rate:.1%}"
    return f"{claim.clear_rate:.1%} (95 %: {claim.clear_rate_low:.1%} to {claim.clear_rate_high:.1%})"


def _before(card: Card) -> str:
    if not card.initial_agent_steps:
        return ""
    return (
        f"; it began as an agent that had {card.initial_agent_steps:,} agent steps in {card.initial_minutes:,.0f} "
        "minutes behind it"
    )


def _failures(claim: Claim) -> str:
    failed = sorted(row["x"] for row in claim.results if row["end"] != "clear")
    return ", ".join(str(x) for x in failed) or "none"


def _machine(machine: dict[str, str]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['device']}"
