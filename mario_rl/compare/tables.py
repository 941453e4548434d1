"""The tables of a report: arms, targets, settings, runs, and what the runs were made with."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mario_rl.compare.contests import Contest
from mario_rl.compare.figures import protocols_of
from mario_rl.compare.plots import names_of
from mario_rl.compare.runs import Arm, LeftOut, StudyRunData, settled
from mario_rl.compare.statistics import clear_rate, estimate
from mario_rl.compare.words import count_of_text, p_text, percent_text, pixels_text
from mario_rl.files import printable

NAMED_VERSIONS = ("python", "torch", "mario-rl")


class Entry(NamedTuple):
    """A row of a table: its columns, and the arms that it is of; the page shows it while all are ticked."""

    columns: dict[str, str]
    arms: tuple[str, ...] = ()


class Listing(NamedTuple):
    """A table of the page: what its file is called, its heading, and its rows."""

    name: str
    title: str
    entries: list[Entry]

    def csv(self) -> str:
        """Write it as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.entries[0].columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entry.columns for entry in self.entries)
        return text.getvalue()


def all_tables(
    arms: Sequence[Arm], between: Sequence[Contest], left_out: Sequence[LeftOut], path: Path
) -> list[Listing]:
    """Make every table that there are rows for.

    Args:
        arms: all of them.
        between: what the targets of those that count are to each other.
        left_out: the runs that do not count.
        path: the report's directory, from which those are named.
    """
    listings = [
        Listing("arms", "The arms", _arms(settled(arms))),
        Listing("targets", "One target against another", _targets(between)),
        Listing("settings", "What tells the arms apart", _settings(arms)),
        Listing("runs", "The runs", _runs(arms)),
        Listing("made_with", "What the runs were made with", _made_with(arms)),
        Listing("left_out", "Runs that do not count", _left_out(left_out, path)),
    ]
    return [listing for listing in listings if listing.entries]


def _arms(arms: Sequence[Arm]) -> list[Entry]:
    """A row per arm: where it ended, first clears and clear rates, over the seeds of its runs."""
    protocols = protocols_of(arms)
    return [
        Entry(
            {
                "arm": arm.label,
                "seeds": ", ".join(str(run.seed) for run in arm.runs),
                "agent steps": f"{max(run.episodes['agent_steps'][-1] for run in arm.runs):,.0f}",
                "mean x": pixels_text(estimate(arm.scores("x"))),
                "mean return": pixels_text(estimate(arm.scores("return"))),
                "first clear [agent steps]": _first_clears(arm),
                **{f"cleared, {protocol}": _clears(arm, protocol) for protocol in protocols},
            },
            (arm.name,),
        )
        for arm in arms
    ]


def _targets(between: Sequence[Contest]) -> list[Entry]:
    """A row per pair of arms that differ in the target alone, and one for all pairs of the same two targets."""
    entries = []
    for contest in between:
        entries += [_target(pair) for pair in contest.each]
        if len(contest.pairs) > 1:
            entries.append(_target(contest))
    return entries


def _target(contest: Contest) -> Entry:
    one_pair = len(contest.pairs) == 1
    return Entry(
        {
            "targets": contest.label,
            "mean x": pixels_text(estimate(contest.ours.scores("x"))) if one_pair else "",
            "the other's": pixels_text(estimate(contest.other.scores("x"))) if one_pair else "",
            "probability of improvement": percent_text(contest.improvement),
            "permutation test": p_text(contest.p_value),
            "agent steps needed [of the other's]": percent_text(contest.agent_steps_needed) if one_pair else "",
            "episodes needed [of the other's]": percent_text(contest.episodes_needed) if one_pair else "",
        },
        names_of([arm for pair in contest.pairs for arm in pair]),
    )


def _settings(arms: Sequence[Arm]) -> list[Entry]:
    """A row per arm: the keys that differ between arms, with its values."""
    return [
        Entry(
            {"arm": arm.label, **{key: json.dumps(value).strip('"') for key, value in arm.values.items()}}, (arm.name,)
        )
        for arm in arms
        if arm.values
    ]


def _runs(arms: Sequence[Arm]) -> list[Entry]:
    """A row per run: how long it took, where it ended, and how often its last weights clear."""
    protocols = protocols_of(arms)
    return [
        Entry(
            {
                "arm": arm.label,
                "seed": str(run.seed),
                "state": "done" if run.done else "not done",
                "agent steps": f"{run.episodes['agent_steps'][-1]:,.0f}",
                "episodes": f"{len(run.episodes['x']):,}",
                "minutes": f"{run.episodes['minutes'][-1]:,.0f}",
                "mean x": f"{run.score('x'):,.0f}",
                **{
                    f"cleared, {protocol}": "not done" if count is None else count_of_text(*count)
                    for protocol in protocols
                    for count in (run.final_clears(protocol),)
                },
            },
            (arm.name,),
        )
        for arm in arms
        for run in arm.runs
    ]


def _made_with(arms: Sequence[Arm]) -> list[Entry]:
    """A row per machine, version and commit that runs were made with: which runs those are."""
    made: dict[tuple[tuple[str, str], ...], list[tuple[Arm, StudyRunData]]] = {}
    for arm in arms:
        for run in arm.runs:
            made.setdefault(tuple(_conditions(run).items()), []).append((arm, run))
    entries = []
    for conditions, runs in made.items():
        of = names_of([arm for arm, _ in runs])
        said = "; ".join(f"{arm.label}, seed {run.seed}" for arm, run in runs)
        entries.append(Entry({**dict(conditions), "runs": said}, of if len(of) == 1 else ()))  # of many it stays
    return entries


def _conditions(run: StudyRunData) -> dict[str, str]:
    versions = run.record.versions
    return {
        "machine": run.machine or "not recorded",
        "threads": "not recorded" if run.record.threads is None else str(run.record.threads),
        "versions": ", ".join(f"{name} {versions[name]}" for name in NAMED_VERSIONS if name in versions)
        or "not recorded",
        "commit": run.record.commit or "not recorded",
    }


def _left_out(left_out: Sequence[LeftOut], path: Path) -> list[Entry]:
    """A row per run that does not count: which, named from the report's directory, and why."""
    return [
        Entry({"run": printable(os.path.relpath(one.path, path)), "why": printable(one.reason)}) for one in left_out
    ]


def _first_clears(arm: Arm) -> str:
    firsts = [run.first_clear() for run in arm.runs]
    return ", ".join("none" if first is None else f"{first[0]:,.0f}" for first in firsts)


def _clears(arm: Arm, protocol: str) -> str:
    counts = arm.final_clears(protocol)
    return percent_text(clear_rate(counts)) if counts else "not done"
