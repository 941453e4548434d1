"""The answer in three sentences, written from the numbers: who ends higher, how much sooner, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mario_rl.compare.figures import ARTICLE_CLAIM, overestimation, pairs_of_targets, setting_label
from mario_rl.compare.runs import RECENT, TARGETS, Arm
from mario_rl.compare.statistics import Estimate, estimate, probability_of_improvement, share_needed


def answer(arms: Sequence[Arm]) -> list[str]:
    """Write three sentences on what the runs say: of Double DQN and DQN where there are both, else of the arms."""
    pairs = [(ours, other) for ours, other in pairs_of_targets(arms) if other.target == "target"]
    if not pairs:
        pairs = list(pairs_of_targets(arms))
    if not pairs:
        return [_who_ends_highest(arms), _no_pairs(arms), _how_sure(arms)]
    return [
        _sentence("; ".join(_who_ends_higher(ours, other) for ours, other in pairs)),
        _how_much_sooner(pairs),
        f"{_what_was_overestimated(pairs)} {_how_sure(arms)}",
    ]


def _who_ends_higher(ours: Arm, other: Arm) -> str:
    odds = probability_of_improvement(ours.scores("x"), other.scores("x"))
    verdict = "cannot be told apart from"
    if math.isnan(odds.low):
        verdict = "ended higher than" if odds.value > 0.5 else "did not end higher than"
    elif odds.low > 0.5:
        verdict = "ended higher than"
    elif odds.high < 0.5:
        verdict = "ended lower than"
    numbers = " against ".join(_estimate(estimate(arm.scores("x"))) for arm in (ours, other))
    chance = "one seed a side" if math.isnan(odds.low) else f"probability of improvement {_odds(odds)}"
    return f"with {setting_label(ours)} Double DQN {verdict} {TARGETS[other.target]}: mean x {numbers}, {chance}"


def _how_much_sooner(pairs: Sequence[tuple[Arm, Arm]]) -> str:
    parts, confirmed = [], []
    for ours, other in pairs:
        share = share_needed(ours.runs, other.runs, "agent_steps")
        confirmed.append(share.high <= ARTICLE_CLAIM)
        if share.value == math.inf:
            parts.append(f"with {setting_label(ours)} half of its runs or more never got there")
        else:
            parts.append(f"with {setting_label(ours)} {_share(share)}")
    claim = (
        "holds in all of them" if all(confirmed) else "holds in some of them" if any(confirmed) else "is not confirmed"
    )
    return (
        f"Of the agent steps in which {TARGETS[pairs[0][1].target]} came to where it ended, Double DQN needed "
        f"{'; '.join(parts)}; the article's claim of one fifth {claim}."
    )


def _what_was_overestimated(pairs: Sequence[tuple[Arm, Arm]]) -> str:
    gaps: dict[str, list[float]] = {}
    for arm in {one.name: one for pair in pairs for one in pair}.values():
        at, predicted, followed = overestimation(arm)
        if len(at):
            gaps.setdefault(TARGETS[arm.target], []).append(float(predicted[-1] - followed[-1]))
    if len(gaps) < 2:
        return "How far predictions exceed what follows was not measured in these runs."
    parts = " and ".join(f"{name} by {np.mean(gap):+.2f}" for name, gap in gaps.items())
    return (
        f"In the last evaluation the predicted values differ from the returns that followed for {parts} reward units."
    )


def _who_ends_highest(arms: Sequence[Arm]) -> str:
    ranked = sorted(arms, key=lambda arm: -estimate(arm.scores("x")).value)
    parts = [f"{arm.label}: {_estimate(estimate(arm.scores('x')))}" for arm in ranked]
    return f"Mean x of the last {RECENT} training episodes, from the highest: {'; '.join(parts)}."


def _no_pairs(arms: Sequence[Arm]) -> str:
    only = {TARGETS[arm.target] for arm in arms}
    return (
        f"All runs are of {only.pop()}, so they do not compare targets."
        if len(only) == 1
        else "No two arms differ in the target alone with Double DQN as one of them, so they do not compare it."
    )


def _how_sure(arms: Sequence[Arm]) -> str:
    seeds = [len(arm.runs) for arm in arms]
    fewest, runs = min(seeds), sum(seeds)
    unfinished = sum(not run.done for arm in arms for run in arm.runs)
    left = f" {unfinished} of the {runs} runs have not been evaluated at their end." if unfinished else ""
    if fewest == 1:
        return f"At least one arm has a single seed: that shows what happened once, not what to expect.{left}"
    chance = 2 / math.comb(2 * fewest, fewest)
    return (
        f"With {fewest} seeds an arm, two arms that are alike would still have all runs of one above all of the other "
        f"in {chance:.1%} of such comparisons: intervals here are narrower than what one does not know.{left}"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _estimate(shown: Estimate) -> str:
    return f"{shown.value:,.0f}" + ("" if math.isnan(shown.low) else f" ({shown.low:,.0f} to {shown.high:,.0f})")


def _odds(odds: Estimate) -> str:
    return f"{odds.value:.0%} ({odds.low:.0%} to {odds.high:.0%})"


def _share(share: Estimate) -> str:
    if math.isnan(share.low):
        return f"{share.value:.0%} (one seed)"
    high = "never" if share.high == math.inf else f"{share.high:.0%}"
    return f"{share.value:.0%} ({share.low:.0%} to {high})"
