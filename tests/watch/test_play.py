"""Episodes for somebody who watches: the same as those of an evaluation, frame by frame, and a pad in between."""

from __future__ import annotations

import numpy as np
import pytest
from env_fakes import INTO_BONUS_ROOM, unroll

from mario_rl.config import Config, EnvConfig, parse_config
from mario_rl.envs import make_env
from mario_rl.evaluation import evaluate_policy
from mario_rl.report.video import Recording, _replay
from mario_rl.watch.play import Episode


class ByPicture:
    """A policy whose values follow from the pixels alone, so that another picture is another action."""

    def q_values(self, observations):
        assert observations.shape[1:] == (4, 84, 84)
        sums = observations.reshape(len(observations), 4, -1)[:, :, ::7].sum(axis=(1, 2), dtype=np.int64)
        values = (sums[:, np.newaxis] * np.arange(3, 8) % 101).astype(np.float32)
        values[:, 3] += 60.0  # mostly running to the right, or it would get nowhere
        return values


def settings(**env: object) -> Config:
    tree = {"stall_limit": 40, "max_agent_steps": 60, "show_buttons": True} | env
    return parse_config({"env": tree, "agent": {"gamma": 0.9}, "device": "cpu"}, "test")


@pytest.mark.emulator
@pytest.mark.parametrize(("protocol", "number"), [("greedy", 0), ("sticky", 1), ("epsilon", 2)])
def test_what_is_watched_is_what_is_evaluated(protocol, number):
    config = settings()
    episode = Episode(ByPicture(), config, stage="1-1", protocol=protocol, seed=5, number=number)
    shown = list(episode.play())
    count = None if protocol == "greedy" else number + 1
    evaluated = evaluate_policy(ByPicture(), config, protocol=protocol, seed=5, episodes=count).episodes[number]
    assert episode.result == evaluated.result
    assert episode.buttons == evaluated.buttons
    assert episode.predicted[0] == evaluated.q_first
    assert episode.returns[0] == pytest.approx(evaluated.discounted_return)
    assert [one.frame for one in shown] == list(range(1 + len(evaluated.buttons)))


@pytest.mark.emulator
def test_every_frame_is_what_the_emulator_shows_after_the_bytes_so_far():
    episode = Episode(ByPicture(), settings(max_agent_steps=15), stage="1-1", protocol="noop", seed=0, number=9)
    shown = list(episode.play())
    assert [one.decision for one in shown[:10]] == [None] * 10  # the reset and 9 frames without input
    screens = [screen.copy() for screen in _replay(Recording("1-1", episode.buttons, ""), every=1)]
    for one, screen in zip(shown, screens, strict=False):
        np.testing.assert_array_equal(one.screen, screen)
    assert [one.byte for one in shown[1:]] == list(episode.buttons)


@pytest.mark.emulator
def test_the_values_shown_are_those_of_the_observation_shown():
    episode = Episode(ByPicture(), settings(max_agent_steps=12), stage="1-1", protocol="epsilon", seed=1, number=0)
    decisions = {one.decision.step: one.decision for one in episode.play() if one.decision is not None}
    assert sorted(decisions) == list(range(12))
    for decision in decisions.values():
        values = ByPicture().q_values(decision.observation[np.newaxis])[0]
        assert decision.q_values == tuple(values.tolist())
        assert decision.best == values.argmax()


@pytest.mark.emulator
def test_a_person_plays_in_between_and_the_agent_goes_on_from_there():
    config = settings(max_agent_steps=30)
    episode = Episode(ByPicture(), config, stage="1-1", protocol="greedy", seed=0, number=0)
    shown = list(episode.play(lambda: 0x41 if len(episode.rewards) in (10, 11) else None))  # left and A
    by_hand = {one.decision.step for one in shown if one.decision is not None and one.decision.action is None}
    assert by_hand == {10, 11}
    assert episode.played_by_hand
    assert set(episode.buttons[40:48]) == {0b0100_0001}
    # The agent's own environment, given the same actions, shows it the same afterwards.
    pad = (*[("NOOP",), ("right",), ("right", "A"), ("right", "B"), ("right", "A", "B")], ("left", "A"))
    env = make_env(EnvConfig(noop_max=0, stall_limit=40, show_buttons=True, action_set=pad))
    observation, _ = env.reset(seed=0)
    for decision in dict.fromkeys(one.decision.step for one in shown if one.decision is not None):
        one = next(frame.decision for frame in shown if frame.decision is not None and frame.decision.step == decision)
        np.testing.assert_array_equal(one.observation, observation)
        observation, *_ = env.step(5 if one.action is None else one.action)
    env.close()


