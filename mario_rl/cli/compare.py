"""`compare`: a study file to runs, and runs to a report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import FAILED, OK, lines_of
from mario_rl.errors import UserError
from mario_rl.files import printable
from mario_rl.runs.packed import archives_below, pack
from mario_rl.shipped import find_study
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.compare.report import Report


@click.command()
@click.argument("study", type=click.Path(path_type=Path), metavar="STUDY|DIR")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where its files go.  [default: checkpoints/studies/<study name>]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=1024),
    help="Runs in parallel.  [default: as many as cores and memory allow]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS|local",
    help="Work on a Ray cluster, such as 10.0.0.1:6379; local: one of this machine alone.  Needs mario-rl[cluster].",
)
@click.option("--dry-run", is_flag=True, help="Estimate runs, time, memory and disk; do nothing.")
@click.option("--report", "report_only", is_flag=True, help="Rebuild the report of a directory from the runs in it.")
@click.option("--pack", "pack_only", is_flag=True, help="Pack the tables of the runs in a directory into its runs.zip.")
def compare(
    study: Path,
    out: Path | None,
    jobs: int | None,
    cluster: str | None,
    dry_run: bool,
    report_only: bool,
    pack_only: bool,
) -> int:
    """Train every combination of settings from several seeds, and report how they compare.

    A study file names a config, the settings to compare and the seeds; configs/studies/ has examples. Interrupt it
    (Ctrl-C saves, a second one does not) and start it again: runs that are done are kept, the others go on. With more
    seeds or values in the file only the new runs are made; with another `final` the last weights are evaluated again. A
    run that fails stops no other; exit code 1 then.

    With --report and a directory the report is made from the runs that are there, whoever made them, those in a
    runs.zip included. With --pack that file is written: all tables of the runs, compressed; a report from it is the
    same, without films. No run is changed or deleted, and runs that are in the file only stay in it.

    \b
    Examples:
      mario-rl compare smoke
      mario-rl compare action_sets --dry-run
      mario-rl compare action_sets --cluster 10.0.0.1:6379 --out action_sets
      mario-rl compare checkpoints/ddqn_right_only --report
      mario-rl compare checkpoints/studies/smoke --pack
    """
    from mario_rl.cli.terminal import TerminalStudyObserver
    from mario_rl.studies import commands

    if report_only or pack_only:
        flag = "--report" if report_only else "--pack"
        if out is not None or jobs is not None or cluster is not None or dry_run or (report_only and pack_only):
            raise click.UsageError(f"{flag} takes a directory and no other option: it makes no runs")
        if not study.is_dir():
            raise UserError(f"{study}: no such directory; {flag} takes one with run directories in it")
    if pack_only:
        archive, runs = pack(study)
        click.echo(f"packed: {count_text(runs, 'run')}, {archive.stat().st_size / 1e6:.1f} MB: {printable(archive)}")
        return OK
    if report_only:
        click.echo(lines_of(_report_words(_report(study))))
        return OK
    study = find_study(study)
    directory = commands.study_directory(study, out)
    if dry_run:
        click.echo(commands.describe_plan(study, directory, jobs=jobs))
        return OK
    with closing(TerminalStudyObserver(directory)) as observer:
        outcome = commands.run(study, directory, jobs=jobs, cluster=cluster, observer=observer)
    words = [f"failed: {run}: {reason}" for run, reason in outcome.failed.items()]
    if outcome.signal is not None:
        click.echo(lines_of([*words, f"saved in {directory.path}; go on with the same command"]))
        return 128 + outcome.signal
    try:
        words += _report_words(_report(directory.path))
    except UserError as error:
        if not outcome.failed:
            raise
        words.append(str(error))  # there is nothing to report because every run has failed
    finally:
        click.echo(lines_of(words))
    return FAILED if outcome.failed else OK


def _report(path: Path) -> Report:
    """Make the report of the runs in a directory.

    Raises:
        UserError: there is no run in it; nothing has been written then.
    """
    if next(path.rglob("episodes.csv"), None) is None and not archives_below(path):  # said before drawing is loaded
        raise UserError(f"{path}: no run in it whose first episode has ended, so there is nothing to report")
    from mario_rl.compare.report import write_report

    return write_report(path)


def _report_words(report: Report) -> list[str]:
    return [*(f"left out: {run}: {reason}" for run, reason in report.left_out), f"report: {report.page}"]
