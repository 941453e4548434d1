"""The figures of a report: arms to pictures, the same one as PNG and, with its numbers beside it, in the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, PercentFormatter, StrMethodFormatter

from mario_rl.compare.contests import ARTICLE_CLAIM, Contest, setting_label
from mario_rl.compare.looks import (
    FAINT,
    INK,
    Drawn,
    Style,
    curve_values,
    draw_band,
    draw_legend,
    draw_point,
    finish,
    laid_out,
    name_rows,
    new_figure,
    of_one_target,
    styles,
)
from mario_rl.compare.runs import RECENT, Arm, finished, settled
from mario_rl.compare.statistics import Estimate, arm_window, curve, estimate, over_runs, overestimation
from mario_rl.compare.words import p_text
from mario_rl.evaluation import wilson_interval
from mario_rl.files import printable
from mario_rl.names import ALGORITHMS
from mario_rl.report.drawing import FLAG_X, MAX_NAME

PROTOCOLS = ("noop", "sticky", "epsilon", "greedy")
OVER = {"agent_steps": "agent steps", "episode": "episodes", "minutes": "wall-clock time [min]"}
OF = {"x": f"best x, mean of {RECENT} episodes [pixels]", "return": f"return, mean of {RECENT} episodes [points]"}
END_BIN = 64  # pixels
LEAST_X = 3_400  # pixels: a death map is at least as wide as 1-1
SEED_OFFSET = 0.28  # rows: the seeds' dots stand under their mean
RECENT_ENDS = 500  # episodes of a run in the death map


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
    figure = new_figure(13, 7)
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
    draw_legend(figure, arms, look)
    return laid_out(drawn)


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
    figure = new_figure(11, 1.6 + 0.36 * len(arms))
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
            draw_point(axes, estimate(scores), row, arm, look)
        axes.set_xlabel(OF[quantity])
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.set_xlim(left=0)
    name_rows(panels[0], [arm.label for arm in arms])
    return laid_out(drawn)


def _improvement(between: Sequence[Contest], look: dict[str, Style]) -> Drawn:
    rows: list[tuple[Contest, Arm | None]] = []
    for contest in between:
        rows += [(pair, pair.ours) for pair in contest.each]
        if len(contest.pairs) > 1:
            rows.append((contest, None))
    figure = new_figure(11, 1.5 + 0.36 * len(rows))
    axes = figure.subplots()
    for row, (contest, ours) in enumerate(rows):
        draw_point(axes, contest.improvement, row, ours, look)
        p_value = p_text(contest.p_value)
        axes.text(1.01, row, p_value, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=INK)
    axes.axvline(0.5, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set(xlim=(-0.03, 1.03), xlabel="probability that a run of the first ends with the higher mean x")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    name_rows(axes, [contest.label for contest, _ in rows])
    return laid_out(
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
    figure = new_figure(13, 1.6 + 0.36 * len(pairs))
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
            draw_point(axes, shown, row, pair.ours, look)
            if share.value == np.inf:
                axes.annotate(
                    "not reached", (most, row), (-6, 6), textcoords="offset points", ha="right", fontsize=8, color=INK
                )
        axes.axvline(ARTICLE_CLAIM, color=FAINT, linewidth=0.8, linestyle="--")
        axes.set(xlim=(0, 1.2), xlabel=f"share of the other's {OVER[over]}")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    name_rows(panels[0], [pair.label for pair in pairs])
    return laid_out(
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
    figure = new_figure(4.2 * max(2, len(settings)), 7)
    grid = figure.subplots(2, len(settings), sharex=True, sharey="row", squeeze=False)
    drawn = Drawn(
        "overestimation",
        "Predicted values and actual returns",
        "Above, solid: the highest predicted value, averaged over the states visited in the evaluations during "
        "training; dotted: the discounted return actually obtained from those states, in the reward that the agent "
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
            for values_RM, what, line in ((predicted_RM, "predicted", "-"), (followed_RM, "actual", ":")):
                shown = over_runs(at, values_RM)
                values.plot(at, shown.value, line, color=look[arm.name].colour, gid=arm.name)
                values_curves.append(curve_values(arm, shown, f"{arm.label}, {what}"))
            gap = over_runs(at, predicted_RM - followed_RM)
            draw_band(gaps, arm, gap, Style(look[arm.name].colour, "-", ""))
            gap_curves.append(curve_values(arm, gap, arm.label))
        gaps.axhline(0.0, color=FAINT, linewidth=0.8, linestyle="--")
        values.set_title(printable(setting_label(chosen[0]), MAX_NAME))
        gaps.set_xlabel("agent steps")
        for axes, curves in ((values, values_curves), (gaps, gap_curves)):
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            finish(axes)
            drawn.panels.append({"axes": axes, "curves": curves, "over": "agent steps"})
    for axes, label in zip(grid[:, 0], ("value per visited state", "predicted minus actual"), strict=True):
        axes.set_ylabel(f"{label} [reward units]")
    colours_tell_arms = of_one_target(arms)
    colours = {arm.label if colours_tell_arms else ALGORITHMS[arm.target]: look[arm.name].colour for arm in arms}
    handles = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
    handles.append(Line2D([], [], color=INK, label="predicted"))
    handles.append(Line2D([], [], color=INK, linestyle=":", label="actual return"))
    columns = 3 if colours_tell_arms else 5
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    return laid_out(drawn)


def _clear_rates(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    protocols = [name for name in PROTOCOLS if any(run.final_clears(name) for arm in arms for run in arm.runs)]
    figure = new_figure(3.6 + 3.2 * len(protocols), 1.7 + 0.36 * len(arms))
    panels = np.atleast_1d(figure.subplots(1, len(protocols), sharey=True))
    for axes, protocol in zip(panels, protocols, strict=True):
        for row, arm in enumerate(arms):
            counts = [count for run in arm.runs if (count := run.final_clears(protocol)) is not None]
            if not counts:
                continue
            each = [one / of for one, of in counts]
            axes.plot(each, [row + SEED_OFFSET] * len(each), ".", color=FAINT, markersize=5, gid=arm.name)
            clears, episodes = sum(one for one, _ in counts), sum(of for _, of in counts)
            draw_point(axes, Estimate(clears / episodes, *wilson_interval(clears, episodes)), row, arm, look)
        axes.set(xlim=(-0.04, 1.04), title=protocol, xlabel="episodes cleared")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    name_rows(panels[0], [arm.label for arm in arms])
    return laid_out(
        Drawn(
            "clear_rates",
            "Clear rates of the last weights",
            "Every seed as a small dot; all seeds together with Wilson's 95 % interval, which takes the episodes for "
            "independent: how far apart the dots lie says more about another seed.",
            figure,
        )
    )


def _ends(arms: Sequence[Arm], look: dict[str, Style]) -> Drawn:
    figure = new_figure(11, 1.4 + 0.62 * len(arms))
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
        finish(axes)
    panels[-1].set_xlabel("x at which episodes ended that did not clear [pixels]")
    panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    panels[-1].set_xlim(0, most)
    return laid_out(
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
        draw_band(axes, arm, shown, look[arm.name])
        curves.append(curve_values(arm, shown, arm.label))
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    finish(axes)
    drawn.panels.append({"axes": axes, "curves": curves, "over": OVER[over]})
