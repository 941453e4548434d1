"""Verifying a card: all it says compared, its evaluations repeated, and whether what it claims holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mario_rl.cards import evaluating
from mario_rl.cards.card import Claim, claim_of, load_card
from mario_rl.cards.checking import Flaw, find_flaws
from mario_rl.cards.facts import read_facts
from mario_rl.config import parse_config
from mario_rl.errors import CheckpointError
from mario_rl.names import Protocol

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


class Verdict(NamedTuple):
    """What repeating one evaluation of a card gave.

    repeated: of fewer episodes where it was cut short.
    changed: episodes that went otherwise than on the card, to the last number the card has of them.
    comparable: here are the card's versions and platform, so that it has to be the same.
    """

    claim: Claim
    repeated: Claim
    changed: int
    comparable: bool

    @property
    def complete(self) -> bool:
        """Whether every episode of the claim was repeated."""
        return self.repeated.episodes == self.claim.episodes

    @property
    def exact(self) -> bool:
        """Whether every episode that was repeated went as on the card; else it can only hold for the clear rate."""
        return self.changed == 0

    @property
    def holds(self) -> bool:
        """The same where it must be; elsewhere, no fewer clears than the claim's Wilson 95 % interval has room for.

        What was cut short holds if it still could.
        """
        if self.exact or self.comparable:
            return self.exact
        from mario_rl.evaluation import wilson_interval

        clears = self.repeated.clears + self.claim.episodes - self.repeated.episodes
        return clears / self.claim.episodes >= wilson_interval(self.claim.clears, self.claim.episodes)[0]


def verify(
    checkpoint: Path,
    *,
    protocols: Collection[Protocol] = (),
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> Iterator[Flaw | Verdict]:
    """Verify the card of a shipped agent: all that it says is compared, and its evaluations are repeated, one by one.

    What is not so comes first, each a `Flaw`, see `find_flaws`; then a `Verdict` for each evaluation without one.

    What no card can prove is where and when it was made: `evaluated_on`, `versions` and, but for the future, `date`.
    Of a card that names other versions than are here only the clear rates are compared, where an episode goes
    otherwise; such a verdict is not `exact`.

    Args:
        checkpoint: the shipped file; its card lies beside it.
        protocols: which evaluations to repeat; none for all on the card.
        should_stop: asked between two agent steps.
        on_episode: called after each episode with it and the number of episodes of its protocol.

    Raises:
        CheckpointError: file or card can't be used, or the card has no evaluation under a protocol asked for.
        EvaluationInterrupted: `should_stop` said so.
    """
    card = load_card(checkpoint)
    if not card.evaluations:
        yield Flaw("card", "nothing to verify: its card has no evaluations")
        return
    claimed = [claim.protocol for claim in card.evaluations]
    for protocol in protocols:
        if protocol not in claimed:
            raise CheckpointError(
                f"{checkpoint}: its card has no evaluation under {protocol}, only {', '.join(dict.fromkeys(claimed))}"
            )
    from mario_rl.evaluation import EvaluationInterrupted
    from mario_rl.game.rom import load_rom

    facts = read_facts(checkpoint)
    env = parse_config(facts.config, str(checkpoint)).env
    stages = len(env.stages)
    rom = load_rom(env.rom).sha256
    if rom != card.rom:
        raise CheckpointError(f"{checkpoint}: was evaluated on the ROM of SHA-256 {card.rom}, the one here is {rom}")
    flawed: set[str] = {protocol for protocol in claimed if claimed.count(protocol) > 1}
    for flaw in find_flaws(checkpoint, card, facts):
        flawed.add(flaw.about)
        yield flaw
    comparable = card.versions == evaluating.versions()
    for claim in card.evaluations:
        if claim.protocol in flawed or (protocols and claim.protocol not in protocols):
            continue
        try:
            episodes = claim.episodes // stages
            repeated = evaluating.play(checkpoint, claim.protocol, episodes, claim.seed, should_stop, on_episode)
        except EvaluationInterrupted as cut:
            if cut.report is not None:
                yield _compare(claim, claim_of(cut.report, checkpoint), comparable)
            raise
        yield _compare(claim, repeated, comparable)


def _compare(claim: Claim, repeated: Claim, comparable: bool) -> Verdict:
    """Compare a claim with as many of its episodes as were repeated; a card lists all by their number."""
    claimed = [claim.results[row["episode"]] for row in repeated.results]
    return Verdict(claim, repeated, changed_episodes(claimed, repeated.results), comparable)


def changed_episodes(claimed: Sequence[Mapping[str, Any]], repeated: Sequence[Mapping[str, Any]]) -> int:
    """Count the episodes that differ in anything a card says of them; what it does not say may be there besides."""
    return sum(
        any(key not in now or now[key] != value for key, value in then.items())
        for then, now in zip(claimed, repeated, strict=True)
    )
