"""What pages show a reader to type, found in their Markdown; and what of the commands does not exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from mario_rl.cli import cli
from mario_rl.config import find_keys
from mario_rl.config.schema import STAGES
from mario_rl.shipped import config_names, find_agent, search_names, study_names

REPOSITORY = Path(__file__).parents[1]
NAME = re.compile(r"[a-z0-9_-]+|article/\w+")
"""What is no path: the name of something that the package brings."""


def blocks(text: str, *languages: str) -> list[str]:
    """List the code blocks of a page that are in one of the languages; "" for those that name none."""
    return [code for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in languages]


def commands(text: str) -> list[str]:
    """List every `mario-rl ...` of a page, in blocks and in sentences."""
    lines = [line for block in blocks(text, "sh", "") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    shown = (re.match(r"(?:[A-Z_]+=\S+ )*mario-rl ([a-z].*)", line.strip()) for line in lines)
    return [match.group(1) for match in shown if match]


def flaw(command: str, own: frozenset[str] = frozenset()) -> str | None:
    """Say what of a shown command does not exist: the command, an option, a key of the config, or a name.

    Args:
        command: without `mario-rl`.
        own: files that the page has the reader write.
    """
    name, *arguments = shlex.split(command, comments=True)
    if name not in cli.commands:
        return f"{command}: no command {name}"
    parameters = cli.commands[name].params
    options = {text: one for one in parameters if isinstance(one, click.Option) for text in one.opts}
    names = {*config_names(), *study_names(), *search_names(), *STAGES, *own}
    given = iter(arguments)
    for argument in given:
        if argument.startswith("-"):
            option = options.get(argument.partition("=")[0])
            if option is None and argument not in ("--help", "-h"):
                return f"{command}: no option {argument}"
            if option is not None and not option.is_flag and "=" not in argument:
                next(given, None)  # its value; a sentence may name the option alone
        elif re.match(r"[a-z_.]+=", argument):
            if argument.partition("=")[0] not in find_keys(argument.partition("=")[0]):
                return f"{command}: no key {argument}"
        elif argument.startswith("configs/") and not (REPOSITORY / argument).exists():
            return f"{command}: no file {argument}"
        elif NAME.fullmatch(argument) and argument not in names and find_agent(Path(argument)) is None:
            return f"{command}: neither a config nor a study nor an agent is called {argument}"
    return None


def flaws(text: str) -> list[str]:
    """List what of all commands of a page does not exist."""
    own = frozenset(re.findall(r"[\w-]+\.(?:yaml|pt|png|mp4|json)", text))
    return [said for command in commands(text) if (said := flaw(command, own))]
