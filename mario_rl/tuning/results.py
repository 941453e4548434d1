"""What a search has found: a table, the best settings as a config, and pictures of how it went and what mattered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from mario_rl.compare.looks import FAINT, INK, finish, new_figure
from mario_rl.config import render_config
from mario_rl.config.files import nested, render_tree
from mario_rl.config.search import OBJECTIVES, Choices, Range, Search, Space, found_config
from mario_rl.files import printable, write_atomically
from mario_rl.report.drawing import BLUE, ORANGE, VERMILLION, as_text, save_png
from mario_rl.runs.tables import write_table
from mario_rl.tuning.directory import SearchDir, trial_name
from mario_rl.tuning.trials import FEWEST, Trial, Trials
from mario_rl.wording import count_text

MOST_PANELS, COLUMNS = 9, 3
MAX_KEY, MAX_CHOICE = 40, 14  # characters of a key and of a choice that there is room for
DPI = 110


class Found(NamedTuple):
    """What a search has found so far.

    best: the trial with the highest value; None before any is complete. text: for the terminal. files: what was
    written.
    """

    best: Trial | None
    text: str
    files: list[Path]


def write_results(search: Search, file: Path, trials: Trials, directory: SearchDir) -> Found:
    """Write all that a search has found so far; without a complete trial that is `trials.csv` alone.

    Args:
        search: what `load_search` read.
        file: where it came from.
        trials: those there are.
        directory: where the files go.

    Raises:
        StorageError: the disk refused; what was there before is intact.
    """
    tried = trials.all()
    rows = [_row(one, search, trials.space) for one in tried]
    write_table(directory.trials, ("trial", "state", search.objective, *trials.space), rows)
    best = best_of(tried)
    summary = summary_text(tried, search)
    if best is None:
        return Found(None, summary, [directory.trials])
    config = found_config(search, file, best.values)
    comments = [
        f"Found by mario-rl tune: {trial_name(best.number)}, {value_text(search, best)}.",
        f"{summary}; each run {count_text(search.agent_steps, 'agent step')}, "
        f"from seed{'' if len(search.seeds) == 1 else 's'} {', '.join(map(str, search.seeds))}.",
        "Train it with: mario-rl train best.yaml",
    ]
    text = "".join(f"# {line}\n" for line in comments) + "\n" + render_config(config)
    write_atomically(directory.best, lambda partial: partial.write_text(text, encoding="utf-8"))
    importances = trials.importances()
    save_png(as_text(history_figure(tried, search)), directory.history, dpi=DPI, facecolor="white")
    figure = importance_figure(tried, search, trials.space, importances)
    save_png(as_text(figure), directory.importance, dpi=DPI, facecolor="white")
    words = [f"best: {trial_name(best.number)}, {value_text(search, best)} ({summary})"]
    words += [f"  {line}" for line in render_tree(nested(best.values)).splitlines()]
    return Found(best, "\n".join(words), [directory.best, directory.trials, directory.history, directory.importance])


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Choose the complete trial with the highest value, of equal ones the first; None where none is complete."""
    complete = [one for one in trials if one.state == "complete" and one.value is not None]
    return max(complete, key=lambda one: (one.value, -one.number), default=None)


def summary_text(trials: Sequence[Trial], search: Search) -> str:
    """Say how many trials there are, and what became of them."""
    complete, pruned, failed = (sum(one.state == state for one in trials) for state in ("complete", "pruned", "failed"))
    became = f"{complete:,} complete, {pruned:,} pruned{f', and {failed:,} failed' if failed else ''}"
    return f"{complete + pruned:,} of {count_text(search.trials, 'trial')}: {became}"


def value_text(search: Search, trial: Trial) -> str:
    """Write the value of a complete trial, with what it is and its unit."""
    assert trial.value is not None
    what, _, unit = OBJECTIVES[search.objective].partition(" [")
    if search.objective == "clear_rate":
        return f"{what} {trial.value:.0%}"
    return f"{what} {trial.value:,.0f} {unit.rstrip(']')}"


def _values(trials: Sequence[Trial]) -> dict[int, float]:
    """List the values of the complete trials by their numbers."""
    return {one.number: one.value for one in trials if one.state == "complete" and one.value is not None}


def _row(trial: Trial, search: Search, space: Space) -> dict[str, Any]:
    values = {key: trial.values.get(key) for key in space}
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    value = trial.value if trial.state == "complete" else None  # of others it is no value of the objective
    return {"trial": trial.number, "state": trial.state, search.objective: value, **plain}


