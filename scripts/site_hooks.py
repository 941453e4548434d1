"""What MkDocs makes the site of beside docs/: pages written from the code, from the notebook and from CHANGELOG.md.

MkDocs calls `on_files`; the other functions are pure and return Markdown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from mario_rl.cli import cli
from mario_rl.config import Config, Section
from mario_rl.config.search import Search
from mario_rl.config.study import Study

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOK = REPOSITORY / "examples" / "quickstart.ipynb"
OF_THE_SITE = "assets/"  # what pages use without naming it: styles, scripts, icon


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and leave out every file that no page shows: docs/ holds the evidence of results too."""
    pages = {
        "reference/commands.md": commands_page(cli),
        "reference/config.md": keys_page(Config, "Config keys", CONFIG_INTRODUCTION),
        "reference/study.md": keys_page(Study, "Study keys", STUDY_INTRODUCTION),
        "reference/search.md": keys_page(Search, "Search keys", SEARCH_INTRODUCTION),
        "start/quickstart.md": notebook_page(NOTEBOOK.read_text(encoding="utf-8")),
        "changelog.md": (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, "start/quickstart.ipynb", abs_src_path=str(NOTEBOOK)))
    shown = {target for page in files.documentation_pages() for target in linked(page.src_uri, page.content_string)}
    for file in list(files):
        asset = not file.is_documentation_page() and file.src_uri.startswith(OF_THE_SITE)
        theme = file.src_dir is not None and Path(file.src_dir) != Path(config.docs_dir)
        if not (file.is_documentation_page() or asset or theme or file.src_uri in shown):
            files.remove(file)
    return files


def linked(page: str, text: str) -> set[str]:
    """List what a page links to or shows, as paths in docs/.

    Args:
        page: path of the page in docs/.
        text: its Markdown.
    """
    targets = re.findall(r"\]\(([^)#\s]+)|\bsrc=\"([^\"]+)\"", text)
    return {normpath(join(dirname(page), one or other)) for one, other in targets if "://" not in (one or other)}


def notebook_page(notebook: str) -> str:
    """Write the cells of a notebook (the text of an .ipynb file) as a page, without outputs."""
    cells = []
    for cell in json.loads(notebook)["cells"]:
        source = "".join(cell["source"])
        cells.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, *others = cells
    download = "[Download this page as a notebook](quickstart.ipynb)"
    return "\n\n".join([title, f"{download}; it needs `pip install jupyter` besides.", *others]) + "\n"


CONFIG_INTRODUCTION = """
Every key that a config file can have, with its default, what is allowed and what it does. A config states only what
differs from the defaults. Unknown keys and impossible values are refused in one line.

On the command line a key is given as `key=value`: `mario-rl train ddqn_right_only agent.gamma=0.9`. Print a whole
config, resolved and explained, with `mario-rl config ddqn_right_only`.
"""

SEARCH_INTRODUCTION = """\
Every key of a search file, which `mario-rl tune` takes. [Search for good settings](../tuning.md) shows one.
"""

STUDY_INTRODUCTION = """
Every key of a study file, which `mario-rl compare` takes. [Compare settings in a study](../howto/study.md) shows one.
"""


def keys_page(model: type[Section], title: str, introduction: str) -> str:
    """Write the reference of a model's keys: a section for each of its sections, a heading for each key."""
    schema = model.model_json_schema()
    lines = [f"# {title}", introduction.strip()]
    plain = [key for key in model.model_fields if not _section_of(model, key)]
    sections = [(key, part) for key in model.model_fields if (part := _section_of(model, key))]
    if plain:
        lines += ["## Keys without a section" if sections else "## Keys", *_keys(model, schema, schema, plain, "")]
    for key, part in sections:
        lines += _section(part, schema, key)
    return "\n\n".join(lines) + "\n"


def _section(model: type[Section], schema: dict[str, Any], name: str) -> Iterator[str]:
    yield f"## `{name}` {{ #{name} }}"
    yield (model.__doc__ or "").strip()
    plain = [key for key in model.model_fields if not _section_of(model, key)]
    yield from _keys(model, schema, schema["$defs"][model.__name__], plain, f"{name}.")
    for key in model.model_fields:
        if part := _section_of(model, key):
            yield from _section(part, schema, f"{name}.{key}")


