"""The answer in three sentences, written from the numbers: who ends higher, how much sooner, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mario_rl.compare.contests import ARTICLE_CLAIM, Contest
from mario_rl.compare.runs import RECENT, Arm, finished
from mario_rl.compare.statistics import Estimate, estimate, estimate_over_arms, overestimation
from mario_rl.compare.words import gap_text, list_text, p_text, percent_text, pixels_text
from mario_rl.names import ALGORITHMS
from mario_rl.types import Floats

MOST_CHANCE = 0.05
"""The p-value up to which a difference is more than chance."""


def answer(arms: Sequence[Arm], between: Sequence[Contest]) -> list[str]:
    """Write three sentences on what the runs say: of Double DQN and DQN where there are both, else of other targets.

    Where no two arms differ in the target alone they are of the arms. Runs that are not done don't count beside those
    that are.

    Args:
        arms: all of them.
        between: what the targets of those that count are to each other.
    """
    unfinished = [run for arm in arms for run in arm.runs if not run.done]
    arms = finished(arms)
    if not between:
        return [_who_ends_highest(arms), _no_pairs(arms), _how_sure(arms, len(unfinished))]
    main, *others = between
    who = [_who_ends_higher(pair) for pair in main.each]
    if len(main.pairs) > 1 and not math.isnan(main.improvement.low):  # one seed in any arm: no more than the pairs say
        who.append(_who_ends_higher_overall(main))
    return [
        _sentence("; ".join(who)),
        _how_much_sooner([main, *(contest for contest in others if _of_the_article(contest))]),
        f"{_what_was_overestimated([arm for contest in between for pair in contest.pairs for arm in pair])} "
        f"{_how_sure(arms, len(unfinished))}",
    ]


def _who_ends_higher(pair: Contest) -> str:
    numbers = " against ".join(pixels_text(estimate(arm.scores("x"))) for arm in (pair.ours, pair.other))
    chance = "" if math.isnan(pair.improvement.low) else f", {_chance(pair)}"
    return f"with {pair.setting} {_verdict(pair)}: mean x {numbers}{chance}"


def _who_ends_higher_overall(contest: Contest) -> str:
    return f"{contest.setting}, {_verdict(contest)}: {_chance(contest)}"


def _verdict(contest: Contest) -> str:
    """Say who ends higher, and for sure only where the interval and the permutation test agree on it."""
    (ours, other), odds = contest.names, contest.improvement
    if math.isnan(odds.low):
        return f"{ours} {'ended' if odds.value > 0.5 else 'did not end'} higher than {other}"
    if odds.low <= 0.5 <= odds.high:
        return f"{ours} cannot be told apart from {other}"
    way = "higher" if odds.low > 0.5 else "lower"
    return f"{ours} {'ended' if contest.p_value <= MOST_CHANCE else 'seems to end'} {way} than {other}"


def _chance(contest: Contest) -> str:
    return f"probability of improvement {percent_text(contest.improvement)}, {p_text(contest.p_value)}"


def _of_the_article(contest: Contest) -> bool:
    """Whether these are the article's two agents; its "DDQN" takes its target from a target network, as DQN does."""
    return contest.targets == ("target", "none")


def _how_much_sooner(between: Sequence[Contest]) -> str:
    parts = []
    for contest in between:
        ours, other = contest.names
        needed = ", ".join(f"{percent_text(pair.agent_steps_needed)} with {pair.setting}" for pair in contest.each)
        article = ' (the article\'s "DDQN" and "DQN")' if _of_the_article(contest) else ""
        parts.append(f"of the agent steps in which {other} reached its final mean x, {ours} needed {needed}{article}")
    shares = [pair.agent_steps_needed for contest in between for pair in contest.each]
    judged = [share for share in shares if not math.isnan(share.low)]
    if not judged:
        claim = "with one seed per side the article's claim of one fifth can't be judged"
    else:
        holds = sum(share.high <= ARTICLE_CLAIM for share in judged)
        below = sum(share.low > ARTICLE_CLAIM for share in judged)
        claim = (
            f"the article's claim of one fifth holds in {holds} of {len(judged)} and lies below the interval in {below}"
        )
    return _sentence("; ".join([*parts, claim]))


def _what_was_overestimated(arms: Sequence[Arm]) -> str:
    gaps: dict[str, list[Floats]] = {}
    for arm in {one.name: one for one in arms}.values():
        at, predicted_RM, followed_RM = overestimation(arm)
        if len(at):
            gaps.setdefault(ALGORITHMS[arm.target], []).append(predicted_RM[:, -1] - followed_RM[:, -1])
    if len(gaps) < 2:
        return "How far predictions exceed actual returns was not measured for two targets in these runs."
    found = {name: estimate_over_arms(*of_arms) for name, of_arms in gaps.items()}
    differences = list_text(f"{name} by {gap_text(gap)}" for name, gap in found.items())
    return (
        "In the last evaluation the predicted values differ from the actual returns for "
        f"{differences} reward units: {_which_are_too_high(found)}."
    )


def _which_are_too_high(gaps: dict[str, Estimate]) -> str:
    over = [name for name, gap in gaps.items() if gap.low > 0]
    under = [name for name, gap in gaps.items() if gap.high < 0]
    unjudged = [name for name, gap in gaps.items() if math.isnan(gap.low)]
    if len(unjudged) == len(gaps):
        return "one seed an arm can't tell whether that is overestimation"
    said = f"overestimation is seen for {list_text(over) or 'none'}"
    said += f", underestimation for {list_text(under)}" if under else ""
    return f"{said}; an arm with one seed leaves {list_text(unjudged)} unjudged" if unjudged else said


def _who_ends_highest(arms: Sequence[Arm]) -> str:
    ranked = sorted(arms, key=lambda arm: -estimate(arm.scores("x")).value)
    parts = [f"{arm.label}: {pixels_text(estimate(arm.scores('x')))}" for arm in ranked]
    return f"Mean x of the last {RECENT} training episodes, from the highest: {'; '.join(parts)}."


def _no_pairs(arms: Sequence[Arm]) -> str:
    only = {ALGORITHMS[arm.target] for arm in arms}
    return (
        f"All runs are of {only.pop()}, so they do not compare targets."
        if len(only) == 1
        else "No two arms differ in the target alone, so they do not compare targets."
    )


def _how_sure(arms: Sequence[Arm], unfinished: int) -> str:
    fewest, counted = min(len(arm.runs) for arm in arms), sum(len(arm.runs) for arm in arms)
    left = ""
    if not any(run.done for arm in arms for run in arm.runs):
        left = " No run has been evaluated at its end."
    elif unfinished:
        verbs = "has not been evaluated at its end and doesn't count"
        if unfinished > 1:
            verbs = "have not been evaluated at their end and don't count"
        left = f" {unfinished} of the {counted + unfinished} runs {verbs}."
    if fewest == 1:
        return f"At least one arm has a single seed: that shows what happened once, not what to expect.{left}"
    chance = 2 / math.comb(2 * fewest, fewest)
    return (
        f"With {fewest} seeds an arm, two arms that are alike still have all runs of one above all of the other in "
        f"{chance:.1%} of such comparisons; so one is said to end higher or lower only where a permutation test "
        f"(p \u2264 {MOST_CHANCE}) agrees with the interval, and to seem to where it does not.{left}"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
