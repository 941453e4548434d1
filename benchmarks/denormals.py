"""What flushing denormal numbers saves of a run's updates, and that its weights come out the same.

    python benchmarks/denormals.py RUN_DIR [--updates 100] [--repeats 3]

RUN_DIR: a run on the CPU, in training or interrupted, so that it still has its replay; it is copied. It was trained
with denormals flushed, so the moments that would be denormal are zeros in it. They get back what they would have
shrunk to; those of weights that never had a gradient too, which can't be told from them.
"""

import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
import torch
from torch import Tensor
from tqdm import tqdm

from mario_rl.config import load_run_config
from mario_rl.devices import denormals_flushed, describe_machine
from mario_rl.runs.directory import RunDir, Whereabouts
from mario_rl.training import Observer
from mario_rl.training.session import Session

WHERE_FADING_ENDS = 4 * 2.0**-149  # a tenth of it rounds to nothing, so 0.9 times it is itself


class Turn(NamedTuple):
    """The updates of one turn: milliseconds an update, and what they left."""

    update: float
    denormal_share: float
    weights: Tensor


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--updates", type=click.IntRange(min=1), default=100, show_default=True, help="In each turn.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
def main(run_dir: Path, updates: int, repeats: int) -> None:
    """Go on with a copy of a run's updates, in turn with denormals flushed and not, and compare."""
    if not RunDir(run_dir).latest.is_file() or not any(RunDir(run_dir).replay.glob("*.npz")):
        raise click.UsageError(f"{run_dir}: no run with latest.pt and its replay, which a run that is done has not")
    turns: dict[bool, list[Turn]] = {False: [], True: []}
    with tqdm(total=2 * repeats, unit="turn") as bar:
        for _ in range(repeats):
            for flushed, made in turns.items():
                made.append(take_turn(run_dir, updates, flushed=flushed))
                bar.update()
    machine = describe_machine(torch.device("cpu"))
    click.echo(f"{machine['processor']}, {torch.get_num_threads()} threads, median of {repeats} x {updates} updates")
    for flushed, made in turns.items():
        click.echo(
            f"{'flushed' if flushed else 'as they are'}: update {median(turn.update for turn in made):.1f} ms, "
            f"denormals at the end: {made[0].denormal_share:.1%} of Adam's first moments"
        )
    first, *others = (turn.weights for made in turns.values() for turn in made)
    same = all(torch.equal(first, other) for other in others)
    click.echo(f"online, target and averaged weights: {'the same, bit for bit' if same else 'DIFFERENT'}")


def take_turn(run_dir: Path, updates: int, *, flushed: bool) -> Turn:
    """Make the next updates of a run, in a copy of it."""
    with tempfile.TemporaryDirectory() as folder, denormals_flushed() if flushed else nullcontext():
        copy = RunDir(shutil.copytree(run_dir, Path(folder) / "run"))
        session = Session(load_run_config(copy.config), copy, whereabouts=Whereabouts(copy), observer=Observer())
        agent, batch_size = session.agent, session.config.agent.batch_size
        moment = agent.optimizer.first_moment
        moment[moment == 0] = WHERE_FADING_ENDS
        began = time.perf_counter()
        for _ in range(updates):
            batch = session.replay.sample(batch_size)
            session.replay.prioritize(batch.slot, agent.learn(batch).td_error)
        took = time.perf_counter() - began
        session.close()
    # Looked at without flushing, which would take them for zero here as well.
    moments = moment.abs()
    denormal = (moments > 0) & (moments < torch.finfo(torch.float32).tiny)
    weights = [part.flatten() for net in (agent.online, agent.target, agent.averaged) for part in net.parameters()]
    return Turn(
        update=1e3 * took / updates,
        denormal_share=denormal.float().mean().item(),
        weights=torch.cat(weights).detach(),
    )


if __name__ == "__main__":
    main()
