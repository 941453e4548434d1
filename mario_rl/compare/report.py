"""The report of a study: one page that needs no network, its figures as PNG, its tables as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from mario_rl.compare.answer import answer
from mario_rl.compare.contests import Contest, contests
from mario_rl.compare.figures import PROTOCOLS, draw_all
from mario_rl.compare.looks import Drawn, styles
from mario_rl.compare.runs import Arm, LeftOut, StudyRunData, finished, load_arms, settled
from mario_rl.compare.statistics import estimate
from mario_rl.compare.words import p_text, percent_text, pixels_text
from mario_rl.files import json_text, printable, write_atomically

type Rows = list[dict[str, str]]


class Listing(NamedTuple):
    """A table of the page: what its file is called, its heading, and its rows."""

    name: str
    title: str
    rows: Rows


class Report(NamedTuple):
    """The page of a report, and the runs that don't count in it, in part or at all."""

    page: Path
    left_out: list[LeftOut]


def write_report(path: Path) -> Report:
    """Report on all runs below a directory; the same runs give the same report, but for its date.

    Writes index.html, figures/*.png and tables/*.csv there. Films are linked to where they are.

    Args:
        path: of a study, or any directory with run directories in it.

    Raises:
        UserError: there is no run in it whose first episode has ended, or the study of one can't be read; nothing has
            been written then.
        StorageError: the disk refused.
    """
    arms, left_out = load_arms(path)
    between = contests(finished(arms))
    tables = [
        Listing("arms", "The arms", arms_table(settled(arms))),
        *([Listing("targets", "One target against another", targets_table(between))] if between else []),
        Listing("settings", "What tells the arms apart", settings_table(arms)),
        Listing("runs", "The runs", runs_table(arms)),
        *([Listing("left_out", "Runs that do not count", left_out_table(left_out, path))] if left_out else []),
    ]
    figures = []
    for drawn in draw_all(arms, between):
        figures.append((drawn, drawn.svg()))  # before the PNG, which gets a title
        drawn.write_png(path / "figures" / f"{drawn.name}.png")
    for table in tables:
        _write(path / "tables" / f"{table.name}.csv", _csv(table.rows))
    page = path / "index.html"
    _write(page, _page(path, arms, answer(arms, between), tables, figures, left_out, article=bool(between)))
    return Report(page, left_out)


def arms_table(arms: Sequence[Arm]) -> Rows:
    """A row per arm: where it ended, first clears and clear rates, over the seeds of its runs."""
    return [
        {
            "arm": arm.label,
            "seeds": ", ".join(str(run.seed) for run in arm.runs),
            "agent steps": f"{max(run.episodes['agent_steps'][-1] for run in arm.runs):,.0f}",
            "mean x": pixels_text(estimate(arm.scores("x"))),
            "mean return": pixels_text(estimate(arm.scores("return"))),
            "first clear [agent steps]": _first_clears(arm),
            **{f"cleared, {protocol}": _clears(arm, protocol) for protocol in PROTOCOLS if _made(arms, protocol)},
        }
        for arm in arms
    ]


def targets_table(between: Sequence[Contest]) -> Rows:
    """A row per pair of arms that differ in the target alone, and one for all pairs of the same two targets."""
    rows = []
    for contest in between:
        rows += [_targets_row(pair) for pair in contest.each]
        if len(contest.pairs) > 1:
            rows.append(_targets_row(contest))
    return rows


def _targets_row(contest: Contest) -> dict[str, str]:
    one_pair = len(contest.pairs) == 1
    return {
        "targets": contest.label,
        "mean x": pixels_text(estimate(contest.ours.scores("x"))) if one_pair else "",
        "the other's": pixels_text(estimate(contest.other.scores("x"))) if one_pair else "",
        "probability of improvement": percent_text(contest.improvement),
        "permutation test": p_text(contest.p_value),
        "agent steps needed [of the other's]": percent_text(contest.agent_steps_needed) if one_pair else "",
        "episodes needed [of the other's]": percent_text(contest.episodes_needed) if one_pair else "",
    }


