"""`train` and `config`: a config file to a run, or to all that it says."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import OK
from mario_rl.cli.watch import DEFAULT_PORT, other_agents
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.config import Config
    from mario_rl.training import Observer, TrainingResult
    from mario_rl.watch.beside import PageBeside


@click.command()
@click.argument("arguments", nargs=-1, metavar="[CONFIG] [KEY=VALUE]...")
@click.option(
    "--resume", type=click.Path(path_type=Path), help="Go on with the run in this directory.", metavar="RUN_DIR"
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Where the run's files go; must not exist yet, or be empty.  "
    "[default: checkpoints/<config name>/<timestamp>-seed<seed>]",
)
@click.option(
    "--watch", is_flag=True, help="Open a page that shows the run as it learns; served by a process of its own."
)
@click.option(
    "--port", type=click.IntRange(min=1, max=65_535), help=f"Of that page.  [default: {DEFAULT_PORT}; needs --watch]"
)
@click.option("--no-browser", is_flag=True, help="Only serve that page; do not open it.  [needs --watch]")
def train(
    arguments: tuple[str, ...],
    resume: Path | None,
    run_dir: Path | None,
    watch: bool,
    port: int | None,
    no_browser: bool,
) -> int:
    """Train an agent as a config file says.

    KEY=VALUE replaces single settings; `mario-rl config CONFIG` lists and explains all of them. Ctrl-C (SIGINT),
    SIGTERM and a closed terminal (SIGHUP) save a checkpoint and end the run; --resume goes on from it, and may change
    only stop conditions (training.agent_steps, episodes, minutes, clear_rate), training.observers, logging.* and
    evaluation.*. With --watch, the page plays the newest checkpoint and draws the curve, until the command ends.

    \b
    Examples:
      mario-rl train ddqn_right_only --watch
      mario-rl train ddqn_right_only env.stage=1-2 training.agent_steps=200000 seed=3
      mario-rl train --resume checkpoints/ddqn_right_only/20261123-104500-seed0 training.agent_steps=400000
    """
    if not watch and (port is not None or no_browser):
        given = "--no-browser" if port is None else "--port"
        raise click.UsageError(f"{given} is for the page that --watch opens; give --watch too, or leave it out")
    with _page(port or DEFAULT_PORT, open_browser=not no_browser) if watch else nullcontext() as page:
        result = _train(arguments, resume, run_dir, page)
        return _say_what_became(result, watched=watch)


def _page(port: int, *, open_browser: bool) -> PageBeside:
    from mario_rl.watch.beside import PageBeside

    return PageBeside(port, others=other_agents(), open_browser=open_browser)


def _train(
    arguments: tuple[str, ...], resume: Path | None, run_dir: Path | None, page: PageBeside | None
) -> TrainingResult:
    from mario_rl.cli.terminal import TerminalObserver
    from mario_rl.config import load_config
    from mario_rl.training import sitting

    def show(run_dir: Path) -> None:
        if page is not None:
            click.echo(f"watch at {page.url}")
            page.start(run_dir)

    observer = TerminalObserver(show)
    try:
        if resume is not None:
            if run_dir is not None:
                raise click.UsageError("--run-dir can't be given with --resume: the run stays where it is")
            return sitting.resume(resume, arguments, observer=observer)
        if not arguments or ("=" in arguments[0] and not Path(arguments[0]).is_file()):
            given = f"; there is no file {arguments[0]}" if arguments else ""
            raise click.UsageError(
                f"train needs a config file first, such as configs/demo.yaml, or --resume RUN_DIR{given}"
            )
        config = load_config(arguments[0], arguments[1:])
        return _train_in(_run_dirs(run_dir, arguments[0], config.seed), config, observer)
    finally:
        observer.close()


def _say_what_became(result: TrainingResult, *, watched: bool) -> int:
    """Print how a sitting ended and where its files are; returns the exit code."""
    place, progress = result.run_dir, result.progress
    if progress is None:
        click.echo(f"stopped by {result.stop} before the first agent step: there is nothing to save yet")
    else:
        click.echo(
            f"stopped by {result.stop} after {count_text(progress.agent_steps, 'agent step')}, "
            f"{count_text(progress.episodes, 'episode')}"
        )
    files = {"checkpoint": place.latest, "best": place.best, "metrics": place.metrics, "episodes": place.episodes}
    for name, path in (files | {"curve": place.curve}).items():
        if path.exists():
            click.echo(f"{name + ':':<12}{path}")
    if watched and place.latest.exists():
        click.echo(f"watch it:   mario-rl watch {shlex.quote(str(place.path))}")
    if result.signal is not None:
        if place.config.is_file():  # a signal may come before there is a run to go on with
            click.echo(f"go on with:  {place.resume_command}")
        return 128 + result.signal
    return OK


def _run_dirs(wanted: Path | None, config_file: str, seed: int) -> Iterator[Path]:
    """Name where a run may go: the place wanted, else by config, time and seed, with a number where that is taken."""
    if wanted is not None:
        yield wanted
        return
    name = f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-seed{seed}"
    for number in itertools.count(1):
        yield Path("checkpoints") / Path(config_file).stem / (name if number == 1 else f"{name}-{number}")


def _train_in(run_dirs: Iterator[Path], config: Config, observer: Observer) -> TrainingResult:
    """Train in the first of the places that nobody else has taken; of one place, it is an error where it is taken."""
    from mario_rl.training import RunDirTaken, train

    taken: RunDirTaken | None = None
    for run_dir in run_dirs:
        try:
            return train(config, run_dir, observer=observer)
        except RunDirTaken as error:
            taken = error
    assert taken is not None
    raise taken


@click.command()
@click.argument("config_file", type=click.Path(path_type=Path), metavar="CONFIG")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def config(config_file: Path, overrides: tuple[str, ...]) -> int:
    """Print a config fully resolved and checked, with every key explained."""
    from mario_rl.config import load_config, render_config

    click.echo(render_config(load_config(config_file, overrides)), nl=False)
    return OK
