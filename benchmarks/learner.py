"""An update on one core and on two, in turn, beside so many busy processes.

    python benchmarks/learner.py [CONFIG] [--busy 1] [--turns 6] [--updates 100]

Needs nothing but the package. The batch is of noise, and the same each time.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import click
import torch
from batches import ACTIONS, noise
from busy import kept_busy

from mario_rl.agents import QAgent
from mario_rl.config import load_config
from mario_rl.devices import denormals_flushed, describe_machine, one_thread
from mario_rl.machine import keep_freed_memory

REPOSITORY = Path(__file__).parents[1]


@click.command()
@click.argument("config_file", type=click.Path(path_type=Path), default=REPOSITORY / "configs" / "ddqn_right_only.yaml")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--busy", type=click.IntRange(min=0), default=0, show_default=True, help="Processes beside it.")
@click.option("--turns", type=click.IntRange(min=1), default=6, show_default=True, help="Of each number of cores.")
@click.option("--updates", type=click.IntRange(min=10), default=100, show_default=True, help="In each turn.")
def main(config_file: Path, overrides: tuple[str, ...], busy: int, turns: int, updates: int) -> None:
    """Time updates; prints the median turn of each number of cores, a turn being the mean of its updates."""
    config = load_config(config_file, overrides)
    keep_freed_memory()
    batch = noise(config.agent.batch_size)
    took: dict[int, list[float]] = {1: [], 2: []}
    with denormals_flushed(), one_thread(), kept_busy(busy):
        learners = {
            cores: QAgent(
                config.agent,
                config.network,
                num_actions=ACTIONS,
                frame_stack=4,
                seed=0,
                device=torch.device("cpu"),
                cores=cores,
            )
            for cores in took
        }
        for turn in range(turns + 1):
            for cores, learner in learners.items():
                began = time.perf_counter()
                for _ in range(updates):
                    learner.learn(batch)
                if turn:  # the first one warms up
                    took[cores].append(1e3 * (time.perf_counter() - began) / updates)
    machine = describe_machine(torch.device("cpu"))
    click.echo(f"{machine['processor']}, {machine['cores']} cores, batch {config.agent.batch_size}, {busy} busy beside")
    for cores, turns_of in took.items():
        click.echo(f"{cores}: {median(turns_of):.1f} ms an update ({min(turns_of):.1f} to {max(turns_of):.1f})")


if __name__ == "__main__":
    main()
