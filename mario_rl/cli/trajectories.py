"""`replay`: a trajectory played again, to see that it ends where its file says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.cli.shared import OK
from mario_rl.errors import FailedError, UserError
from mario_rl.shipped import find_trajectory

if TYPE_CHECKING:
    from mario_rl.trajectories import Emulator, Ending, Trajectory

TRAJECTORY_SUFFIX, FILM_SUFFIX = ".json", ".mp4"
"""What `watch` and `record` know files by that are no agents."""

EMULATORS: tuple[Emulator, ...] = ("native", "nes_py")

EMULATOR = click.option(
    "--emulator",
    type=click.Choice(EMULATORS),
    default="native",
    show_default=True,
    help="native: compiled; nes_py: the one it is tested against, slower. Both give the same.",
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.json|STAGE")
@EMULATOR
def replay(file: Path, emulator: Emulator) -> int:
    """Play a trajectory again and say where it ends; exit code 1 if that is not where its file says.

    A trajectory is what was pressed in an episode, by an agent, by a human (`mario-rl play`) or by a search: a file of
    a few kB that anybody with the same ROM can check. STAGE is that of the package, which a search made.

    \b
    Examples:
      mario-rl replay 1-1
      mario-rl replay watched/1-1_20261127-145000_episode_3.json
      mario-rl replay clear.json --emulator nes_py
    """
    file = find_the_trajectory(file)
    trajectory, ending = played_again(file, emulator)
    click.echo(f"{file}: made by {trajectory.made}")
    click.echo(f"on {emulator}: it {ending}, as recorded")
    return OK


def find_the_trajectory(given: Path) -> Path:
    """Name the file that a path or a stage stands for: what is there, else that of the package, else itself."""
    return given if given.exists() else find_trajectory(given) or given


def played_again(file: Path, emulator: Emulator = "native") -> tuple[Trajectory, Ending]:
    """Read a trajectory and play it; returns it and its end, which is the one that its file says.

    Raises:
        UserError: the file can't be used, or was made on another ROM. FailedError: it ends elsewhere.
    """
    trajectory = require_playable(file)
    from mario_rl.trajectories import replay as play_again
    from mario_rl.trajectories import require_end

    try:
        ending = play_again(trajectory, emulator=emulator)
        require_end(trajectory, ending)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except FailedError as error:
        raise FailedError(f"{file}: on {emulator} not the recorded end: {error}") from error
    return trajectory, ending


def require_playable(file: Path) -> Trajectory:
    """Read a trajectory that can be played here; nothing is played yet.

    Raises:
        UserError: the file can't be used, or was made on another ROM.
    """
    from mario_rl.trajectories import read_trajectory

    trajectory = read_trajectory(file)
    from mario_rl.trajectories import require_rom  # after the file is known to be one: it loads the games

    try:
        require_rom(trajectory)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return trajectory