class RunsRight:
    """Right, A and B, always."""

    def q_values(self, observations):
        return np.array([[0, 0, 0, 0, 1]] * len(observations), dtype=np.float32)


@pytest.mark.emulator
def test_the_left_edge_is_the_one_the_screen_was_drawn_with():
    episode = Episode(RunsRight(), settings(max_agent_steps=60), stage="1-1", protocol="greedy", seed=0, number=0)
    shown = list(episode.play())
    assert shown[0].left == 0
    clouds = slice(32, 62)  # above Mario's jumps and the enemies
    moved = [(one, other) for one, other in zip(shown, shown[5:], strict=False) if other.left > one.left]
    assert len(moved) > 50
    assert any(one.screen[clouds].std(axis=(0, 1)).max() > 20 for one, _ in moved)  # else any edge would do
    for one, other in moved:
        by = other.left - one.left
        np.testing.assert_array_equal(one.screen[clouds, by:-8], other.screen[clouds, : -8 - by])


@pytest.mark.emulator
def test_outside_the_area_the_episode_began_in_there_is_no_left_edge():
    script = unroll(INTO_BONUS_ROOM)
    config = settings(frame_skip=1, max_agent_steps=len(script), stall_limit=None)
    episode = Episode(RunsRight(), config, stage="1-1", protocol="greedy", seed=0, number=0)
    keys = iter(script)
    shown = list(episode.play(lambda: next(keys)))
    assert shown[-1].left is None
    inside = [one.left for one in shown].index(None)
    assert shown[inside - 1].x > 800  # at the fourth pipe
    assert all(one.left is not None for one in shown[:inside])


@pytest.mark.emulator
@pytest.mark.parametrize("protocol", ["sticky", "epsilon"])
def test_choices_made_again_show_the_same_frames_and_what_is_chosen_after_them_is_what_would_have_been(protocol):
    settled = settings(max_agent_steps=30)
    first = Episode(ByPicture(), settled, stage="1-1", protocol=protocol, seed=3, number=1)
    held = {4: 0x41, 5: 0x40}  # left and A, left
    shown = list(first.play(lambda: held.get(len(first.rewards))))
    again = Episode(ByPicture(), settled, stage="1-1", protocol=protocol, seed=3, number=1, script=first.choices[:12])
    for one, other in zip(shown, again.play(), strict=True):
        np.testing.assert_array_equal(one.screen, other.screen)
        assert one._replace(screen=0, decision=0) == other._replace(screen=0, decision=0)
        if one.decision is not None:
            assert one.decision._replace(observation=0) == other.decision._replace(observation=0)
            np.testing.assert_array_equal(one.decision.observation, other.decision.observation)
        assert again.is_live == (one.decision is not None and one.decision.step >= 12)
    assert again.choices == first.choices
    assert again.played_by_hand


@pytest.mark.emulator
def test_a_person_who_takes_the_pad_on_the_way_leaves_the_script():
    settled = settings(max_agent_steps=20)
    first = Episode(ByPicture(), settled, stage="1-1", protocol="greedy", seed=0, number=0)
    list(first.play())
    again = Episode(ByPicture(), settled, stage="1-1", protocol="greedy", seed=0, number=0, script=first.choices)
    list(again.play(lambda: 0x40 if len(again.rewards) >= 8 else None))
    assert again.choices[:8] == first.choices[:8]
    assert {choice.held for choice in again.choices[8:]} == {0x40}


@pytest.mark.emulator
def test_an_agent_that_takes_over_begins_with_what_the_screen_shows_then():
    opening = bytes([0x82] * 50 + [0x83] * 31)
    config = settings(max_agent_steps=10)
    episode = Episode(ByPicture(), config, stage="1-1", protocol="greedy", seed=0, number=0, opening=opening)
    shown = list(episode.play())
    assert episode.buttons[: len(opening)] == tuple(opening)
    assert [one.decision for one in shown[: len(opening) + 1]] == [None] * (len(opening) + 1)
    first = shown[len(opening) + 1].decision
    assert first is not None
    assert first.step == 0
    assert not first.observation[:-1].any()  # as after a reset: one frame in the stack
    assert first.observation[-1].any()
    again = [screen.copy() for screen in _replay(Recording("1-1", episode.buttons, ""), every=1)]
    for one, screen in zip(shown, again, strict=False):
        np.testing.assert_array_equal(one.screen, screen)
