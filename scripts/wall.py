"""The wall of films that the site shows: docs/explore/wall.mp4.

python scripts/wall.py [OUTPUT.mp4]

Every trajectory of the package plays in a tile of its own, all at once, four times as fast as the game. One that has
cleared its stage says so and stays as it ended.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.envs import make_game
from mario_rl.report.video import write_screens, written_over
from mario_rl.shipped import TRAJECTORIES, trajectory_names
from mario_rl.trajectories import Trajectory, read_trajectory
from mario_rl.types import Pixels

COLUMNS, WIDTH, HEIGHT = 8, 128, 120
FPS, SPEED, GAME_FPS = 15, 4, 60
FRAMES_LEFT_OUT = SPEED * GAME_FPS // FPS
SECONDS_AT_THE_END = 2


@click.command()
@click.argument("output", type=click.Path(path_type=Path), default=Path("docs/explore/wall.mp4"))
def main(output: Path) -> None:
    """Play them side by side and write the film."""
    tiles = [_tile(stage) for stage in STAGES]
    title = f"{len(trajectory_names())} of {len(STAGES)} stages cleared by search"
    with click.progressbar(_walls(tiles), label="filming") as walls:
        click.echo(f"film: {write_screens(output, iter(walls), title=title, scale=1, fps=FPS)}")


def _walls(tiles: list[Iterator[Pixels]]) -> Iterator[Pixels]:
    """Put the tiles together, until all have ended and a while longer; each is as it last was once it has ended."""
    last = [next(tile) for tile in tiles]
    playing = set(range(len(tiles)))
    frames_left = SECONDS_AT_THE_END * FPS
    while playing or frames_left:
        frames_left -= not playing
        rows = [np.hstack(last[row : row + COLUMNS]) for row in range(0, len(last), COLUMNS)]
        yield np.vstack(rows)
        for number in sorted(playing):
            screen = next(tiles[number], None)
            if screen is None:
                playing.discard(number)
            else:
                last[number] = screen


def _tile(stage: str) -> Iterator[Pixels]:
    """Play the trajectory of a stage, uint8 (HEIGHT, WIDTH, 3); without one, the stage's first screen."""
    path = TRAJECTORIES / f"{stage}.json"
    trajectory: Trajectory | None = read_trajectory(path) if path.exists() else None
    game: Any = make_game(EnvConfig(stage=stage))
    try:
        screen, _ = game.reset()
        yield _small(screen, stage)
        buttons = b"" if trajectory is None else trajectory.buttons
        for number, byte in enumerate(buttons, start=1):
            screen, *_ = game.step(byte)
            if number % FRAMES_LEFT_OUT == 0:
                yield _small(screen, stage)
        yield _small(screen, stage, "not cleared yet" if trajectory is None else trajectory.ending.end)
    finally:
        game.close()


def _small(screen: Pixels, stage: str, banner: str = "") -> Pixels:
    small = np.asarray(cv2.resize(screen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    return written_over(small, heading=stage, banner=banner)


if __name__ == "__main__":
    main()
