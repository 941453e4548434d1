"""Agents to hand on: weights alone in a small file, beside it a card with what they do, and the check that they do.

What needs torch is imported where agents are played: a card that can't be used is refused at once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from mario_rl.config import Protocol, parse_config, with_portable_paths
from mario_rl.errors import CheckpointError
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.files import printable, staged, storage_errors
from mario_rl.runs.checkpoint import find_checkpoint, load_checkpoint, write_checkpoint
from mario_rl.wording import count_text, duration_text

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport


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


def _shipped_rom() -> str:
    """What cards without a ROM were evaluated on."""
    from mario_rl.nes.cartridge import SUPER_MARIO_BROS_PAL

    return SUPER_MARIO_BROS_PAL


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
    rom: str = Field(default_factory=_shipped_rom)
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

    repeated: of fewer episodes where it was cut short; None where the claim has a flaw: then nothing was played.
    changed: episodes that went otherwise than on the card, to the last number the card has of them.
    comparable: here are the card's versions and platform, so that it has to be the same.
    flaw: what the claim contradicts itself in, so that there is nothing to verify.
    """

    claim: Claim
    repeated: Claim | None
    changed: int
    comparable: bool
    flaw: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every episode of the claim was repeated."""
        return self.repeated is not None and self.repeated.episodes == self.claim.episodes

    @property
    def holds(self) -> bool:
        """The same where it must be; elsewhere, no fewer clears than the claim's Wilson 95 % interval has room for.

        What was cut short holds if it still could.
        """
        if self.repeated is None:
            return False
        if self.comparable:
            return self.changed == 0
        from mario_rl.evaluation import wilson_interval

        clears = self.repeated.clears + self.claim.episodes - self.repeated.episodes
        return clears / self.claim.episodes >= wilson_interval(self.claim.clears, self.claim.episodes)[0]


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
            claims.append(_evaluate(weights, protocol, episodes, seed, should_stop, on_episode))
            on_claim(claims[-1])
        card = Card(
            file=printable(output.name),
            sha256=_sha256(weights),
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
            versions=_versions(),
            evaluations=claims,
        )
        with storage_errors(card_file):
            card_partial.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        with storage_errors(text_file):
            text_partial.write_text(card_markdown(card), encoding="utf-8")
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
        raise CheckpointError(
            f"{checkpoint}: not the file that {path.name} describes, its SHA-256 is another; where `mario-rl ship` was "
            "cut short between the two, ship the agent again"
        )
    return card


def verify(
    checkpoint: Path,
    *,
    protocols: Collection[Protocol] = (),
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> Iterator[Verdict]:
    """Repeat the evaluations of a shipped agent's card, one by one.

    Args:
        checkpoint: the shipped file; its card lies beside it.
        protocols: which evaluations; none for all on the card.
        should_stop: asked between two agent steps.
        on_episode: called after each episode with it and the number of episodes of its protocol.

    Raises:
        CheckpointError: file or card can't be used, or the card has no evaluation under a protocol asked for.
        EvaluationInterrupted: `should_stop` said so.
    """
    card = load_card(checkpoint)
    if not card.evaluations:
        return
    claimed = [claim.protocol for claim in card.evaluations]
    for protocol in protocols:
        if protocol not in claimed:
            raise CheckpointError(
                f"{checkpoint}: its card has no evaluation under {protocol}, only {', '.join(claimed)}"
            )
    env = parse_config(card.config, card.file).env
    stages = 1 if isinstance(env.stage, str) else len(env.stage)
    from mario_rl.evaluation import EvaluationInterrupted
    from mario_rl.game.rom import load_rom

    rom = load_rom(env.rom).sha256
    if rom != card.rom:
        raise CheckpointError(f"{checkpoint}: was evaluated on the ROM of SHA-256 {card.rom}, the one here is {rom}")
    comparable = card.versions == _versions()
    for claim in card.evaluations:
        if protocols and claim.protocol not in protocols:
            continue
        if (flaw := _flaw(claim, stages)) is not None:
            yield Verdict(claim, None, 0, comparable, flaw)
            continue
        try:
            episodes = claim.episodes // stages
            repeated = _evaluate(checkpoint, claim.protocol, episodes, claim.seed, should_stop, on_episode)
        except EvaluationInterrupted as cut:
            if cut.report is not None:
                yield _compare(claim, claim_of(cut.report), comparable)
            raise
        yield _compare(claim, repeated, comparable)


def _compare(claim: Claim, repeated: Claim, comparable: bool) -> Verdict:
    """Compare a claim with as many of its episodes as were repeated; a card lists all by their number."""
    claimed = [claim.results[row["episode"]] for row in repeated.results]
    return Verdict(claim, repeated, changed_episodes(claimed, repeated.results), comparable)


def _flaw(claim: Claim, stages: int) -> str | None:
    """Say what a claim over so many stages contradicts itself in; None where it does not."""
    listed, clears = len(claim.results), sum(row.get("end") == "clear" for row in claim.results)
    fixed = PROTOCOLS[claim.protocol].fixed_episodes
    if not listed:
        return "its card lists no episodes"
    if listed != claim.episodes:
        return f"its card says {claim.episodes} episodes and lists {listed}"
    if fixed is not None and claim.episodes != fixed * stages:
        return f"its card says {claim.episodes} episodes, {claim.protocol} has {fixed * stages}"
    if claim.episodes % stages:
        return f"its card says {claim.episodes} episodes, which its {stages} stages can't share"
    if clears != claim.clears or not math.isclose(claim.clear_rate, clears / listed):
        return (
            f"its card says {claim.clears} clears ({claim.clear_rate:.1%}), and of the episodes it lists {clears} are"
        )
    return None


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
            f"{algorithm} on {stage} with the action set {actions}: {count_text(card.agent_steps, 'agent step')} in "
            f"{duration_text(card.minutes * 60)}, seed {card.seed}{_before(card)}.",
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
    should_stop: Callable[[], bool],
    on_episode: Callable[[EvaluatedEpisode, int], None] | None,
) -> Claim:
    from mario_rl.evaluation import evaluate

    count = None if PROTOCOLS[protocol].fixed_episodes is not None else episodes
    with _one_thread():
        report = evaluate(
            file,
            protocol=protocol,
            episodes=count,
            seed=seed,
            device="cpu",
            should_stop=should_stop,
            on_episode=on_episode,
        )
    return claim_of(report)


def claim_of(report: EvaluationReport) -> Claim:
    """Turn an evaluation into what a card says of it: through JSON, as the card's own went, so that both compare."""
    return Claim.model_validate(json.loads(json.dumps(report.summary())))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on machines with other numbers of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _versions() -> dict[str, str]:
    from mario_rl.devices import software_versions

    with _one_thread():
        return software_versions()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rate(claim: Claim) -> str:
    if PROTOCOLS[claim.protocol].fixed_episodes is not None:
        return f"{claim.clear_rate:.1%}"
    return f"{claim.clear_rate:.1%} (95 %: {claim.clear_rate_low:.1%} to {claim.clear_rate_high:.1%})"


def _before(card: Card) -> str:
    if not card.initial_agent_steps:
        return ""
    return (
        f"; it began as an agent that had {count_text(card.initial_agent_steps, 'agent step')} in "
        f"{duration_text(card.initial_minutes * 60)} behind it"
    )


def _failures(claim: Claim) -> str:
    failed = sorted(row["x"] for row in claim.results if row["end"] != "clear")
    return ", ".join(str(x) for x in failed) or "none"


def _machine(machine: dict[str, str]) -> str:
    return (
        f"{machine['processor']}, {count_text(int(machine['cores']), 'core')}, {machine['memory']}, {machine['device']}"
    )
