"""Moments of episodes side by side, a row for each trajectory: docs/stages/bowser.png.

python scripts/strips.py OUTPUT.png TRAJECTORY:FRAME,FRAME,...  ...

A frame is 1/60 of a second; the first after the stage's start is 1.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import click
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mario_rl.config import EnvConfig
from mario_rl.errors import UserError
from mario_rl.report.drawing import DPI, as_text, save_png
from mario_rl.trajectories import read_trajectory
from mario_rl.types import Pixels
from mario_rl.watch.frames import Screens

WIDTH = 8.0  # inches


class Strip(NamedTuple):
    """A stage, and what is seen there: uint8 (height, width, 3) at each frame that was asked for."""

    stage: str
    screens: dict[int, Pixels]


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("wanted", metavar="TRAJECTORY:FRAME,...", nargs=-1, required=True)
def main(output: Path, wanted: Sequence[str]) -> None:
    """Draw what is seen at some frames of trajectories."""
    strips = [_strip(one) for one in wanted]
    if len({len(strip.screens) for strip in strips}) > 1:
        raise click.UsageError("each trajectory needs as many frames as the others")
    save_png(_figure(strips), output)
    click.echo(f"written: {output}")


def _strip(wanted: str) -> Strip:
    """Play a trajectory as far as its last wanted frame."""
    parts = re.fullmatch(r"(.+):([0-9]+(?:,[0-9]+)*)", wanted)
    if parts is None:
        raise click.UsageError(f"{wanted}: must be a file, a colon and frames: falls.json:100,200")
    numbers = [int(number) for number in parts[2].split(",")]
    try:
        trajectory = read_trajectory(Path(parts[1]))
    except UserError as error:
        raise click.UsageError(str(error)) from error
    if len(set(numbers)) < len(numbers):
        raise click.UsageError(f"{wanted}: each frame once")
    if not all(1 <= number <= len(trajectory.buttons) for number in numbers):
        raise click.UsageError(f"{wanted}: the frames must be from 1 to {len(trajectory.buttons)}")
    seen = {}
    with closing(Screens(EnvConfig(stage=trajectory.stage))) as screens:
        screens.first()
        for number, byte in enumerate(trajectory.buttons, start=1):
            shown = screens.next(byte)
            if number in numbers:
                seen[number] = shown.screen.copy()
    return Strip(trajectory.stage, {number: seen[number] for number in numbers})


def _figure(strips: Sequence[Strip]) -> Figure:
    columns = len(strips[0].screens)
    figure = Figure(figsize=(WIDTH, len(strips) * (WIDTH / columns * 240 / 256 + 0.25)), dpi=DPI, layout="constrained")
    grid = figure.subplots(len(strips), columns, squeeze=False)
    for row, strip in zip(grid, strips, strict=True):
        for axes, (number, screen) in zip(row, strip.screens.items(), strict=True):
            axes.imshow(screen)
            axes.set(xticks=(), yticks=())
            axes.set_title(f"{strip.stage}, frame {number:,}", fontsize="small")
    FigureCanvasAgg(figure)
    return as_text(figure)


if __name__ == "__main__":
    main()
