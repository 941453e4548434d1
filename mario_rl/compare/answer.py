"""The question of a study and its answer, in a line, in three sentences, and in numbers; all written from the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mario_rl.compare.baseline import FIRST_STAGE, on_first_stage
from mario_rl.compare.contests import ARTICLE_CLAIM, Contest, asks_the_article
from mario_rl.compare.runs import RECENT, Arm, finished
from mario_rl.compare.statistics import Estimate, estimate, estimate_over_arms, overestimation
from mario_rl.compare.words import (
    gap_text,
    list_text,
    p_text,
    percent_text,
    pixel_range_text,
    pixels_text,
    range_text,
    share_text,
)
from mario_rl.names import ALGORITHMS
from mario_rl.report.drawing import FLAG_X
from mario_rl.types import Floats
from mario_rl.wording import count_text

MOST_CHANCE = 0.05
"""The p-value up to which a difference is more than chance."""

MOST_NAMED = 3  # stages in a question, keys in a question, arms in a ranking
FEW_SEEDS = 5  # seeds an arm, below which only large differences can be told from chance


class Answer(NamedTuple):
    """What a study asks, and what its runs say.

    verdict: the answer in one line. gloss: what the numbers in it are. bullets: three sentences without numbers of
    runs. numbers: the same in full, three paragraphs.
    """

    question: str
    verdict: str
    gloss: str
    bullets: tuple[str, str, str]
    numbers: tuple[str, str, str]


def answer(arms: Sequence[Arm], between: Sequence[Contest]) -> Answer:
    """Say what the runs say: of Double DQN and DQN where there are both, else of other targets.

    Where no two arms differ in the target alone they are of the arms. Runs that are not done don't count beside those
    that are.

    Args:
        arms: all of them.
        between: what the targets of those that count are to each other.
    """
    unfinished = sum(not run.done for arm in arms for run in arm.runs)
    arms = finished(arms)
    if between:
        return _of_targets(arms, between, unfinished)
    if len(arms) == 1:
        return _of_one_arm(arms, unfinished)
    return _of_arms(arms, unfinished)


def _of_targets(arms: Sequence[Arm], between: Sequence[Contest], unfinished: int) -> Answer:
    main = between[0]
    judged = [arm for contest in between for pair in contest.pairs for arm in pair]
    who = [_who_ends_higher(pair) for pair in main.each]
    if len(main.pairs) > 1 and not math.isnan(main.improvement.low):  # one seed in any arm: no more than the pairs say
        who.append(_who_ends_higher_overall(main))
    gaps = _gaps(judged)
    return Answer(
        _beats(main, arms),
        _yes_or_no(main),
        f"Of all pairs of runs, one of each with the same settings, so many end with the higher mean x by "
        f"{main.names[0]}; at 50 % neither is better.",
        (
            _by_setting(main),
            _sooner_in_words(between),
            f"{_too_high_in_words(gaps)} {_seeds_in_words(arms)}",
        ),
        (
            _sentence("; ".join(who)),
            _how_much_sooner([main, *(contest for contest in between[1:] if contest.of_the_article)]),
            f"{_what_was_overestimated(gaps)} {_how_sure(arms, unfinished)}",
        ),
    )


def _of_arms(arms: Sequence[Arm], unfinished: int) -> Answer:
    first, second, *_ = ranked = _ranked(arms)
    best = Contest(((first, second),))
    keys = list(arms[0].values)
    if len(arms) == 2 and len(keys) == 1:
        asked = Contest(((arms[1], arms[0]),))
        question, verdict, picked = _beats(asked, arms), _yes_or_no(asked), ""
        gloss = _gloss(asked)
    else:
        what = list_text(_key_words(key) for key in keys) if len(keys) <= 2 else f"of these {len(arms)} settings"
        question = f"Which {what} takes Mario furthest{_where(arms)}?"
        verdict = _which(best)
        gloss = _gloss(best)
        picked = "" if math.isnan(best.improvement.low) else (
            " The two were picked after looking, as the best and the next, so p flatters the best."
        )  # fmt: skip
    return Answer(
        question,
        verdict,
        f"{gloss}{picked}",
        (_ranking_in_words(ranked), _cleared_in_words(arms), _seeds_in_words(arms)),
        (_who_ends_highest(arms), _first_clears(arms), _how_sure(arms, unfinished)),
    )


def _of_one_arm(arms: Sequence[Arm], unfinished: int) -> Answer:
    (arm,) = arms
    shown = estimate(arm.scores("x"))
    interval = "one seed" if math.isnan(shown.low) else pixel_range_text(shown.low, shown.high)
    flag = f"; the flag stands at {FLAG_X:,}" if on_first_stage(arms) else ""
    return Answer(
        f"How far does {arm.label} get{_where(arms)}?",
        f"To x {shown.value:,.0f}, {interval}{flag}",
        f"Mean of the best x of the last {RECENT} training episodes, pixels.",
        (
            _trend_in_words(arm),
            _cleared_in_words(arms),
            _seeds_in_words(arms),
        ),
        (_who_ends_highest(arms), _first_clears(arms), _how_sure(arms, unfinished)),
    )


def _where(arms: Sequence[Arm]) -> str:
    """Name what is played, at the end of a question; nothing where arms play different stages."""
    stages = {run.config.env.stage for arm in arms for run in arm.runs}
    if len(stages) > 1:
        return ""
    (stage,) = stages
    if stage == "game":
        return " in the whole game"
    if isinstance(stage, str):
        return f" on {stage}"
    each = list(dict.fromkeys(stage))
    return f" on {list_text(each)}" if len(each) <= MOST_NAMED else f" on {len(each)} stages"


def _key_words(key: str) -> str:
    """Name a key of the config in a question: `action set`."""
    return key.rpartition(".")[2].replace("_", " ")


def _beats(contest: Contest, arms: Sequence[Arm]) -> str:
    ours, other = contest.names
    return f"Does {ours} beat {other}{_where(arms)}?"


def _yes_or_no(contest: Contest) -> str:
    """Answer whether ours beats the other: yes only where the interval and the permutation test agree."""
    odds = contest.improvement
    if math.isnan(odds.low):
        return "Not shown: one seed an arm can't tell"
    numbers = f"{share_text(odds.value)}, {range_text(odds.low, odds.high)}, {p_text(contest.p_value)}"
    if odds.low <= 0.5 <= odds.high:
        return f"Not shown: {numbers}"
    sure = contest.p_value <= MOST_CHANCE
    if odds.low > 0.5:
        return f"{'Yes' if sure else 'It seems so, but chance could do it'}: {numbers}"
    return f"{'No, it ends lower' if sure else 'It seems to end lower, but chance could do it'}: {numbers}"


def _which(best: Contest) -> str:
    """Name the arm that came furthest, and whether it is shown to come further than the next."""
    first, second = best.ours, best.other
    odds = best.improvement
    if math.isnan(odds.low):
        return f"Not shown with one seed: {first.label} came furthest, to x {estimate(first.scores('x')).value:,.0f}"
    numbers = f"{share_text(odds.value)}, {range_text(odds.low, odds.high)}, {p_text(best.p_value)}"
    if odds.low > 0.5 and best.p_value <= MOST_CHANCE:
        return f"{first.label}, ahead of {second.label}: {numbers}"
    return f"Not shown: {first.label} is ahead of {second.label} in {numbers}"


def _gloss(contest: Contest) -> str:
    if math.isnan(contest.improvement.low):
        return f"x is the mean of the best x of the last {RECENT} training episodes, pixels."
    ours, other = contest.names
    return (
        f"Of all pairs of runs, one of {ours} and one of {other}, so many end with the higher mean x by the first; at "
        "50 % neither is better."
    )


def _by_setting(main: Contest) -> str:
    """Say of each setting who ends higher, settings of one verdict together."""
    if len(main.pairs) == 1:
        return f"{_verdict(main)}, by where training ends."
    of_verdicts: dict[str, list[str]] = {}
    for pair in main.each:
        of_verdicts.setdefault(_verdict(pair), []).append(pair.setting)
    rarest_first = sorted(of_verdicts.items(), key=lambda item: len(item[1]))
    return _sentence("; ".join(f"with {list_text(settings)}, {verdict}" for verdict, settings in rarest_first))


def _sooner_in_words(between: Sequence[Contest]) -> str:
    main = between[0]
    ours, other = main.names
    shares = [pair.agent_steps_needed for pair in main.each]
    sooner, judged = sum(share.high < 1 for share in shares), sum(not math.isnan(share.low) for share in shares)
    if not judged:
        said = f"Whether {ours} needs less training than {other} one seed an arm can't tell."
    elif judged == 1:
        said = f"{ours} {'needs' if sooner else 'is not shown to need'} less training to get as far as {other}."
    elif not sooner:
        said = f"{ours} is not shown to need less training to get as far as {other}, with any setting."
    else:
        said = f"{ours} needs less training to get as far as {other} with {sooner} of {judged} settings."
    if not asks_the_article(between):
        return said
    holds, claims = _claims([contest for contest in between if contest.of_the_article])
    if not claims:
        return f"{said} The article's claim, a fifth of the training, can't be judged."
    found = "none" if not holds else f"{holds}"
    return f"{said} The article's claim for its two agents, a fifth of the training, holds in {found} of {claims}."


def _claims(contests: Sequence[Contest]) -> tuple[int, int]:
    """In how many comparisons the article's claim of one fifth holds, and how many can be judged."""
    judged = [one for one in (pair.agent_steps_needed for contest in contests for pair in contest.each)
              if not math.isnan(one.low)]  # fmt: skip
    return sum(share.high <= ARTICLE_CLAIM for share in judged), len(judged)


