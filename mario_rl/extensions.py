"""Classes of one's own that a config names as `package.module:Name`: found, checked, and blamed for their failures.

The one place that imports what a config names. A name is text until the part is needed; then its module is imported as
any other, from what is installed or from the current folder, and must have a class of that name with the right base:

| key | base | made with | asked for |
| --- | --- | --- | --- |
| `network.body` | `torch.nn.Module` | the number of frames in an observation | features of a batch |
| `env.reward` | `mario_rl.Reward` | nothing | points for one agent step of N games |
| `env.wrappers` | `gymnasium.vector.VectorWrapper` | the N games | what the agent sees of them |
| `training.observers` | `mario_rl.Observer` | nothing | whatever it likes, as training goes on |
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from mario_rl.errors import ConfigError, FailedError, UserError

CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""`package.module:Name`."""

MOST_CHARACTERS = 200
WRITTEN = "package.module:Name"
MOST_SAID = 200  # characters of what somebody else's code says of its failure


def is_class_path(text: object) -> bool:
    """Tell whether a value has the form of a class's name, whether or not there is such a class."""
    return isinstance(text, str) and len(text) <= MOST_CHARACTERS and CLASS_PATH.fullmatch(text) is not None


def find_class[T](name: str, base: type[T], *, key: str, base_name: str) -> type[T]:
    """Import a class that a config names.

    Args:
        name: `package.module:Name`.
        base: what it must be a subclass of.
        key: of the config, for messages.
        base_name: how that base is imported, for messages.

    Raises:
        ConfigError: there is no such module or class, the module fails, or the class has another base.
    """
    module_name, _, class_name = name.partition(":")
    _let_the_current_folder_be_found()
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{key}: {name}: there is no module {error.name}; it must be installed, or be in the current folder "
                f"({Path.cwd()})"
            ) from error
        raise ConfigError(f"{key}: {name}: its module can't be imported ({described(error)})") from error
    except Exception as error:
        raise ConfigError(f"{key}: {name}: its module can't be imported ({described(error)})") from error
    found = getattr(module, class_name, None)
    if found is None:
        raise ConfigError(f"{key}: {name}: module {module_name} has no {class_name}")
    if not isinstance(found, type) or not issubclass(found, base):
        raise ConfigError(f"{key}: {name}: is not allowed; must be a class whose base is {base_name}")
    return found


@contextmanager
def blamed(key: str, name: str, doing: str, *, kind: type[Exception] = FailedError) -> Iterator[None]:
    """Say in one line what failed, where somebody's own code raises an exception.

    What is one line already, an error of this package that passed through, stays as it is.

    Args:
        key: of the config.
        name: of the class, as there.
        doing: what it was asked to do, such as "step".
        kind: what is raised: a FailedError, or a UserError where nothing has begun yet.
    """
    try:
        yield
    except (UserError, FailedError):
        raise
    except Exception as error:
        raise kind(f"{key}: {name}: failed in {doing} ({described(error)})") from error


def described(error: Exception) -> str:
    """Describe an exception in a line: what it is, what it says and where it was raised."""
    said = " ".join(str(error).split())
    said = said if len(said) <= MOST_SAID else f"{said[: MOST_SAID - 3]}..."
    steps = traceback.extract_tb(error.__traceback__)
    others = [Path(__file__).parent, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))]
    theirs = [
        one
        for one in steps
        if not one.filename.startswith("<") and not any(Path(one.filename).is_relative_to(other) for other in others)
    ]
    where = f"; {Path(theirs[-1].filename).name}, line {theirs[-1].lineno}" if theirs else ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"


def _let_the_current_folder_be_found() -> None:
    """Let modules be imported from the current folder, as `python -m` does; after all that is installed."""
    here = os.getcwd()
    if not {"", here} & set(sys.path):
        sys.path.append(here)
