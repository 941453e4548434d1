"""Rewards per frame, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from env_fakes import Frame, ScriptedGame, game_info
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.config import EnvConfig
from mario_rl.envs import ClassicReturn, FrameReward
from mario_rl.envs.rewards import bounded, classic_reward, frame_reward, shaped_reward

PLAIN: dict[str, Any] = {"reward_clip": None, "reward_scale": 1.0}


def info(**frame: Any) -> dict[str, Any]:
    return game_info(Frame(**frame))


@pytest.mark.parametrize(
    ("x_before", "x_after", "points"),
    [(100, 103, 3.0), (100, 98, -2.0), (100, 105, 5.0), (100, 95, -5.0), (100, 106, 0.0), (100, 94, 0.0)],
)
def test_classic_pays_the_pixels_moved_unless_there_are_more_than_five(
    x_before: int, x_after: int, points: float
) -> None:
    assert classic_reward(info(x=x_before), info(x=x_after)) == points


@pytest.mark.parametrize(("before", "after", "points"), [(400, 399, -1.0), (400, 400, 0.0), (1, 400, 0.0)])
def test_classic_charges_for_the_clock_only_when_it_falls(before: int, after: int, points: float) -> None:
    assert classic_reward(info(clock=before), info(clock=after)) == points


def test_classic_charges_25_on_every_frame_mario_is_dying_or_dead() -> None:
    assert classic_reward(info(), info(dying=True)) == -25.0
    assert classic_reward(info(dying=True), info(dying=True)) == -25.0
    assert classic_reward(info(), info() | {"is_dead": True}) == -25.0


def test_shaped_is_the_games_own_sum_before_its_bound() -> None:
    assert shaped_reward(info(), info(shaped=52.5)) == 52.5


@given(reward=st.floats(-1e6, 1e6), bound=st.floats(0.1, 100.0))
def test_a_bounded_reward_lies_within_the_bound_and_is_unchanged_if_it_did_before(reward: float, bound: float) -> None:
    assert -bound <= bounded(reward, bound) <= bound
    assert bounded(reward, bound) == reward or abs(reward) > bound
    assert bounded(reward, None) == reward


def test_bonus_and_penalty_come_after_the_bound_and_before_the_scale() -> None:
    config = EnvConfig(reward="shaped", reward_clip=15.0, clear_bonus=50.0, death_penalty=20.0, reward_scale=0.1)
    assert frame_reward(info(), info(shaped=60.0, flag=True), config) == pytest.approx(6.5)  # (15 + 50) / 10
    assert frame_reward(info(), info(shaped=-40.0, dying=True), config) == pytest.approx(-3.5)  # (-15 - 20) / 10
    assert frame_reward(info(), info(shaped=60.0), config) == pytest.approx(1.5)


def test_bonus_and_penalty_are_paid_on_the_first_frame_only() -> None:
    config = EnvConfig(clear_bonus=50.0, death_penalty=20.0, reward_clip=10.0, reward_scale=1.0)
    assert frame_reward(info(), info(flag=True), config) == 50.0
    assert frame_reward(info(flag=True), info(flag=True), config) == 0.0
    assert frame_reward(info(), info(dying=True), config) == -30.0  # 25 bounded to 10, and 20
    assert frame_reward(info(dying=True), info(dying=True), config) == -10.0


def test_no_bound_leaves_the_death_penalty_of_the_game_whole() -> None:
    assert frame_reward(info(), info(dying=True), EnvConfig(**PLAIN)) == -25.0


def test_the_first_frame_is_compared_with_the_reset() -> None:
    game = ScriptedGame([Frame(x=40), Frame(x=43), Frame(x=44, clock=399)])
    env = FrameReward(game, config=EnvConfig(**PLAIN))
    env.reset()
    assert [env.step(0)[1] for _ in range(2)] == [3.0, 0.0]
    env.reset()
    assert env.step(0)[1] == 3.0


def test_the_reported_return_is_the_classic_one_whatever_the_agent_is_paid() -> None:
    game = ScriptedGame([Frame(x=40), Frame(x=43, shaped=100.0), Frame(x=45, clock=399), Frame(x=45, dying=True)])
    config = EnvConfig(reward="shaped", reward_clip=None, clear_bonus=7.0, death_penalty=9.0, reward_scale=0.5)
    env = FrameReward(ClassicReturn(game), config=config)
    returns = [env.reset()[1]["classic_return"]]
    rewards = []
    for _ in range(3):
        _, reward, *_, step_info = env.step(0)
        rewards.append(reward)
        returns.append(step_info["classic_return"])
    assert returns == [0.0, 3.0, 4.0, -11.0]  # 3; 2 - 1; -25 bounded to -15
    assert rewards == [50.0, 0.0, -4.5]
    assert env.reset()[1]["classic_return"] == 0.0
