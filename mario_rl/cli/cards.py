"""`ship` and `verify`: an agent to hand on, and whether it does what its card says."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import (
    CHECKPOINT,
    FAILED,
    INTERRUPTED,
    OK,
    complain,
    exit_code,
    find_the_checkpoint,
    require_output,
    seed_option,
)
from mario_rl.names import PROTOCOL_NAMES
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.cards import Verdict
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.config import Protocol
    from mario_rl.training.interrupts import Interrupts


@click.command()
@CHECKPOINT
@click.argument("output", type=click.Path(path_type=Path), metavar="OUTPUT.pt")
@click.option(
    "--episodes", type=click.IntRange(min=1), default=100, show_default=True, help="Of sticky and of epsilon."
)
@seed_option(1)
def ship(checkpoint: Path, output: Path, episodes: int, seed: int) -> int:
    """Write an agent to hand on: weights alone, float16, and a card with what they do.

    The card (OUTPUT.json, and OUTPUT.md to read) has the config, the training, and evaluations of the written file
    under every protocol; `mario-rl verify` repeats them. Some minutes, most of it for sticky and epsilon.

    \b
    Example:
      mario-rl ship RUN_DIR checkpoints/pretrained/ddqn_right_only_1-1.pt
    """
    from mario_rl import cards
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    for path in (output, output.with_suffix(".json"), output.with_suffix(".md")):
        require_output("OUTPUT", path, *([".pt"] if path == output else []))
    file = find_the_checkpoint(checkpoint)
    from mario_rl.evaluation import EvaluationInterrupted

    claims: list[cards.Claim] = []
    shipped = False
    with Interrupts() as interrupts, closing(CountingBar("evaluating", "episode")) as bar:
        try:
            cards.ship(
                file,
                output,
                episodes=episodes,
                seed=seed,
                should_stop=lambda: interrupts.received is not None,
                on_episode=bar,
                on_claim=claims.append,
            )
            shipped = True
        except EvaluationInterrupted:
            complain(f"interrupted: nothing is shipped, {output} and its card are as they were", INTERRUPTED)
        finally:
            bar.close()
            for claim in claims:
                share = f"cleared {claim.clears} of {claim.episodes}"
                click.echo(f"{claim.protocol + ':':<9}{share}, mean x {claim.mean_x:,.0f}")
    if shipped:
        click.echo(f"agent:   {output}\ncard:    {output.with_suffix('.json')}, {output.with_suffix('.md')}")
    return exit_code(interrupts)


@click.command()
@click.argument("checkpoints", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="AGENT.pt...")
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(PROTOCOL_NAMES),
    multiple=True,
    help="Repeat only this evaluation; may be given several times.  [default: all on the card]",
)
def verify(checkpoints: tuple[Path, ...], protocols: tuple[Protocol, ...]) -> int:
    """Repeat the evaluations on the cards of shipped agents, and say whether the claims hold.

    With the card's versions and platform every episode must go as the card says, to the last number. Elsewhere
    rounding can change an episode: there the claim holds if the clear rate is not below its 95 % interval. Exit code 1
    if a claim fails.

    \b
    Examples:
      mario-rl verify checkpoints/pretrained/*.pt --protocol noop
      mario-rl verify checkpoints/pretrained/ddqn_right_only_1-1.pt
    """
    from mario_rl import cards
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    for checkpoint in checkpoints:
        cards.load_card(checkpoint)  # all that can be refused is, before the first is played
    held = True
    with Interrupts() as interrupts, closing(CountingBar("verifying", "episode")) as bar:
        for checkpoint in checkpoints:
            click.echo(f"{checkpoint}")
            if not cards.load_card(checkpoint).evaluations:
                held = False
                click.echo("  FAILS  nothing to verify: its card has no evaluations")
            held &= _verify(checkpoint, protocols, interrupts, bar)
            if interrupts.received is not None:
                complain("interrupted: what is not listed was not verified", INTERRUPTED)
                return exit_code(interrupts)
    return OK if held else FAILED


def _verify(checkpoint: Path, protocols: tuple[Protocol, ...], interrupts: Interrupts, bar: CountingBar) -> bool:
    """Print a verdict for each claim of a card as it comes; returns whether all hold."""
    from mario_rl import cards
    from mario_rl.evaluation import EvaluationInterrupted

    held = True
    verdicts = cards.verify(
        checkpoint, protocols=protocols, should_stop=lambda: interrupts.received is not None, on_episode=bar
    )
    with suppress(EvaluationInterrupted):
        for verdict in verdicts:
            bar.close()
            held &= verdict.holds
            word = "FAILS" if not verdict.holds else "holds" if verdict.complete else "so far"
            click.echo(f"  {word:<7}{_verdict(verdict)}")
    return held


def _verdict(verdict: Verdict) -> str:
    claim, repeated = verdict.claim, verdict.repeated
    if repeated is None:
        return f"{claim.protocol}: nothing to verify: {verdict.flaw}"
    said = f"{claim.clears}" if verdict.complete else f"{claim.clears} of {claim.episodes}, and it was cut short"
    text = f"{claim.protocol}: cleared {repeated.clears} of {repeated.episodes}, the card says {said}; "
    if verdict.changed == 0:
        return text + "every episode the same"
    text += f"{count_text(verdict.changed, 'episode')} went otherwise, "
    text += f"mean x {repeated.mean_x:,.0f} for {claim.mean_x:,.0f}"
    return text if verdict.comparable else text + " (other versions or another platform than the card's)"
