"""`watch`, `play` and `record`: an agent or a person at play, in the browser and as a film."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mario_rl.cli.shared import (
    INTERRUPTED,
    OK,
    STAGE,
    complain,
    exit_code,
    find_the_checkpoint,
    protocol_option,
    require_output,
    require_stage,
    say_which,
    seed_option,
)
from mario_rl.cli.trajectories import EMULATOR, FILM_SUFFIX, TRAJECTORY_SUFFIX, find_the_trajectory, played_again
from mario_rl.errors import UserError
from mario_rl.runs.directory import find_run, runs_below
from mario_rl.wording import count_text

if TYPE_CHECKING:
    import uvicorn

    from mario_rl.config import Protocol
    from mario_rl.trajectories import Emulator
    from mario_rl.watch.port import Address

DEFAULT_PORT = 8000
PORT = click.option("--port", type=click.IntRange(min=1, max=65_535), default=DEFAULT_PORT, show_default=True)
HOST = click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to be reached; 0.0.0.0: from other machines too, by anybody, who can then take the pad.",
)
NO_BROWSER = click.option("--no-browser", is_flag=True, help="Only serve the page; do not open it.")


@click.command()
@click.argument(
    "checkpoint", type=click.Path(path_type=Path), required=False, metavar="[AGENT|CHECKPOINT|RUN_DIR|FILE|STAGE]"
)
@STAGE
@protocol_option("greedy")
@seed_option(0)
@PORT
@HOST
@NO_BROWSER
def watch(
    checkpoint: Path | None, stage: str | None, protocol: Protocol, seed: int, port: int, host: str, no_browser: bool
) -> int:
    """See an agent think, in the browser: the game live, what the network sees and what it expects.

    FILE is an episode that was saved: a trajectory (.json), which is played, and which you or an agent can take over at
    any frame; or a film (.mp4), which is shown. A stage, such as 4-2, stands for the trajectory of the package.

    The page pauses, steps, goes back to any frame of the sitting and plays on from there, changes speed, agent (of the
    package, or of a run below this folder), stage, protocol and checkpoint, and lets you take the pad. Of a run that is
    being trained it shows new checkpoints and the curves as they come. Ctrl-C ends it. Without an argument, the best
    agent of the package plays.

    \b
    Examples:
      mario-rl watch
      mario-rl watch ddqn_simple_1-1
      mario-rl watch checkpoints/ddqn_right_only/20261123-104500-seed0 --protocol sticky --port 8123 --no-browser
      mario-rl watch watched/1-1_20261127-145000_episode_3.json
      mario-rl watch 4-2
    """
    file = None if checkpoint is None else find_the_trajectory(checkpoint)
    kind = None if file is None else _kind_of_file(file)
    if file is not None and kind is not None:
        _refuse_of_agents(file, "stage", "protocol", "seed")

    def make(address: Address) -> uvicorn.Server:
        if file is not None and kind == FILM_SUFFIX:
            return _film_server(file, address)
        if file is not None and kind == TRAJECTORY_SUFFIX:
            recording, _ = played_again(file)  # refused before anything slow is imported
            from mario_rl.watch.game import Game
            from mario_rl.watch.server import make_server

            return make_server(Game(None, others=other_agents(), recording=recording, name=file.name), address)
        require_stage(stage, whole_game=False)
        place = _watched(checkpoint or _best())
        from mario_rl.watch.game import Game
        from mario_rl.watch.server import make_server

        game = Game(place, others=other_agents(), stage=stage, protocol=protocol, seed=seed)
        if game.waiting is not None:
            click.echo(game.waiting)
        return make_server(game, address)

    return _serve(make, host, port, no_browser=no_browser)


@click.command()
@click.argument("stage", default="1-1", metavar="[STAGE]")
@EMULATOR
@PORT
@HOST
@NO_BROWSER
def play(stage: str, emulator: Emulator, port: int, host: str, no_browser: bool) -> int:
    """Play a stage yourself, in the browser: you hold the pad, and no agent is loaded.

    All eight buttons of the pad count, in every frame. The page pauses, goes back to any frame and plays on from there,
    and saves what you played: as a film, and as a trajectory that `mario-rl replay` checks.

    \b
    Examples:
      mario-rl play
      mario-rl play 4-2 --port 8123
    """
    require_stage(stage, whole_game=False, option="STAGE")

    def make(address: Address) -> uvicorn.Server:
        from mario_rl.watch.game import Game
        from mario_rl.watch.server import make_server

        return make_server(Game(None, stage=stage, emulator=emulator), address)

    return _serve(make, host, port, no_browser=no_browser)


def _serve(make: Callable[[Address], uvicorn.Server], host: str, port: int, *, no_browser: bool) -> int:
    """Serve a page until Ctrl-C, and open it in the browser.

    Args:
        make: makes its server, once the port is known to be free.
        host: where to be reached.
        port: there.
        no_browser: whether the browser stays closed.
    """
    import threading
    import webbrowser

    from mario_rl.watch.port import address_of, bind

    with bind(host, port) as bound:
        address = address_of(bound, host)
    if address.is_open:
        risk = "anybody who can reach this machine can watch and take the pad"
        click.echo(f"mario-rl: --host {host}: {risk}; they open {address.outside_url}", err=True)
    server = make(address)
    with bind(host, port) as bound:
        click.echo(f"watch at {address.url}  (Ctrl-C ends it)")
        opening = threading.Timer(1.0, webbrowser.open, [address.url])
        opening.daemon = True  # a browser in the terminal ends when it likes
        if not no_browser:
            opening.start()
        try:
            server.run(sockets=[bound])
        finally:
            opening.cancel()
            _leave_what_hangs()
    return OK


def _kind_of_file(path: Path) -> str | None:
    """Say what a path is that is no agent: .json for a trajectory, .mp4 for a film; None for an agent."""
    return path.suffix if path.suffix in (TRAJECTORY_SUFFIX, FILM_SUFFIX) and not path.is_dir() else None


def _refuse_of_agents(file: Path, *names: str) -> None:
    """Refuse options that say how an agent plays, where a file says what was played.

    Raises:
        UserError: one of them was given.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UserError(f"--{name}: not with {file}, in which everything was played already; leave it out")


