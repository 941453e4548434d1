"""Verifying a card: its evaluations repeated, and whether what it claims holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mario_rl.cards import evaluating
from mario_rl.cards.card import Claim, claim_of, load_card
from mario_rl.config import parse_config
from mario_rl.errors import CheckpointError
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.names import Protocol

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


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
    comparable = card.versions == evaluating.versions()
    for claim in card.evaluations:
        if protocols and claim.protocol not in protocols:
            continue
        if (flaw := _flaw(claim, stages)) is not None:
            yield Verdict(claim, None, 0, comparable, flaw)
            continue
        try:
            episodes = claim.episodes // stages
            repeated = evaluating.play(checkpoint, claim.protocol, episodes, claim.seed, should_stop, on_episode)
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
