"""Prioritised replay: probabilities and weights worked out by hand, and that only what can be sampled ever is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_step import one_step, only

from mario_rl.replay import ReplayBuffer
from mario_rl.replay.priorities import SMALLEST_ERROR, Priorities


def ranked(errors: list[float], *, exponent: float = 1.0, importance_exponent: float = 1.0) -> Priorities:
    """One ring of as many slots as there are TD errors, all of them ranked by those."""
    count = len(errors)
    priorities = Priorities(np.array([count]), exponent=exponent, importance_exponent=importance_exponent)
    priorities.follow(np.array([0]), np.array([count]), np.zeros(count, np.bool_))
    error = np.array(errors, np.float32) - np.float32(SMALLEST_ERROR)
    priorities.update(np.zeros(count, np.int64), np.arange(count), error)
    return priorities


def test_slots_are_drawn_in_proportion_to_their_errors():
    _, number, _ = ranked([3.0, 1.0]).draw(np.random.default_rng(0), 40_000)
    assert (number == 0).mean() == pytest.approx(0.75, abs=0.01)


def test_the_exponent_makes_them_more_alike():
    _, number, _ = ranked([9.0, 1.0], exponent=0.5).draw(np.random.default_rng(0), 40_000)
    assert (number == 0).mean() == pytest.approx(3 / 4, abs=0.01)  # the roots are 3 and 1


def test_weights_undo_the_bias_and_the_largest_of_a_batch_is_one():
    _, number, weight = ranked([3.0, 1.0]).draw(np.random.default_rng(0), 100)
    # N P(i) is 2 x 3/4 and 2 x 1/4; to the power of -1 and divided by the larger: 1/3 and 1.
    assert set(np.round(weight[number == 0], 6)) == {np.float32(0.333333)}
    assert set(weight[number == 1]) == {1.0}


def test_a_new_slot_is_as_likely_as_the_likeliest_so_far():
    priorities = Priorities(np.array([3]), exponent=1.0, importance_exponent=0.5)
    tails = np.zeros(3, np.bool_)
    priorities.follow(np.array([0]), np.array([2]), tails)
    priorities.update(np.array([0]), np.array([1]), np.array([4.0], np.float32))
    priorities.follow(np.array([0]), np.array([3]), tails)
    assert priorities.values.tolist() == pytest.approx([1.0, 4.0 + SMALLEST_ERROR, 4.0 + SMALLEST_ERROR])


def test_an_update_that_comes_after_its_slot_was_overwritten_changes_nothing():
    priorities = ranked([1.0, 1.0])
    priorities.follow(np.array([2]), np.array([4]), np.zeros(2, np.bool_))  # numbers 2 and 3 lie there now
    before = priorities.values.copy()
    priorities.update(np.array([0]), np.array([1]), np.array([9.0], np.float32))
    assert (priorities.values == before).all()


@pytest.mark.parametrize("error", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_no_number_ranks_nothing_so_that_there_is_always_something_to_draw(error):
    priorities = ranked([1.0, 3.0])
    priorities.update(np.zeros(2, np.int64), np.arange(2), np.array([error, 4.0], np.float32))
    assert priorities.values.tolist() == pytest.approx([1.0, 4.0 + SMALLEST_ERROR])
    priorities.draw(np.random.default_rng(0), 8)


class Loop:
    """`Priorities.follow` as a plain loop over the slots of every ring."""

    def __init__(self, num_envs: int, slots: int) -> None:
        self.slots = slots
        self.values = np.zeros(num_envs * slots, np.float32)
        self.ranked = [(0, 0)] * num_envs

    def follow(self, first: list[int], complete: list[int], is_tail: np.ndarray, highest: float) -> None:
        for env, (known_first, known_end) in enumerate(self.ranked):
            for number in range(known_first, min(first[env], known_end)):
                self.values[env * self.slots + number % self.slots] = 0.0
            for number in range(max(known_end, first[env]), complete[env]):
                row = env * self.slots + number % self.slots
                self.values[row] = 0.0 if is_tail[row] else highest
        self.ranked = list(zip(first, complete, strict=True))


@st.composite
def ranges(draw: st.DrawFn, num_envs: int, slots: int) -> list[tuple[list[int], list[int]]]:
    """What can be sampled of each ring, time after time: both ends only move on, at most a ring's length apart."""
    times = [([0] * num_envs, [0] * num_envs)]
    for _ in range(draw(st.integers(1, 8))):
        first, complete = times[-1]
        complete = [end + draw(st.integers(0, 2 * slots)) for end in complete]
        first = [draw(st.integers(max(at, end - slots), end)) for at, end in zip(first, complete, strict=True)]
        times.append((first, complete))
    return times


