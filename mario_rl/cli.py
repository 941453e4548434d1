"""The command line: arguments in, printed lines and exit codes out; it puts the parts together.

What needs torch is imported inside the commands, so that `--help` answers at once, and there once nothing is left to
refuse, so that a wrong path or key is told at once too. Files are written first and words printed after: a terminal
that is gone or a pipe that nobody reads costs no file.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mario_rl import __version__
from mario_rl.errors import FailedError, MeasurementInterrupted, UserError
from mario_rl.files import json_text, printable, require_writable, staged, write_atomically
from mario_rl.machine import allowed_cores, usable_cores
from mario_rl.runs.directory import RunDir, find_run
from mario_rl.streams import SCREEN, guarded_output
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.cards import Verdict
    from mario_rl.compare.report import Report
    from mario_rl.config import Config, Protocol
    from mario_rl.evaluation import Trained
    from mario_rl.terminal import CountingBar
    from mario_rl.training import Observer, TrainingResult
    from mario_rl.training.interrupts import Interrupts

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
PROTOCOL_NAMES = ("greedy", "noop", "sticky", "epsilon")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="mario-rl")
def cli() -> None:
    """Train, evaluate and compare value-based agents on NES Super Mario Bros.

    \b
    A first run, a look at it, and going on with it:
      mario-rl train configs/demo.yaml
      mario-rl evaluate checkpoints/demo/20261123-104500-seed0 --video mario.mp4
      mario-rl train --resume checkpoints/demo/20261123-104500-seed0 training.minutes=10
    """


@cli.command()
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
def train(arguments: tuple[str, ...], resume: Path | None, run_dir: Path | None) -> int:
    """Train an agent as a config file says.

    KEY=VALUE replaces single settings; `mario-rl config CONFIG` lists and explains all of them. Ctrl-C (SIGINT),
    SIGTERM and a closed terminal (SIGHUP) save a checkpoint and end the run; --resume goes on from it, and may change
    only stop conditions (training.agent_steps, episodes, minutes, clear_rate), logging.* and evaluation.*.

    \b
    Examples:
      mario-rl train configs/ddqn_right_only.yaml
      mario-rl train configs/ddqn_right_only.yaml env.stage=1-2 training.agent_steps=200000 seed=3
      mario-rl train --resume checkpoints/ddqn_right_only/20261123-104500-seed0 training.agent_steps=400000
    """
    from mario_rl.config import load_config
    from mario_rl.terminal import TerminalObserver
    from mario_rl.training import loop

    observer = TerminalObserver()
    try:
        if resume is not None:
            if run_dir is not None:
                raise click.UsageError("--run-dir can't be given with --resume: the run stays where it is")
            result = loop.resume(resume, arguments, observer=observer)
        else:
            if not arguments or ("=" in arguments[0] and not Path(arguments[0]).is_file()):
                given = f"; there is no file {arguments[0]}" if arguments else ""
                raise click.UsageError(
                    f"train needs a config file first, such as configs/demo.yaml, or --resume RUN_DIR{given}"
                )
            config = load_config(arguments[0], arguments[1:])
            result = _train_in(_run_dirs(run_dir, arguments[0], config.seed), config, observer)
    finally:
        observer.close()
    place, progress = result.run_dir, result.progress
    click.echo(
        f"stopped by {result.stop} after {count_text(progress.agent_steps, 'agent step')}, "
        f"{count_text(progress.episodes, 'episode')}"
    )
    files = {"checkpoint": place.latest, "best": place.best, "metrics": place.metrics, "episodes": place.episodes}
    for name, path in (files | {"curve": place.curve}).items():
        if path.exists():
            click.echo(f"{name + ':':<12}{path}")
    if result.signal is not None:
        click.echo(f"go on with:  mario-rl train --resume {place.path}")
        return 128 + result.signal
    return OK


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT_OR_RUN_DIR")
@click.option(
    "--episodes",
    type=click.IntRange(min=1),
    help="Episodes of sticky or epsilon, per stage.  [default: as in the config]",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOL_NAMES),
    help="greedy: 1 episode. noop: 31, one for each start after 0-30 frames without input. sticky: buttons stay "
    "pressed with p = 0.25 per frame. epsilon: 1 % random actions.  [default: as in the config]",
)
@click.option("--stage", help="Another stage than the one trained on, such as 1-2.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of sticky and random actions.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the report, every episode included.",
    metavar="FILE",
)
@click.option(
    "--video",
    type=click.Path(path_type=Path),
    help="Write an MP4, or a moving picture (.webp), of the episodes named next.",
    metavar="FILE.mp4|FILE.webp",
)
@click.option("--video-episodes", type=click.Choice(["best", "worst", "all"]), default="best", show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="cpu", show_default=True)
def evaluate(
    checkpoint: Path,
    episodes: int | None,
    protocol: Protocol | None,
    stage: str | None,
    seed: int,
    json_file: Path | None,
    video: Path | None,
    video_episodes: str,
    device: str,
) -> int:
    """Play a checkpoint and report how often it clears the stage.

    Of a run directory, the best checkpoint is taken, else the latest; of a directory with runs below it, and of
    DIR/latest, that of the newest run. The game is deterministic, so a clear rate needs a declared source of
    randomness: the protocol, which replaces the no-ops and sticky actions of training. Ctrl-C reports the episodes
    that have ended.

    \b
    Examples:
      mario-rl evaluate checkpoints/demo/20261123-104500-seed0
      mario-rl evaluate RUN_DIR/checkpoints/latest.pt --protocol sticky --episodes 100 --seed 7 --json report.json
      mario-rl evaluate RUN_DIR --stage 1-2 --video mario.mp4 --video-episodes all
    """
    from mario_rl.evaluation.protocols import episode_count
    from mario_rl.report.table import evaluation_table
    from mario_rl.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    _require_output("--json", json_file)
    _require_output("--video", video, ".mp4", ".webp")
    _require_stage(stage)
    if protocol is not None:
        episode_count(protocol, episodes, default=1)
    file = _checkpoint(checkpoint)
    from mario_rl import evaluation
    from mario_rl.report.video import Recording, write_video
    from mario_rl.runs.checkpoint import load_checkpoint

    trained = evaluation.load_trained(file, stage=stage, device=device)
    with Interrupts() as interrupts, closing(CountingBar("evaluating", "episode")) as bar:
        try:
            report = evaluation.evaluate_policy(
                trained.policy,
                trained.config,
                protocol=protocol or trained.config.evaluation.protocol,
                episodes=episodes,
                seed=seed,
                should_stop=lambda: interrupts.received is not None,
                on_episode=bar,
            )
        except evaluation.EvaluationInterrupted as cut:
            if cut.report is None:
                return _complain("interrupted before an episode ended: nothing to report", _code(interrupts))
            report = cut.report
        bar.close()
        summary = {"checkpoint": str(file), "agent_steps": trained.agent_steps, **report.summary()}
        words = [f"checkpoint:  {file} ({_steps(trained)})", evaluation_table(summary)]
        try:
            if json_file is not None:
                text = json_text(summary | {"versions": load_checkpoint(file)["versions"]}, indent=2) + "\n"
                write_atomically(json_file, lambda partial: partial.write_text(text, encoding="utf-8"))
                words.append(f"report:      {json_file}")
            if video is not None:
                chosen = {"best": (report.best,), "worst": (report.worst,), "all": report.episodes}[video_episodes]
                recordings = [
                    Recording(
                        one.stage,
                        one.buttons,
                        f"{one.stage}, episode {one.number}: {one.result.end} at x {one.result.x}",
                        trained.config.env.rom,
                    )
                    for one in chosen
                ]
                words.append(f"video:       {write_video(video, recordings)}")
        finally:  # where a file can't be written, the words are all there is of the evaluation
            click.echo("\n".join(words))
    return _code(interrupts)


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT_OR_RUN_DIR")
@click.argument("output", type=click.Path(path_type=Path), metavar="OUTPUT.pt")
@click.option(
    "--episodes", type=click.IntRange(min=1), default=100, show_default=True, help="Of sticky and of epsilon."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of sticky and random actions.")
def ship(checkpoint: Path, output: Path, episodes: int, seed: int) -> int:
    """Write an agent to hand on: weights alone, float16, and a card with what they do.

    The card (OUTPUT.json, and OUTPUT.md to read) has the config, the training, and evaluations of the written file
    under every protocol; `mario-rl verify` repeats them. Some minutes, most of it for sticky and epsilon.

    \b
    Example:
      mario-rl ship RUN_DIR checkpoints/pretrained/ddqn_right_only_1-1.pt
    """
    from mario_rl import cards
    from mario_rl.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    for path in (output, output.with_suffix(".json"), output.with_suffix(".md")):
        _require_output("OUTPUT", path, *([".pt"] if path == output else []))
    file = _checkpoint(checkpoint)
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
            _complain(f"interrupted: nothing is shipped, {output} and its card are as they were", INTERRUPTED)
        finally:
            bar.close()
            for claim in claims:
                share = f"cleared {claim.clears} of {claim.episodes}"
                click.echo(f"{claim.protocol + ':':<9}{share}, mean x {claim.mean_x:,.0f}")
    if shipped:
        click.echo(f"agent:   {output}\ncard:    {output.with_suffix('.json')}, {output.with_suffix('.md')}")
    return _code(interrupts)


@cli.command()
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
    from mario_rl.terminal import CountingBar
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
                _complain("interrupted: what is not listed was not verified", INTERRUPTED)
                return _code(interrupts)
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


@cli.command()
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
def plot(run_dirs: tuple[Path, ...], output: Path | None, ends: Path | None) -> int:
    """Draw the reward curve of one run, or the curves of several on the same axes."""
    if output is not None:
        _require_output("--output", output, ".png")
    if ends is not None:
        _require_output("--ends", ends, ".png")
        if len(run_dirs) > 1:
            raise UserError(f"--ends: {len(run_dirs)} run directories are not allowed; a death map is of one run")
    run_dirs = tuple(_run_with_episodes(path) for path in run_dirs)
    if output is None:
        output = RunDir(run_dirs[0]).curve if len(run_dirs) == 1 else Path("curves.png")
        _require_output("--output", output, ".png")
    from mario_rl.report.curve import draw_curves
    from mario_rl.report.ends import draw_ends

    if ends is not None:  # before the curve: it refuses a run without episodes
        draw_ends(run_dirs[0], ends)
    words = [f"ends:  {ends}"] if ends is not None else []
    try:
        words.insert(0, f"curve: {draw_curves(run_dirs, output)}")
    finally:
        click.echo(_lines(words))
    return OK


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT_OR_RUN_DIR")
@click.option("--stage", help="Another stage than the one trained on, such as 1-2.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOL_NAMES), default="greedy", show_default=True, help="The source of chance."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of sticky and random actions.")
@click.option("--port", type=click.IntRange(min=1, max=65_535), default=8000, show_default=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Where to be reached; 0.0.0.0: from other machines too, by anybody.",
)
@click.option("--no-browser", is_flag=True, help="Only serve the page; do not open it.")
def watch(
    checkpoint: Path, stage: str | None, protocol: Protocol, seed: int, port: int, host: str, no_browser: bool
) -> int:
    """See an agent think, in the browser: the game live, what the network sees and what it expects.

    The page pauses, steps, changes speed, stage, protocol and checkpoint, and lets you take the pad. Of a run that is
    being trained it shows new checkpoints and the curves as they come. Ctrl-C ends it.

    \b
    Examples:
      mario-rl watch checkpoints/pretrained/ddqn_right_only_1-1_seed_1.pt
      mario-rl watch checkpoints/ddqn_right_only/20261123-104500-seed0 --protocol sticky --port 8123 --no-browser
    """
    import threading
    import webbrowser

    from mario_rl.watch.port import bind

    bind(host, port).close()
    _require_stage(stage, whole_game=False)
    place = _watched(checkpoint)
    from mario_rl.watch.waiting import wait_for_checkpoint

    wait_for_checkpoint(place, lambda: click.echo(f"{place}: waiting for its first checkpoint (Ctrl-C ends)"))
    from mario_rl.watch.game import Game
    from mario_rl.watch.server import serve

    game = Game(place, stage=stage, protocol=protocol, seed=seed)
    url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}/"
    click.echo(f"watch at {url}  (Ctrl-C ends it)")
    if not no_browser:
        threading.Timer(1.0, webbrowser.open, [url]).start()
    serve(game, host=host, port=port)
    return OK


@cli.command()
@click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CHECKPOINT_OR_RUN_DIR")
@click.option("--output", type=click.Path(path_type=Path), required=True, metavar="FILE.mp4", help="Where to.")
@click.option("--episodes", type=click.IntRange(min=1), default=3, show_default=True, help="How many; greedy has one.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOL_NAMES), default="noop", show_default=True, help="The source of chance."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of sticky and random actions.")
@click.option("--stage", help="Another stage than the one trained on, such as 1-2.")
@click.option("--overlay", is_flag=True, help="Show values, buttons and the network's input beside the game.")
def record(
    checkpoint: Path,
    output: Path,
    episodes: int,
    protocol: Protocol,
    seed: int,
    stage: str | None,
    overlay: bool,
) -> int:
    """Film an agent: what `watch` shows, as an MP4 that browsers and phones play.

    \b
    Examples:
      mario-rl record checkpoints/pretrained/ddqn_right_only_1-1_seed_1.pt --output mario.mp4 --overlay
      mario-rl record RUN_DIR --output sticky.mp4 --protocol sticky --episodes 10 --seed 7
    """
    from mario_rl.evaluation.protocols import PROTOCOLS
    from mario_rl.terminal import CountingBar
    from mario_rl.training.interrupts import Interrupts

    _require_output("--output", output, ".mp4")
    _require_stage(stage)
    file = _checkpoint(checkpoint)
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
            return _complain("interrupted before an episode ended: there is no video", _code(interrupts))
    for number, result in enumerate(results):
        click.echo(f"episode {number}: {result.end} at x {result.x}, return {result.return_:,.0f}")
    if len(results) < min(episodes, PROTOCOLS[protocol].fixed_episodes or episodes):
        click.echo("CUT SHORT: the episodes above are whole, the video ends in the one that was being played")
    click.echo(f"video: {output}")
    return _code(interrupts)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path), metavar="STUDY.yaml|DIR")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where its files go.  [default: checkpoints/studies/<study name>]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1, max=1024),
    help="Runs at once.  [default: as many as cores and memory carry]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS|local",
    help="Work on a Ray cluster, such as 10.0.0.1:6379; local: one of this machine alone.  Needs mario-rl[cluster].",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and what it takes.")
@click.option("--report", "report_only", is_flag=True, help="Rebuild the report of a directory from the runs in it.")
def compare(
    study: Path, out: Path | None, jobs: int | None, cluster: str | None, dry_run: bool, report_only: bool
) -> int:
    """Train every combination of settings from several seeds, and report how they compare.

    A study file names a config, the settings to compare and the seeds; configs/studies/ has examples. Interrupt it
    (Ctrl-C saves) and start it again: runs that are done are kept, the others go on. With more seeds or values in the
    file only the new runs are made. A run that fails stops no other; exit code 1 then.

    With --report and a directory the report is made from the runs that are there, whoever made them.

    \b
    Examples:
      mario-rl compare configs/studies/smoke.yaml
      mario-rl compare configs/studies/action_sets.yaml --dry-run
      mario-rl compare configs/studies/action_sets.yaml --cluster 10.0.0.1:6379 --out action_sets
      mario-rl compare checkpoints/ddqn_right_only --report
    """
    from mario_rl.compare import commands

    if report_only:
        if out is not None or jobs is not None or cluster is not None or dry_run:
            raise click.UsageError("--report takes a directory and no other option: it makes no runs")
        click.echo(_lines(_report_words(commands.report(study))))
        return OK
    directory = commands.study_directory(study, out)
    if dry_run:
        click.echo(commands.describe_plan(study, directory, jobs=jobs))
        return OK
    outcome = commands.run(study, directory, jobs=jobs, cluster=cluster)
    words = [f"failed: {run}: {reason}" for run, reason in outcome.failed.items()]
    if outcome.signal is not None:
        click.echo(_lines([*words, f"saved in {directory.path}; go on with the same command"]))
        return 128 + outcome.signal
    try:
        words += _report_words(commands.report(directory.path))
    finally:
        click.echo(_lines(words))
    return FAILED if outcome.failed else OK


@cli.command()
@click.argument("config_file", type=click.Path(path_type=Path), metavar="CONFIG")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def config(config_file: Path, overrides: tuple[str, ...]) -> int:
    """Print a config fully resolved and checked, with every key explained."""
    from mario_rl.config import load_config, render_config

    click.echo(render_config(load_config(config_file, overrides)), nl=False)
    return OK


@cli.command()
@click.argument("config_file", type=click.Path(path_type=Path), metavar="[CONFIG]", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--emulator", is_flag=True, help="The emulator beside nes-py, on the same work; needs no CONFIG.")
@click.option(
    "--agent",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT_OR_RUN_DIR",
    help="With --emulator: also time a noop evaluation of this agent.",
)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Per part and repeat.")
@click.option(
    "--agent-steps",
    type=click.IntRange(min=100),
    default=2_000,
    show_default=True,
    help="Of each training run that is measured.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("benchmark.json"),
    show_default=True,
    metavar="FILE.json",
    help="The figures; the same as a Markdown table goes beside it, with the ending .md.",
)
def benchmark(
    config_file: Path | None,
    overrides: tuple[str, ...],
    emulator: bool,
    agent: Path | None,
    seconds: float,
    agent_steps: int,
    repeats: int,
    output: Path,
) -> int:
    """Measure how fast this machine emulates, samples, learns and trains, with the settings of a config.

    Parts are measured in turn, all of them `--repeats` times. The training runs are short, real and thrown away.

    \b
    Examples:
      mario-rl benchmark configs/ddqn_right_only.yaml
      mario-rl benchmark configs/ddqn_right_only.yaml agent.batch_size=64 agent.bfloat16=false
      mario-rl benchmark --emulator --repeats 5 --agent checkpoints/pretrained/ddqn_right_only_1-1_seed_1.pt
    """
    if emulator:
        return _benchmark_emulator(agent, seconds=seconds, repeats=repeats, output=output)
    if config_file is None:
        raise click.UsageError("Missing argument 'CONFIG'; --emulator needs none.")
    from mario_rl.config import load_config
    from mario_rl.terminal import CountingBar
    from mario_rl.training import Interrupts, check_machine

    _require_output("--output", output, ".json")
    config = load_config(config_file, overrides)
    check_machine(config, RunDir(Path(tempfile.gettempdir())))
    from mario_rl.diagnostics.benchmark import markdown, run_benchmark

    with Interrupts() as interrupts, closing(CountingBar("measuring", "measurement")) as bar:
        try:
            report = run_benchmark(
                config,
                seconds=seconds,
                agent_steps=agent_steps,
                repeats=repeats,
                should_stop=lambda: interrupts.received is not None,
                on_measured=bar,
            )
        except MeasurementInterrupted:
            return _complain("interrupted before anything was measured", _code(interrupts))
        bar.close()
        _write_figures(output, report.as_dict(), markdown(report))
    return _code(interrupts)


def _write_figures(output: Path, figures: dict[str, Any], text: str) -> None:
    """Write the figures of a benchmark and their table, both or neither; print the table whatever happens."""
    table, words = output.with_suffix(".md"), text
    try:
        with staged(output, table) as (figures_file, text_file):
            figures_file.write_text(json_text(figures, indent=2) + "\n", encoding="utf-8")
            text_file.write_text(text, encoding="utf-8")
        words += f"\nfigures: {output}\ntable:   {table}"
    finally:
        click.echo(words)


def _benchmark_emulator(agent: Path | None, *, seconds: float, repeats: int, output: Path) -> int:
    from mario_rl.terminal import CountingBar
    from mario_rl.training import Interrupts

    _require_output("--output", output, ".json")
    if agent is not None:
        agent = _checkpoint(agent)
    import torch

    from mario_rl.diagnostics.emulator_benchmark import emulator_markdown, measure_emulator
    from mario_rl.evaluation import evaluate, load_trained

    if agent is not None:
        load_trained(agent)  # what is wrong with it is said before anything is measured

    def evaluation() -> float:
        assert agent is not None
        torch.set_num_threads(1)
        began = time.perf_counter()
        evaluate(agent, protocol="noop")
        return time.perf_counter() - began

    with Interrupts() as interrupts, closing(CountingBar("measuring", "measurement")) as bar:
        try:
            report = measure_emulator(
                seconds=seconds,
                repeats=repeats,
                evaluation=None if agent is None else evaluation,
                should_stop=lambda: interrupts.received is not None,
                on_measured=bar,
            )
        except MeasurementInterrupted:
            return _complain("interrupted before anything was measured", _code(interrupts))
        bar.close()
        _write_figures(output, report.as_dict(), emulator_markdown(report))
    return _code(interrupts)


@cli.command()
@click.option("--parity", is_flag=True, help="Play on both emulators and find the frame where they part.")
@click.option("--stage", default="1-1", show_default=True, metavar="STAGE", help="With --parity: such as 1-2, or game.")
@click.option("--frames", type=click.IntRange(min=1), default=5_000, show_default=True, help="With --parity: how many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="With --parity: of the buttons.")
@click.option("--rom", type=click.Path(path_type=Path), metavar="FILE.nes", help="With --parity: another ROM.")
@click.option("--opcode", metavar="LDA", help="Print what the 6502's operation becomes, opcode by opcode (LLVM).")
def doctor(parity: bool, stage: str, frames: int, seed: int, rom: Path | None, opcode: str | None) -> int:
    """Check what a run needs here: versions, emulator, ROM, device, threads, packages, disk and memory.

    \b
    Examples:
      mario-rl doctor
      mario-rl doctor --parity --stage 4-4 --frames 20000
      mario-rl doctor --opcode ADC
    """
    if opcode is not None:
        from mario_rl.nes.cpu import opcode_text

        click.echo(opcode_text(opcode))
        return OK
    if parity:
        return _parity(stage, frames, seed, rom)
    from mario_rl.diagnostics.doctor import run_checks

    checks = run_checks()
    for check in checks:
        click.echo(f"{'ok' if check.ok else 'NOT OK':<8}{check.name:<16}{check.detail}")
        if not check.ok:
            click.echo(f"{'':<24}{check.advice}")
    return OK if all(check.ok for check in checks) else FAILED


def _parity(stage: str, frames: int, seed: int, rom: Path | None) -> int:
    _require_stage(stage)
    from tqdm import tqdm

    from mario_rl.diagnostics.parity import compare_emulators

    with tqdm(file=SCREEN, total=frames, unit="frame", desc="comparing", leave=False) as bar:
        try:
            comparison = compare_emulators(
                stage, frames=frames, seed=seed, rom=None if rom is None else str(rom), on_frame=bar.update
            )
        except KeyboardInterrupt:
            bar.close()
            return _complain(f"interrupted: the first {bar.n:,} frames are the same on both", INTERRUPTED)
    if comparison.parting is None:
        seen = ", ".join(f"{count} {end}" for end, count in sorted(comparison.ends.items())) or "no end"
        click.echo(
            f"{stage}: {count_text(frames, 'frame')}, seed {seed}: memory, pixels, rewards and info are the same on "
            f"both ({seen})"
        )
        return OK
    click.echo(f"{stage}, seed {seed}: the emulators part in {comparison.parting}")
    return FAILED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 bad input, 129, 130 or 143 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # PyTorch's threads spin while they wait for each other, and beside another busy program that starves them: on two
    # cores an update took 420 ms instead of 22. Spinning less: 120 ms, and still 22 when nothing else runs. libgomp
    # reads this when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    if usable_cores() < allowed_cores():  # PyTorch, and those of its kind, know nothing of CPU quotas
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    with guarded_output() as stdout:
        code = _run(arguments)
        stdout.flush()
        if code == OK and stdout.lost:
            return _complain(f"standard output could not be written ({stdout.error}); files are complete", FAILED)
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = cli.main(args=arguments or ["--help"], prog_name="mario-rl", standalone_mode=False)
    except (click.ClickException, UserError) as error:
        message = (
            error.format_message() + _meant(error, arguments) if isinstance(error, click.ClickException) else str(error)
        )
        return _complain(" ".join(message.split()), BAD_INPUT)
    except (FailedError, OSError) as error:
        return _complain(str(error), FAILED)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "mario_rl":  # a mistake of ours
            raise
        return _complain(f"a package is not installed or does not load ({error}); see: mario-rl doctor", FAILED)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else OK


def _meant(error: click.ClickException, arguments: list[str]) -> str:
    """Say how it would be right, where a setting was given as an option or an option as a setting."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return ""
    from mario_rl.config import find_keys

    takes_settings = any(parameter.name in ("arguments", "overrides") for parameter in context.command.params)
    if isinstance(error, click.NoSuchOption) and takes_settings:
        name, _, value = _given(error.option_name, arguments).partition("=")
        keys = find_keys(name.lstrip("-").replace("-", "_"))
        settings = " or ".join(f"{key}={value or 'VALUE'}" for key in keys)
        return f" Settings are given as key=value: {settings}" if settings else ""
    options = {option for parameter in context.command.params for option in parameter.opts}
    meant = [
        f"--{name} {value}"
        for name, value in re.findall(r"\b([a-z_-]+)=([^\s)]+)", error.format_message())
        if f"--{name}" in options and not takes_settings
    ]
    return f"; did you mean {' '.join(meant)}?" if meant else ""


