"""Evaluation: protocols on the real game, intervals, and what a report says."""

from __future__ import annotations

import numpy as np
import pytest

from mario_rl.config import Config, EnvConfig, parse_config
from mario_rl.envs import make_env
from mario_rl.errors import CheckpointError, UserError
from mario_rl.evaluation import (
    EvaluatedEpisode,
    EvaluationInterrupted,
    EvaluationReport,
    discounted_returns,
    evaluate,
    evaluate_policy,
)
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.evaluation.statistics import visited_means
from mario_rl.names import PROTOCOL_NAMES
from mario_rl.report.table import evaluation_table
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.training import train
from mario_rl.types import EpisodeResult

RUN_RIGHT = 3
RIGHT_B, RIGHT_A_B = 0b10000010, 0b10000011  # the joypad bytes of actions 3 and 4


class Always:
    """A policy that values one action at 5 and the others at nothing."""

    def __init__(self, action: int) -> None:
        self.values = np.zeros((1, 5), dtype=np.float32)
        self.values[0, action] = 5.0

    def q_values(self, observations):
        assert observations.shape[1:] == (4, 84, 84)
        assert observations.dtype == np.uint8
        return self.values.repeat(len(observations), axis=0)


class Hop(Always):
    """A policy that jumps at every other agent step, so that a stuck button makes a difference."""

    def __init__(self) -> None:
        super().__init__(RUN_RIGHT)

    def q_values(self, observations):
        self.values = self.values[:, [0, 1, 2, 4, 3]]
        return super().q_values(observations)


def config(**env) -> Config:
    return Config(env=EnvConfig(**({"stall_limit": 30, "noop_max": 17, "sticky_probability": 0.9} | env)))


def episode(end: str, x: int, return_: float = 0.0) -> EvaluatedEpisode:
    return EvaluatedEpisode("1-1", 0, EpisodeResult("1-1", return_, x, 10, 300, end), 1.0, 2.0, ())


@pytest.mark.emulator
@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_the_end_is_asked_for_also_while_games_are_opened_and_begun(emulator, monkeypatch):
    if emulator == "nes_py":
        pytest.importorskip("nes_py")
    asked = []
    monkeypatch.setattr(Always, "q_values", lambda policy, observations: pytest.fail("an agent step was taken"))
    with pytest.raises(EvaluationInterrupted) as interrupted:
        evaluate_policy(
            Always(0),
            config(emulator=emulator),
            protocol="sticky",
            episodes=20,
            seed=0,
            should_stop=lambda: bool(asked) or asked.append(1),
        )
    assert interrupted.value.report is None


@pytest.mark.emulator
def test_greedy_is_one_episode_and_ignores_the_training_noops_and_stickiness():
    report = evaluate_policy(Always(RUN_RIGHT), config(), protocol="greedy", seed=0)
    (one,) = report.episodes
    # Running right without jumping ends at the first enemy, the same way every time.
    assert one.result.end == "death"
    assert 250 < one.result.x < 350
    assert set(one.buttons) == {0b10000010}
    again = evaluate_policy(Always(RUN_RIGHT), config(), protocol="greedy", seed=99)
    assert again.episodes == report.episodes


@pytest.mark.emulator
def test_noop_plays_each_of_the_31_starts_once():
    report = evaluate_policy(Always(RUN_RIGHT), config(), protocol="noop", seed=0)
    starts = [next(i for i, byte in enumerate(episode.buttons) if byte) for episode in report.episodes]
    assert starts == list(range(31))
    assert report.clear_rate_interval == (0.0, 0.0)


@pytest.mark.emulator
@pytest.mark.parametrize("protocol", ["sticky", "epsilon"])
def test_sticky_and_epsilon_follow_their_seed_and_differ_from_episode_to_episode(protocol):
    def buttons(seed: int, episodes: int) -> list[tuple[int, ...]]:
        report = evaluate_policy(Hop(), config(), protocol=protocol, seed=seed, episodes=episodes)
        return [episode.buttons for episode in report.episodes]

    first = buttons(7, 5)
    assert buttons(7, 5) == first
    assert buttons(8, 5) != first
    assert buttons(7, 6)[:5] == first
    assert len(set(first)) > 1


@pytest.mark.emulator
def test_each_stage_of_a_list_is_played_under_the_protocol():
    report = evaluate_policy(Always(RUN_RIGHT), config(stage=("1-1", "1-4")), protocol="sticky", seed=0, episodes=2)
    assert [e.stage for e in report.episodes] == ["1-1", "1-1", "1-4", "1-4"]
    assert [e.number for e in report.episodes] == [0, 1, 2, 3]
    assert report.stage == "1-1,1-4"


@pytest.mark.emulator
def test_a_stage_that_stands_twice_in_a_list_is_played_twice_and_each_episode_once():
    report = evaluate_policy(Always(RUN_RIGHT), config(stage=("1-1", "1-1")), protocol="sticky", seed=0, episodes=2)
    assert [e.number for e in report.episodes] == [0, 1, 2, 3]
    assert report.stage == "1-1"


