"""The figures of a report: arms to what each panel shows, in plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mario_rl.compare.baseline import FIRST_STAGE, on_first_stage, random_x
from mario_rl.compare.contests import ARTICLE_CLAIM, Contest, asks_the_article, setting_label
from mario_rl.compare.looks import COLOURS, Style, styles, targets_meet
from mario_rl.compare.plots import (
    BarPanel,
    CurvePanel,
    Figure,
    Level,
    Line,
    Row,
    RowPanel,
    alone,
    names_of,
)
from mario_rl.compare.runs import RECENT, Arm, finished, settled
from mario_rl.compare.statistics import (
    Curve,
    Estimate,
    arm_window,
    clear_rate,
    curve,
    estimate,
    of_clears,
    over_runs,
    overestimation,
)
from mario_rl.compare.words import p_text, percent_text, pixels_text, seeds_text
from mario_rl.names import ALGORITHMS, PROTOCOL_NAMES, Protocol
from mario_rl.report.drawing import FLAG_X
from mario_rl.types import Floats

OVER = {"agent_steps": "agent steps", "episode": "episodes", "minutes": "wall-clock time [min]"}
OF = {"x": f"best x, mean of {RECENT} episodes [pixels]", "return": f"return, mean of {RECENT} episodes [points]"}
END_BIN = 64  # pixels
LEAST_X = 3_400  # pixels: a death map is at least as wide as 1-1
RECENT_ENDS = 500  # episodes of a run in the death map
MOST_TOGETHER = 3  # arms in one panel; with more, each has its own
MOST_NEEDED = 1.15  # share of the other's training: what needs more, or never gets there, is drawn here
INK = "ink"
"""The colour of text, which the page and paper have each their own of: of what is of several arms."""


class Group(NamedTuple):
    """Arms whose curves share a panel: its heading, and of each arm its name there and its colour."""

    title: str
    arms: tuple[Arm, ...]
    labels: tuple[str, ...]
    colours: tuple[str, ...]


def all_figures(arms: Sequence[Arm], between: Sequence[Contest]) -> Iterator[Figure]:
    """Make every figure that the runs have numbers for; of an arm with runs that are done the others are left out.

    Args:
        arms: all of them.
        between: what their targets are to each other.
    """
    arms = settled(arms)
    look = styles(arms)
    groups = _groups(arms, look)
    yield _curves("curves", "Learning curves", arms, groups, "x", "agent_steps")
    yield _final_scores(finished(arms), look, "x")
    if any(run.done for arm in arms for run in arm.runs):
        yield _clear_rates(arms, look)
    if between:
        yield _improvement(between, look)
    if by_target := _by_target(arms):
        yield _curves("curves_by_target", "The same curves, a panel for each target", arms, by_target, "x",
                      "agent_steps", folded=True)  # fmt: skip
    yield _curves("curves_return", "Return, over agent steps", arms, groups, "return", "agent_steps", folded=True)
    yield _final_scores(finished(arms), look, "return")
    yield _curves("curves_episodes", "Best x, over episodes", arms, groups, "x", "episode", folded=True)
    yield _curves("curves_minutes", "Best x, over wall-clock time", arms, groups, "x", "minutes", folded=True)
    if between:
        yield _needed([pair for contest in between for pair in contest.each], look, article=asks_the_article(between))
    yield _ends(arms, look)
    yield from _values(arms, groups)


def _groups(arms: Sequence[Arm], look: Mapping[str, Style]) -> list[Group]:
    """A panel for each setting, its targets in colour; without several targets one for each arm, few arms in one."""

    def colour(arm: Arm) -> str:
        return look[arm.name].colour

    settings = list(dict.fromkeys(arm.setting for arm in arms))
    if len(settings) > 1 and targets_meet(arms):
        of_settings = [[arm for arm in arms if arm.setting == setting] for setting in settings]
        return [_group(setting_label(chosen[0]), chosen, _algorithm, colour) for chosen in of_settings]
    if len(arms) <= MOST_TOGETHER:
        return [_group("", arms, _label, colour)]
    return [_group(arm.label, [arm], _label, colour) for arm in arms]


def _algorithm(arm: Arm) -> str:
    return ALGORITHMS[arm.target]


def _label(arm: Arm) -> str:
    return arm.label


def _by_target(arms: Sequence[Arm]) -> list[Group]:
    """A panel for each target, its settings in colour; nothing where there are not several of both."""
    settings = list(dict.fromkeys(arm.setting for arm in arms))
    if len(settings) < 2 or not targets_meet(arms):
        return []
    colours = {setting: COLOURS[number % len(COLOURS)] for number, setting in enumerate(settings)}
    of_targets = [[arm for arm in arms if arm.target == target] for target in ALGORITHMS]
    return [
        _group(_algorithm(chosen[0]), chosen, setting_label, lambda arm: colours[arm.setting])
        for chosen in of_targets
        if chosen
    ]


def _group(title: str, arms: Sequence[Arm], label: Callable[[Arm], str], colour: Callable[[Arm], str]) -> Group:
    return Group(title, tuple(arms), tuple(map(label, arms)), tuple(map(colour, arms)))


def _curves(
    name: str,
    title: str,
    arms: Sequence[Arm],
    groups: Sequence[Group],
    quantity: str,
    over: str,
    *,
    folded: bool = False,
) -> Figure:
    lines: list[Line] = []
    places: list[range] = []
    for group in groups:
        places.append(range(len(lines), len(lines) + len(group.arms)))
        for arm, label, colour in zip(group.arms, group.labels, group.colours, strict=True):
            lines.append(Line(arm.name, label, curve(arm.runs, quantity, over), colour))
    panels = tuple(
        CurvePanel(
            group.title,
            tuple(own),
            tuple(place for place in range(len(lines)) if place not in own),
            OVER[over],
            OF[quantity],
            _levels(group.arms) if quantity == "x" else (),
        )
        for group, own in zip(groups, places, strict=True)
    )
    grey = " Grey: the arms of the other panels." if len(panels) > 1 else ""
    machines = _machines_note(arms) if over == "minutes" else ""
    caption = (
        f"{seeds_text(arms)} of the running mean of {RECENT} training episodes; bands: 95 % bootstrap intervals over "
        f"seeds, where there are several.{grey} A curve begins where every run of its arm has had as many episodes and "
        "ends where its shortest run does; runs that are not done are left out where others of their arm are."
        f"{_short_note(arms)}{machines}"
    )
    return Figure(name, title, caption, panels, tuple(lines), folded)


def _levels(arms: Sequence[Arm]) -> tuple[Level, ...]:
    """What a distance is to be read against: the flag, and a random policy with the same actions."""
    flag = (Level(FLAG_X, f"the flag of {FIRST_STAGE}"),) if on_first_stage(arms) else ()
    known = random_x(arms)
    return flag if known is None else (*flag, Level(known, "a random policy"))


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


def _final_scores(arms: Sequence[Arm], look: Mapping[str, Style], quantity: str) -> Figure:
    of_x = quantity == "x"
    rows = []
    for arm in arms:
        scores, style = arm.scores(quantity), look[arm.name]
        shown = estimate(scores)
        base = random_x([arm]) if of_x else None
        rows.append(
            Row(arm.label, (arm.name,), shown, pixels_text(shown), style.colour, style.marker, alone(scores), base)
        )
    based = any(row.base is not None for row in rows)
    levels = (Level(FLAG_X, "flag"),) if of_x and on_first_stage(arms) else ()
    return Figure(
        "final_scores" if of_x else "final_return",
        "Where training ended" if of_x else "The return with which training ended",
        f"Mean of the last {RECENT} training episodes, of all where a run has fewer. {seeds_text(arms)} with its 95 % "
        f"bootstrap interval; small dots: every seed.{' Upright stroke: a random policy with these actions.' * based} "
        "Runs that are not done are left out where others are.",
        (RowPanel("", tuple(rows), OF[quantity], levels=levels),),
        folded=not of_x,
    )


def _improvement(between: Sequence[Contest], look: Mapping[str, Style]) -> Figure:
    rows = []
    for contest in between:
        rows += [_improvement_row(pair, look[pair.ours.name].colour) for pair in contest.each]
        if len(contest.pairs) > 1:
            rows.append(_improvement_row(contest, INK))
    return Figure(
        "improvement",
        "How likely one target is better than another",
        "Share of pairs of runs, one of each arm, of which the first ends with the higher mean x (ties half), with its "
        "95 % stratified bootstrap interval; all together: the mean of the pairs, shown while all their arms are "
        "ticked. At 50 % neither is better. p: how often arms that are alike would lie as far from 50 % (stratified "
        "permutation test); large beside a narrow interval where few seeds fall apart by chance.",
        (RowPanel("", tuple(rows), "runs of the first that end higher", (0.0, 1.0), True, (Level(0.5, ""),)),),
    )


def _improvement_row(contest: Contest, colour: str) -> Row:
    shown = contest.improvement
    note = ", ".join(text for text in (percent_text(shown), p_text(contest.p_value)) if text)
    arms = names_of([arm for pair in contest.pairs for arm in pair])
    return Row(contest.label, arms, shown, note, colour, "o" if len(contest.pairs) == 1 else "D")


def _needed(pairs: Sequence[Contest], look: Mapping[str, Style], *, article: bool) -> Figure:
    shares_over = {
        "agent_steps": [pair.agent_steps_needed for pair in pairs],
        "episode": [pair.episodes_needed for pair in pairs],
    }
    levels = (Level(1.0, ""), *((Level(ARTICLE_CLAIM, "the article"),) if article else ()))
    panels = [
        RowPanel(
            "",
            tuple(
                Row(
                    pair.label,
                    names_of(pair.pairs[0]),
                    Estimate(*(number if math.isnan(number) else min(number, MOST_NEEDED) for number in share)),
                    percent_text(share),
                    look[pair.ours.name].colour,
                )
                for pair, share in zip(pairs, shares, strict=True)
            ),
            f"share of the other's {OVER[over]}",
            (0.0, 1.2),
            True,
            levels,
        )
        for over, shares in shares_over.items()
    ]
    claim = (
        " The article's claim is one fifth, for its two agents: DQN with and without a target network."
        if article
        else ""
    )
    return Figure(
        "needed",
        "How much training one target needs to reach what another ends with",
        "Median over seeds of the agent steps, or episodes, until the running mean of x first reaches the mean x that "
        "the other target ends with, as a share of the other's length; 95 % bootstrap intervals. More than 100 %: not "
        f"reached by half of the runs.{claim}",
        tuple(panels),
        folded=True,
    )


def _values(arms: Sequence[Arm], groups: Sequence[Group]) -> Iterator[Figure]:
    """Predicted values beside actual returns, and the first minus the second; nothing where they were not measured."""
    if not any(np.isfinite(run.evaluations["q_visited"]).any() for arm in arms for run in arm.runs):
        return
    values: list[Line] = []
    gaps: list[Line] = []
    panels: tuple[list[CurvePanel], list[CurvePanel]] = ([], [])
    zero = (Level(0.0, ""),)
    for group in groups:
        first = len(values), len(gaps)
        for arm, label, colour in zip(group.arms, group.labels, group.colours, strict=True):
            at, predicted_RM, followed_RM = overestimation(arm)
            if not len(at):
                continue
            values.append(Line(arm.name, f"{label}, predicted", _means(at, predicted_RM), colour))
            values.append(Line(arm.name, f"{label}, actual", _means(at, followed_RM), colour, ":"))
            gaps.append(Line(arm.name, label, over_runs(at, predicted_RM - followed_RM), colour))
        own = tuple(range(first[0], len(values))), tuple(range(first[1], len(gaps)))
        if own[0]:
            over = OVER["agent_steps"]
            panels[0].append(CurvePanel(group.title, own[0], (), over, "value per visited state [reward units]"))
            panels[1].append(CurvePanel(group.title, own[1], (), over, "predicted minus actual [reward units]", zero))
    if not values:
        return
    yield Figure(
        "overestimation",
        "Overestimation: predicted values minus actual returns",
        f"Values are overestimated where the curve lies above zero. {seeds_text(arms)}; bands: "
        "95 % bootstrap intervals, where there are several seeds. After van Hasselt et al. 2016, figure 3.",
        tuple(panels[1]),
        tuple(gaps),
        folded=True,
    )
    yield Figure(
        "values",
        "Predicted values and actual returns",
        "Solid: the highest predicted value, averaged over the states visited in the evaluations during training; "
        "dotted: the discounted return actually obtained from those states, in the reward that the agent is trained "
        f"on. {seeds_text(arms)}.",
        tuple(panels[0]),
        tuple(values),
        folded=True,
    )


def _means(at: Floats, values_RM: Floats) -> Curve:
    """Interquartile means over runs without their intervals, where bands of two quantities would hide each other."""
    shown = over_runs(at, values_RM)
    return shown._replace(low=np.full(len(at), np.nan), high=np.full(len(at), np.nan))


def _clear_rates(arms: Sequence[Arm], look: Mapping[str, Style]) -> Figure:
    panels = []
    for protocol in protocols_of(arms):
        rows = []
        for arm in arms:
            counts = arm.final_clears(protocol)
            if not counts:
                continue
            shown, style = clear_rate(counts), look[arm.name]
            seeds = tuple(of_clears(*count) for count in counts)
            rows.append(
                Row(arm.label, (arm.name,), shown, percent_text(shown), style.colour, style.marker, seeds)
            )  # fmt: skip
        panels.append(RowPanel(protocol, tuple(rows), "episodes cleared", (0.0, None), True))
    return Figure(
        "clear_rates",
        "Clear rates of the last weights",
        f"{seeds_text(arms)} with its 95 % bootstrap interval over seeds (Wilson's, of all episodes, where all seeds "
        "cleared as often or there is one). Beneath: every seed with Wilson's 95 % interval for its episodes.",
        tuple(panels),
    )


def protocols_of(arms: Sequence[Arm]) -> list[Protocol]:
    """Under which protocols any of the runs has been evaluated at its end; greedy, a single episode, comes last."""
    made = [name for name in PROTOCOL_NAMES if any(run.final_clears(name) for arm in arms for run in arm.runs)]
    return sorted(made, key=lambda name: name == "greedy")


def _ends(arms: Sequence[Arm], look: Mapping[str, Style]) -> Figure:
    # Stages are up to twice as long as 1-1, and some that the game only has by mistake have no end.
    furthest = max(float(run.episodes["x"][-RECENT_ENDS:].max()) for arm in arms for run in arm.runs)
    edges = np.arange(0, max(LEAST_X, furthest + END_BIN) + END_BIN, END_BIN)
    levels = (Level(FLAG_X, "flag"),) if on_first_stage(arms) else ()
    panels = []
    for arm in arms:
        x = np.concatenate([run.episodes["x"][-RECENT_ENDS:] for run in arm.runs])
        failed = np.concatenate([run.episodes["end"][-RECENT_ENDS:] for run in arm.runs]) != "clear"
        shares = np.histogram(x[failed], edges)[0] / len(x)
        panels.append(
            BarPanel(
                arm.label,
                arm.name,
                END_BIN,
                tuple(float(share) for share in shares),
                f"{100 * np.mean(~failed):.0f} % cleared",
                look[arm.name].colour,
                "x at the end [pixels]",
                "episodes",
                levels,
            )
        )
    return Figure(
        "ends",
        "Where episodes ended",
        f"Share of the last {RECENT_ENDS} training episodes of every run that ended within each {END_BIN} pixels "
        "without clearing.",
        tuple(panels),
        folded=True,
    )
