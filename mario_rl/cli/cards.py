"""`ship` and `verify`: an agent to hand on, and whether it does what its card says; trajectories as well."""

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
from mario_rl.cli.trajectories import EMULATORS, TRAJECTORY_SUFFIX, find_the_trajectory, played_again, require_playable
from mario_rl.errors import FailedError, UserError
from mario_rl.files import printable
from mario_rl.names import PROTOCOL_NAMES
from mario_rl.shipped import find_agent
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
@click.option(
    "--mean-of",
    type=click.IntRange(1, 10_000),
    default=1,
    metavar="N",
    help="Take the mean of the weights of the run's last N step checkpoints, in place of one checkpoint. It plays "
    "steadier as a rule; the run needs training.keep_checkpoints=N or more.",
)
def ship(checkpoint: Path, output: Path, episodes: int, seed: int, mean_of: int) -> int:
    """Write an agent to hand on: weights alone, float16, and a card with what they do.

    The card (OUTPUT.json, and OUTPUT.md to read) has the config, the training, and evaluations of the written file
    under every protocol; `mario-rl verify` repeats them. Some minutes, most of it for sticky and epsilon.

    \b
    Examples:
      mario-rl ship RUN_DIR mine.pt
      mario-rl ship RUN_DIR mine.pt --mean-of 10
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
                mean_of=mean_of,
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
@click.argument("claims", type=click.Path(path_type=Path), nargs=-1, metavar="[AGENT|FILE.json|STAGE]...")
@click.option("--all", "everything", is_flag=True, help="All agents and trajectories of the package.")
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(PROTOCOL_NAMES),
    multiple=True,
    help="Of agents, repeat only this evaluation; may be given several times.  [default: all on the card]",
)
def verify(claims: tuple[Path, ...], everything: bool, protocols: tuple[Protocol, ...]) -> int:
    """Verify what is claimed: of agents, compare their cards and play all again; of trajectories, play where they end.

    A card says how its agent was trained, as the agent's file does, and lists the episodes that its numbers come from;
    differences are reported. With the card's versions and platform every episode must go as the card says, to the
    last number. Elsewhere rounding can change an episode: there a claim is called near if the clear rate is not below
    its 95 % interval. When, where and with which versions a card was made nobody can verify.

    A trajectory (FILE.json; STAGE is that of the package) is played on both emulators, which share no code, and must
    end as its file says on each. Exit code 1 if anything fails.

    \b
    Examples:
      mario-rl verify ddqn_simple_1-1 --protocol noop
      mario-rl verify ddqn_right_only_1-1 4-2
      mario-rl verify --all
    """
    if everything == bool(claims):
        raise UserError("verify: name what to verify, or --all for all of the package; not both")
    if everything:
        from mario_rl import shipped

        names = [*shipped.agent_names(), *shipped.trajectory_names()]
        claims = tuple(Path(name) for name in names)
    files = [_file(claim) for claim in claims]
    agents = [file for file in files if file.suffix != TRAJECTORY_SUFFIX]
    if protocols and not agents:
        raise UserError("--protocol: trajectories have none, only agents; leave it out")
    from mario_rl import cards
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    for file in files:  # all that can be refused is, before the first is played
        cards.load_card(file) if file in agents else require_playable(file)
    held = True
    with Interrupts() as interrupts, closing(CountingBar("verifying", "episode")) as bar:
        for file in files:
            click.echo(printable(file))
            held &= _verify(file, protocols, interrupts, bar) if file in agents else _play_again(file)
            if interrupts.received is not None:
                complain("interrupted: what is not listed was not verified", INTERRUPTED)
                return exit_code(interrupts)
    return OK if held else FAILED


def _file(claim: Path) -> Path:
    """Name the file that is meant: what is there, else an agent of the package, else a trajectory of it."""
    agent = None if claim.exists() else find_agent(claim)
    return agent or find_the_trajectory(claim)


def _play_again(file: Path) -> bool:
    """Print where a trajectory ends on each emulator; returns whether that is where its file says."""
    held = True
    for emulator in EMULATORS:
        try:
            _, ending = played_again(file, emulator)
            click.echo(f"  holds  {emulator}: it {ending}")
        except FailedError as error:
            held = False
            click.echo(f"  FAILS  {printable(str(error))}")
    return held


def _verify(checkpoint: Path, protocols: tuple[Protocol, ...], interrupts: Interrupts, bar: CountingBar) -> bool:
    """Print what is found of a card, as it comes; returns whether all of it holds."""
    from mario_rl import cards
    from mario_rl.evaluation import EvaluationInterrupted

    held = True
    found = cards.verify(
        checkpoint, protocols=protocols, should_stop=lambda: interrupts.received is not None, on_episode=bar
    )
    with suppress(EvaluationInterrupted):
        for one in found:
            bar.close()
            held &= one.holds
            word, text = ("FAILS", f"{one.about}: {one.what}") if isinstance(one, cards.Flaw) else _verdict(one)
            click.echo(f"  {word:<7}{printable(text)}")
    return held


def _verdict(verdict: Verdict) -> tuple[str, str]:
    """Put a verdict into a word and a line."""
    claim, repeated = verdict.claim, verdict.repeated
    word = "so far" if not verdict.complete else "holds" if verdict.exact else "near"
    said = f"{claim.clears}" if verdict.complete else f"{claim.clears} of {claim.episodes}, and it was cut short"
    text = f"{claim.protocol}: cleared {repeated.clears} of {repeated.episodes}, the card says {said}; "
    if verdict.exact:
        return word, text + "every episode the same"
    text += f"{count_text(verdict.changed, 'episode')} went otherwise, "
    text += f"mean x {repeated.mean_x:,.0f} for {claim.mean_x:,.0f}"
    if not verdict.comparable:
        text += "; not exact, only the clear rate is compared: other versions or another platform than the card's"
    return word if verdict.holds else "FAILS", text
