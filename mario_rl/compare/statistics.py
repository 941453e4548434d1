"""What several seeds of several arms say, and how sure: interquartile means, bootstrap intervals, odds of being better.

After Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice". Their library rliable can't be imported
with pandas 3 (its dependency arch fails, 2026-11-24), so SciPy draws the bootstrap samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import batched
from typing import NamedTuple

import numpy as np
from scipy import stats

from mario_rl.compare.runs import RECENT, Arm, StudyRunData
from mario_rl.evaluation import wilson_interval
from mario_rl.report.means import mean_window, running_mean
from mario_rl.types import Floats

RESAMPLES = 2_000
CONFIDENCE = 0.95
FEWEST_TRIMMED = 4  # scores: a quarter of fewer is less than one, so nothing is trimmed
GRID = 60  # points of a curve
OVER = ("agent_steps", "episode", "minutes")  # what a curve can be over
ROUNDING = 9  # decimals; sums that differ by less are the same
SEED = 0  # of the bootstrap: the same runs give the same report


class Estimate(NamedTuple):
    """A number and its 95 % interval; nan for both ends where one run alone gives none."""

    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """A quantity over the course of training: grid and estimates, each float64 (points,)."""

    at: Floats
    value: Floats
    low: Floats
    high: Floats


def interquartile_mean(scores: Floats, axis: int = -1) -> Floats:
    """Mean of the middle half: of fewer than 4 scores that is their mean, since a quarter of them is less than one."""
    mean: Floats = stats.trim_mean(scores, 0.25, axis=axis)
    return mean


def estimate(scores: Floats) -> Estimate:
    """Interquartile mean over runs with its percentile bootstrap interval.

    Args:
        scores: one per run, float64 (runs,).
    """
    low, high = _bootstrap((scores,), interquartile_mean)
    return Estimate(float(interquartile_mean(scores)), float(low), float(high))


def of_clears(clears: int, episodes: int) -> Estimate:
    """A clear rate with Wilson's 95 % interval, which takes the episodes for independent."""
    return Estimate(clears / episodes, *wilson_interval(clears, episodes))


def clear_rate(counts: Sequence[tuple[int, int]]) -> Estimate:
    """Interquartile mean over seeds of their clear rates, with its percentile bootstrap interval over seeds.

    Where every seed has the same rate, or there is one, resampling them says nothing: none of 31 is not none for sure.
    The interval is Wilson's then, of the episodes of all.

    Args:
        counts: clears and episodes of each seed.
    """
    rates = np.array([clears / episodes for clears, episodes in counts])
    if len(set(rates.tolist())) > 1:
        return estimate(rates)
    return of_clears(sum(clears for clears, _ in counts), sum(episodes for _, episodes in counts))


def estimate_over_arms(*arms: Floats) -> Estimate:
    """Mean over arms of the interquartile mean over their runs.

    The interval resamples the runs of every arm on its own (stratified).

    Args:
        arms: scores of each, float64 (runs,); the numbers of runs may differ.
    """

    def mean(*samples: Floats, axis: int = -1) -> Floats:
        over_arms: Floats = np.mean([interquartile_mean(sample, axis) for sample in samples], axis=0)
        return over_arms

    low, high = _bootstrap(arms, mean)
    return Estimate(float(mean(*arms)), float(low), float(high))


def probability_of_improvement(*pairs: tuple[Floats, Floats]) -> Estimate:
    """Chance that a run of ours scores above a run of theirs, ties counting half (Mann and Whitney's U).

    Of several pairs of arms it is the mean of theirs (Agarwal et al. 2021 take it over tasks). The interval
    resamples the runs of every arm on its own (stratified).

    Args:
        pairs: for each two arms, scores of ours and of theirs, float64 (runs,) each; the numbers of runs may differ.
    """
    samples = tuple(scores for pair in pairs for scores in pair)
    low, high = _bootstrap(samples, _mean_share_above)
    return Estimate(float(_mean_share_above(*samples)), float(low), float(high))