def settings_table(arms: Sequence[Arm]) -> Rows:
    """A row per arm: the keys that differ between arms, with its values."""
    return [
        {"arm": arm.label, **{key: json.dumps(value).strip('"') for key, value in arm.values.items()}} for arm in arms
    ]


def runs_table(arms: Sequence[Arm]) -> Rows:
    """A row per run: seed, how long it took, with what and on what."""
    return [_run_row(arm, run) for arm in arms for run in arm.runs]


def left_out_table(left_out: Sequence[LeftOut], path: Path) -> Rows:
    """A row per run that does not count: which, named from the report's directory, and why."""
    return [{"run": printable(os.path.relpath(one.path, path)), "why": printable(one.reason)} for one in left_out]


def _run_row(arm: Arm, run: StudyRunData) -> dict[str, str]:
    versions = run.record.versions
    return {
        "arm": arm.label,
        "seed": str(run.seed),
        "state": "done" if run.done else "not done",
        "agent steps": f"{run.episodes['agent_steps'][-1]:,.0f}",
        "episodes": f"{len(run.episodes['x']):,}",
        "minutes": f"{run.episodes['minutes'][-1]:,.0f}",
        "mean x": f"{run.score('x'):,.0f}",
        "machine": run.machine,
        "threads": "" if run.record.threads is None else str(run.record.threads),
        "versions": ", ".join(
            f"{name} {versions[name]}" for name in ("python", "torch", "mario-rl") if name in versions
        ),
    }


def _page(
    path: Path,
    arms: Sequence[Arm],
    sentences: Sequence[str],
    tables: Sequence[Listing],
    figures: Sequence[tuple[Drawn, str]],
    left_out: Sequence[LeftOut],
    *,
    article: bool,
) -> str:
    environment = Environment(
        loader=PackageLoader("mario_rl.compare", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    look = styles(arms)
    return environment.get_template("page.html.jinja").render(
        title=printable(path.resolve().name),
        date=datetime.now(UTC).date().isoformat(),
        answer=sentences,
        arms=[{"name": arm.name, "label": arm.label, "style": look[arm.name]} for arm in arms],
        figures=[
            {"name": drawn.name, "title": drawn.title, "caption": drawn.caption, "svg": svg} for drawn, svg in figures
        ],
        panels=_script_json({drawn.name: drawn.panels for drawn, _ in figures}),
        tables=tables,
        left_out=len(left_out),
        article=article,
        films=[film for arm in settled(arms) if (film := _film(path, arm))],
        runs=sum(len(arm.runs) for arm in arms),
    )


def _script_json(values: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element."""
    return json_text(values).replace("<", "\\u003c")


def _film(path: Path, arm: Arm) -> dict[str, str] | None:
    """Where the film of an arm's best run is, and what it shows.

    Where that run has no film it is that of the best one that has, and says so.
    """
    filmed = [run for run in arm.runs if run.place.film.is_file()]
    if not filmed:
        return None
    run, best = max(filmed, key=StudyRunData.merit), max(arm.runs, key=StudyRunData.merit)
    caption = f"{arm.label}, seed {run.seed}"
    if run.record.best is not None and (shown := run.record.best.film) is not None:
        caption += f": {shown.end} at x {shown.x:,}"
    if run.merit() < best.merit():
        caption += f" (seed {best.seed} was better and was not filmed)"
    place = Path(os.path.relpath(run.place.film, path)).as_posix()
    return {"file": quote(os.fsencode(place)), "caption": caption}  # by its bytes, whatever is in a folder's name


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _first_clears(arm: Arm) -> str:
    firsts = [run.first_clear() for run in arm.runs]
    return ", ".join("none" if first is None else f"{first[0]:,.0f}" for first in firsts)


def _clears(arm: Arm, protocol: str) -> str:
    counts = [run.final_clears(protocol) for run in arm.runs]
    return ", ".join("not done" if count is None else f"{count[0]} of {count[1]}" for count in counts)


def _made(arms: Sequence[Arm], protocol: str) -> bool:
    return any(run.final_clears(protocol) for arm in arms for run in arm.runs)


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
