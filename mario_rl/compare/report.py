"""The report of a study: one page that needs no network, its figures as PNG, its tables as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from mario_rl.compare.answer import answer
from mario_rl.compare.contests import Contest, asks_the_article, contests
from mario_rl.compare.figures import all_figures
from mario_rl.compare.films import films
from mario_rl.compare.looks import styles
from mario_rl.compare.paper import write_png
from mario_rl.compare.plots import Figure, plain
from mario_rl.compare.repeat import Repeat, how_to_repeat
from mario_rl.compare.runs import Arm, LeftOut, finished, load_arms, settled
from mario_rl.compare.tables import Listing, all_tables
from mario_rl.files import json_text, printable, write_atomically


class Report(NamedTuple):
    """The page of a report, and the runs that don't count in it, in part or at all."""

    page: Path
    left_out: list[LeftOut]


def write_report(path: Path) -> Report:
    """Report on all runs below a directory; the same runs give the same report, but for its date and commit.

    Writes index.html, figures/*.png and tables/*.csv there. Films are linked to where they are.

    Args:
        path: of a study, or any directory with run directories in it.

    Raises:
        UserError: there is no run in it whose first episode has ended, or the study of one can't be read; nothing has
            been written then.
        StorageError: the disk refused.
    """
    arms, left_out = load_arms(path)
    repeat = how_to_repeat(path, arms)
    between = contests(finished(arms))
    tables = all_tables(arms, between, left_out, path)
    figures = list(all_figures(arms, between))
    for figure in figures:
        write_png(figure, path / "figures" / f"{figure.name}.png")
    for table in tables:
        _write(path / "tables" / f"{table.name}.csv", table.csv())
    page = path / "index.html"
    _write(page, _page(path, arms, between, tables, figures, len(left_out), repeat))
    return Report(page, left_out)


def _page(
    path: Path,
    arms: Sequence[Arm],
    between: Sequence[Contest],
    tables: Sequence[Listing],
    figures: Sequence[Figure],
    left_out: int,
    repeat: Repeat,
) -> str:
    environment = Environment(
        loader=PackageLoader("mario_rl.compare", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    look = styles(arms)
    here = files("mario_rl.compare")
    return environment.get_template("page.html.jinja").render(
        title=printable(path.resolve().name),
        date=datetime.now(UTC).date().isoformat(),
        answer=answer(arms, between),
        article=asks_the_article(between),
        arms=[{"name": arm.name, "label": arm.label, "style": look[arm.name]} for arm in arms],
        films=list(films(path, settled(arms))),
        figures=figures,
        plain=_script_json({figure.name: plain(figure) for figure in figures}),
        tables=tables,
        left_out=left_out,
        repeat=repeat,
        runs=sum(len(arm.runs) for arm in arms),
        css=(here / "page.css").read_text(encoding="utf-8"),
        script=(here / "page.js").read_text(encoding="utf-8"),
    )


def _script_json(values: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json_text(values).replace("<", "\\u003c")


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))
