"""`tune`: a search file to trials, and trials to the best settings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from mario_rl.cli.shared import FAILED, OK, lines_of
from mario_rl.config.search import MOST_TRIALS
from mario_rl.shipped import find_search


@click.command()
@click.argument("search", type=click.Path(path_type=Path), metavar="SEARCH|CONFIG|STUDY")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where its files go.  [default: checkpoints/searches/<search name>]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=1024),
    help="Trials at once.  [default: as many as cores and memory carry]",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1, max=MOST_TRIALS),
    help="How many there shall be, those that are done included.  [default: as the search says]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and what it takes.")
def tune(search: Path, out: Path | None, jobs: int | None, trials: int | None, dry_run: bool) -> int:
    """Search for the best settings, with Optuna.  Needs mario-rl[tune].

    A search file names a config, the keys to search with their bounds, and how trials are judged; configs/searches/ has
    examples. Of a config alone the keys that are most often worth it are searched; of a study, the values of its axes.
    Each trial is a run, or one per seed, made as those of a study are; what is worse than most others on its way is
    pruned. Interrupt it (Ctrl-C saves, a second one does not) and start it again: trials that are done are kept, the
    others go on. With --jobs 1 the same search has the same trials.

    At the end there are best.yaml, a config, trials.csv, history.png and importance.png: what mattered. A trial whose
    run fails stops no other; exit code 1 then.

    \b
    Examples:
      mario-rl tune quick
      mario-rl tune right_only --dry-run
      mario-rl tune ddqn_right_only --trials 20 --out search
      mario-rl train search/best.yaml
    """
    from mario_rl.cli.terminal import TerminalSearchObserver
    from mario_rl.tuning import commands

    search = find_search(search)
    directory = commands.search_directory(search, out)
    if dry_run:
        click.echo(commands.describe_plan(search, directory, jobs=jobs, trials=trials))
        return OK
    with closing(TerminalSearchObserver(directory)) as observer:
        outcome, found = commands.run(search, directory, jobs=jobs, trials=trials, observer=observer)
    words = [f"failed: {run}: {reason}" for run, reason in outcome.failed.items()]
    words += [*found.text.splitlines(), *(f"written: {path}" for path in found.files)]
    if outcome.signal is not None:
        words.append(f"saved in {directory.path}; go on with the same command")
    click.echo(lines_of(words))
    if outcome.signal is not None:
        return 128 + outcome.signal
    return FAILED if outcome.failed else OK