def _too_high_in_words(gaps: dict[str, Estimate]) -> str:
    if len(gaps) < 2:
        return "Overestimation was not measured for two targets."
    over = [name for name, gap in gaps.items() if gap.low > 0]
    if all(math.isnan(gap.low) for gap in gaps.values()):
        return "Whether values are overestimated one seed an arm can't tell."
    return f"Overestimation is seen for {list_text(over) or 'no target'}."


def _seeds_in_words(arms: Sequence[Arm]) -> str:
    fewest = min(len(arm.runs) for arm in arms)
    if fewest == 1:
        return "One seed shows what happened once, not what to expect."
    if fewest < FEW_SEEDS:
        return f"{fewest} seeds an arm settle only large differences."
    return f"Every arm has at least {count_text(fewest, 'seed')}."


def _ranked(arms: Sequence[Arm]) -> list[Arm]:
    return sorted(arms, key=lambda arm: -estimate(arm.scores("x")).value)


def _ranking_in_words(ranked: Sequence[Arm]) -> str:
    furthest = list_text(arm.label for arm in ranked[:MOST_NAMED])
    if len(ranked) <= MOST_NAMED:
        return f"From the furthest to the least far: {furthest}."
    return f"Furthest came {furthest}, in this order; least far {ranked[-1].label}."


