"""The figures of a report: arms to pictures, the same one as PNG and, with its numbers beside it, in the page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, PercentFormatter, StrMethodFormatter

from mario_rl.compare.contests import Contest, setting_label
from mario_rl.compare.runs import RECENT, Arm, finished, settled
from mario_rl.compare.statistics import (
    Curve,
    Estimate,
    arm_window,
    curve,
    estimate,
    over_runs,
)
from mario_rl.compare.words import p_text
from mario_rl.evaluation import wilson_interval
from mario_rl.files import printable
from mario_rl.names import ALGORITHMS
from mario_rl.report.drawing import (
    BLUE,
    FLAG_X,
    GREEN,
    MAX_NAME,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    as_text,
    drawing,
    save_png,
)
from mario_rl.types import Floats

INK, RULE, FAINT = "#1c1e21", "#d8dade", "#70757c"
"""Text, grid and what stands back; the page puts its own colours, light or dark, in their place."""

TARGET_COLOURS = {"none": GREEN, "target": BLUE, "double": VERMILLION}
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
LINES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
PROTOCOLS = ("noop", "sticky", "epsilon", "greedy")
OVER = {"agent_steps": "agent steps", "episode": "episodes", "minutes": "wall-clock time [min]"}
OF = {"x": f"best x, mean of {RECENT} episodes [pixels]", "return": f"return, mean of {RECENT} episodes [points]"}
ARTICLE_CLAIM = 0.2  # DQN at episode 10,000 is where DDQN is at episode 2,000
END_BIN = 64  # pixels
LEAST_X = 3_400  # pixels: a death map is at least as wide as 1-1
SEED_OFFSET = 0.28  # rows: the seeds' dots stand under their mean
MAX_TITLE, MAX_ROW = 90, 70  # characters of a figure's title, and of the name of a row
RECENT_ENDS = 500  # episodes of a run in the death map


@dataclass
class Drawn:
    """A figure, what it shows in words, and its curves for the page to read values from.

    panels: for each set of axes its place and range, and its curves; plain values.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    panels: list[dict[str, Any]] = field(default_factory=list)

    def write_png(self, path: Path) -> None:
        """Write the figure on white, with its title: the last thing to do with it, since that moves the panels.

        Raises:
            StorageError: the disk refused.
        """
        self.figure.suptitle(printable(self.title, MAX_TITLE), color=INK)
        save_png(as_text(self.figure), path, dpi=110, facecolor="white")

    def svg(self) -> str:
        """Render it for a page: no background, the page's own colours for text and grid, a group per arm."""
        text = io.StringIO()
        with drawing(), mpl.rc_context({"svg.hashsalt": self.name}):  # the same figure is the same text
            self.figure.savefig(text, format="svg", transparent=True)
        svg = text.getvalue()
        # Arms become classes; of the ids those that are referred to stay, the figure's own on a page of many.
        svg = re.sub(r'id="(arm\d+)"', r'class="\1"', svg)
        used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
        svg = re.sub(r' id="([^"]+)"', lambda one: f' id="{self.name}-{one[1]}"' if one[1] in used else "", svg)
        svg = re.sub(r'(url\(|href=")#', rf"\1#{self.name}-", svg)
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt" ', "", svg, count=1)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        for colour, variable in ((INK, "--ink"), (RULE, "--rule"), (FAINT, "--faint")):
            svg = svg.replace(colour, f"var({variable})")
        width = self.figure.get_figwidth() * 96  # CSS pixels an inch
        label = html.escape(self.title)
        return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="max-width: {width:.0f}px" ', 1)


@dataclass(frozen=True)
class Style:
    """How an arm looks in every figure."""

    colour: str
    line: Literal["-", "--", ":", "-."]
    marker: str


def styles(arms: Sequence[Arm]) -> dict[str, Style]:
    """Colours tell targets apart, lines and markers the rest; with one target or none else, colours tell arms."""
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    if _one_target(arms):
        return {
            arm.name: Style(COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % 4], MARKERS[number % 4])
            for number, arm in enumerate(arms)
        }
    return {
        arm.name: Style(
            TARGET_COLOURS[arm.target],
            LINES[settings.index(arm.setting) % 4],
            MARKERS[settings.index(arm.setting) % 4],
        )
        for arm in arms
    }


