"""The wall of all stages that the site shows, docs/explore/wall.png, or a film of it.

python scripts/wall.py [OUTPUT.png|OUTPUT.mp4]

Every trajectory of the package plays in a tile of its own. The picture shows each half way. In the film all play at
once, four times as fast as the game; one that has cleared its stage says so and stays as it ended.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.envs import make_game
from mario_rl.report.video import GAME_FPS, write_screens, written_over
from mario_rl.shipped import TRAJECTORIES
from mario_rl.trajectories import read_trajectory
from mario_rl.types import Pixels

COLUMNS, WIDTH, HEIGHT = 8, 128, 120
FPS, SPEED = 15, 4
FRAMES_LEFT_OUT = SPEED * GAME_FPS // FPS
SECONDS_AT_THE_END = 2


@click.command()
@click.argument("output", type=click.Path(path_type=Path), default=Path("docs/explore/wall.png"))
def main(output: Path) -> None:
    """Play the trajectories and write the picture, or the film."""
    if output.suffix == ".png":
        halfway = [list(_tile(stage)) for stage in STAGES]
        wall = _wall([screens[len(screens) // 2] for screens in halfway])
        cv2.imwrite(str(output), cv2.cvtColor(wall, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    else:
        walls = _walls([_tile(stage) for stage in STAGES])
        with click.progressbar(walls, label="filming") as shown:
            write_screens(output, iter(shown), title="Trajectories of all stages", scale=1, fps=FPS)
    click.echo(f"written: {output}")


def _walls(tiles: list[Iterator[Pixels]]) -> Iterator[Pixels]:
    """Put the tiles together, until all have ended and a while longer; each is as it last was once it has ended."""
    last = [next(tile) for tile in tiles]
    playing = set(range(len(tiles)))
    frames_left = SECONDS_AT_THE_END * FPS
    while playing or frames_left:
        frames_left -= not playing
        yield _wall(last)
        for number in sorted(playing):
            screen = next(tiles[number], None)
            if screen is None:
                playing.discard(number)
            else:
                last[number] = screen


def _wall(tiles: list[Pixels]) -> Pixels:
    return np.vstack([np.hstack(tiles[row : row + COLUMNS]) for row in range(0, len(tiles), COLUMNS)])


def _tile(stage: str) -> Iterator[Pixels]:
    """Play the trajectory of a stage, uint8 (HEIGHT, WIDTH, 3)."""
    trajectory = read_trajectory(TRAJECTORIES / f"{stage}.json")
    game = make_game(EnvConfig(stage=stage))
    try:
        screen, _ = game.reset()
        yield _small(screen, stage)
        for number, byte in enumerate(trajectory.buttons, start=1):
            screen, *_ = game.step(byte)
            if number % FRAMES_LEFT_OUT == 0:
                yield _small(screen, stage)
        yield _small(screen, stage, trajectory.ending.end)
    finally:
        game.close()


def _small(screen: Pixels, stage: str, banner: str = "") -> Pixels:
    small = np.asarray(cv2.resize(screen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    return written_over(small, heading=stage, banner=banner)


if __name__ == "__main__":
    main()
