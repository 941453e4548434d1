"""Numbers, intervals and seeds as the report writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import pytest

from mario_rl.compare.statistics import Estimate
from mario_rl.compare.words import count_of_text, gap_text, percent_text, pixels_text, seeds_text

if TYPE_CHECKING:
    from mario_rl.compare.runs import Arm


class WithRuns:
    """An arm, as far as it is counted."""

    def __init__(self, runs: int) -> None:
        self.runs = (None,) * runs


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([1, 1], "One seed"),
        ([3, 3], "Mean of 3 seeds"),
        ([1, 3], "Mean of 1 to 3 seeds"),
        ([4, 4], "Interquartile mean of 4 seeds"),
        ([4, 10], "Interquartile mean of 4 to 10 seeds"),
        ([3, 4], "Interquartile mean over seeds (of fewer than four: their mean)"),
    ],
)
def test_a_mean_of_three_seeds_is_called_that_and_one_is_interquartile_from_four_on(runs, text):
    assert seeds_text(cast("list[Arm]", [WithRuns(count) for count in runs])) == text


def test_intervals_are_written_with_a_dash_but_beside_signs_and_what_is_more_than_all():
    assert pixels_text(Estimate(2162, 2042.4, 2325)) == "2,162 (2,042\u20132,325)"
    assert pixels_text(Estimate(-5, -20, 30)) == "-5 (-20 to 30)"
    assert pixels_text(Estimate(2162, math.nan, math.nan)) == "2,162 (one seed)"
    assert percent_text(Estimate(0.37, 0.15, 0.56)) == "37 % (15\u201356 %)"
    assert percent_text(Estimate(0.86, 0.59, math.inf)) == "86 % (59 % to >100 %)"
    assert gap_text(Estimate(-0.35, -0.48, 0.22)) == "\u22120.35 (\u22120.48 to +0.22)"


def test_none_of_31_has_its_uncertainty():
    assert count_of_text(0, 31) == "0 of 31 (0\u201311 %)"
