"""Where on each stage a run's training episodes ended: the picture docs/stages/where.png.

python scripts/where.py RUNS.zip OUTPUT.png RUN...

RUNS.zip holds runs, as `mario-rl compare DIR --pack` writes them; RUN is the folder of one. Each stage of each gets a
strip: the stage, put together from the screens of the package's trajectory, and over it how many of its last 500
episodes ended where. The number is the share that cleared.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.report.drawing import DPI, as_text, save_png
from mario_rl.report.ends import RECENT, STYLES
from mario_rl.runs.packed import packed_runs, unpacked
from mario_rl.runs.run import Run, load_run
from mario_rl.shipped import TRAJECTORIES
from mario_rl.trajectories import read_trajectory
from mario_rl.types import Pixels
from mario_rl.watch.pad import PadEpisode
from mario_rl.watch.stage_map import StageMap

BIN_PIXELS = 32  # two blocks of the stage
STRIP_INCHES = 0.75


class Strip(NamedTuple):
    """The last episodes of a stage in a run: x in pixels, and how each ended. told: what else is said of the run."""

    stage: str
    told: str
    x: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
def main(archive: Path, output: Path, names: Sequence[str]) -> None:
    """Draw a strip for each stage of runs in an archive."""
    if missing := set(names) - packed_runs(archive):
        raise click.UsageError(f"{archive}: there is no run {', '.join(sorted(missing))}")
    with unpacked(archive) as folder:
        strips = [strip for name in names for strip in _strips(load_run(folder / name))]
    save_png(_figure(sorted(strips, key=lambda strip: STAGES.index(strip.stage))), output)
    click.echo(f"written: {output}")


def _strips(run: Run) -> Iterator[Strip]:
    assert run.config is not None
    told = "\nwith\ndemonstrations" if run.config.has_demonstrations else ""
    for stage in run.config.env.stages:
        its = run.episodes["stage"] == stage
        yield Strip(stage, told, run.episodes["x"][its][-RECENT:], run.episodes["end"][its][-RECENT:])


def _figure(strips: Sequence[Strip]) -> Figure:
    figure = Figure(figsize=(8, 0.7 + STRIP_INCHES * len(strips)), dpi=DPI, layout="constrained")
    panels = figure.subplots(len(strips), 1, sharex=True, squeeze=False)[:, 0]
    for axes, strip in zip(panels, strips, strict=True):
        _draw(axes, strip)
    panels[-1].set_xlabel("best x of the episode [pixels]")
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    ends = {end for strip in strips for end in strip.ends}
    figure.legend(
        handles=[Patch(color=colour, label=end) for end, (_, colour) in STYLES.items() if end in ends],
        loc="outside lower center",
        ncols=len(STYLES),
        frameon=False,
    )
    FigureCanvasAgg(figure)
    return as_text(figure)


def _draw(axes: Axes, strip: Strip) -> None:
    """Draw a strip: bars of 32 pixels, of which the highest fills it."""
    x, ends = strip.x, strip.ends
    stage = _picture(strip.stage)
    width = 2 * stage.shape[1]  # the picture shows every second pixel
    axes.imshow(stage, extent=(0, width, 0, 1), aspect="auto", alpha=0.55)
    edges = np.arange(0, max(width, int(x.max(initial=0))) + 2 * BIN_PIXELS, BIN_PIXELS)
    below = np.zeros(len(edges) - 1)
    highest = max(1, np.histogram(x, edges)[0].max())
    for end, (_, colour) in STYLES.items():
        counts = np.histogram(x[ends == end], edges)[0] / highest
        there = counts.nonzero()[0]
        axes.bar(edges[there], counts[there], BIN_PIXELS, below[there], align="edge", color=colour)
        below += counts
    axes.set(ylim=(0, 1), yticks=())
    cleared = np.count_nonzero(ends == "clear")
    axes.set_ylabel(
        f"{strip.stage}{strip.told}\n{cleared / max(1, len(x)):.0%}",
        rotation="horizontal",
        ha="right",
        va="center",
        fontsize="small",
    )


def _picture(stage: str) -> Pixels:
    """Put a stage together from what its trajectory shows of it: uint8 (104, width / 2, 3)."""
    trajectory = read_trajectory(TRAJECTORIES / f"{stage}.json")
    stage_map = StageMap()
    with closing(PadEpisode(EnvConfig(stage=stage), bytes(trajectory.buttons)).play()) as frames:
        for shown in frames:
            if shown.left is not None:
                stage_map.add(shown.screen, shown.left)
    return stage_map.picture()


if __name__ == "__main__":
    main()