def _one_target(arms: Sequence[Arm]) -> bool:
    return len({arm.target for arm in arms}) == 1


def draw_all(arms: Sequence[Arm], between: Sequence[Contest]) -> Iterator[Drawn]:
    """Draw every figure that the runs have numbers for; of an arm with runs that are done the others are left out.

    Args:
        arms: all of them.
        between: what their targets are to each other.
    """
    arms = settled(arms)
    look = styles(arms)
    yield _curves("curves", "Learning curves of every arm", arms, look)
    yield from _experiments(arms, look)
    yield _final_scores(finished(arms), look)
    if between:
        yield _improvement(between, look)
        yield _needed([pair for contest in between for pair in contest.each], look)
    if any(np.isfinite(run.evaluations["q_visited"]).any() for arm in arms for run in arm.runs):
        yield _overestimation(arms, look)
    if any(run.done for arm in arms for run in arm.runs):
        yield _clear_rates(arms, look)
    yield _ends(arms, look)


def _curves(name: str, title: str, arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    figure = _figure(13, 7)
    grid = figure.subplots(2, 3, sharey="row", sharex="col")
    drawn = Drawn(
        name,
        title,
        f"Interquartile mean over the seeds of the running mean of {RECENT} training episodes; bands: 95 % bootstrap "
        "intervals over seeds, where there are several. A curve begins where every run of its arm has had as many "
        "episodes and ends where its shortest run does; runs that are not done are left out where others of their arm "
        f"are.{_short_note(arms)}{_machines_note(arms)}",
        figure,
    )
    for row, quantity in zip(grid, OF, strict=True):
        for axes, over in zip(row, OVER, strict=True):
            _draw_curves(axes, arms, look, quantity, over, drawn)
    for axes, label in zip(grid[-1], OVER.values(), strict=True):
        axes.set_xlabel(label)
    for axes, label in zip(grid[:, 0], OF.values(), strict=True):
        axes.set_ylabel(label)
    _legend(figure, arms, look)
    return _laid_out(drawn)


def _short_note(arms: Sequence[Arm]) -> str:
    """Say of which arms the running means are of fewer episodes."""
    windows = {arm.label: arm_window(arm.runs) for arm in arms}
    short = [f"{label}: {window}" for label, window in windows.items() if window < RECENT]
    return f" Of fewer episodes, since runs are short: {'; '.join(short)}." if short else ""


def _machines_note(arms: Sequence[Arm]) -> str:
    machines = {run.machine for arm in arms for run in arm.runs if run.machine}
    if len(machines) < 2:
        return ""
    return (
        f" The runs were made on {len(machines)} kinds of machine (see the runs' table), so a difference over "
        "wall-clock time may be theirs."
    )


def _experiments(arms: Sequence[Arm], look: dict[str, Style]) -> Iterator[Drawn]:
    """The article's five: the targets for each action set, then the action sets for each target; alike for others."""
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    targets = [target for target in ALGORITHMS if any(arm.target == target for arm in arms)]
    if len(settings) < 2 or len(targets) < 2:
        return
    numbers = {"complex": "experiment 1", "simple": "experiment 2", "right_only": "experiment 3"}
    for index, setting in enumerate(settings):
        chosen = [arm for arm in arms if arm.setting == setting]
        label = setting_label(chosen[0])
        note = f" (the article's {numbers[label]})" if label in numbers else ""
        yield _curves(f"targets_{index}", f"The targets with {label}{note}", chosen, look)
    numbers = {"target": "experiment 4, its DDQN", "none": "experiment 5, its DQN"}
    for target in targets:
        note = f" (the article's {numbers[target]})" if target in numbers else ""
        chosen = [arm for arm in arms if arm.target == target]
        yield _curves(f"settings_{target}", f"{ALGORITHMS[target]} with each setting{note}", chosen, look)


def _final_scores(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    figure = _figure(11, 1.6 + 0.36 * len(arms))
    panels = figure.subplots(1, 2, sharey=True)
    drawn = Drawn(
        "final_scores",
        "Where training ended",
        f"Mean of the last {RECENT} training episodes, of all where a run has fewer: every seed as a small dot, their "
        "interquartile mean with its 95 % bootstrap interval. Runs that are not done are left out where others are.",
        figure,
    )
    for axes, quantity in zip(panels, OF, strict=True):
        for row, arm in enumerate(arms):
            scores = arm.scores(quantity)
            axes.plot(scores, np.full(len(scores), row + SEED_OFFSET), ".", color=FAINT, markersize=5, gid=arm.name)
            _point(axes, estimate(scores), row, arm, look)
        axes.set_xlabel(OF[quantity])
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.set_xlim(left=0)
    _rows(panels[0], [arm.label for arm in arms])
    return _laid_out(drawn)


def _improvement(between: Sequence[Contest], look: dict[str, Style]) -> Drawn:
    rows: list[tuple[Contest, Arm | None]] = []
    for contest in between:
        rows += [(pair, pair.ours) for pair in contest.each]
        if len(contest.pairs) > 1:
            rows.append((contest, None))
    figure = _figure(11, 1.5 + 0.36 * len(rows))
    axes = figure.subplots()
    for row, (contest, ours) in enumerate(rows):
        _point(axes, contest.improvement, row, ours, look)
        p_value = p_text(contest.p_value)
        axes.text(1.01, row, p_value, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=INK)
    axes.axvline(0.5, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set(xlim=(-0.03, 1.03), xlabel="probability that a run of the first ends with the higher mean x")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    _rows(axes, [contest.label for contest, _ in rows])
    return _laid_out(
        Drawn(
            "improvement",
            "How likely one target is better than another",
            "Share of pairs of runs, one of each arm, of which the first ends higher (ties half), with its 95 % "
            "stratified bootstrap interval; all together: the mean of those above it. At 50 % neither is better. p: "
            "how often arms that are alike would lie as far from 50 % (stratified permutation test); large beside a "
            "narrow interval where few seeds fall apart by chance.",
            figure,
        )
    )


def _needed(pairs: Sequence[Contest], look: dict[str, Style]) -> Drawn:
    figure = _figure(13, 1.6 + 0.36 * len(pairs))
    panels = figure.subplots(1, 2, sharey=True)
    shares_over = {
        "agent_steps": [pair.agent_steps_needed for pair in pairs],
        "episode": [pair.episodes_needed for pair in pairs],
    }
    for axes, (over, shares) in zip(panels, shares_over.items(), strict=True):
        for row, (pair, share) in enumerate(zip(pairs, shares, strict=True)):
            most = 1.15
            shown = Estimate(
                *(min(number, most) if np.isfinite(number) or number == np.inf else number for number in share)
            )
            _point(axes, shown, row, pair.ours, look)
            if share.value == np.inf:
                axes.annotate(
                    "not reached", (most, row), (-6, 6), textcoords="offset points", ha="right", fontsize=8, color=INK
                )
        axes.axvline(ARTICLE_CLAIM, color=FAINT, linewidth=0.8, linestyle="--")
        axes.set(xlim=(0, 1.2), xlabel=f"share of the other's {OVER[over]}")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    _rows(panels[0], [pair.label for pair in pairs])
    return _laid_out(
        Drawn(
            "needed",
            "What one target needs to reach what another ends with",
            "Median over seeds of the agent steps, or episodes, until the running mean of x first reaches the mean x "
            "that the other target ends with, as a share of the other's length; 95 % bootstrap intervals. Dashed: the "
            "article's claim of one fifth, for its two agents, which are DQN with and without target network. Beyond "
            "the edge: not reached by half of the runs.",
            figure,
        )
    )


def _overestimation(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    figure = _figure(4.2 * max(2, len(settings)), 7)
    grid = figure.subplots(2, len(settings), sharex=True, sharey="row", squeeze=False)
    drawn = Drawn(
        "overestimation",
        "What was predicted, and what followed",
        "Above, solid: the highest predicted value, averaged over the states visited in the evaluations during "
        "training; dotted: the discounted return that really followed from those states, in the reward that the agent "
        "is trained on. Below: the first minus the second; values are overestimated where it lies above zero. "
        "Interquartile means over seeds; bands: 95 % bootstrap intervals, where there are several seeds. After van "
        "Hasselt et al. 2016, figure 3.",
        figure,
    )
    for (values, gaps), setting in zip(grid.T, settings, strict=True):
        chosen = [arm for arm in arms if arm.setting == setting]
        values_curves, gap_curves = [], []
        for arm in chosen:
            at, predicted_RM, followed_RM = overestimation(arm)
            if not len(at):
                continue
            for values_RM, what, line in ((predicted_RM, "predicted", "-"), (followed_RM, "followed", ":")):
                shown = over_runs(at, values_RM)
                values.plot(at, shown.value, line, color=look[arm.name].colour, gid=arm.name)
                values_curves.append(_curve_values(arm, shown, f"{arm.label}, {what}"))
            gap = over_runs(at, predicted_RM - followed_RM)
            _draw_band(gaps, arm, gap, Style(look[arm.name].colour, "-", ""))
            gap_curves.append(_curve_values(arm, gap, arm.label))
        gaps.axhline(0.0, color=FAINT, linewidth=0.8, linestyle="--")
        values.set_title(printable(setting_label(chosen[0]), MAX_NAME))
        gaps.set_xlabel("agent steps")
        for axes, curves in ((values, values_curves), (gaps, gap_curves)):
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            _finish(axes)
            drawn.panels.append({"axes": axes, "curves": curves, "over": "agent steps"})
    for axes, label in zip(grid[:, 0], ("value per visited state", "predicted minus followed"), strict=True):
        axes.set_ylabel(f"{label} [reward units]")
    colours_tell_arms = _one_target(arms)
    colours = {arm.label if colours_tell_arms else ALGORITHMS[arm.target]: look[arm.name].colour for arm in arms}
    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    handles.append(Line2D([], [], color=INK, label="predicted"))
    handles.append(Line2D([], [], color=INK, linestyle=":", label="the return that followed"))
    columns = 3 if colours_tell_arms else 5
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    return _laid_out(drawn)


def overestimation(arm: Arm) -> tuple[Floats, Floats, Floats]:
    """Average each run's evaluations during training by their agent steps.

    Returns:
        Agent steps, float64 (moments,), those that all runs share; each run's predicted values and the returns that
        followed, float64 (runs, moments) each.
    """
    # Runs evaluate at the first round of environments past the same mark, so their steps differ by less than a round.
    tables = [(np.round(run.evaluations["agent_steps"], -3), run.evaluations) for run in arm.runs]
    shared = set.intersection(*(set(steps[np.isfinite(table["q_visited"])].tolist()) for steps, table in tables))
    at = np.array(sorted(shared))
    predicted_RM, followed_RM = (
        np.array([[np.nanmean(table[name][steps == moment]) for moment in at] for steps, table in tables])
        for name in ("q_visited", "return_visited")
    )
    return at, predicted_RM, followed_RM


def _clear_rates(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    protocols = [name for name in PROTOCOLS if any(run.final_clears(name) for arm in arms for run in arm.runs)]
    figure = _figure(3.6 + 3.2 * len(protocols), 1.7 + 0.36 * len(arms))
    panels = np.atleast_1d(figure.subplots(1, len(protocols), sharey=True))
    for axes, protocol in zip(panels, protocols, strict=True):
        for row, arm in enumerate(arms):
            counts = [count for run in arm.runs if (count := run.final_clears(protocol)) is not None]
            if not counts:
                continue
            each = [one / of for one, of in counts]
            axes.plot(each, [row + SEED_OFFSET] * len(each), ".", color=FAINT, markersize=5, gid=arm.name)
            clears, episodes = sum(one for one, _ in counts), sum(of for _, of in counts)
            _point(axes, Estimate(clears / episodes, *wilson_interval(clears, episodes)), row, arm, look)
        axes.set(xlim=(-0.04, 1.04), title=protocol, xlabel="episodes cleared")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    _rows(panels[0], [arm.label for arm in arms])
    return _laid_out(
        Drawn(
            "clear_rates",
            "Clear rates of the last weights",
            "Every seed as a small dot; all seeds together with Wilson's 95 % interval, which takes the episodes for "
            "independent: how far apart the dots lie says more about another seed.",
            figure,
        )
    )


def _ends(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    figure = _figure(11, 1.4 + 0.62 * len(arms))
    panels = np.atleast_1d(figure.subplots(len(arms), 1, sharex=True, sharey=True))
    # Stages are up to twice as long as 1-1, and some that the game only has by mistake have no end.
    furthest = max(float(run.episodes["x"][-RECENT_ENDS:].max()) for arm in arms for run in arm.runs)
    most = max(LEAST_X, furthest + END_BIN)
    edges = np.arange(0, most + END_BIN, END_BIN)
    for axes, arm in zip(panels, arms, strict=True):
        x = np.concatenate([run.episodes["x"][-RECENT_ENDS:] for run in arm.runs])
        ends = np.concatenate([run.episodes["end"][-RECENT_ENDS:] for run in arm.runs])
        failed = ends != "clear"
        axes.hist(
            x[failed], edges, weights=np.full(failed.sum(), 1 / len(x)), color=look[arm.name].colour, gid=arm.name
        )
        axes.axvline(FLAG_X, color=FAINT, linewidth=0.8, linestyle="--")
        axes.text(
            1.005, 0.5, f"{np.mean(~failed):.0%} clear", transform=axes.transAxes, va="center", fontsize=8, color=INK
        )
        axes.set_ylabel(arm.label, rotation=0, ha="right", va="center")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _finish(axes)
    panels[-1].set_xlabel("x at which episodes ended that did not clear [pixels]")
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panels[-1].set_xlim(0, most)
    return _laid_out(
        Drawn(
            "ends",
            "Where episodes ended",
            f"Share of the last {RECENT_ENDS} training episodes of every run that ended within each {END_BIN} pixels "
            "without clearing. Dashed: the flag of 1-1.",
            figure,
        )
    )


def _draw_curves(
    axes: Axes, arms: Sequence[Arm], look: dict[str, Style], quantity: str, over: str, drawn: Drawn
) -> None:
    curves = []
    for arm in arms:
        shown = curve(arm.runs, quantity, over)
        _draw_band(axes, arm, shown, look[arm.name])
        curves.append(_curve_values(arm, shown, arm.label))
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    _finish(axes)
    drawn.panels.append({"axes": axes, "curves": curves, "over": OVER[over]})


def _draw_band(axes: Axes, arm: Arm, shown: Curve, style: Style) -> None:
    """Draw a curve with its interval, where there is one."""
    axes.plot(shown.at, shown.value, style.line, color=style.colour, linewidth=1.6, gid=arm.name)
    if np.isfinite(shown.low).all():
        axes.fill_between(shown.at, shown.low, shown.high, color=style.colour, alpha=0.15, linewidth=0, gid=arm.name)


def _curve_values(arm: Arm, shown: Curve, label: str) -> dict[str, Any]:
    """Plain values for the page; None where there is no interval."""
    plain = {
        name: [float(f"{one:.5g}") if np.isfinite(one) else None for one in numbers]
        for name, numbers in shown._asdict().items()
    }
    return {"arm": arm.name, "label": label, **plain}


def _point(axes: Axes, shown: Estimate, row: int, arm: Arm | None, look: dict[str, Style]) -> None:
    """Draw a value with its interval: in the looks of an arm, or of none where it is of several."""
    style, name = (look[arm.name], arm.name) if arm else (Style(INK, "-", "X"), None)
    if np.isfinite(shown.low):
        axes.plot([shown.low, shown.high], [row, row], color=style.colour, linewidth=2, gid=name)
    axes.plot([shown.value], [row], style.marker, color=style.colour, markersize=7, gid=name)


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a dot plot, the first on top."""
    axes.set_yticks(range(len(labels)), [printable(label, MAX_ROW) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    for one in axes.figure.axes:
        _finish(one)


def _legend(figure: Figure, arms: Sequence[Arm], look: dict[str, Style]) -> None:
    handles = [
        Line2D([], [], color=look[arm.name].colour, linestyle=look[arm.name].line, label=arm.label) for arm in arms
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, handlelength=3.2)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(axes: Axes) -> None:
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)


def _laid_out(drawn: Drawn) -> Drawn:
    """Lay the figure out, and only then note where its panels are: shares of width and height, from the top left."""
    with drawing():
        as_text(drawn.figure).canvas.draw()
    for panel in drawn.panels:
        axes = panel.pop("axes")
        box = axes.get_position()
        panel["box"] = [round(number, 5) for number in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)]
        panel["xlim"] = [float(number) for number in axes.get_xlim()]
    return drawn