def _section_of(model: type[Section], key: str) -> type[Section] | None:
    kind = model.model_fields[key].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _keys(
    model: type[Section], schema: dict[str, Any], part: dict[str, Any], keys: list[str], prefix: str
) -> Iterator[str]:
    for key in keys:
        field, described = model.model_fields[key], part["properties"][key]
        value = field.get_default(call_default_factory=True)
        default = "required" if field.is_required() else f"default `{_yaml(value)}`"
        yield f"### `{prefix}{key}` {{ #{prefix}{key} }}"
        yield f"{_escaped(field.description or '')}"
        yield f"*{default}; {allowed(described, schema.get('$defs', {}))}*"


def _yaml(value: Any) -> str:
    """Write a default as YAML has it, on one line."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_yaml, value))}]"
    return json.dumps(value).strip('"') if value != {} else "{}"


def _escaped(text: str) -> str:
    return re.sub(r"([*\[\]_])", r"\\\1", text).replace("<", "&lt;")


def allowed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say what a JSON schema allows, in words: `a number, at least 0, less than 1, or null`."""
    if "$ref" in schema:
        return allowed(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(allowed(one, definitions) for one in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "allOf" in schema:
        return " and ".join(allowed(one, definitions) for one in schema["allOf"])
    kind = schema.get("type", "any")
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "text",
        "null": "null",
        "object": "keys, each with its value",
        "any": "any value",
    }
    if kind == "array":
        item = allowed(schema.get("items", {}), definitions)
        if item.startswith(("text", "a list of")):
            return f"a list of {item.replace('a list', 'lists', 1)}"
        return f"a list, each {item}" if schema.get("items") else "a list"
    said = [f"{word} {_number(bound)}" for word, bound in _bounds(schema)]
    return ", ".join([words[kind], *said])


def _bounds(schema: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    lowest, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    if above is not None and schema.get("type") == "integer":
        lowest, above = max(above + 1, above + 1 if lowest is None else lowest), None
    bounds = {"at least": lowest, "more than": above, "at most": schema.get("maximum")}
    yield from ((word, bound) for word, bound in bounds.items() if bound is not None)
    if "exclusiveMaximum" in schema:
        yield "less than", schema["exclusiveMaximum"]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.10g}"


def commands_page(group: click.Group) -> str:
    """Write the reference of the command line: each command's usage, help, arguments and options."""
    context = click.Context(group, info_name="mario-rl")
    lines = ["# Command line", COMMANDS_INTRODUCTION.strip()]
    for name in group.list_commands(context):
        command = group.commands[name]
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        lines += [f"## `mario-rl {name}` {{ #{name} }}", f"```text\nmario-rl {name} {usage}\n```", help_text(command)]
        options = [one for one in command.get_params(inner) if isinstance(one, click.Option)]
        records = [record for one in options if "--help" not in one.opts and (record := one.get_help_record(inner))]
        lines += [f"`{option}`\n:   {_prose(' '.join(said.split()))}" for option, said in records if said]
        lines += [f"`{option}`" for option, said in records if not said]
    return "\n\n".join(lines) + "\n"


COMMANDS_INTRODUCTION = """
Every command and option of `mario-rl`. `mario-rl COMMAND --help` says the same in the terminal. Names of configs,
studies and agents (`mario-rl list`) stand wherever a path does.

Exit codes: 0 done; 1 failed, on a full disk for instance; 2 bad input; 130 (Ctrl-C), 143 (SIGTERM) and 129 (closed
terminal) interrupted, after saving.
"""


def help_text(command: click.Command) -> str:
    """Write the help of a command as Markdown; paragraphs that click keeps as they are become examples."""
    paragraphs = []
    for paragraph in (command.help or "").replace("\r", "").split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            first, *lines = paragraph.strip().lstrip("\b").strip("\n").splitlines()
            code = "\n".join(line.strip() for line in lines)
            paragraphs.append(f"{_escaped(first.strip())}\n\n```sh\n{code}\n```")
        else:
            paragraphs.append(_prose(" ".join(paragraph.split())))
    return "\n\n".join(paragraphs)


def _prose(text: str) -> str:
    """Escape all but what stands between backticks."""
    parts = text.split("`")
    return "`".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))
