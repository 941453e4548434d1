"""`push` and `pull`: agents handed on by way of the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path

import click

from mario_rl.cli.shared import OK, complain, exit_code, lines_of
from mario_rl.errors import UserError
from mario_rl.shipped import find_agent
from mario_rl.wording import count_text


@click.command()
@click.argument("agent", type=click.Path(path_type=Path), metavar="AGENT")
@click.argument("repo", metavar="USER/NAME")
@click.option(
    "--film", type=click.Path(path_type=Path), metavar="FILE.mp4", help="Upload this film.  [default: record one]"
)
@click.option("--no-film", is_flag=True, help="Upload no film.")
@click.option("--private", is_flag=True, help="Make a repository that only its owner sees.")
@click.option("--message", help="Of the commit.  [default: the agent's name]")
@click.option("--license", "license_name", default="mit", show_default=True, help="Of the agent, as the Hub writes it.")
@click.option(
    "--dry-run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Upload nothing and ask no server; write what would be uploaded to this folder.",
)
def push(
    agent: Path,
    repo: str,
    film: Path | None,
    no_film: bool,
    private: bool,
    message: str | None,
    license_name: str,
    dry_run: Path | None,
) -> int:
    """Hand an agent on by the Hugging Face Hub: its weights, its card, a model card and a film, in one commit.

    AGENT is a shipped agent: a name, or a .pt file with its card beside it (`mario-rl ship` writes them). The card is
    checked first; one that does not hold is refused. The film shows the greedy episode. The repository is made if
    missing; it holds one agent. Needs `pip install "mario-rl[hub]"` and an access token with write permission, by
    `hf auth login` or in HF_TOKEN.

    \b
    Examples:
      mario-rl push mine.pt USER/mario-1-1
      mario-rl push ddqn_right_only_1-1 USER/mario-1-1 --private --message "a better one"
      mario-rl push mine.pt USER/mario-1-1 --dry-run preview
    """
    if film is not None and no_film:
        raise UserError("--film, --no-film: only one of them can be given")
    file = _shipped(agent)
    if dry_run is not None and dry_run.exists() and not (dry_run.is_dir() and not any(dry_run.iterdir())):
        raise UserError(f"--dry-run: {dry_run} must be an empty folder, or not be there yet")
    from mario_rl import hub

    records = film is None and not no_film
    with tempfile.TemporaryDirectory(prefix="mario-rl-push-") if records else nullcontext("") as folder:
        if records:
            contents = hub.prepare(file, repo, film=None, license_name=license_name)  # refuses what it must, early
            film = Path(folder) / "film.mp4"
            if code := _record(file, film):
                return code
        contents = hub.prepare(file, repo, film=film, license_name=license_name)
    lines = [f"  {name}  {count_text(len(content), 'byte')}" for name, content in contents.items()]
    if dry_run is not None:
        hub.write_to(dry_run, contents)
        click.echo(lines_of([f"would be pushed to {repo}, and is in {dry_run}:", *lines]))
        return OK
    page = hub.push(repo, contents, private=private, message=message or f"mario-rl push {file.stem}")
    click.echo(lines_of([f"pushed: {page}", *lines]))
    return OK


def _shipped(agent: Path) -> Path:
    """Find the file of a shipped agent.

    Raises:
        UserError: there is none, or only a run that has not been shipped.
    """
    if agent.is_dir():
        raise UserError(f"{agent}: a folder; ship the agent first: mario-rl ship {agent} NAME.pt")
    if agent.is_file() and not agent.with_suffix(".json").is_file():
        raise UserError(f"{agent}: has no card beside it; ship the agent first: mario-rl ship {agent} NAME.pt")
    file = agent if agent.is_file() else find_agent(agent)
    if file is None:
        raise UserError(f"{agent}: no such file; give a shipped agent (.pt), or one that `mario-rl list` names")
    return file


def _record(agent: Path, film: Path) -> int:
    """Film the greedy episode; returns an exit code, not 0 if a signal came before the end."""
    from mario_rl.evaluation import EvaluationInterrupted
    from mario_rl.training.interrupts import Interrupts
    from mario_rl.watch.record import record

    click.echo("recording the film ...", err=True)
    with Interrupts() as interrupts, suppress(EvaluationInterrupted):
        record(agent, film, episodes=1, protocol="greedy", should_stop=lambda: interrupts.received is not None)
    if interrupts.received is not None:
        return complain("interrupted: nothing is pushed", exit_code(interrupts))
    return OK


@click.command()
@click.argument("repo", metavar="USER/NAME[@REVISION]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="FOLDER",
    help="Where to.  [default: the current folder]",
)
@click.option("--force", is_flag=True, help="Replace files of these names that are there.")
def pull(repo: str, output: Path, force: bool) -> int:
    """Get an agent that `mario-rl push` handed on: its weights, its card and its film.

    Nothing else of the repository is downloaded, and no code of it is run. The files are checked like any from a
    stranger, the card against the weights, before they are put in place; what fails leaves nothing. Whether the agent
    does what its card says, `mario-rl verify` finds out by playing. Needs `pip install "mario-rl[hub]"`; a private
    repository also an access token, by `hf auth login` or in HF_TOKEN.

    \b
    Examples:
      mario-rl pull USER/mario-1-1
      mario-rl pull USER/mario-1-1@v1.0 --output agents
    """
    from mario_rl import hub

    agent, *others = hub.pull(repo, output, force=force)
    click.echo(
        lines_of(
            [
                f"agent: {agent}",
                f"with:  {', '.join(map(str, others))}",
                f"next:  mario-rl verify {agent}",
                f"       mario-rl watch {agent}",
            ]
        )
    )
    return OK
