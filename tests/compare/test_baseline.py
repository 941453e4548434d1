"""The random policy's line is what the published runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.compare.baseline import DECIDES_X, MEASURED_IN, MEASURED_X, random_x
from mario_rl.compare.runs import load_arms
from mario_rl.config import load_config
from mario_rl.shipped import CONFIGS

PUBLISHED = Path(__file__).parents[2] / "docs" / "random_policy"


def test_the_numbers_are_those_of_the_published_runs():
    runs = [run for arm in load_arms(PUBLISHED).arms for run in arm.runs]
    measured: dict[float, dict[str, float]] = {}
    for run in runs:
        env = run.config.env
        measured.setdefault(env.sticky_probability, {})[env.action_set] = run.episodes["x"].mean()
    assert measured.keys() == MEASURED_X.keys()
    for sticky, by_actions in MEASURED_X.items():
        assert measured[sticky] == pytest.approx(by_actions, abs=0.5)
    assert {run.config.agent.epsilon.end for run in runs} == {1.0}
    assert all(getattr(run.config.env, key) == getattr(MEASURED_IN, key) for run in runs for key in DECIDES_X)


def test_they_hold_for_the_configs_that_are_shipped():
    for name in MEASURED_X[0.25]:
        env = load_config(CONFIGS / f"ddqn_{name}.yaml").env
        assert env.sticky_probability in MEASURED_X
        assert [key for key in DECIDES_X if getattr(env, key) != getattr(MEASURED_IN, key)] == []


def test_arms_of_different_actions_share_none():
    arms = load_arms(PUBLISHED).arms
    assert sorted(random_x([arm]) for arm in arms) == sorted(
        x for by_actions in MEASURED_X.values() for x in by_actions.values()
    )
    assert random_x(arms) is None