def history_figure(trials: Sequence[Trial], search: Search) -> Figure:
    """Draw the value of every complete trial, and the best so far; what was pruned or failed has a mark at the edge."""
    figure = new_figure(8.0, 4.0)
    axes = figure.subplots()
    values = _values(trials)
    numbers, ends = list(values), [*values, max([one.number for one in trials]) + 0.5]
    best = np.maximum.accumulate(list(values.values()))
    axes.step(ends, [*best, best[-1]], where="post", color=VERMILLION, linewidth=1.6, label="best so far")
    axes.plot(numbers, list(values.values()), "o", color=BLUE, markersize=6, label="complete")
    for state, colour, marker in (("pruned", FAINT, "|"), ("failed", ORANGE, "x")):
        at = [one.number for one in trials if one.state == state]
        if at:
            axes.plot(at, [0.02] * len(at), marker, color=colour, transform=axes.get_xaxis_transform(), label=state)
    axes.set_xlim(-0.5, ends[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial, in the order in which they were begun")
    axes.set_ylabel(_two_lines(OBJECTIVES[search.objective]))
    finish(axes)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)
    figure.suptitle(summary_text(trials, search), color=INK)
    return figure


def importance_figure(
    trials: Sequence[Trial], search: Search, space: Space, importances: Mapping[str, float]
) -> Figure:
    """Draw how much each key matters, and below the value of each complete trial against what it had there."""
    keys = sorted(space, key=lambda key: -importances.get(key, 0.0))
    shown = keys[:MOST_PANELS]
    rows = -(-len(shown) // COLUMNS)
    bars = 0.9 + 0.28 * len(keys)
    figure = new_figure(10.0, bars + 3.1 * rows + 0.5)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[bars, 3.1 * rows])
    top, below = parts[0, 0], parts[1, 0]
    _draw_bars(top.subplots(), keys, importances)
    best, values = best_of(trials), _values(trials)
    panels = below.subplots(rows, min(COLUMNS, len(shown)), squeeze=False, sharey=True)
    for axes, key in zip(panels.flat, shown, strict=False):
        at = {one.number: _place(space[key], one.values[key]) for one in trials if one.number in values}
        axes.plot(list(at.values()), list(values.values()), "o", color=BLUE, alpha=0.7)
        if best is not None:
            axes.plot([at[best.number]], [values[best.number]], "o", color=VERMILLION)
        _mark(axes, key, space[key])
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    below.supylabel(_two_lines(OBJECTIVES[search.objective]), color=INK, fontsize="medium", ma="center")
    figure.suptitle(f"What mattered: {summary_text(trials, search)} (the best is red)", color=INK)
    return figure


def _draw_bars(axes: Axes, keys: Sequence[str], importances: Mapping[str, float]) -> None:
    if importances:
        axes.barh(range(len(keys)), [100 * importances.get(key, 0.0) for key in keys], color=BLUE, height=0.65)
    else:
        note = f"needs {FEWEST} trials, and complete ones with different values"
        axes.text(0.5, 0.5, note, color=FAINT, ha="center", va="center", transform=axes.transAxes)
    axes.set_yticks(range(len(keys)), [printable(key, MAX_KEY) for key in keys])
    axes.set_ylim(len(keys) - 0.4, -0.6)
    axes.set_xlim(left=0.0, right=None if importances else 100.0)
    axes.set_xlabel("importance for being among the best quarter of the trials (PED-ANOVA) [% of all]")
    finish(axes)


def _mark(axes: Axes, key: str, one: Range | Choices) -> None:
    """Say what stands below: numbers, or choices side by side."""
    if not isinstance(one, Range):
        labels = [printable(value if isinstance(value, str) else json.dumps(value), MAX_CHOICE) for value in one]
        axes.set_xticks(range(len(one)), labels)
        axes.set_xlim(-0.5, len(one) - 0.5)
    elif one.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}")  # matplotlib's own would need mathematics
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif one.whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(printable(key, MAX_KEY))
    finish(axes)


def _place(one: Range | Choices, value: Any) -> float:
    if isinstance(one, Range):
        return float(value)
    return float([json.dumps(choice) for choice in one].index(json.dumps(value)))  # 1 and true are equal to Python


def _two_lines(label: str) -> str:
    return label.replace(" of the ", "\nof the ", 1)
