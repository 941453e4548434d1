"""The ways of episodes through a part of a stage, over its picture: docs/stages/1-3.png.

python scripts/ways.py OUTPUT.png FROM TO TRAJECTORY...

A trajectory is a file, or a stage for the package's own; all must be of one stage. FROM and TO are x positions in
pixels. A dot is an agent step, four frames. Above the dashed line the observations of most agents are cut off.
"""

from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mario_rl.config import EnvConfig
from mario_rl.errors import UserError
from mario_rl.game.addresses import Y_PIXEL, Y_VIEWPORT
from mario_rl.game.observation import ARTICLE_CELL, ARTICLE_FIRST_ROW, ARTICLE_ROW
from mario_rl.report.drawing import BLUE, DPI, ORANGE, VERMILLION, as_text, save_png
from mario_rl.shipped import find_trajectory
from mario_rl.trajectories import Trajectory, read_trajectory
from mario_rl.types import Pixels
from mario_rl.watch.frames import Screens
from mario_rl.watch.stage_map import TOP, StageMap

AGENT_STEP_FRAMES = 4
MIDDLE = 24, 8  # of a small Mario, below and right of where the game has him
SEEN_FROM = ARTICLE_CELL * ARTICLE_FIRST_ROW // ARTICLE_ROW  # rows of the screen above are cut off
STYLES = (BLUE, "o"), (VERMILLION, "s"), (ORANGE, "^")
SCREEN_ROWS = 240


class Way(NamedTuple):
    """Where Mario was at each agent step, x from the stage's beginning and y from the top of the screen, in pixels."""

    told: str
    x: list[int]
    y: list[int]


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("start", metavar="FROM", type=click.IntRange(0))
@click.argument("stop", metavar="TO", type=click.IntRange(1))
@click.argument("trajectories", metavar="TRAJECTORY...", nargs=-1, required=True)
def main(output: Path, start: int, stop: int, trajectories: Sequence[str]) -> None:
    """Draw where episodes went between two x positions."""
    if len(trajectories) > len(STYLES) or start >= stop:
        raise click.UsageError(f"at most {len(STYLES)} trajectories, and FROM below TO")
    files = [Path(name) if Path(name).exists() else find_trajectory(Path(name)) or Path(name) for name in trajectories]
    try:
        read = [read_trajectory(file) for file in files]
    except UserError as error:
        raise click.UsageError(str(error)) from error
    if any(one.stage != other.stage for one, other in pairwise(read)):
        raise click.UsageError("all trajectories must be of one stage")
    stage_map = StageMap()
    ways = [_play(one, stage_map) for one in read]
    save_png(_figure(stage_map.picture(), ways, start, stop), output)
    click.echo(f"written: {output}")


def _play(trajectory: Trajectory, stage_map: StageMap) -> Way:
    """Play a trajectory; what is seen of the stage is added to its picture."""
    way = Way(f"{trajectory.made.by}: {trajectory.ending}", [], [])
    with closing(Screens(EnvConfig(stage=trajectory.stage))) as screens:
        screens.first()
        ram = screens.game.unwrapped.ram
        for byte in trajectory.buttons:
            shown = screens.next(byte)
            if shown.left is None:  # another area
                break
            stage_map.add(shown.screen, shown.left)
            if shown.frame % AGENT_STEP_FRAMES == 0:
                way.x.append(shown.x + MIDDLE[1])
                way.y.append((int(ram[Y_VIEWPORT]) - 1) * 256 + int(ram[Y_PIXEL]) + MIDDLE[0])
    return way


def _figure(stage: Pixels, ways: Sequence[Way], start: int, stop: int) -> Figure:
    figure = Figure(figsize=(8, 8 * SCREEN_ROWS / (stop - start) + 1.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(stage[0, 0] / 255)
    axes.imshow(stage, extent=(0, 2 * stage.shape[1], SCREEN_ROWS, TOP), aspect="equal", alpha=0.7)
    for way, (colour, marker) in zip(ways, STYLES, strict=False):
        axes.plot(way.x, way.y, f"{marker}-", color=colour, markersize=4, linewidth=1.5, label=way.told)
    axes.axhline(
        SEEN_FROM, color="black", linestyle="--", linewidth=1, label="env.grayscale article shows nothing above"
    )
    axes.set(xlim=(start, stop), ylim=(SCREEN_ROWS, 0), xlabel="x [pixels]", ylabel="y [pixels]")
    figure.legend(loc="outside lower center", frameon=False)
    FigureCanvasAgg(figure)
    return as_text(figure)


if __name__ == "__main__":
    main()