def _given(option: str, arguments: list[str]) -> str:
    """Find an option among the arguments, with its value if it has one: `--seed 3` and `--seed=3` give `--seed=3`."""
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument.startswith(f"{option}="):
            return argument
        if argument == option and (following == "-" or not following.startswith("--")):
            return option if following == "-" else f"{option}={following}"
    return option


def _complain(message: str, code: int) -> int:
    click.echo(f"mario-rl: {printable(message)}", err=True)
    return code


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


def _code(interrupts: Interrupts) -> int:
    """The exit code of what a signal may have cut short: 130 after Ctrl-C, 143 after SIGTERM."""
    return OK if interrupts.received is None else 128 + interrupts.received


def _steps(trained: Trained) -> str:
    """Say how long an agent was trained; where its run went on with another, that one's agent steps as well."""
    total, before = trained.agent_steps, trained.initial_agent_steps
    said = count_text(total, "agent step")
    return f"{said}: {before:,} before its run and {total - before:,} in it" if before else said


def _checkpoint(path: Path) -> Path:
    """Find the file that a checkpoint, a run, or a directory with runs below it stands for; says which run it took.

    Raises:
        CheckpointError: there is none.
    """
    from mario_rl.runs.checkpoint import find_checkpoint

    file = find_checkpoint(path)
    if file != path:
        _say_which(path, file.parent.parent)
    return file


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
    _say_which(path, run.path)
    return run.path