@settings(max_examples=150)
@given(data=st.data(), num_envs=st.integers(1, 5), slots=st.integers(1, 9), seed=st.integers(0, 1_000))
def test_many_rings_are_followed_as_a_plain_loop_would(data: st.DataObject, num_envs: int, slots: int, seed: int):
    rng = np.random.default_rng(seed)
    priorities = Priorities(np.full(num_envs, slots), exponent=1.0, importance_exponent=0.5)
    loop = Loop(num_envs, slots)
    for time, (first, complete) in enumerate(data.draw(ranges(num_envs, slots))):
        is_tail = rng.random(num_envs * slots) < 0.3
        highest = float(priorities._highest[0])
        priorities.follow(np.array(first), np.array(complete), is_tail)
        loop.follow(first, complete, is_tail, highest)
        assert (priorities.values == loop.values).all()
        # An error that is higher every time, so that what is ranked now differs from what was ranked before.
        env = int(rng.integers(num_envs))
        if complete[env] > first[env]:
            number = int(rng.integers(first[env], complete[env]))
            priorities.update(np.array([env]), np.array([number]), np.array([2.0 + time], np.float32))
            loop.values[env * slots + number % slots] = priorities.values[env * slots + number % slots]


def buffer(**settings: float) -> ReplayBuffer:
    return ReplayBuffer(
        40, num_envs=2, frame_shape=(2, 2), frame_stack=2, n_step=2, gamma=0.5, rng=np.random.default_rng(0), **settings
    )


def add(replay: ReplayBuffer, env: int, value: int, end: str) -> None:
    frame = np.full((2, 2), value % 256, np.uint8)
    terminated, truncated = end == "terminated", end == "truncated"
    replay.add(one_step(frame, frame, reward=float(value), terminated=terminated, truncated=truncated), only(env))


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["on", "on", "on", "terminated", "truncated"])),
    min_size=5,
    max_size=150,
)


@settings(max_examples=60)
@given(steps=STEPS, every=st.integers(1, 40))
def test_what_has_a_priority_is_exactly_what_uniform_sampling_can_draw(steps: list[tuple[int, str]], every: int):
    """Whenever the priorities are brought up to date, rarely or often."""
    replay, uniform = buffer(priority_exponent=1.0), buffer()
    for value, (env, end) in enumerate(steps):
        add(replay, env, value, end)
        add(uniform, env, value, end)
        if value % every == 0 and len(replay):
            batch = replay.sample(4)
            replay.prioritize(batch.slot, torch.full((4,), float(value)))
    if len(replay) == 0:
        return
    replay.sample(1)
    assert replay._priorities is not None
    can_be_drawn = {tuple(slot) for slot in uniform.sample(4_000).slot.tolist()}
    with_priority = {tuple(divmod(int(row), 20)) for row in np.flatnonzero(replay._priorities.values)}
    assert with_priority == {(env, number % 20) for env, number in can_be_drawn}
    assert {tuple(slot) for slot in replay.sample(200).slot.tolist()} <= can_be_drawn


def test_a_batch_names_the_slots_that_its_errors_rank():
    replay = buffer(priority_exponent=1.0)
    for value in range(12):
        add(replay, 0, value, "on")
    batch = replay.sample(200)
    surprising = batch.n_step_return == 3 + 0.5 * 4  # rewards 3 and 4
    replay.prioritize(batch.slot, torch.where(surprising, 1_000.0, 0.0))
    assert (replay.sample(100).n_step_return == 5).all()


def test_a_restored_replay_draws_the_same_by_priority(tmp_path):
    replay, other = buffer(priority_exponent=0.6), buffer(priority_exponent=0.6)
    for value in range(60):
        add(replay, value % 2, value, "terminated" if value % 13 == 0 else "on")
        if value > 20:
            batch = replay.sample(4)
            replay.prioritize(batch.slot, batch.n_step_return)
    replay.save(tmp_path / "replay.npz")
    other.load(tmp_path / "replay.npz")
    other.rng.bit_generator.state = replay.rng.bit_generator.state
    one, same = replay.sample(50), other.sample(50)
    assert torch.equal(one.slot, same.slot)
    assert torch.equal(one.weight, same.weight)


def test_uniform_batches_weigh_one():
    replay = buffer()
    for value in range(12):
        add(replay, 0, value, "on")
    assert replay.sample(5).weight.tolist() == [1.0] * 5
