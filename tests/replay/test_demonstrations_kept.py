"""Demonstrations in the replay: there for ever, told apart, ranked higher, and part of its file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_step import one_step, only

from mario_rl.errors import CheckpointError
from mario_rl.replay import ReplayBuffer
from mario_rl.types import Steps

DEMONSTRATED = 200  # frames from this number on are of demonstrations


def demonstration(length: int, first: int = DEMONSTRATED, *, terminated: bool = True) -> Steps:
    """An episode of 2x2 frames, all four pixels of one its number; each step has an action and a reward of its own."""
    frames = np.arange(first, first + length + 1, dtype=np.uint8)[:, None, None] * np.ones((2, 2), np.uint8)
    last = np.arange(length) == length - 1
    return Steps(
        frame=frames[:-1],
        action=np.arange(length),
        reward=np.arange(length) * 2.0,
        terminated=last & terminated,
        truncated=last & (not terminated),
        last_frame=frames[1:],
    )


def replay(capacity: int = 12, *demonstrations: Steps, **changes) -> ReplayBuffer:
    options = {"num_envs": 2, "n_step": 2, "frame_stack": 2} | changes
    return ReplayBuffer(
        capacity,
        frame_shape=(2, 2),
        gamma=0.5,
        rng=np.random.default_rng(0),
        demonstrations=demonstrations,
        **options,
    )


def play(buffer: ReplayBuffer, env: int, number: int, **ends: bool) -> None:
    shown = np.full((2, 2), number, np.uint8)
    buffer.add(one_step(shown, shown, action=9, reward=1.0, **ends), only(env))


def transitions(buffer: ReplayBuffer) -> set[tuple[int, ...]]:
    """All that is sampled of demonstrations: newest frame, frame before, action, return, newest frame seen next."""
    batch = buffer.sample(60 * len(buffer))
    seen, then = batch.observation[:, :, 0, 0], batch.next_observation[:, -1, 0, 0]
    rows = zip(seen[:, 1], seen[:, 0], batch.action, batch.n_step_return, then, batch.demonstration, strict=True)
    told_apart = [tuple(int(value) for value in row) for row in rows]
    assert all((row[0] >= DEMONSTRATED) == row[-1] for row in told_apart)
    return {row[:-1] for row in told_apart if row[-1]}


# Steps of reward 0, 2, 4 with gamma 0.5 over two steps: 0 + 1, 2 + 2, and 4 at the end.
THREE_STEPS = {(200, 0, 0, 1, 202), (201, 200, 1, 4, 0), (202, 201, 2, 4, 0)}


@settings(deadline=None, max_examples=50)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["", "terminated", "truncated"])), min_size=0, max_size=80
    ),
    prioritised=st.booleans(),
    cut_after=st.integers(0, 80),
)
def test_a_demonstration_is_never_overwritten_whatever_is_played(steps, prioritised, cut_after):
    buffer = replay(12, demonstration(3), priority_exponent=0.5 if prioritised else 0.0)
    for number, (env, end) in enumerate(steps):
        play(buffer, env, number % 100, **({end: True} if end else {}))
        if number == cut_after:
            buffer.cut()
    assert transitions(buffer) == THREE_STEPS


def test_it_can_be_learned_from_before_anything_was_played():
    buffer = replay(12, demonstration(3), demonstration(2, first=210))
    assert len(buffer) == 5
    assert transitions(buffer) == THREE_STEPS | {(210, 0, 0, 1, 0), (211, 210, 1, 2, 0)}


def test_it_comes_on_top_of_the_capacity():
    with_one, without = replay(12, demonstration(3)), replay(12)
    for buffer in (with_one, without):
        for number in range(30):
            play(buffer, number % 2, number)
    assert len(with_one) == len(without) + 3


def test_new_ones_are_ranked_higher_by_the_bonus_and_ranked_anew_they_keep_it():
    buffer = replay(12, demonstration(1), num_envs=1, n_step=1, priority_exponent=1.0, demonstration_bonus=3.0)
    play(buffer, 0, 1, terminated=True)
    # Priorities of 1 and 1 + 3: four of five draws are the demonstration's.
    assert buffer.sample(40_000).demonstration.float().mean() == pytest.approx(0.8, abs=0.01)
    batch = buffer.sample(100)
    buffer.prioritize(batch.slot, batch.weight * 0 + 1.0)  # the same error for both
    assert buffer.sample(40_000).demonstration.float().mean() == pytest.approx(4 / 5, abs=0.01)


def test_without_a_bonus_it_is_drawn_like_all_others():
    buffer = replay(12, demonstration(1), num_envs=1, n_step=1, priority_exponent=1.0)
    play(buffer, 0, 1, terminated=True)
    assert buffer.sample(40_000).demonstration.float().mean() == pytest.approx(0.5, abs=0.01)


def test_a_bonus_does_not_raise_what_the_agent_plays_next():
    buffer = replay(12, demonstration(1), num_envs=1, n_step=1, priority_exponent=1.0, demonstration_bonus=3.0)
    batch = buffer.sample(10)
    buffer.prioritize(batch.slot, batch.weight * 0 + 1.0)
    play(buffer, 0, 1, terminated=True)
    assert buffer.sample(40_000).demonstration.float().mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("prioritised", [0.0, 0.5])
def test_a_saved_replay_has_them_and_samples_the_same(tmp_path, prioritised):
    buffers = [replay(12, demonstration(3), priority_exponent=prioritised) for _ in range(2)]
    for number in range(30):
        play(buffers[0], number % 2, number)
    buffers[0].save(tmp_path / "replay.npz")
    buffers[1].load(tmp_path / "replay.npz")
    batches = [buffer.sample(100) for buffer in buffers]
    assert all((one == other).all() for one, other in zip(*batches, strict=True))
    assert transitions(buffers[1]) == THREE_STEPS


@pytest.mark.parametrize(
    "others", [[], [demonstration(4)], [demonstration(3, first=201)]], ids=["none", "long", "other"]
)
def test_a_file_with_other_demonstrations_is_refused(tmp_path, others):
    replay(12, demonstration(3)).save(tmp_path / "replay.npz")
    if others:
        with pytest.raises(CheckpointError, match=r"replay\.npz: a replay with other demonstrations than"):
            replay(12, *others).load(tmp_path / "replay.npz")
    else:
        replay(12).save(tmp_path / "without.npz")
        with pytest.raises(CheckpointError, match=r"without\.npz: "):
            replay(12, demonstration(3)).load(tmp_path / "without.npz")


def test_an_episode_that_was_cut_short_is_no_demonstration():
    with pytest.raises(ValueError, match="an episode that the game ended"):
        replay(12, demonstration(3, terminated=False))
