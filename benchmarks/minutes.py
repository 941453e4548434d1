"""When runs first cleared the stage, and when a share of their last 100 episodes did: agent steps, updates, minutes.

    python -m zipfile -e docs/performance/runs.zip DIR
    python benchmarks/minutes.py DIR/minutes/* --update-ms 32=16,64=22,128=34 --step-ms 0.2

For runs of one stage in training, random actions included. The minutes are what a run would take on a machine whose
update of each batch size, and whose agent step, take so long; without these, those of the machine it was made on.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from mario_rl.config import Config, load_run_config
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import read_episodes, read_metrics

EPISODES = 100
SHARES = (0.1, 0.3, 0.5, 0.7)


class Run(NamedTuple):
    """What is read of a run: by episode, whether it cleared and at which agent step it ended; by row of metrics."""

    name: str
    config: Config
    cleared: NDArray[np.bool_]
    ended_at: NDArray[np.int64]
    agent_steps: NDArray[np.float64]
    updates: NDArray[np.float64]
    seconds: NDArray[np.float64]


def read(directory: Path) -> Run:
    """Read a run's tables."""
    run_dir = RunDir(directory)
    episodes, metrics = read_episodes(run_dir.episodes), read_metrics(run_dir.metrics)
    begins = np.zeros(1)
    return Run(
        directory.name,
        load_run_config(run_dir.config),
        episodes["end"] == "clear",
        episodes["agent_steps"].astype(np.int64),
        *(np.concatenate([begins, metrics[column]]) for column in ("agent_steps", "updates", "seconds")),
    )


def first_clear(run: Run) -> int | None:
    """The agent step at which the first episode ended with the flag."""
    return int(run.ended_at[run.cleared.argmax()]) if run.cleared.any() else None


def reached(run: Run, share: float) -> int | None:
    """The agent step at which so many of the last 100 episodes had cleared for the first time."""
    if len(run.cleared) < EPISODES:
        return None
    sums = np.convolve(run.cleared, np.ones(EPISODES, np.int64), mode="valid")
    enough = sums >= share * EPISODES
    return int(run.ended_at[enough.argmax() + EPISODES - 1]) if enough.any() else None


def described(run: Run, at: int | None, update_ms: dict[int, float], step_ms: float) -> str:
    """Write a moment of a run: minutes, updates, agent steps."""
    if at is None:
        return "-"
    updates = float(np.interp(at, run.agent_steps, run.updates))
    if update_ms:
        minutes = (updates * update_ms[run.config.agent.batch_size] + at * step_ms) / 60e3
    else:
        minutes = float(np.interp(at, run.agent_steps, run.seconds)) / 60
    return f"{minutes:.1f} min, {updates / 1000:.1f} k updates, {at / 1000:.0f} k steps"


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--update-ms", default="", help="Milliseconds of an update by batch size: 32=16,128=34.")
@click.option("--step-ms", default=0.0, show_default=True, help="Milliseconds of an agent step.")
def main(run_dirs: tuple[Path, ...], update_ms: str, step_ms: float) -> None:
    """Print a table of runs."""
    by_batch = {int(size): float(took) for size, took in (part.split("=") for part in update_ms.split(",") if part)}
    titles = ["first clear", *(f"{share:.0%} of {EPISODES}" for share in SHARES)]
    click.echo(f"| run | {' | '.join(titles)} |\n|{' --- |' * (len(titles) + 1)}")
    for run in map(read, run_dirs):
        moments = [first_clear(run), *(reached(run, share) for share in SHARES)]
        cells = [described(run, at, by_batch, step_ms) for at in moments]
        click.echo(f"| {run.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
