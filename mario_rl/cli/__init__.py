"""The command line: arguments in, printed lines and exit codes out; it puts the parts together.

A file per family of commands; `shared.py` has what they have in common, `terminal.py` shows what is going on. What
needs torch is imported inside the commands, so that `--help` answers at once, and there once nothing is left to refuse,
so that a wrong path or key is told at once too. Files are written first and words printed after: a terminal that is
gone or a pipe that nobody reads costs no file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import click

from mario_rl import __version__
from mario_rl.cli import (
    cards,
    compare,
    evaluate,
    explore,
    hub,
    listing,
    machine,
    plot,
    train,
    trajectories,
    tune,
    watch,
)
from mario_rl.cli.interruption import Interruption
from mario_rl.cli.shared import BAD_INPUT, FAILED, INTERRUPTED, OK, complain
from mario_rl.errors import FailedError, UserError
from mario_rl.machine import allowed_cores, usable_cores
from mario_rl.streams import guarded_output


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="mario-rl")
def cli() -> None:
    """Train, evaluate and compare value-based agents on NES Super Mario Bros.

    \b
    A first run, a look at it, and going on with it:
      mario-rl train demo
      mario-rl evaluate checkpoints/demo/20261123-104500-seed0 --video mario.mp4
      mario-rl train --resume checkpoints/demo/20261123-104500-seed0 training.minutes=10
    """


for command in (
    train.train,
    train.config,
    evaluate.evaluate,
    cards.ship,
    cards.verify,
    hub.push,
    hub.pull,
    plot.plot,
    watch.watch,
    watch.play,
    watch.record,
    trajectories.replay,
    compare.compare,
    tune.tune,
    explore.explore,
    machine.benchmark,
    machine.doctor,
    listing.listing,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 bad input, 129, 130 or 143 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if usable_cores() < allowed_cores():  # NumPy, OpenCV and those of their kind know nothing of CPU quotas
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    with guarded_output() as stdout:
        interruption = Interruption()
        try:
            with interruption:
                code = cli.main(args=arguments or ["--help"], prog_name="mario-rl", standalone_mode=False)
                stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            return complain("interrupted", INTERRUPTED)
        except Exception as error:
            return complain("interrupted", INTERRUPTED) if interruption.came else _explain(error, arguments)
        if code in (None, OK) and stdout.lost:
            return complain(f"standard output could not be written ({stdout.error}); files are complete", FAILED)
    return code if isinstance(code, int) else OK


def _explain(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong, in a line, where that was to be expected; returns the exit code."""
    if isinstance(error, click.ClickException):
        return complain(" ".join((error.format_message() + _meant(error, arguments)).split()), BAD_INPUT)
    if isinstance(error, UserError):
        return complain(" ".join(str(error).split()), BAD_INPUT)
    if isinstance(error, FailedError | OSError):
        return complain(str(error), FAILED)
    ours = isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "mario_rl"  # a mistake
    if isinstance(error, ImportError) and not ours:
        return complain(f"a package is not installed or does not load ({error}); see: mario-rl doctor", FAILED)
    raise error


def _meant(error: click.ClickException, arguments: list[str]) -> str:
    """Say how it would be right, where a setting was given as an option or an option as a setting."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return ""
    from mario_rl.config import find_keys

    takes_settings = any(parameter.name in ("arguments", "overrides") for parameter in context.command.params)
    if isinstance(error, click.NoSuchOption) and takes_settings:
        name, _, value = _given(error.option_name, arguments).partition("=")
        keys = find_keys(name.lstrip("-").replace("-", "_"))
        settings = " or ".join(f"{key}={value or 'VALUE'}" for key in keys)
        return f" Settings are given as key=value: {settings}" if settings else ""
    options = {option for parameter in context.command.params for option in parameter.opts}
    meant = [
        f"--{name} {value}"
        for name, value in re.findall(r"\b([a-z_-]+)=([^\s)]+)", error.format_message())
        if f"--{name}" in options and not takes_settings
    ]
    return f"; did you mean {' '.join(meant)}?" if meant else ""


def _given(option: str, arguments: list[str]) -> str:
    """Find an option among the arguments, with its value if it has one: `--seed 3` and `--seed=3` give `--seed=3`."""
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        if argument.startswith(f"{option}="):
            return argument
        if argument == option and (following == "-" or not following.startswith("--")):
            return option if following == "-" else f"{option}={following}"
    return option
