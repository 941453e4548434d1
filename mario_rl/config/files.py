"""YAML to config and back: reading, checking with one clear line per mistake, writing with every key explained."""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from mario_rl.config.schema import Config, Section
from mario_rl.config.text import MOST_BYTES, MOST_DEPTH, MOST_VALUES, parse_yaml
from mario_rl.errors import ConfigError
from mario_rl.reading import Refused, read_text, require_bounded
from mario_rl.shipped import find_agent, find_config, find_trajectory

COMMAND_LINE = "command line"
MOST_OVERRIDES = 1_000  # ten times the keys there are
MAX_SHOWN = 60  # characters of a refused value
MAX_SHOWN_BITS = 128  # of a refused whole number

PLAIN_TEXT = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9_-]*|\d-\d", re.IGNORECASE | re.ASCII)
"""Text that needs no quotes: a word that YAML, 1.1 or 1.2, takes for nothing else, and a stage."""

STUDY_KEYS = frozenset({"base", "settings", "axes", "seeds", "final"})
"""Keys of a study file, none of which a config has."""

SEARCH_KEY = "space"
"""The key that a search file must have, and no study or config has."""


PATHS = (
    ("env", "rom"),
    ("replay", "demonstrations"),
    ("training", "initial_checkpoint"),
    ("training", "backward_starts"),
)
"""The options that name files, by section and key."""


REMOVED = {"training.actors": "one process plays and learns at once now"}
"""Keys that older versions had, and why there is nothing in their place."""


class _Given(NamedTuple):
    """Dotted keys that were set besides the file, and what messages call the place they came from."""

    source: str
    keys: Sequence[str]


_WORDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "tuple_type": "a list",
    "dict_type": "keys, each with its value",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_long": "text of at most {max_length} characters",
    "invalid-json-value": "text, a number, true, false, null, a list or keys with such",
    "value_error": "{error}",
    "model_type": "a section, with a key and a value on each line",
}
"""What is allowed, in place of what pydantic calls each kind of mistake."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML (1.2) file, apply `key=value` overrides to it, and check the whole; paths become absolute.

    Args:
        path: the file, an empty one means the defaults; or the name of a config in the package.
        overrides: such as `agent.gamma=0.9`; the value is YAML as well.

    Raises:
        ConfigError: one line naming the file or "command line", the key, its value and what is allowed.
    """
    path = find_config(Path(path))
    tree = _read_config(path)
    given = _apply_overrides(tree, overrides)
    return with_absolute_paths(_check(Config, tree, str(path), _Given(COMMAND_LINE, given)))


