"""`evaluate`: a checkpoint to a report, as text, JSON and video."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import (
    CHECKPOINT,
    STAGE,
    complain,
    exit_code,
    find_the_checkpoint,
    require_output,
    require_stage,
    seed_option,
)
from mario_rl.files import json_text, write_atomically
from mario_rl.names import PROTOCOL_NAMES
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.config import Protocol
    from mario_rl.evaluation import Trained


@click.command()
@CHECKPOINT
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
@STAGE
@seed_option(0)
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
    DIR/latest, that of the newest run. The game is deterministic, so a clear rate depends on where
    randomness enters: the protocol fixes that, and replaces the no-ops and sticky actions of training. Ctrl-C reports
    the episodes that have ended.

    \b
    Examples:
      mario-rl evaluate checkpoints/demo/20261123-104500-seed0
      mario-rl evaluate RUN_DIR/checkpoints/latest.pt --protocol sticky --episodes 100 --seed 7 --json report.json
      mario-rl evaluate RUN_DIR --stage 1-2 --video mario.mp4 --video-episodes all
    """
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.evaluation.protocols import episode_count
    from mario_rl.report.table import evaluation_table
    from mario_rl.training.interrupts import Interrupts

    require_output("--json", json_file)
    require_output("--video", video, ".mp4", ".webp")
    require_stage(stage)
    if protocol is not None:
        episode_count(protocol, episodes, default=1)
    file = find_the_checkpoint(checkpoint)
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
                return complain("interrupted before an episode ended: nothing to report", exit_code(interrupts))
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
    return exit_code(interrupts)


def _steps(trained: Trained) -> str:
    """Say how long an agent was trained; where its run went on with another, that one's agent steps as well."""
    total, before = trained.agent_steps, trained.initial_agent_steps
    said = count_text(total, "agent step")
    return f"{said}: {before:,} before its run and {total - before:,} in it" if before else said
