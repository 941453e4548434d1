"""benchmarks/pqn.py and minutes.py: what they compute, worked out by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import minutes
    import pqn

    yield minutes, pqn
    for name in ("minutes", "pqn"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("terminated", "truncated", "returns"),
    [
        # From behind: 4 + 0.5 * 30; 2 + 0.5 * (half of 19 and half of 20); 1 + 0.5 * (half of 11.75 and half of 10).
        ([0, 0, 0], [0, 0, 0], [6.4375, 11.75, 19.0]),
        ([0, 1, 0], [0, 0, 0], [4.0, 2.0, 19.0]),  # nothing follows the second step
        ([0, 0, 0], [0, 1, 0], [6.5, 12.0, 19.0]),  # what was seen last is worth 20
    ],
)
def test_lambda_returns_by_hand(scripts, terminated, truncated, returns):
    _, pqn = scripts
    found = pqn.lambda_returns(
        np.array([[1.0], [2.0], [4.0]], np.float32),
        np.array([[10.0], [20.0], [30.0]], np.float32),
        np.array(terminated, np.bool_)[:, None],
        np.array(truncated, np.bool_)[:, None],
        gamma=0.5,
        trace=0.5,
    )
    assert found[:, 0].tolist() == pytest.approx(returns)


def test_a_row_of_several_seeds_has_their_median_and_says_how_many_never_came_there(scripts):
    minutes, _ = scripts
    moments = [minutes.Moment(2.0, 3_000, 90_000), minutes.Moment(1.0, 2_000, 60_000), minutes.NEVER]
    assert minutes.described(moments) == "2.0 min (1.0 to never (1 of 3)), 3.0 k updates, 90 k steps"
    assert minutes.described(moments[1:]) == "never (1.0 to never (1 of 2))"
    assert minutes.described(moments[:1]) == "2.0 min, 3.0 k updates, 90 k steps"
    assert minutes.described([minutes.NEVER]) == "-"
