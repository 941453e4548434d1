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
    """What is read of a run: by episode, whether it cleared, how far it came, when it ended; by row of metrics."""

    name: str
    config: Config
    cleared: NDArray[np.bool_]
    x: NDArray[np.float64]
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
        episodes["x"].astype(np.float64),
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


class Moment(NamedTuple):
    """How much a run took until something happened; infinite where it did not."""

    minutes: float
    updates: float
    agent_steps: float


NEVER = Moment(np.inf, np.inf, np.inf)


def moment(run: Run, at: int | None, update_ms: dict[int, float], step_ms: float) -> Moment:
    """Say how much an agent step of a run took."""
    if at is None:
        return NEVER
    updates = float(np.interp(at, run.agent_steps, run.updates))
    if update_ms:
        minutes = (updates * update_ms[run.config.agent.batch_size] + at * step_ms) / 60e3
    else:
        minutes = float(np.interp(at, run.agent_steps, run.seconds)) / 60
    return Moment(minutes, updates, float(at))


def described(moments: list[Moment]) -> str:
    """Write the median of several seeds' moments, and the lowest and highest minutes where there are several."""
    middle = Moment(*(float(np.median(values)) for values in zip(*moments, strict=True)))
    minutes = [one.minutes for one in moments]
    came = sum(np.isfinite(minutes))
    if not came:
        return "-"
    spread = ""
    if len(moments) > 1:
        highest = f"{max(minutes):.1f}" if came == len(moments) else f"never ({len(moments) - came} of {len(moments)})"
        spread = f" ({min(minutes):.1f} to {highest})"
    if not np.isfinite(middle.minutes):
        return f"never{spread}"
    updates, agent_steps = middle.updates / 1000, middle.agent_steps / 1000
    return f"{middle.minutes:.1f} min{spread}, {updates:.1f} k updates, {agent_steps:.0f} k steps"


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--update-ms", default="", help="Milliseconds of an update by batch size: 32=16,128=34.")
@click.option("--step-ms", default=0.0, show_default=True, help="Milliseconds of an agent step.")
def main(run_dirs: tuple[Path, ...], update_ms: str, step_ms: float) -> None:
    """Print a table of runs; those called seed_0, seed_1, ... of one folder have a row together, with their medians."""
    by_batch = {int(size): float(took) for size, took in (part.split("=") for part in update_ms.split(",") if part)}
    rows: dict[str, list[Run]] = {}
    for directory in run_dirs:
        of_seed = directory.name.startswith("seed_")
        rows.setdefault(directory.parent.name if of_seed else directory.name, []).append(read(directory))
    titles = ["runs", "first clear", *(f"{share:.0%} of {EPISODES}" for share in SHARES), "mean x of the last 100"]
    click.echo(f"| run | {' | '.join(titles)} |\n|{' --- |' * (len(titles) + 1)}")
    for name, runs in rows.items():
        cells = [str(len(runs))]
        found = [[first_clear(run), *(reached(run, share) for share in SHARES)] for run in runs]
        for column in zip(*found, strict=True):
            cells.append(described([moment(run, at, by_batch, step_ms) for run, at in zip(runs, column, strict=True)]))
        cells.append(f"{np.median([run.x[-EPISODES:].mean() for run in runs]):,.0f}")
        click.echo(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
