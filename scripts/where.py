"""Where on each stage a run's training episodes ended: the picture docs/stages/where.png.

python scripts/where.py RUNS.zip OUTPUT.png

RUNS.zip holds runs of one stage each, as `mario-rl compare DIR --pack` writes them. Each gets a strip: the stage, put
together from the screens of the package's trajectory, and over it how many of the last 500 episodes ended where. The
number is the share that cleared.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter

from mario_rl.config import Config, EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.report.drawing import DPI, as_text, save_png
from mario_rl.report.ends import RECENT, STYLES
from mario_rl.runs.packed import unpacked
from mario_rl.runs.run import Run, load_run
from mario_rl.shipped import TRAJECTORIES
from mario_rl.trajectories import read_trajectory
from mario_rl.types import Pixels
from mario_rl.watch.pad import PadEpisode
from mario_rl.watch.stage_map import StageMap

BIN_PIXELS = 32  # two blocks of the stage
STRIP_INCHES = 0.75


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True))
@click.argument("output", type=click.Path(path_type=Path))
def main(archive: Path, output: Path) -> None:
    """Draw a strip for each run of an archive."""
    with unpacked(archive) as folder:
        runs = sorted(_runs(folder), key=lambda run: (STAGES.index(_stage(run)), _config(run).has_demonstrations))
    save_png(_figure(runs), output)
    click.echo(f"written: {output}")


def _runs(folder: Path) -> Iterator[Run]:
    for episodes in folder.rglob("episodes.csv"):
        yield load_run(episodes.parent)


def _config(run: Run) -> Config:
    assert run.config is not None
    return run.config


def _stage(run: Run) -> str:
    return _config(run).env.stages[0]


def _figure(runs: list[Run]) -> Figure:
    figure = Figure(figsize=(8, 0.7 + STRIP_INCHES * len(runs)), dpi=DPI, layout="constrained")
    strips = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axes, run in zip(strips, runs, strict=True):
        _draw(axes, run)
    strips[-1].set_xlabel("best x of the episode [pixels]")
    strips[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    ends = {end for run in runs for end in run.episodes["end"][-RECENT:]}
    figure.legend(
        handles=[Patch(color=colour, label=end) for end, (_, colour) in STYLES.items() if end in ends],
        loc="outside lower center",
        ncols=len(STYLES),
        frameon=False,
    )
    FigureCanvasAgg(figure)
    return as_text(figure)


def _draw(axes: Axes, run: Run) -> None:
    """Draw a strip: bars of 32 pixels, of which the highest fills it."""
    x, ends = run.episodes["x"][-RECENT:], run.episodes["end"][-RECENT:]
    stage = _picture(_stage(run))
    width = 2 * stage.shape[1]  # the picture shows every second pixel
    axes.imshow(stage, extent=(0, width, 0, 1), aspect="auto", alpha=0.55)
    edges = np.arange(0, max(width, int(x.max())) + 2 * BIN_PIXELS, BIN_PIXELS)
    below = np.zeros(len(edges) - 1)
    highest = max(1, np.histogram(x, edges)[0].max())
    for end, (_, colour) in STYLES.items():
        counts = np.histogram(x[ends == end], edges)[0] / highest
        there = counts.nonzero()[0]
        axes.bar(edges[there], counts[there], BIN_PIXELS, below[there], align="edge", color=colour)
        below += counts
    axes.set(ylim=(0, 1), yticks=())
    cleared = np.count_nonzero(ends == "clear")
    shown = "with\ndemonstrations" if _config(run).has_demonstrations else ""
    axes.set_ylabel(
        f"{_stage(run)} {shown}\n{cleared / len(x):.0%}",
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
