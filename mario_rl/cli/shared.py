"""What commands share: exit codes, complaints, and what their arguments stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mario_rl.errors import UserError
from mario_rl.files import printable, require_writable
from mario_rl.names import PROTOCOL_NAMES, Protocol
from mario_rl.shipped import AGENTS

if TYPE_CHECKING:
    from mario_rl.training.interrupts import Interrupts

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

type Decorator = Callable[[Callable[..., int]], Callable[..., int]]

CHECKPOINT = click.argument("checkpoint", type=click.Path(path_type=Path), metavar="AGENT|CHECKPOINT|RUN_DIR")
STAGE = click.option("--stage", help="Another stage than the one trained on, such as 1-2.")


def seed_option(default: int) -> Decorator:
    """Make the option `--seed` of commands that play an agent."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        help="Of sticky and random actions.",
    )


def protocol_option(default: Protocol) -> Decorator:
    """Make the option `--protocol` of commands that show an agent."""
    return click.option(
        "--protocol",
        type=click.Choice(PROTOCOL_NAMES),
        default=default,
        show_default=True,
        help="Where randomness enters.",
    )


def complain(message: str, code: int) -> int:
    """Say on stderr what is amiss; returns the code."""
    click.echo(f"mario-rl: {printable(message)}", err=True)
    return code


def exit_code(interrupts: Interrupts) -> int:
    """The exit code of what a signal may have cut short: 130 after Ctrl-C, 143 after SIGTERM."""
    return OK if interrupts.received is None else 128 + interrupts.received


def lines_of(words: Sequence[str]) -> str:
    """Join lines that may hold names of files, which any terminal can print then."""
    return "\n".join(printable(word) for word in words)


def require_stage(stage: str | None, *, whole_game: bool = True, option: str = "--stage") -> None:
    """Refuse a stage that is none, before any work is done; `option` is what it was given as."""
    from mario_rl.config.schema import STAGES, WHOLE_GAME

    if stage is not None and stage not in STAGES and not (whole_game and stage == WHOLE_GAME):
        also = f", or {WHOLE_GAME}" if whole_game else ""
        raise UserError(f"{option}: {stage} is not allowed; must be a stage from 1-1 to 8-4{also}")


def require_output(option: str, path: Path | None, *suffixes: str) -> None:
    """Refuse an output that has another suffix or can't be written, before any work is done."""
    if path is not None and suffixes and path.suffix not in suffixes:
        raise UserError(f"{option}: {path} is not allowed; the name must end in {' or '.join(suffixes)}")
    if path is not None:
        require_writable(path)


def find_the_checkpoint(path: Path) -> Path:
    """Find the file that a checkpoint, a run, or a directory with runs below it stands for; says which run it took.

    Raises:
        CheckpointError: there is none.
    """
    from mario_rl.runs.checkpoint import find_checkpoint

    file = find_checkpoint(path)
    if file.parent == AGENTS and not path.exists():
        click.echo(f"mario-rl: {path}: taking {file.stem} of the package", err=True)
    elif file != path:
        say_which(path, file.parent.parent)
    return file


def say_which(path: Path, run: Path) -> None:
    """Say which run was taken, where that is not the path given."""
    if run != path:
        click.echo(f"mario-rl: {path}: taking the newest run there, {run}", err=True)