def _cleared_in_words(arms: Sequence[Arm]) -> str:
    cleared = [arm for arm in arms if any(run.first_clear() for run in arm.runs)]
    what = FIRST_STAGE if on_first_stage(arms) else "its stage"
    if len(arms) == 1:
        (arm,) = arms
        runs = sum(run.first_clear() is not None for run in arm.runs)
        return f"In training {runs or 'none'} of {count_text(len(arm.runs), 'run')} cleared {what}."
    if not cleared:
        return f"No arm cleared {what} in training."
    return f"{'All' if len(cleared) == len(arms) else len(cleared)} of the {len(arms)} arms cleared {what} in training."


def _trend_in_words(arm: Arm) -> str:
    middle = [run.episodes["x"][: len(run.episodes["x"]) // 2][-RECENT:].mean() for run in arm.runs]
    higher = sum(end > half for end, half in zip(arm.scores("x"), middle, strict=True))
    return f"{higher} of {count_text(len(middle), 'run')} ended higher than half-way through the episodes."


def _first_clears(arms: Sequence[Arm]) -> str:
    parts = []
    for arm in arms:
        firsts = [first[0] for run in arm.runs if (first := run.first_clear()) is not None]
        steps = f", the first after {min(firsts):,.0f} agent steps" if firsts else ""
        parts.append(f"{arm.label}: {len(firsts)} of {count_text(len(arm.runs), 'run')}{steps}")
    return f"Cleared in training: {'; '.join(parts)}."


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


def _how_much_sooner(between: Sequence[Contest]) -> str:
    parts = []
    for contest in between:
        ours, other = contest.names
        needed = ", ".join(f"{percent_text(pair.agent_steps_needed)} with {pair.setting}" for pair in contest.each)
        article = ' (the article\'s "DDQN" and "DQN")' if contest.of_the_article else ""
        parts.append(f"of the agent steps in which {other} reached its final mean x, {ours} needed {needed}{article}")
    asked = [contest for contest in between if contest.of_the_article]
    if not asked:
        return _sentence("; ".join(parts))
    shares = [pair.agent_steps_needed for contest in asked for pair in contest.each]
    holds, judged = _claims(asked)
    if not judged:
        claim = "with one seed per side the article's claim of one fifth can't be judged"
    else:
        below = sum(share.low > ARTICLE_CLAIM for share in shares)
        claim = f"the article's claim of one fifth holds in {holds} of {judged} and lies below the interval in {below}"
    return _sentence("; ".join([*parts, claim]))


def _gaps(arms: Sequence[Arm]) -> dict[str, Estimate]:
    """What each target predicts beyond the actual returns, in the last evaluation, reward units."""
    gaps: dict[str, list[Floats]] = {}
    for arm in {one.name: one for one in arms}.values():
        at, predicted_RM, followed_RM = overestimation(arm)
        if len(at):
            gaps.setdefault(ALGORITHMS[arm.target], []).append(predicted_RM[:, -1] - followed_RM[:, -1])
    return {name: estimate_over_arms(*of_arms) for name, of_arms in gaps.items()}


def _what_was_overestimated(gaps: dict[str, Estimate]) -> str:
    if len(gaps) < 2:
        return "How far predictions exceed actual returns was not measured for two targets in these runs."
    differences = list_text(f"{name} by {gap_text(gap)}" for name, gap in gaps.items())
    return (
        "In the last evaluation the predicted values differ from the actual returns for "
        f"{differences} reward units: {_which_are_too_high(gaps)}."
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
    parts = [f"{arm.label}: {pixels_text(estimate(arm.scores('x')))}" for arm in _ranked(arms)]
    return f"Mean x of the last {RECENT} training episodes, from the highest: {'; '.join(parts)}."


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
        f"{100 * chance:.1f} % of such comparisons; so one is said to end higher or lower only where a permutation "
        f"test (p \u2264 {MOST_CHANCE}) agrees with the interval, and to seem to where it does not.{left}"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