def _film_server(film: Path, address: Address) -> uvicorn.Server:
    if not film.is_file():
        raise UserError(f"{film}: no such file")
    from mario_rl.report.video import film_title

    title = film_title(film)
    from mario_rl.watch.server import FilmPage, serve

    return serve(FilmPage(film, title), address)


def _leave_what_hangs() -> None:
    """Die of the interruption, with a line, if a thread does not end: Python can't end around one in PyTorch."""
    from mario_rl.watch.background import unfinished

    try:
        hanging = unfinished(seconds=1.0)
    except KeyboardInterrupt:
        hanging = unfinished(seconds=0.0)
    if hanging:
        complain(f"interrupted while still {' and '.join(hanging)}", INTERRUPTED)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def _best() -> Path:
    from mario_rl.shipped import best_agent

    agent = best_agent()
    if agent is None:
        raise UserError("the package brings no agent; name a checkpoint (.pt) or a run directory")
    click.echo(f"mario-rl: taking {agent.stem} of the package", err=True)
    return agent


def other_agents() -> list[Path]:
    """The agents of the package, and the runs below this folder that have something to show."""
    from mario_rl import shipped
    from mario_rl.runs.checkpoint import has_checkpoint

    agents = [shipped.AGENTS / f"{name}.pt" for name in shipped.agent_names()]
    return [*agents, *sorted(run.path for run in runs_below(Path()) if has_checkpoint(run))]


