"""What seeds say: means, intervals and odds on numbers one can check by hand, and properties they must have."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import make_run, make_study
from scipy import stats

from mario_rl.compare.runs import Arm, StudyRunData, load_arms
from mario_rl.compare.statistics import (
    arm_window,
    clear_rate,
    curve,
    estimate,
    estimate_over_arms,
    interquartile_mean,
    needed_to_reach,
    over_runs,
    overestimation,
    permutation_p_value,
    probability_of_improvement,
    share_needed,
)
from mario_rl.config import Config
from mario_rl.runs.directory import RunDir

SCORES = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=8).map(np.array)


def run_of(x: list[float], steps_per_episode: int = 10, seed: int = 0) -> StudyRunData:
    """A run of one x per episode."""
    number = np.arange(1, len(x) + 1, dtype=float)
    episodes = {
        "episode": number,
        "agent_steps": number * steps_per_episode,
        "minutes": number,
        "x": np.array(x, dtype=float),
        "return": np.array(x, dtype=float) - 60,
        "end": np.array(["death"] * len(x)),
    }
    empty = {"end": np.array([]), "protocol": np.array([])}
    return StudyRunData(RunDir.__new__(RunDir), Config(seed=seed), episodes, empty, empty, {})


def test_the_interquartile_mean_leaves_out_the_lowest_and_the_highest_quarter():
    assert interquartile_mean(np.array([0.0, 1.0, 3.0, 100.0])) == 2.0
    assert interquartile_mean(np.array([0.0, 5.0, 5.0, 7.0, 7.0, 8.0, 8.0, 900.0])) == (5 + 7 + 7 + 8) / 4
    assert interquartile_mean(np.array([1.0, 2.0, 6.0])) == 3.0  # a quarter of three is less than one: their mean


def test_a_clear_rate_has_an_interval_over_seeds_and_where_all_seeds_are_alike_that_of_their_episodes():
    assert clear_rate([(10, 20), (0, 20), (20, 20)]) == (0.5, 0.0, 1.0)  # one seed may be drawn three times
    z = stats.norm.ppf(0.975)
    # Wilson's interval of none of n ends at z^2 / (n + z^2).
    assert clear_rate([(0, 31)]) == (0.0, 0.0, pytest.approx(z**2 / (31 + z**2)))
    assert clear_rate([(0, 31)] * 3) == (0.0, 0.0, pytest.approx(z**2 / (93 + z**2)))


def test_one_run_has_a_value_and_no_interval():
    shown = estimate(np.array([7.0]))
    assert shown.value == 7.0
    assert math.isnan(shown.low)
    assert math.isnan(shown.high)


def test_runs_all_alike_have_an_interval_of_no_width():
    assert estimate(np.array([7.0, 7.0, 7.0])) == (7.0, 7.0, 7.0)


@settings(max_examples=30)
@given(SCORES)
def test_an_interval_holds_its_value_and_stays_within_the_scores(scores):
    shown = estimate(scores)
    slack = 1e-9 * (1 + np.abs(scores).max())
    assert scores.min() - slack <= shown.low <= shown.high <= scores.max() + slack
    assert shown.low - slack <= shown.value <= shown.high + slack or len(scores) > 3


def test_the_probability_of_improvement_by_hand():
    # Pairs of (1, 3) against (2, 3): below, below, above, a tie: 1.5 of 4.
    overlapping = (np.array([1.0, 3.0]), np.array([2.0, 3.0]))
    above = (np.array([5.0, 6.0, 7.0]), np.array([1.0, 2.0]))
    assert probability_of_improvement(overlapping).value == 1.5 / 4
    assert probability_of_improvement(above) == (1.0, 1.0, 1.0)
    assert probability_of_improvement(overlapping, above).value == (1.5 / 4 + 1) / 2


def test_the_interval_over_several_pairs_of_arms_resamples_each_arm_on_its_own():
    # Scores of different arms are never mixed: within each arm all runs are alike, so there is nothing to resample.
    high, low = np.array([9.0, 9.0, 9.0]), np.array([1.0, 1.0, 1.0])
    assert probability_of_improvement((high, low), (low, high)) == (0.5, 0.5, 0.5)


def test_the_mean_over_arms_weighs_arms_alike_and_resamples_each_on_its_own():
    few, many = np.array([1.0, 3.0]), np.array([10.0, 10.0, 10.0])
    shown = estimate_over_arms(few, many)
    assert shown.value == (2 + 10) / 2  # not 34 / 5
    # Of two runs drawn from (1, 3) both are 1, or both are 3, in a quarter of the samples each.
    assert (shown.low, shown.high) == ((1 + 10) / 2, (3 + 10) / 2)
    assert math.isnan(estimate_over_arms(few, np.array([10.0])).low)


def test_a_curve_over_runs_has_its_mean_and_interval_at_every_point():
    shown = over_runs(np.array([0.0, 5.0]), np.array([[1.0, 7.0], [3.0, 7.0]]))
    assert shown.value.tolist() == [2.0, 7.0]
    assert shown.low.tolist() == [1.0, 7.0]
    assert shown.high.tolist() == [3.0, 7.0]
    assert np.isnan(over_runs(np.array([0.0]), np.array([[1.0]])).low).all()


def test_more_pairs_of_arms_narrow_the_interval():
    pair = (np.array([1.0, 3.0, 5.0]), np.array([2.0, 4.0, 0.0]))
    one, three = probability_of_improvement(pair), probability_of_improvement(pair, pair, pair)
    assert three.value == one.value
    assert three.high - three.low < one.high - one.low


def test_one_run_in_any_of_the_pairs_leaves_no_interval():
    pair = (np.array([1.0, 3.0]), np.array([2.0, 4.0]))
    assert math.isnan(probability_of_improvement(pair, (np.array([1.0]), np.array([2.0, 4.0]))).low)


def test_the_permutation_test_by_hand():
    above, low = np.array([7.0, 8.0, 9.0]), np.array([1.0, 2.0, 3.0])
    assert permutation_p_value((above, low)) == pytest.approx(2 / 20)  # all above, or all below, of 20 deals
    assert permutation_p_value((low, above)) == pytest.approx(2 / 20)
    assert permutation_p_value((above[:2], low[:2])) == pytest.approx(2 / 6)
    # 1, 3 against 2, 4: of 6 deals 2 have all above or below, 2 have 1 of 4 or 3 of 4 above, and 2 just half.
    assert permutation_p_value((np.array([1.0, 3.0]), np.array([2.0, 4.0]))) == pytest.approx(4 / 6)
    assert permutation_p_value((above, above)) == 1.0


def test_pairs_of_arms_are_dealt_each_on_its_own():
    above, low = np.array([8.0, 9.0]), np.array([1.0, 2.0])
    assert permutation_p_value((above, low), (above, low)) == pytest.approx(2 / 36)  # both above, or both below
    assert permutation_p_value((above, low), (low, above)) == pytest.approx(1.0)  # against each other: no difference
    # Far apart pairs don't mix: dealt in one pot of 8 it would be another number.
    assert permutation_p_value((above + 100, low + 100), (above, low)) == pytest.approx(2 / 36)


def test_one_run_leaves_nothing_to_deal():
    assert math.isnan(permutation_p_value((np.array([1.0]), np.array([2.0, 3.0]))))


@settings(max_examples=30)
@given(SCORES, SCORES)
def test_of_one_pair_it_is_scipys_own(ours, theirs):
    expected = stats.permutation_test(
        (ours, theirs),
        lambda a, b, axis: (np.sign(a[..., :, None] - b[..., None, :]) + 1).mean(axis=(-2, -1)) / 2,
        vectorized=True,
        n_resamples=10_000,
        rng=np.random.default_rng(0),
    )
    assert permutation_p_value((ours, theirs)) == pytest.approx(expected.pvalue, abs=0.02)


@settings(max_examples=30)
@given(SCORES, SCORES)
def test_either_side_improves_on_the_other_with_chances_that_add_up_to_one(ours, theirs):
    one, other = probability_of_improvement((ours, theirs)), probability_of_improvement((theirs, ours))
    assert one.value + other.value == pytest.approx(1.0)
    assert 0 <= one.low <= one.high <= 1


def test_a_level_is_reached_where_the_mean_of_a_hundred_episodes_first_is_there():
    run = run_of([0.0] * 100 + [100.0] * 100)
    assert needed_to_reach(run, 50.0, "agent_steps") == 1500  # 50 of the last 100 episodes at episode 150
    assert needed_to_reach(run, 100.0, "episode") == 200
    assert needed_to_reach(run, 101.0, "episode") == math.inf


def test_one_lucky_first_episode_is_no_level_reached():
    assert needed_to_reach(run_of([900.0] + [0.0] * 150), 500.0, "episode") == math.inf


def test_the_share_needed_by_hand():
    slow = [run_of([0.0] * 300 + [50.0] * 100, seed=seed) for seed in (0, 1)]  # ends with 50, after 4,000 agent steps
    fast = [run_of([0.0] * 100 + [100.0] * 100, seed=seed) for seed in (0, 1)]  # there after 1,500
    assert share_needed(fast, slow, "agent_steps") == (0.375, 0.375, 0.375)
    assert share_needed(slow, fast, "agent_steps").value == math.inf
    assert math.isnan(share_needed(fast[:1], slow, "episode").low)


def test_a_curve_begins_where_every_run_has_its_hundredth_episode():
    slow = run_of([0.0] * 50 + [600.0] * 100)
    fast = run_of([0.0] * 50 + [600.0] * 60)
    shown = curve([slow, fast], "x", "episode")
    assert (shown.at[0], shown.at[-1]) == (100, 110)
    assert (shown.value[0], shown.value[-1]) == (300, 360)  # not 0, the mean of the first few


def test_the_curve_of_short_runs_is_a_mean_of_fewer_episodes():
    assert arm_window([run_of([1.0] * 300), run_of([1.0] * 101)]) == 100
    assert arm_window([run_of([1.0] * 300), run_of([1.0] * 60)]) == 30
    assert arm_window([run_of([1.0])]) == 1
    shown = curve([run_of([0.0] * 30 + [10.0] * 30)], "x", "episode")
    assert (shown.at[0], shown.at[-1]) == (30, 60)
    assert (shown.value[0], shown.value[-1]) == (0, 10)


def test_a_curve_has_a_beginning_though_one_run_ends_before_the_other_has_100_episodes():
    long = run_of([5.0] * 200)
    long.episodes["agent_steps"] = long.episodes["agent_steps"] * 3  # its episodes are longer: 100 take 3,000
    short = run_of([5.0] * 120)  # all of it takes 1,200
    assert arm_window([long, short]) == 25  # 750
    shown = curve([long, short], "x", "agent_steps")
    assert (shown.at[0], shown.at[-1]) == (750, 1200)
    assert set(shown.value) == {5.0}


def test_a_curve_ends_with_its_shortest_run_and_is_the_mean_of_running_means():
    runs = [run_of([10.0] * 120), run_of([30.0] * 200)]
    shown = curve(runs, "x", "episode")
    assert shown.at[-1] == 120
    assert set(shown.value) == {20.0}
    assert set(shown.low) == {10.0}
    assert set(shown.high) == {30.0}


@pytest.mark.parametrize(
    ("every", "evaluated", "marks"), [(500, [512, 1024, 1504], [500, 1000, 1500]), (2500, [2528, 5024], [2500, 5000])]
)
def test_evaluations_are_put_at_the_marks_that_they_were_due_at(every, evaluated, marks):
    def run(seed: int, shift: int) -> StudyRunData:
        made = run_of([0.0])
        config = Config.model_validate({"seed": seed, "evaluation": {"every_steps": every}})
        steps = np.repeat(np.array(evaluated, dtype=float) + shift, 2)
        values = np.arange(len(steps), dtype=float)
        table = {"agent_steps": steps, "q_visited": values, "return_visited": -values}
        return dataclasses.replace(made, config=config, evaluations=table)

    at, predicted, followed = overestimation(Arm("arm0", "an arm", {}, (run(0, 0), run(1, 8))))
    assert at.tolist() == marks
    means = [2 * place + 0.5 for place in range(len(marks))]
    assert predicted.tolist() == [means, means]
    assert (followed == -predicted).all()


def test_runs_become_arms_by_what_their_configs_differ_in(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple", "right_only"), seeds=(0, 4), episodes=20)
    arms = load_arms(tmp_path).arms
    assert [(arm.label, [run.seed for run in arm.runs]) for arm in arms] == [
        ("DQN, right_only", [0, 4]),
        ("Double DQN, right_only", [0, 4]),
        ("DQN, simple", [0, 4]),
        ("Double DQN, simple", [0, 4]),
    ]
    assert arms[0].values == {"agent.target": "target", "env.action_set": "right_only"}
    assert arms[0].setting == arms[1].setting != arms[2].setting


def test_an_arm_of_many_settings_is_called_by_its_folder(tmp_path):
    for name, changes in {"slow": "agent: {gamma: 0.5, n_step: 2, batch_size: 16}", "fast": "{}"}.items():
        place = RunDir(tmp_path / name / "seed_0")
        make_run(place, "double", "simple", 0, speed=0.5, episodes=20)
        place.config.write_text(f"{changes}\n")
    arms = load_arms(tmp_path).arms
    assert sorted(arm.label for arm in arms) == [
        "batch_size 16, gamma 0.5, n_step 2",
        "batch_size 32, gamma 0.95, n_step 5",
    ]
    (tmp_path / "slow" / "seed_0" / "config.yaml").write_text(
        "agent: {gamma: 0.5, n_step: 2, batch_size: 16}\nnetwork: {hidden_size: 64, dueling: true}\n"
    )
    assert sorted(arm.label for arm in load_arms(tmp_path).arms) == ["fast", "slow"]