@pytest.mark.emulator
def test_q_first_and_the_discounted_return_are_in_the_units_the_agent_learns_in():
    settings = config(reward_scale=0.5, stall_limit=3)
    stand_still = evaluate_policy(Always(0), settings, protocol="greedy", seed=0)
    (one,) = stand_still.episodes
    assert (one.result.end, one.result.length, one.result.x) == ("stall", 3, 40)
    assert one.q_first == 5.0


@pytest.mark.emulator
def test_the_discounted_return_by_hand():
    settings = config(reward_scale=0.5, max_agent_steps=4)
    (one,) = evaluate_policy(Always(RUN_RIGHT), settings, protocol="greedy", seed=0).episodes
    env = make_env(EnvConfig(noop_max=0, reward_scale=0.5))
    env.reset()
    rewards = [env.step(RUN_RIGHT)[1] for _ in range(4)]
    env.close()
    assert rewards[-1] > 0
    gamma = settings.agent.gamma
    by_hand = rewards[0] + gamma * rewards[1] + gamma**2 * rewards[2] + gamma**3 * rewards[3]
    assert one.discounted_return == pytest.approx(by_hand)
    assert one.result.return_ == sum(rewards) * 2


@pytest.mark.emulator
def test_sticky_keeps_a_quarter_of_the_frames_and_epsilon_changes_one_action_in_a_hundred():
    # Of Hop's frames one in four asks for other buttons than the frame before, so one in sixteen shows a stuck button.
    settings = config(max_agent_steps=100, stall_limit=None)
    sticky = evaluate_policy(Hop(), settings, protocol="sticky", seed=1, episodes=20)
    asked, kept = 0, 0
    for episode in sticky.episodes:
        for step in range(1, episode.result.length):
            before, first = episode.buttons[4 * step - 1 : 4 * step + 1]
            wanted = (RIGHT_A_B, RIGHT_B)[step % 2]
            if before != wanted:
                asked, kept = asked + 1, kept + (first == before)
    assert asked > 500
    assert kept / asked == pytest.approx(0.25, abs=0.06)
    epsilon = evaluate_policy(Always(0), settings, protocol="epsilon", seed=1, episodes=20)
    pressed = sum(any(episode.buttons[4 * step : 4 * step + 4]) for episode in epsilon.episodes for step in range(100))
    assert pressed / 2000 == pytest.approx(0.01 * 4 / 5, abs=0.006)  # one random action in five is none


@pytest.mark.emulator
def test_an_evaluation_can_be_stopped_between_two_steps():
    asked = iter([False] * 10 + [True])
    with pytest.raises(EvaluationInterrupted) as interrupted:
        evaluate_policy(Always(0), config(), protocol="greedy", seed=0, should_stop=lambda: next(asked))
    assert interrupted.value.report is None  # no episode had ended


@pytest.mark.emulator
def test_the_episodes_that_had_ended_by_then_are_reported_and_marked_as_cut_short():
    whole = evaluate_policy(Hop(), config(), protocol="sticky", seed=0, episodes=20)
    ended: list[EvaluatedEpisode] = []
    with pytest.raises(EvaluationInterrupted) as interrupted:
        evaluate_policy(
            Hop(),
            config(),
            protocol="sticky",
            seed=0,
            episodes=20,
            should_stop=lambda: len(ended) >= 5,
            on_episode=lambda episode, total: ended.append(episode),
        )
    report = interrupted.value.report
    assert report is not None
    assert 5 <= len(report.episodes) < 20
    assert report.episodes == tuple(whole.episodes[one.number] for one in sorted(ended, key=lambda one: one.number))
    summary = report.summary()
    assert (summary["complete"], summary["episodes"], summary["episodes_asked"]) == (False, len(ended), 20)
    assert "CUT SHORT" in evaluation_table(summary)
    assert "Wilson" not in evaluation_table(summary)
    assert (whole.summary()["complete"], whole.summary()["episodes_asked"]) == (True, 20)
    assert "CUT SHORT" not in evaluation_table(whole.summary())


def test_the_clear_rate_of_what_was_cut_short_is_bounded_by_what_the_others_could_do():
    report = EvaluationReport("sticky", 0, (episode("clear", 3161), episode("death", 900)), asked=10)
    assert report.clear_rate == 0.5
    assert report.clear_rate_interval == (0.1, 0.9)  # none of the other eight clears, or all of them
    assert "50.0% of those; of all 10 it would be 10.0% to 90.0%" in evaluation_table(report.summary())


@pytest.mark.parametrize(("protocol", "fixed"), [("greedy", 1), ("noop", 31)])
def test_protocols_with_a_fixed_number_of_episodes_refuse_another(protocol, fixed):
    with pytest.raises(UserError, match=f"episodes: 5 is not allowed with protocol {protocol}.*exactly {fixed} "):
        evaluate_policy(Always(0), config(), protocol=protocol, seed=0, episodes=5)


def test_what_followed_from_each_state_by_hand():
    assert discounted_returns([1.0, 0.0, 4.0], 0.5) == [1 + 0.25 * 4, 0.5 * 4, 4.0]
    assert discounted_returns([], 0.9) == []


