"""`list`: what can be named, and the runs below this folder."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from mario_rl.cli.shared import OK, lines_of
from mario_rl.errors import UserError
from mario_rl.runs.directory import RunDir, runs_below
from mario_rl.runs.tables import read_episodes
from mario_rl.wording import count_text


@click.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default=Path(), metavar="[FOLDER]")
def listing(folder: Path) -> int:
    """List what the package brings (configs, studies, searches, agents, trajectories), and the runs below a folder.

    Their names stand wherever a path does, in any folder. An agent's name may leave its seed out: then it is the one
    that cleared most episodes. What an agent cleared is said by its card; `mario-rl verify NAME` plays it again. The
    folder is this one unless you name another.

    \b
    Examples:
      mario-rl train ddqn_right_only
      mario-rl compare smoke
      mario-rl evaluate ddqn_right_only_1-1
      mario-rl watch 4-2
      mario-rl list ~/experiments
    """
    from mario_rl import shipped

    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; `mario-rl list` takes one with runs below it, or nothing")
    lines = ["configs:", *(f"  {name}" for name in shipped.config_names())]
    lines += ["studies:", *(f"  {name}" for name in shipped.study_names())]
    lines += ["searches:", *(f"  {name}" for name in shipped.search_names())]
    agents = shipped.agent_names()
    width = max(map(len, agents), default=0)
    lines += ["agents, and how many episodes they cleared under each protocol:"]
    lines += [f"  {name:<{width}}  {_cleared(shipped.AGENTS / f'{name}.pt')}" for name in agents]
    runs = sorted(runs_below(folder), key=lambda run: run.path)
    lines += ["trajectories, each named after the stage that it clears:"]
    lines += textwrap.wrap(" ".join(shipped.trajectory_names()), initial_indent="  ", subsequent_indent="  ")
    lines += [f"runs below {folder}:" if runs else f"runs below {folder}: none"]
    lines += [f"  {run.path}  {_come_to(run)}" for run in runs]
    click.echo(lines_of(lines))
    return OK


def _cleared(agent: Path) -> str:
    from mario_rl import shipped

    results = shipped.results(agent)
    return ", ".join(f"{protocol} {clears} of {episodes}" for protocol, (clears, episodes) in results.items())


def _come_to(run: RunDir) -> str:
    """Say how far a run has come."""
    try:
        episodes = read_episodes(run.episodes)
    except UserError as error:
        return f"damaged ({error})"
    if not len(episodes["end"]):
        return "no episode yet"
    cleared = int((episodes["end"] == "clear").sum())
    steps = count_text(int(episodes["agent_steps"][-1]), "agent step")
    return f"{steps}, {count_text(len(episodes['end']), 'episode')}, {cleared:,} of them cleared"