def load_run_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read the config of a run directory, which an older version may have written: keys that are gone are left out.

    Raises:
        ConfigError: as for `load_config`.
    """
    tree = _without_removed(read_yaml(Path(path)))
    given = _apply_overrides(tree, overrides)
    return with_absolute_paths(_check(Config, tree, str(path), _Given(COMMAND_LINE, given)))


def load_configs_with(path: str | Path, variants: Iterable[Mapping[str, Any]], source: str) -> Iterator[Config]:
    """Read a YAML file once; for each variant set dotted keys such as `agent.gamma` to values, and check the whole.

    Paths become absolute.

    Args:
        path: the file.
        variants: plain values, as YAML has them, by dotted key.
        source: what messages call the place that the values come from.

    Raises:
        ConfigError: as for `load_config`.
    """
    read = _read_config(Path(path))
    for values in variants:
        tree = copy.deepcopy(read)
        for key, value in values.items():
            _set(tree, key, value, f"{source}: {_shortened(key)}")
        yield with_absolute_paths(_check(Config, tree, str(path), _Given(source, list(values))))


def with_absolute_paths(config: Config) -> Config:
    """Let the files that a config names be found from every folder, not only from the one of this moment."""

    def absolute(path: str) -> str:
        shipped = find_agent(Path(path)) or find_trajectory(Path(path))
        named = not os.path.lexists(path) and shipped is not None  # found from everywhere as it is
        return path if named else os.path.abspath(path)  # which resolves no link: as given

    return _with_paths(config, absolute)


def with_portable_paths(config: Config) -> Config:
    """Name files below the current folder from there, and say nothing of where that is: for what is handed on."""
    here = Path.cwd()

    def portable(path: str) -> str:
        return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path

    return _with_paths(config, portable)


def _with_paths(config: Config, change: Callable[[str], str]) -> Config:
    for section, key in PATHS:
        part = getattr(config, section)
        if named := getattr(part, key):
            changed = change(named) if isinstance(named, str) else tuple(map(change, named))
            config = config.model_copy(update={section: part.model_copy(update={key: changed})})
    return config


def parse_config(tree: Mapping[str, Any], source: str) -> Config:
    """Check a tree of plain values, such as a checkpoint carries; `source` is what messages call it.

    An older version may have written it: keys that are gone are left out.

    Raises:
        ConfigError: as for `load_config`.
    """
    return parse_section(Config, _without_removed(tree), source)


def parse_section[S: Section](model: type[S], tree: Mapping[str, Any], source: str) -> S:
    """Check a tree of plain values against a model of ours; `source` is what messages call it.

    Raises:
        ConfigError: as for `load_config`.
    """
    return _check(model, tree, source, _Given(source, []))


def render_config(config: Config) -> str:
    """Write a config out as YAML, every key under a line that explains it; it loads back to an equal config."""
    return "\n".join(_render(config, depth=0)).lstrip("\n") + "\n"


def render_tree(tree: Mapping[str, Any], *, depth: int = 0) -> str:
    """Write plain values by key as YAML, those of a section indented below its name; ends in a line end."""
    lines = []
    for key, value in tree.items():
        below = f"\n{render_tree(value, depth=depth + 1)}" if isinstance(value, Mapping) and value else ""
        plain = "{}" if isinstance(value, Mapping) else _scalar(value)
        lines.append(f"{'  ' * depth}{key}:{below or f' {plain}\n'}")
    return "".join(lines)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put values by dotted key, such as `agent.gamma`, into the sections that a config has them in."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        _set(tree, key, value, key)
    return tree


def read_yaml(path: Path, kind: str = "config") -> dict[str, Any]:
    """Read a YAML file of keys and values; an empty one has none. `kind` is what messages call it.

    Raises:
        ConfigError: there is no such file, or it is something else.
    """
    return parse_keys(read_config_text(path, kind), path)


def read_config_text(path: Path, kind: str = "config") -> str:
    """Read the text of a YAML file. `kind` is what messages call it.

    Raises:
        ConfigError: there is no such file, or it is something else, or larger than any config.
    """
    try:
        return read_text(path, most_bytes=MOST_BYTES)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such {kind} file; `mario-rl list` names those of the package") from error
    except Refused as error:
        raise ConfigError(f"{path}: {error}; a {kind} is YAML") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: a directory, not a {kind} file{_meant(path, kind)}") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror})") from error


def parse_keys(text: str, path: Path) -> dict[str, Any]:
    """Read YAML of keys and values; an empty text has none. `path` is where it came from.

    Raises:
        ConfigError: it is something else.
    """
    tree = parse_yaml(text, str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: must hold keys, each with its value or its section, not {_show(tree)}")
    return tree


def find_keys(name: str) -> list[str]:
    """List the dotted keys of a config that a word can mean: the key itself, or all whose last part it is."""
    keys = [key for key, _ in _fields(Config)]
    return [name] if name in keys else [key for key in keys if key.rpartition(".")[2] == name]


def flat_values(config: Config) -> dict[str, Any]:
    """List every value of a config by its dotted key, as plain values."""
    return _flatten(config.model_dump(mode="json"))


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _read_config(path: Path) -> dict[str, Any]:
    tree = read_yaml(path)
    if SEARCH_KEY in tree:
        raise ConfigError(f"{path}: a search, not a training config; `mario-rl tune {path}` takes it")
    if tree.keys() & STUDY_KEYS and not tree.keys() & Config.model_fields.keys():
        raise ConfigError(f"{path}: a study, not a training config; `mario-rl compare {path}` takes it")
    return tree


def _meant(path: Path, kind: str) -> str:
    """Say what takes a directory where a file was expected."""
    if kind == "study":
        return f"; `mario-rl compare {path} --report` makes the report of the runs in it"
    if (path / "config.yaml").is_file():
        return f"; `mario-rl train --resume {path}` goes on with this run, and its config is {path / 'config.yaml'}"
    return ""


def _apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Set keys in the tree; returns the dotted keys."""
    if len(overrides) > MOST_OVERRIDES or sum(map(len, overrides)) > MOST_BYTES:
        raise ConfigError(
            f"{COMMAND_LINE}: too many settings; at most {MOST_OVERRIDES:,}, of {MOST_BYTES:,} characters together"
        )
    return [_apply_override(tree, override) for override in overrides]


def _apply_override(tree: dict[str, Any], override: str) -> str:
    """Set one key in the tree, making sections on the way; returns the dotted key."""
    key, equals, text = override.partition("=")
    key, shown = key.strip(), _show(override)
    if not equals or not all(part.isidentifier() for part in key.split(".")):
        raise ConfigError(f"{COMMAND_LINE}: {shown} is not allowed; must be key=value, such as agent.gamma=0.9")
    _set(tree, key, parse_yaml(text, f"{COMMAND_LINE}: {_shortened(key)}"), f"{COMMAND_LINE}: {shown}")
    return key


