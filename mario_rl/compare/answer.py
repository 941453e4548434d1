"""The answer in three sentences, written from the numbers: who ends higher, how much sooner, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from mario_rl.compare.figures import ARTICLE_CLAIM, contests, improvement, overestimation, setting_label
from mario_rl.compare.runs import RECENT, TARGETS, Arm, finished
from mario_rl.compare.statistics import Estimate, estimate, estimate_over_arms, share_needed
from mario_rl.report.curve import Floats


def answer(arms: Sequence[Arm]) -> list[str]:
    """Write three sentences on what the runs say: of Double DQN and DQN where there are both, else of other targets.

    Where no two arms differ in the target alone they are of the arms. Runs that are not done don't count beside those
    that are.
    """
    unfinished = [run for arm in arms for run in arm.runs if not run.done]
    arms = finished(arms)
    between = contests(arms)
    if not between:
        return [_who_ends_highest(arms), _no_pairs(arms), _how_sure(arms, len(unfinished))]
    main = between[0]
    return [
        _sentence("; ".join([*(_who_ends_higher(ours, other) for ours, other in main), *_all_together(main)])),
        _how_much_sooner([main, *(pairs for pairs in between[1:] if _of_the_article(pairs))]),
        f"{_what_was_overestimated([arm for pairs in between for pair in pairs for arm in pair])} "
        f"{_how_sure(arms, len(unfinished))}",
    ]


def _who_ends_higher(ours: Arm, other: Arm) -> str:
    odds = improvement([(ours, other)])
    numbers = " against ".join(_estimate(estimate(arm.scores("x"))) for arm in (ours, other))
    return (
        f"with {setting_label(ours)} {TARGETS[ours.target]} {_verdict(odds)} {TARGETS[other.target]}: "
        f"mean x {numbers}, {_chance(odds)}"
    )


def _all_together(pairs: Sequence[tuple[Arm, Arm]]) -> Iterator[str]:
    if len(pairs) < 2:
        return
    odds, (ours, other) = improvement(pairs), pairs[0]
    if not math.isnan(odds.low):  # one seed in any arm leaves no more to say than the pairs do
        yield f"all together, {TARGETS[ours.target]} {_verdict(odds)} {TARGETS[other.target]}: {_chance(odds)}"


def _verdict(odds: Estimate) -> str:
    if math.isnan(odds.low):
        return "ended higher than" if odds.value > 0.5 else "did not end higher than"
    if odds.low > 0.5:
        return "ended higher than"
    return "ended lower than" if odds.high < 0.5 else "cannot be told apart from"


def _chance(odds: Estimate) -> str:
    return "one seed a side" if math.isnan(odds.low) else f"probability of improvement {_odds(odds)}"


def _of_the_article(pairs: Sequence[tuple[Arm, Arm]]) -> bool:
    """Whether these are the article's two agents; its "DDQN" takes its target from a target network, as DQN does."""
    return (pairs[0][0].target, pairs[0][1].target) == ("target", "none")


def _how_much_sooner(between: Sequence[Sequence[tuple[Arm, Arm]]]) -> str:
    shares = [[share_needed(ours.runs, other.runs, "agent_steps") for ours, other in pairs] for pairs in between]
    parts = []
    for pairs, found in zip(between, shares, strict=True):
        ours, other = pairs[0]
        needed = ", ".join(
            f"{_share(share)} with {setting_label(one)}" for (one, _), share in zip(pairs, found, strict=True)
        )
        article = ' (the article\'s "DDQN" and "DQN")' if _of_the_article(pairs) else ""
        parts.append(
            f"of the agent steps in which {TARGETS[other.target]} came to where it ended, "
            f"{TARGETS[ours.target]} needed {needed}{article}"
        )
    judged = [share for found in shares for share in found if not math.isnan(share.low)]
    if not judged:
        claim = "from one seed a side the article's claim of one fifth can't be judged"
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
            gaps.setdefault(TARGETS[arm.target], []).append(predicted_RM[:, -1] - followed_RM[:, -1])
    if len(gaps) < 2:
        return "How far predictions exceed what follows was not measured for two targets in these runs."
    found = {name: estimate_over_arms(*of_arms) for name, of_arms in gaps.items()}
    differences = _list(f"{name} by {_gap(gap)}" for name, gap in found.items())
    return (
        "In the last evaluation the predicted values differ from the returns that followed for "
        f"{differences} reward units: {_which_are_too_high(found)}."
    )


def _which_are_too_high(gaps: dict[str, Estimate]) -> str:
    over = [name for name, gap in gaps.items() if gap.low > 0]
    under = [name for name, gap in gaps.items() if gap.high < 0]
    unjudged = [name for name, gap in gaps.items() if math.isnan(gap.low)]
    if len(unjudged) == len(gaps):
        return "one seed an arm can't tell whether that is overestimation"
    said = f"overestimation is seen for {_list(over) or 'none'}"
    said += f", underestimation for {_list(under)}" if under else ""
    return f"{said}; an arm with one seed leaves {_list(unjudged)} unjudged" if unjudged else said


def _who_ends_highest(arms: Sequence[Arm]) -> str:
    ranked = sorted(arms, key=lambda arm: -estimate(arm.scores("x")).value)
    parts = [f"{arm.label}: {_estimate(estimate(arm.scores('x')))}" for arm in ranked]
    return f"Mean x of the last {RECENT} training episodes, from the highest: {'; '.join(parts)}."


def _no_pairs(arms: Sequence[Arm]) -> str:
    only = {TARGETS[arm.target] for arm in arms}
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
        left = f" {unfinished} of the {counted + unfinished} runs have not been evaluated at their end and don't count."
    if fewest == 1:
        return f"At least one arm has a single seed: that shows what happened once, not what to expect.{left}"
    chance = 2 / math.comb(2 * fewest, fewest)
    return (
        f"With {fewest} seeds an arm, two arms that are alike would still have all runs of one above all of the other "
        f"in {chance:.1%} of such comparisons: intervals here are narrower than what one does not know.{left}"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _list(words: Iterable[str]) -> str:
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _gap(gap: Estimate) -> str:
    return f"{gap.value:+.2f}" + ("" if math.isnan(gap.low) else f" ({gap.low:+.2f} to {gap.high:+.2f})")


def _estimate(shown: Estimate) -> str:
    return f"{shown.value:,.0f}" + ("" if math.isnan(shown.low) else f" ({shown.low:,.0f} to {shown.high:,.0f})")


def _odds(odds: Estimate) -> str:
    return f"{odds.value:.0%} ({odds.low:.0%} to {odds.high:.0%})"


def _share(share: Estimate) -> str:
    """Write a share; what was not reached by the end of a run, as long as the other's, is more than all."""
    value, low, high = (">100%" if number == math.inf else f"{number:.0%}" for number in share)
    return f"{value} (one seed)" if math.isnan(share.low) else f"{value} ({low} to {high})"
