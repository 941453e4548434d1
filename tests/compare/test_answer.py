"""The three sentences: what they claim, and what they don't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_up import make_run, make_study

from mario_rl.compare.answer import Answer, answer
from mario_rl.compare.contests import contests
from mario_rl.compare.runs import finished, load_arms
from mario_rl.runs.directory import RunDir

if TYPE_CHECKING:
    from pathlib import Path


def asked_of(folder: Path) -> Answer:
    arms = load_arms(folder).arms
    return answer(arms, contests(finished(arms)))


def answer_of(folder: Path) -> tuple[str, str, str]:
    return asked_of(folder).numbers


def test_an_arm_whose_runs_all_end_higher_is_said_to(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("right_only", "simple"))
    first, second, third = answer_of(tmp_path)
    assert first.startswith("With right_only Double DQN")
    # All 3 runs of one above all 3 of the other is 1 of 20 deals, either way: too many to be sure.
    assert "; with simple Double DQN seems to end higher than DQN: mean x " in first
    assert "probability of improvement 100 % (100\u2013100 %), p = 0.1" in first
    # Here all 9 of 9 and 8 of 9: as much is 3 of 20 x 20 deals, either way.
    assert first.endswith(
        "; all together, Double DQN ended higher than DQN: probability of improvement 94 % (78\u2013100 %), p = 0.015."
    )
    assert second.startswith("Of the agent steps in which DQN reached its final mean x, Double DQN needed ")
    assert "article" not in second
    # Made up: at the last evaluation, 3.5 / 60,000 for every agent step with DQN, nothing with Double DQN.
    assert "Double DQN by +0.00 (+0.00 to +0.00) and DQN by +" in third
    assert "reward units: overestimation is seen for DQN. " in third
    assert "10.0 % of such comparisons; so one is said to end higher or lower only where" in third


def test_arms_that_overlap_cannot_be_told_apart(tmp_path):
    for seed in range(3):
        for target in ("target", "double"):
            make_run(RunDir(tmp_path / target / str(seed)), target, "simple", seed, speed=0.5 + 0.1 * seed)
    first, _, _ = answer_of(tmp_path)
    assert "Double DQN cannot be told apart from DQN: mean x " in first
    assert ", p = " in first


def test_values_below_what_followed_are_underestimated_and_those_on_either_side_neither(tmp_path):
    for seed, followed in enumerate((3.0, 9.0, 30.0)):
        make_run(RunDir(tmp_path / "target" / str(seed)), "target", "simple", seed, speed=0.5, followed=followed)
        make_run(RunDir(tmp_path / "double" / str(seed)), "double", "simple", seed, speed=0.5, followed=6.0 + seed)
    _, _, third = answer_of(tmp_path)
    assert "for Double DQN by \u22122.00 (\u22123.00 to \u22121.00) and DQN by \u2212" in third
    assert "overestimation is seen for none, underestimation for Double DQN. " in third


def test_an_arm_with_one_seed_leaves_its_target_unjudged_and_no_other(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    make_run(RunDir(tmp_path / "none" / "0"), "none", "simple", 0, speed=0.5)
    first, _, third = answer_of(tmp_path)
    assert "Double DQN seems to end higher than DQN: mean x " in first
    assert (
        "overestimation is seen for DQN; an arm with one seed leaves DQN without a target network unjudged. " in third
    )


def test_one_seed_is_said_to_be_one_seed(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0,))
    first, second, third = answer_of(tmp_path)
    assert first.count("(one seed)") == 2
    assert " p = " not in first
    assert "(one seed)" in second
    assert second.endswith("Double DQN needed 66 % (one seed) with all runs.")
    assert "DQN by +" in third
    assert "reward units: one seed an arm can't tell whether that is overestimation. " in third
    assert "a single seed: that shows what happened once, not what to expect" in third


def test_one_seed_in_one_arm_leaves_nothing_to_say_of_all_together(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    make_study(tmp_path, targets=("target", "double"), action_sets=("complex",), seeds=(0,))
    first, _, _ = answer_of(tmp_path)
    assert first.count("(one seed)") == 2  # either side of the one pair
    assert "all together" not in first


def test_a_level_never_reached_is_said_to_be(tmp_path):
    for seed in range(2):
        make_run(RunDir(tmp_path / "double" / str(seed)), "double", "simple", seed, speed=0.3)
        make_run(RunDir(tmp_path / "target" / str(seed)), "target", "simple", seed, speed=0.9)
    first, second, _ = answer_of(tmp_path)
    assert "Double DQN seems to end lower than DQN" in first
    assert "Double DQN needed >100 % (>100 % to >100 %) with all runs" in second


def test_without_double_dqn_the_arms_are_ranked_and_that_no_run_is_done_is_said(tmp_path):
    make_study(tmp_path, targets=("target",), action_sets=("simple", "right_only"), done=False)
    first, second, third = answer_of(tmp_path)
    assert first.index("right_only") < first.index("simple")
    assert second.startswith("Cleared in training: right_only: 1 of 3 runs, the first after ")
    assert third.endswith("No run has been evaluated at its end.")


def test_the_articles_two_agents_are_dqn_with_and_without_target_network(tmp_path):
    make_study(tmp_path, targets=("none", "target"), action_sets=("simple",))
    first, second, third = answer_of(tmp_path)
    assert "DQN seems to end higher than DQN without a target network: mean x " in first
    assert "all together" not in first  # one pair of arms
    assert '(the article\'s "DDQN" and "DQN")' in second
    assert "overestimation is seen for DQN and DQN without a target network. " in third


def test_with_all_three_targets_double_dqn_meets_dqn_and_the_articles_two_agents_are_judged_beside_it(tmp_path):
    make_study(tmp_path, action_sets=("simple", "complex"))
    first, second, third = answer_of(tmp_path)
    assert "without a target network" not in first
    assert second.count("of the agent steps in which") + second.count("Of the agent steps in which") == 2
    assert second.endswith("holds in 0 of 2 and lies below the interval in 2.")
    assert "DQN without a target network by +" in third


def test_runs_that_are_not_done_do_not_count_beside_those_that_are(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    before, _, _ = answer_of(tmp_path)
    make_run(RunDir(tmp_path / "double" / "2"), "double", "simple", 2, speed=0.1, done=False)
    make_run(RunDir(tmp_path / "complex" / "0"), "double", "complex", 0, speed=0.1, done=False)
    arms = load_arms(tmp_path).arms
    assert [len(arm.runs) for arm in finished(arms)] == [2, 2]  # of DQN and of Double DQN, simple
    first, _, third = answer_of(tmp_path)
    assert first == before.replace("With all runs", "With simple")  # now that there is another action set
    assert third.endswith("2 of the 6 runs have not been evaluated at their end and don't count.")


# Question, verdict and bullets.


def test_what_differs_is_what_is_asked(tmp_path):
    make_study(tmp_path / "targets", targets=("target", "double"), action_sets=("simple",), seeds=(0,))
    assert asked_of(tmp_path / "targets").question == "Does Double DQN beat DQN on 1-1?"
    make_study(tmp_path / "article", targets=("none", "target"), action_sets=("simple",), seeds=(0,))
    assert asked_of(tmp_path / "article").question == "Does DQN beat DQN without a target network on 1-1?"
    make_study(tmp_path / "two", targets=("target",), action_sets=("simple", "right_only"), seeds=(0,))
    assert asked_of(tmp_path / "two").question == "Does simple beat right_only on 1-1?"
    make_study(tmp_path / "three", targets=("target",), seeds=(0,))
    assert asked_of(tmp_path / "three").question == "Which action set takes Mario furthest on 1-1?"
    make_study(tmp_path / "one", targets=("target",), action_sets=("simple",), seeds=(0,))
    assert asked_of(tmp_path / "one").question == "How far does DQN, simple get on 1-1?"


@pytest.mark.parametrize(
    ("stage", "asked"),
    [
        ("2-3", "How far does DQN, simple get on 2-3?"),
        (["1-1", "1-2", "1-1"], "How far does DQN, simple get on 1-1 and 1-2?"),
        (["1-1", "1-2", "1-3", "1-4"], "How far does DQN, simple get on 4 stages?"),
        ("game", "How far does DQN, simple get in the whole game?"),
    ],
)
def test_the_question_names_what_is_played(tmp_path, stage, asked):
    make_study(tmp_path, targets=("target",), action_sets=("simple",), seeds=(0,), done=False, env={"stage": stage})
    assert asked_of(tmp_path).question == asked


def test_the_verdict_is_yes_only_where_interval_and_permutation_test_agree(tmp_path):
    make_study(tmp_path / "few", targets=("target", "double"), action_sets=("simple",), seeds=(0, 1, 2))
    assert asked_of(tmp_path / "few").verdict.startswith("It seems so, but chance could do it: ")
    make_study(tmp_path / "many", targets=("target", "double"), action_sets=("simple", "right_only"), seeds=(0, 1, 2))
    assert asked_of(tmp_path / "many").verdict == "Yes: 94 %, 78\u2013100 %, p = 0.015"
    make_study(tmp_path / "one", targets=("target", "double"), action_sets=("simple",), seeds=(0,))
    assert asked_of(tmp_path / "one").verdict == "Not shown: one seed an arm can't tell"
    for target in ("target", "double"):
        for seed in range(3):
            make_run(RunDir(tmp_path / "same" / target / str(seed)), target, "simple", seed, speed=0.5 + 0.1 * seed)
    assert asked_of(tmp_path / "same").verdict.startswith("Not shown: ")


def test_of_several_arms_the_furthest_is_named_with_what_tells_it_from_the_next(tmp_path):
    make_study(tmp_path, targets=("target",), seeds=(0, 1, 2))
    said = asked_of(tmp_path)
    assert said.verdict.startswith("Not shown: right_only is ahead of simple in ")
    assert said.gloss.endswith("picked after looking, as the best and the next, so p flatters the best.")
    assert said.bullets[0] == "From the furthest to the least far: right_only, simple and complex."


def test_the_bullets_have_no_numbers_of_runs_and_name_the_article_only_where_its_agents_meet(tmp_path):
    make_study(tmp_path / "with", action_sets=("simple", "complex"), seeds=(0, 1))
    _, sooner, values = asked_of(tmp_path / "with").bullets
    assert "The article's claim for its two agents, a fifth of the training, holds in none of 2." in sooner
    assert values == (
        "Overestimation is seen for DQN and DQN without a target network. 2 seeds an arm settle only large differences."
    )
    make_study(tmp_path / "without", targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    end, sooner, _ = asked_of(tmp_path / "without").bullets
    assert end == "Double DQN seems to end higher than DQN, by where training ends."
    assert "article" not in sooner