def permutation_p_value(*pairs: tuple[Floats, Floats]) -> float:
    """How often arms that are alike would give a probability of improvement as far from a half, either way.

    The runs of each two arms are dealt anew to both in every possible way, of which 10,000 are drawn where there are
    more (SciPy); with several pairs each is dealt on its own (stratified). With 3 runs a side it is never below 0.1 in
    one pair: there are 20 ways to deal them.

    Args:
        pairs: as of `probability_of_improvement`.

    Returns:
        The two-sided p-value, twice the smaller tail as SciPy has it; nan where an arm has a single run.
    """
    if min(len(scores) for pair in pairs for scores in pair) < 2:
        return float("nan")
    # The distribution of the sum over pairs of how far the share lies above a half: values, and the chance of each.
    sums, chances, observed = np.zeros(1), np.ones(1), 0.0
    for pair in pairs:
        dealt = stats.permutation_test(
            pair, _mean_share_above, vectorized=True, n_resamples=10_000, rng=np.random.default_rng(SEED)
        )
        observed += dealt.statistic - 0.5
        of_pair = dealt.null_distribution - 0.5
        sums, index = np.unique(np.add.outer(sums, of_pair).round(ROUNDING), return_inverse=True)
        chances = np.bincount(index.ravel(), np.repeat(chances / of_pair.size, of_pair.size))
    observed = round(observed, ROUNDING)
    return float(min(1.0, 2 * min(chances[sums >= observed].sum(), chances[sums <= observed].sum())))


def curve(runs: Sequence[StudyRunData], quantity: str, over: str) -> Curve:
    """Interquartile mean over runs of their running means, on a grid up to where the shortest run ends.

    It begins where every run has as many episodes as `arm_window` says that the mean is taken over.

    Args:
        runs: of one arm.
        quantity: a column of episodes.csv, `x` or `return`.
        over: `agent_steps`, `minutes` or `episode`.
    """
    window = arm_window(runs)
    begin, end = _span(runs, over, window)
    at = np.linspace(min(begin, end), end, GRID)
    return over_runs(at, np.stack([_at(run, quantity, over, at, window) for run in runs]))


def arm_window(runs: Sequence[StudyRunData]) -> int:
    """Over how many episodes the running means of an arm are taken: 100, fewer where a run has not come far enough.

    The largest such number is taken, halving from there, with which the curve over each of `OVER` has a beginning that
    lies before its end.
    """
    window = mean_window(min(len(run.episodes["x"]) for run in runs))
    while window > 1 and any(begin >= end for begin, end in (_span(runs, over, window) for over in OVER)):
        window //= 2
    return window


def _span(runs: Sequence[StudyRunData], over: str, window: int) -> tuple[float, float]:
    """Where all runs have had `window` episodes, and where the shortest ends."""
    begin = max(float(run.episodes[over][window - 1]) for run in runs)
    return begin, min(float(run.episodes[over][-1]) for run in runs)


def over_runs(at: Floats, values_RP: Floats) -> Curve:
    """Interquartile mean over runs, point by point, with its percentile bootstrap interval.

    Args:
        at: the grid, float64 (points,).
        values_RP: each run's values there, float64 (runs, points).
    """
    low, high = _bootstrap((values_RP,), interquartile_mean, along=0)
    return Curve(at, interquartile_mean(values_RP, axis=0), low, high)


def needed_to_reach(run: StudyRunData, level: float, over: str, quantity: str = "x") -> float:
    """How far into training the running mean of 100 episodes first reaches a level; inf where it never does.

    Of the first episodes, fewer than 100, no mean is taken: one lucky episode is not a level reached.
    """
    (reached,) = (running_mean(run.episodes[quantity], RECENT) >= level).nonzero()
    return float(run.episodes[over][reached[0]]) if reached.size else float("inf")