def test_the_means_over_visited_states_are_over_all_states_of_an_episode_that_ended():
    assert visited_means([6.0, 2.0], [1.0, 3.0], 0.9, truncated=False) == (4.0, 2.0)


def test_states_whose_return_a_cut_leaves_unknown_count_in_neither_mean():
    # One step before the cut 5 % is unknown; two steps before it, 0.05 ** 2, a quarter of 1 %.
    assert visited_means([6.0, 2.0, 99.0], [1.0, 3.0, 99.0], 0.05, truncated=True) == (4.0, 2.0)
    assert visited_means([99.0], [99.0], 0.05, truncated=True) == (None, None)


@pytest.mark.emulator
def test_an_episode_tells_what_was_predicted_and_what_followed_on_the_real_game():
    settings = config(reward_scale=0.5)
    (death,) = evaluate_policy(Always(RUN_RIGHT), settings, protocol="greedy", seed=0).episodes
    env = make_env(EnvConfig(noop_max=0, reward_scale=0.5))
    env.reset()
    rewards = [env.step(RUN_RIGHT)[1] for _ in range(death.result.length)]
    env.close()
    assert death.result.end == "death"
    assert death.q_visited == 5.0
    assert death.return_visited == pytest.approx(np.mean(discounted_returns(rewards, settings.agent.gamma)))
    (stall,) = evaluate_policy(Always(0), config(stall_limit=3), protocol="greedy", seed=0).episodes
    assert (stall.q_visited, stall.return_visited) == (None, None)  # with 0.95 ** 3 still to come


def test_wilson_interval_by_hand():
    # k = 8 of n = 10, z = 1.96: centre (8 + 1.92) / 13.84, half-width 1.96 / 13.84 * sqrt(8 * 2 / 10 + 0.96)
    report = EvaluationReport("sticky", 0, (episode("clear", 3161),) * 8 + (episode("death", 900),) * 2)
    assert report.clear_rate == 0.8
    assert report.clear_rate_interval == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_the_summary_adds_up():
    report = EvaluationReport(
        "epsilon", 7, (episode("clear", 3161, 3000.0), episode("death", 500, 400.0), episode("stall", 739, 500.0))
    )
    summary = report.summary()
    assert (summary["episodes"], summary["clears"]) == (3, 1)
    assert (summary["mean_x"], summary["median_x"], summary["best_x"]) == (pytest.approx(4400 / 3), 739.0, 3161)
    assert (summary["mean_return"], summary["median_return"], summary["best_return"]) == (1300.0, 500.0, 3000.0)
    assert summary["ends"] == {"clear": 1, "death": 1, "stall": 1}
    table = evaluation_table(summary)
    assert "1 of 3" in table
    assert "clear 1, death 1, stall 1" in table


def test_best_and_worst_are_by_clear_then_x_then_return():
    ranked = [episode("death", 10), episode("death", 20, 1.0), episode("death", 20, 2.0), episode("clear", 5)]
    report = EvaluationReport("sticky", 0, tuple(ranked))
    assert report.best == ranked[-1]
    assert report.worst == ranked[0]


def test_in_the_whole_game_stages_cleared_count_before_x():
    def played(stage: str, x: int) -> EvaluatedEpisode:
        return EvaluatedEpisode("game", 0, EpisodeResult(stage, 0.0, x, 10, 300, "death"), 1.0, 2.0, ())

    far, next_stage = played("1-1", 2387), played("1-2", 54)
    report = EvaluationReport("sticky", 0, (far, next_stage))
    assert report.best == next_stage
    assert report.worst == far
    assert EvaluationReport("sticky", 0, (next_stage,)).merit > EvaluationReport("sticky", 0, (far,)).merit


def test_the_minus_world_ranks_behind_what_goes_on_from_1_2_and_before_1_2():
    def reached(stage: str) -> EvaluationReport:
        result = EpisodeResult(stage, 0.0, 500, 10, 300, "death")
        return EvaluationReport("noop", 0, (EvaluatedEpisode("game", 0, result, 1.0, 2.0, ()),))

    assert reached("1-2").merit < reached("36-1").merit < reached("4-1").merit
    report = EvaluationReport("noop", 0, (*reached("36-1").episodes, *reached("2-1").episodes))
    assert report.best.result.stage == "2-1"
    assert report.worst.result.stage == "36-1"
    assert report.summary()["results"][0]["stage"] == "36-1"


@pytest.mark.emulator
def test_weights_of_another_network_than_the_configs_are_one_clear_line(tmp_path, small_run):
    train(small_run, tmp_path / "run")
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "latest.pt")
    state["config"]["network"]["hidden_size"] = 33
    save_checkpoint(tmp_path / "other.pt", state)
    with pytest.raises(CheckpointError, match=r"other\.pt: damaged, its weights are not those of the network"):
        evaluate(tmp_path / "other.pt", protocol="greedy")


def test_a_config_survives_the_way_through_a_checkpoint():
    settings = config(stage=("1-1", "1-4"), action_set=(("right",), ("right", "A")))
    assert parse_config(settings.model_dump(mode="json"), "checkpoint") == settings


def test_every_protocol_has_its_rules():
    assert tuple(PROTOCOLS) == PROTOCOL_NAMES