def _set(tree: dict[str, Any], key: str, value: Any, setting: str) -> None:
    """Set one dotted key in the tree, making sections on the way; `setting` is what messages call it."""
    *sections, name = key.split(".")
    if len(sections) >= MOST_DEPTH:
        raise ConfigError(f"{setting} is not allowed; no key has as many parts")
    for section in sections:
        held = tree.setdefault(section, {})
        if not isinstance(held, dict):
            raise ConfigError(f"{setting} is not allowed; {section} holds {_show(held)}, not keys")
        tree = held
    tree[name] = value


def _check[S: Section](model: type[S], tree: Mapping[str, Any], source: str, given: _Given) -> S:
    sections = {key for key, field in model.model_fields.items() if field.default_factory is not None}
    # A section whose every line is commented out is read as null.
    tree = {key: {} if value is None and key in sections else value for key, value in tree.items()}
    try:
        require_bounded(tree, most_values=MOST_VALUES, most_depth=MOST_DEPTH)
        return model.model_validate(tree)
    except Refused as error:
        raise ConfigError(f"{source}: {error}") from error
    except ValidationError as error:
        first, *others = {one["loc"]: one for one in error.errors()}.values()
        more = f" (and {len(others)} more)" if others else ""
        raise ConfigError(_explain(first, model, source, given) + more) from None


def _without_removed(tree: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(tree)
    for dotted in REMOVED:
        section, key = dotted.split(".")
        if isinstance(part := kept.get(section), Mapping):
            kept[section] = {name: value for name, value in part.items() if name != key}
    return kept


def _explain(error: Any, model: type[Section], source: str, given: _Given) -> str:
    """Put one of pydantic's errors into one line."""
    key = _shortened(".".join(str(part) for part in error["loc"]))
    context, kind = error.get("ctx", {}), error["type"]
    if any(_concerns(one, key, str(context.get("error"))) for one in given.keys):
        source = given.source
    if key in REMOVED and model is Config:
        return f"{source}: {key}: is gone, {REMOVED[key]}; leave it out"
    if kind in ("extra_forbidden", "invalid_key"):
        return f"{source}: {key}: unknown key{_suggest(key, model)}"
    if kind == "missing":
        return f"{source}: {key}: missing"
    if kind == "value_error" and key not in dict(_fields(model)):  # a rule between keys, which names them itself
        return f"{source}: {key + ': ' if key else ''}{context['error']}"
    allowed = _WORDS[kind].format(**context) if kind in _WORDS else error["msg"]
    if kind == "literal_error":
        names = context["expected"].replace("'", "").replace(" or ", ", ")
        allowed = f"one of {names}" if "," in names else names
    null = " or null" if key in _fields_that_may_be_null(model) else ""
    return f"{source}: {key + ': ' if key else ''}{_show(error['input'])} is not allowed; must be {allowed}{null}"


def _concerns(override: str, key: str, rule: str) -> bool:
    """Tell whether setting `override` can have caused the error at `key`."""
    if not key:  # a rule between sections, which names the keys itself
        return override in rule
    return f"{key}.".startswith(f"{override}.") or override.startswith(f"{key}.")


def _suggest(key: str, model: type[Section]) -> str:
    keys = [path for path, _ in _fields(model)]
    known = [*keys, *sorted({path.rpartition(".")[0] for path in keys} - {""})]
    same_name = [path for path in keys if path.split(".")[-1] == key.split(".")[-1]]
    close = same_name or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        name = key.split(".")[-1]
        names = {path.split(".")[-1]: path for path in keys}
        close = [names[match] for match in difflib.get_close_matches(name, names, n=1, cutoff=0.6)]
    if close:
        return f"; did you mean {close[0]}?"
    return "; `mario-rl config CONFIG` lists all keys" if model is Config else f"; must be one of {', '.join(keys)}"


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the dotted keys of all values, sections left out."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _fields_that_may_be_null(model: type[Section]) -> set[str]:
    return {path for path, field in _fields(model) if type(None) in get_args(field.annotation)}


def _render(section: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield ""
            yield f"{indent}# {(type(value).__doc__ or '').splitlines()[0]}"
            yield f"{indent}{name}:"
            yield from _render(value, depth + 1)
        else:
            if depth == 0:
                yield ""
            yield f"{indent}# {field.description}"
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_scalar(one) for one in value)}]"
    if isinstance(value, float):
        text = repr(value)
        # 1e-05 is text to a YAML 1.1 reader; 1.0e-05 is a number to all.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if isinstance(value, str):
        return value if PLAIN_TEXT.fullmatch(value) else _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Quote text in ASCII: as JSON does, but for what lies beyond 16 bits, which YAML escapes as one character."""
    return re.sub(r"[^ -~]", lambda one: rf"\U{ord(one[0]):08x}", json.dumps(text, ensure_ascii=False))


def _show(value: Any) -> str:
    """Write a refused value as it would stand in the file, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN_BITS:  # Python writes none with thousands of digits
        return f"a number of {value.bit_length():,} bits"
    try:
        return _shortened(repr(value) if isinstance(value, str) else str(value))
    except ValueError:  # such a number inside a list
        return f"a {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