def _watched(path: Path) -> Path:
    """Find what there is to watch: a checkpoint, or a run, which may have none yet.

    Raises:
        CheckpointError: there is neither.
    """
    from mario_rl.runs.checkpoint import find_checkpoint, has_checkpoint

    run = None
    if not path.is_file():
        run = find_run(path, has=has_checkpoint) or find_run(path, has=lambda one: one.config.is_file())
    if run is None:
        return find_checkpoint(path)
    say_which(path, run.path)
    return run.path


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="AGENT|CHECKPOINT|RUN_DIR|FILE.json|STAGE")
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="FILE.mp4", help="Where to.")
@click.option("--episodes", type=click.IntRange(min=1), default=3, show_default=True, help="How many; greedy has one.")
@protocol_option("noop")
@seed_option(0)
@STAGE
@click.option("--overlay", is_flag=True, help="Show values, buttons and the network's input beside the game.")
@click.option(
    "--progress",
    is_flag=True,
    help="Of a run: one greedy episode of each of its checkpoints, from the first to the best.",
)
def record(
    checkpoint: Path,
    output: Path,
    episodes: int,
    protocol: Protocol,
    seed: int,
    stage: str | None,
    overlay: bool,
    progress: bool,
) -> int:
    """Film an agent, or a trajectory that was saved: an MP4 that browsers and phones play.

    A stage, such as 4-2, stands for the trajectory of the package.

    \b
    Examples:
      mario-rl record watched/1-1_20261127-145000_episode_3.json --output mario.mp4
      mario-rl record 4-2 --output mario.mp4
      mario-rl record ddqn_right_only_1-1 --output mario.mp4 --overlay
      mario-rl record RUN_DIR --output sticky.mp4 --protocol sticky --episodes 10 --seed 7
      mario-rl record RUN_DIR --output learned.mp4 --progress
    """
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.evaluation.protocols import PROTOCOLS
    from mario_rl.training.interrupts import Interrupts

    require_output("--output", output, ".mp4")
    require_stage(stage)
    played = find_the_trajectory(checkpoint)
    if _kind_of_file(played) == TRAJECTORY_SUFFIX:
        _refuse_of_agents(played, "stage", "protocol", "seed", "episodes", "overlay", "progress")
        return _record_trajectory(played, output)
    if progress:
        return _record_progress(checkpoint, output)
    file = find_the_checkpoint(checkpoint)
    from mario_rl.evaluation import EvaluationInterrupted
    from mario_rl.watch.record import record as film

    with Interrupts() as interrupts, closing(CountingBar("recording", "episode")) as bar:
        try:
            results = film(
                file,
                output,
                episodes=episodes,
                protocol=protocol,
                seed=seed,
                stage=stage,
                overlay=overlay,
                should_stop=lambda: interrupts.received is not None,
                on_episode=bar,
            )
        except EvaluationInterrupted:
            return complain("interrupted before an episode ended: there is no video", exit_code(interrupts))
    for number, result in enumerate(results):
        click.echo(f"episode {number}: {result.end} at x {result.x}, return {result.return_:,.0f}")
    if len(results) < min(episodes, PROTOCOLS[protocol].fixed_episodes or episodes):
        click.echo("CUT SHORT: the episodes above are whole, the video ends in the one that was being played")
    click.echo(f"video: {output}")
    return exit_code(interrupts)


def _record_trajectory(file: Path, output: Path) -> int:
    trajectory, ending = played_again(file)
    from mario_rl.report.video import FilmingInterrupted, write_video
    from mario_rl.training.interrupts import Interrupts
    from mario_rl.watch.recorded import as_recorded

    with Interrupts() as interrupts:
        try:
            write_video(output, [as_recorded(trajectory).film()], should_stop=lambda: interrupts.received is not None)
        except FilmingInterrupted:
            return complain("interrupted: there is no video", exit_code(interrupts))
    click.echo(f"{file}: it {ending}")
    click.echo(f"video: {output}")
    return OK


def _record_progress(path: Path, output: Path) -> int:
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.evaluation import EvaluationInterrupted
    from mario_rl.report.video import FilmingInterrupted
    from mario_rl.runs.checkpoint import has_checkpoint
    from mario_rl.training.interrupts import Interrupts
    from mario_rl.watch.record import record_progress

    run = find_run(path, has=has_checkpoint)
    if run is None:
        raise UserError(f"{path}: no run with checkpoints; --progress takes a run directory")
    say_which(path, run.path)
    with Interrupts() as interrupts, closing(CountingBar("recording", "checkpoint")) as bar:
        try:
            played = record_progress(
                run.path, output, should_stop=lambda: interrupts.received is not None, on_episode=bar
            )
        except (EvaluationInterrupted, FilmingInterrupted):
            return complain("interrupted: there is no video", exit_code(interrupts))
    for trained, result in played:
        click.echo(f"{count_text(trained.agent_steps, 'agent step')}: {result.end} at x {result.x}")
    click.echo(f"video: {output}")
    return OK
