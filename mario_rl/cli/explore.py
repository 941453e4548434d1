"""`explore`: a search that clears stages, and what it leaves."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import FAILED, OK, lines_of, require_stage
from mario_rl.game.actions import ACTION_SETS

if TYPE_CHECKING:
    from mario_rl.explore.sitting import Limits, Outcome

DEFAULT_MINUTES, DEFAULT_MEMORY = 30.0, 1_000
MOST_JOBS = 1_024
PLACE = Path("checkpoints") / "explore"


@click.command()
@click.argument("stage", required=False, metavar="[STAGE]")
@click.option("--all", "every", is_flag=True, help="All 32 stages, one after another; cleared ones are left out.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True, max=100_000),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="When to give a stage up; earlier sittings count.",
)
@click.option(
    "--agent-steps",
    type=click.IntRange(min=1),
    help="When to give a stage up, whatever the time.  [default: --minutes alone]",
)
@click.option("--jobs", type=click.IntRange(min=1, max=MOST_JOBS), help="Threads that play.  [default: all cores]")
@click.option(
    "--seed", type=click.IntRange(min=0, max=10**15), default=0, show_default=True, help="Of all that is random."
)
@click.option(
    "--action-set",
    type=click.Choice(tuple(ACTION_SETS)),
    default="complex",
    show_default=True,
    help="What is pressed; that of an agent, where it is to learn from the result.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=1, max=1_000_000),
    default=DEFAULT_MEMORY,
    show_default=True,
    metavar="MB",
    help="What the archive may take; from then on no new cells are kept.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"Where the files go.  [default: {PLACE}/STAGE-seedSEED; with --all {PLACE}/all-seedSEED]",
)
@click.option(
    "--resume", type=click.Path(path_type=Path), metavar="DIR", help="Go on with the search in this directory."
)
@click.pass_context
def explore(
    context: click.Context,
    stage: str | None,
    every: bool,
    minutes: float,
    agent_steps: int | None,
    jobs: int | None,
    seed: int,
    action_set: str,
    memory: int,
    out: Path | None,
    resume: Path | None,
) -> int:
    """Search for a way that clears a stage, from its start, and write it as a trajectory.

    It is the first phase of Go-Explore (Ecoffet et al. 2021): return to a place reached before, rarely seen ones first,
    press random buttons from there, keep what is new or reached sooner. It knows nothing of the stages. A clear is made
    shorter, played from the stage's start on our emulator and on nes-py, and written. The same seed finds the same,
    with any number of jobs.

    Ctrl-C keeps the search; --resume goes on with it, and --all with the same --out. Exit code 1 where a stage was not
    cleared.

    \b
    Examples:
      mario-rl explore 1-1
      mario-rl explore 8-4 --minutes 60 --seed 3
      mario-rl explore --resume checkpoints/explore/8-4-seed3
      mario-rl explore --all --out stages
    """
    if sum((stage is not None, every, resume is not None)) != 1:
        raise click.UsageError("explore needs one of these: a stage, such as 1-1; --all; --resume DIR")
    if resume is not None:
        _refuse_with_resume(context)
    require_stage(stage, whole_game=False, option="STAGE")
    from mario_rl.explore.sitting import Limits

    limits = Limits(minutes, agent_steps)
    if every:
        return _explore_all(out or PLACE / f"all-seed{seed}", seed, action_set, memory, limits, jobs)
    from mario_rl.cli.terminal import TerminalExploreObserver
    from mario_rl.explore import sitting
    from mario_rl.explore.directory import ExploreDir
    from mario_rl.explore.search import Settings

    with closing(TerminalExploreObserver()) as observer:
        if resume is not None:
            return _say(sitting.resume(resume, limits, jobs=jobs, observer=observer), resume)
        assert stage is not None
        directory = ExploreDir(out or PLACE / f"{stage}-seed{seed}", stage)
        settings = Settings(stage, seed, action_set, memory * 1_000_000)
        return _say(sitting.begin(directory, settings, limits, jobs=jobs, observer=observer), directory.path)


def _explore_all(path: Path, seed: int, action_set: str, memory: int, limits: Limits, jobs: int | None) -> int:
    from mario_rl.cli.terminal import TerminalExploreObserver
    from mario_rl.explore.search import Settings
    from mario_rl.explore.several import TABLE, explore_all, table_of

    with closing(TerminalExploreObserver()) as observer:
        rows, interrupted = explore_all(
            path,
            lambda stage: Settings(stage, seed, action_set, memory * 1_000_000),
            limits,
            jobs=jobs,
            observer=observer,
        )
    click.echo(table_of(rows))
    if interrupted is not None and interrupted.signal is not None:
        click.echo(lines_of([f"saved in {path}; go on with the same command"]))
        return 128 + interrupted.signal
    click.echo(lines_of([f"written: {path / TABLE}"]))
    return OK if all(row["end"] == "clear" for row in rows) else FAILED


def _refuse_with_resume(context: click.Context) -> None:
    """Refuse options that a search which was begun has its own of."""
    for name in ("seed", "action_set", "memory", "out"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} can't be given with --resume: the search keeps its own")


def _say(outcome: Outcome, path: Path) -> int:
    """Print how a sitting ended and where its files are; returns the exit code."""
    row = outcome.row
    from mario_rl.explore.directory import resume_command

    again = resume_command(path)
    if outcome.end == "interrupted":
        assert outcome.signal is not None
        click.echo(lines_of([f"saved in {path}; go on with: {again}"] if row else ["interrupted before it began"]))
        return 128 + outcome.signal
    took = f"{row['minutes']:.1f} minutes, {row['agent_steps']:,} agent steps, {row['cells']:,} cells"
    if outcome.end == "clear":
        words = [
            f"cleared {row['stage']} after {took}",
            f"shortened from {row['first_frames']:,} to {row['frames']:,} frames, {row['clear_seconds']:.1f} s",
        ]
    else:
        words = [
            f"not cleared: {row['stage']} after {took}; best x {row['best_x']}, by area",
            f"go on with: {again} --minutes {max(1, round(2 * row['total_minutes']))}",
        ]
    click.echo(lines_of([*words, *(f"written: {file}" for file in outcome.files)]))
    return OK if outcome.end == "clear" else FAILED
