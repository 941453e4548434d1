"""`plot`: runs to curves and a death map."""

from __future__ import annotations

from pathlib import Path

import click

from mario_rl.cli.shared import OK, lines_of, require_output, say_which
from mario_rl.errors import UserError
from mario_rl.names import TIME_AXES, TimeAxis
from mario_rl.runs.directory import RunDir, find_run


@click.command()
@click.argument("run_dirs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN_DIR...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="[default: RUN_DIR/curve.png, of several runs curves.png]",
)
@click.option(
    "--ends",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Draw a death map as well: where on the stage the episodes of one run ended.",
)
@click.option(
    "--over",
    type=click.Choice(TIME_AXES),
    default="agent_steps",
    show_default=True,
    help="What the curves are drawn against.",
)
def plot(run_dirs: tuple[Path, ...], output: Path | None, ends: Path | None, over: TimeAxis) -> int:
    """Draw how one run went, or several on the same axes: x, clear rate, return and epsilon."""
    if output is not None:
        require_output("--output", output, ".png")
    if ends is not None:
        require_output("--ends", ends, ".png")
        if len(run_dirs) > 1:
            raise UserError(f"--ends: {len(run_dirs)} run directories are not allowed; a death map is of one run")
    run_dirs = tuple(_run_with_episodes(path) for path in run_dirs)
    if output is None:
        output = RunDir(run_dirs[0]).curve if len(run_dirs) == 1 else Path("curves.png")
        require_output("--output", output, ".png")
    from mario_rl.report.curve import draw_curves
    from mario_rl.report.ends import draw_ends

    if ends is not None:  # before the curve: it refuses a run without episodes
        draw_ends(run_dirs[0], ends)
    words = [f"ends:  {ends}"] if ends is not None else []
    try:
        words.insert(0, f"curve: {draw_curves(run_dirs, output, over)}")
    finally:
        click.echo(lines_of(words))
    return OK


def _run_with_episodes(path: Path) -> Path:
    """Find the run that a path stands for to a plot, and say which.

    Raises:
        UserError: there is none.
    """
    run = find_run(path, has=lambda one: one.episodes.is_file())
    if run is None:
        raise UserError(f"{path}: not a run directory, it has no episodes.csv")
    say_which(path, run.path)
    return run.path