def share_needed(ours: Sequence[StudyRunData], theirs: Sequence[StudyRunData], over: str) -> Estimate:
    """What share of the agent steps or episodes of `theirs` ours need to reach the mean x that theirs end with.

    The article's claim is 0.2, for Double DQN against DQN. The level is the interquartile mean of their scores, their
    time the median of their lengths, ours the median of what our runs need: the median still says something where some
    never get there (it is inf where half or more don't). The interval resamples the runs of either side.

    Args:
        ours: runs of one arm.
        theirs: of the other.
        over: `agent_steps` or `episode`.
    """
    scores = np.array([run.score("x") for run in theirs])
    lengths = np.array([float(run.episodes[over][-1]) for run in theirs])

    def ratio(our: Sequence[StudyRunData], their: Sequence[int]) -> float:
        level = float(interquartile_mean(scores[list(their)]))
        return float(np.median([needed_to_reach(run, level, over) for run in our]) / np.median(lengths[list(their)]))

    value = ratio(ours, range(len(theirs)))
    if len(ours) < 2 or len(theirs) < 2:
        return Estimate(value, np.nan, np.nan)
    generator = np.random.default_rng(SEED)
    samples = [
        ratio(
            [ours[index] for index in generator.integers(len(ours), size=len(ours))],
            list(generator.integers(len(theirs), size=len(theirs))),
        )
        for _ in range(RESAMPLES // 4)  # each reads whole runs again
    ]
    # The lower and higher order statistics, not means between them: some may be infinite.
    low, high = np.quantile(samples, [0.025, 0.975], method="nearest")
    return Estimate(value, float(low), float(high))


def _mean_share_above(*samples: Floats, axis: int = -1) -> Floats:
    """The mean over pairs of the share of ours above theirs: ours, theirs, ours, theirs and so on."""
    shares = [_share_above(ours, theirs) for ours, theirs in batched(samples, 2, strict=True)]
    mean: Floats = np.mean(shares, axis=0)
    return mean


def _share_above(ours: Floats, theirs: Floats) -> Floats:
    """Share of pairs in which ours is above, ties half, over the last axis of both."""
    differences = ours[..., :, np.newaxis] - theirs[..., np.newaxis, :]
    share: Floats = ((differences > 0) + 0.5 * (differences == 0)).mean(axis=(-2, -1))
    return share


def _bootstrap(samples: tuple[Floats, ...], statistic: Callable[..., Floats], along: int = -1) -> tuple[Floats, Floats]:
    """Draw runs with replacement, each sample on its own; nan where one has a single run."""
    if min(sample.shape[along] for sample in samples) < 2:
        shape = statistic(*samples, axis=along).shape
        return np.full(shape, np.nan), np.full(shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # all alike: an interval of no width is right
        result = stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            vectorized=True,
            axis=along,
            rng=np.random.default_rng(SEED),
        )
    return np.asarray(result.confidence_interval.low), np.asarray(result.confidence_interval.high)


def _at(run: StudyRunData, quantity: str, over: str, at: Floats, window: int) -> Floats:
    """The running mean at each point of a grid: that of the last episode ended by then, of the first mean before it."""
    means = running_mean(run.episodes[quantity], window)
    index = np.searchsorted(run.episodes[over], at, side="right") - 1
    values: Floats = means[np.maximum(index, window - 1)]
    return values


def _marks(run: StudyRunData) -> Floats:
    """Give each evaluation the mark it was due at: runs make it at the first round of environments past that."""
    every = run.config.evaluation.every_steps or 1
    marks: Floats = run.evaluations["agent_steps"] // every * every
    return marks


def overestimation(arm: Arm) -> tuple[Floats, Floats, Floats]:
    """Average each run's evaluations during training by their agent steps.

    Returns:
        Agent steps, float64 (moments,), the marks of `evaluation.every_steps` that all runs share; each run's predicted
        values and the returns that followed, float64 (runs, moments) each.
    """
    tables = [(_marks(run), run.evaluations) for run in arm.runs]
    shared = set.intersection(*(set(steps[np.isfinite(table["q_visited"])].tolist()) for steps, table in tables))
    at = np.array(sorted(shared))
    predicted_RM, followed_RM = (
        np.array([[np.nanmean(table[name][steps == moment]) for moment in at] for steps, table in tables])
        for name in ("q_visited", "return_visited")
    )
    return at, predicted_RM, followed_RM