def _run_with_episodes(path: Path) -> Path:
    """Find the run that a path stands for to a plot, and say which.

    Raises:
        UserError: there is none.
    """
    run = find_run(path, has=lambda one: one.episodes.is_file())
    if run is None:
        raise UserError(f"{path}: not a run directory, it has no episodes.csv")
    _say_which(path, run.path)
    return run.path


def _say_which(path: Path, run: Path) -> None:
    if run != path:
        click.echo(f"mario-rl: {path}: taking the newest run there, {run}", err=True)


def _require_stage(stage: str | None, *, whole_game: bool = True) -> None:
    from mario_rl.config.schema import STAGES, WHOLE_GAME

    if stage is not None and stage not in STAGES and not (whole_game and stage == WHOLE_GAME):
        also = f", or {WHOLE_GAME}" if whole_game else ""
        raise UserError(f"--stage: {stage} is not allowed; must be a stage from 1-1 to 8-4{also}")


def _lines(words: Sequence[str]) -> str:
    return "\n".join(printable(word) for word in words)


def _report_words(report: Report) -> list[str]:
    return [*(f"left out: {run}: {reason}" for run, reason in report.left_out), f"report: {report.page}"]


def _require_output(option: str, path: Path | None, *suffixes: str) -> None:
    """Refuse an output that has another suffix or can't be written, before any work is done."""
    if path is not None and suffixes and path.suffix not in suffixes:
        raise UserError(f"{option}: {path} is not allowed; the name must end in {' or '.join(suffixes)}")
    if path is not None:
        require_writable(path)
