"""The replay: what comes out is what went in, stacked, summed and masked, against numbers worked out by hand."""

import numpy as np
import pytest
import torch
from one_step import one_step, only

from mario_rl.errors import UserError
from mario_rl.replay import ReplayBuffer
from mario_rl.types import Batch, Steps


def small(capacity=40, *, num_envs=1, frame_stack=2, n_step=1, gamma=0.5) -> ReplayBuffer:
    """A buffer of 2x2 frames; in these tests all four pixels of a frame are its number."""
    return ReplayBuffer(
        capacity,
        num_envs=num_envs,
        frame_shape=(2, 2),
        frame_stack=frame_stack,
        n_step=n_step,
        gamma=gamma,
        rng=np.random.default_rng(0),
    )


def frame(number: int) -> np.ndarray:
    return np.full((2, 2), number, dtype=np.uint8)


def play(buffer: ReplayBuffer, numbers, *, rewards=None, terminated=False, truncated=False, env=0) -> None:
    """Show the frames `numbers` to an environment's player, as one episode from its first frame on.

    k + 1 frames make k steps. The action taken on seeing frame f is f % 10. The last step ends the episode, or nothing.
    """
    numbers = list(numbers)
    steps = len(numbers) - 1
    for step in range(steps):
        last = step == steps - 1
        buffer.add(
            one_step(
                frame(numbers[step]),
                frame(numbers[step + 1]),
                action=numbers[step] % 10,
                reward=0.0 if rewards is None else rewards[step],
                terminated=terminated and last,
                truncated=truncated and last,
            ),
            only(env),
        )


def everything(buffer: ReplayBuffer) -> dict[int, Batch]:
    """Sample until all there is has come up, by the number of the newest frame observed; rows as batches of one."""
    batch = buffer.sample(60 * len(buffer))  # any one start is missed with probability e^-60
    rows = {}
    for index, number in enumerate(batch.observation[:, -1, 0, 0].tolist()):
        rows.setdefault(number, Batch(*(field[index] for field in batch)))
    assert len(rows) == len(buffer)
    return rows


def numbers(observation: torch.Tensor) -> list[int]:
    return observation[:, 0, 0].tolist()


def test_the_return_sums_n_discounted_rewards_and_the_rest_is_bootstrapped_n_steps_on():
    buffer = small(n_step=3)
    play(buffer, [1, 2, 3, 4, 5], rewards=[8.0, 4.0, 2.0, 16.0])
    row = everything(buffer)[1]
    assert row.n_step_return == 8 + 0.5 * 4 + 0.25 * 2  # 10.5
    assert row.discount == 0.125
    assert not row.terminated
    assert numbers(row.next_observation) == [3, 4]
    assert row.action == 1


def test_a_start_waits_until_the_frame_n_steps_on_is_stored():
    lengths = []
    for end in range(2, 8):
        buffer = small(n_step=3)
        play(buffer, range(1, end + 1))
        lengths.append(len(buffer))
    assert lengths == [0, 0, 0, 1, 2, 3]  # after 1, 2, ... steps; frame 4 is stored with the fourth


def test_a_terminated_episode_cuts_the_return_short_and_masks_what_follows():
    buffer = small(n_step=3)
    play(buffer, [1, 2, 3, 4], rewards=[8.0, 4.0, 2.0], terminated=True)
    play(buffer, [5, 6, 7, 8, 9], rewards=[100.0] * 4)
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 3, 5]
    assert [rows[start].n_step_return.item() for start in (1, 2, 3)] == [10.5, 5.0, 2.0]
    assert [rows[start].discount.item() for start in (1, 2, 3)] == [0.125, 0.25, 0.5]
    assert [rows[start].terminated.item() for start in (1, 2, 3, 5)] == [True, True, True, False]
    assert [numbers(rows[start].next_observation) for start in (1, 2, 3)] == [[0, 0]] * 3


def test_a_truncated_episode_bootstraps_from_the_last_frame_it_showed():
    buffer = small(n_step=3)
    play(buffer, [1, 2, 3, 4], rewards=[8.0, 4.0, 2.0], truncated=True)
    play(buffer, [5, 6, 7, 8, 9], rewards=[100.0] * 4)
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 3, 5]  # frame 4 was seen and not acted on
    assert [rows[start].n_step_return.item() for start in (1, 2, 3)] == [10.5, 5.0, 2.0]
    assert [rows[start].discount.item() for start in (1, 2, 3)] == [0.125, 0.25, 0.5]
    assert not any(row.terminated for row in rows.values())
    assert [numbers(rows[start].next_observation) for start in (1, 2, 3)] == [[3, 4]] * 3


def test_an_end_that_is_both_is_a_termination():
    buffer = small(n_step=3)
    play(buffer, [1, 2, 3], rewards=[8.0, 4.0], terminated=True, truncated=True)
    rows = everything(buffer)
    assert sorted(rows) == [1, 2]
    assert all(row.terminated for row in rows.values())


def test_an_episode_of_one_step_is_whole():
    buffer = small(n_step=3)
    play(buffer, [1, 2], rewards=[8.0], truncated=True)
    play(buffer, [3, 4], rewards=[4.0], terminated=True)
    rows = everything(buffer)
    assert [rows[start].n_step_return.item() for start in (1, 3)] == [8.0, 4.0]
    assert [rows[start].discount.item() for start in (1, 3)] == [0.5, 0.5]
    assert numbers(rows[1].next_observation) == [1, 2]


def test_before_the_first_frame_of_an_episode_there_are_zeros():
    buffer = small(frame_stack=4)
    play(buffer, [1, 2, 3, 4, 5, 6])
    rows = everything(buffer)
    assert [numbers(rows[start].observation) for start in (1, 2, 3, 4)] == [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 1, 2, 3],
        [1, 2, 3, 4],
    ]
    assert [numbers(rows[start].next_observation) for start in (1, 2, 3)] == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]


@pytest.mark.parametrize("end", [{"terminated": True}, {"truncated": True}])
def test_a_stack_never_reaches_into_the_episode_before(end):
    buffer = small(frame_stack=3)
    play(buffer, [1, 2, 3, 4], **end)
    play(buffer, [11, 12, 13, 14])
    rows = everything(buffer)
    assert numbers(rows[11].observation) == [0, 0, 11]
    assert numbers(rows[11].next_observation) == [0, 11, 12]
    assert numbers(rows[12].observation) == [0, 11, 12]


def test_past_its_capacity_the_oldest_frames_go_and_stacks_that_lost_one_are_not_sampled():
    buffer = small(capacity=8, frame_stack=3)
    play(buffer, range(1, 22))  # 20 steps: slots hold the frames 13 to 20
    rows = everything(buffer)
    assert sorted(rows) == [15, 16, 17, 18, 19]  # 13 and 14 have lost frames, 20 has no next frame yet
    assert numbers(rows[15].observation) == [13, 14, 15]
    assert numbers(rows[19].next_observation) == [18, 19, 20]


def test_an_episode_whose_first_frame_is_still_there_has_lost_nothing():
    buffer = small(capacity=8, frame_stack=3)
    play(buffer, range(1, 5), terminated=True)
    play(buffer, range(11, 20), terminated=True)  # 8 steps fill the 8 slots
    rows = everything(buffer)
    assert sorted(rows) == list(range(11, 19))
    assert numbers(rows[11].observation) == [0, 0, 11]


def test_the_tail_of_a_truncated_episode_takes_a_slot_and_is_never_a_start():
    buffer = small(capacity=8)
    for first in (10, 20, 30, 40):  # 2 steps and a tail each: 12 slots of which 8 are left
        play(buffer, range(first, first + 3), truncated=True)
    rows = everything(buffer)
    assert sorted(rows) == [30, 31, 40, 41]  # of 20 to 22 only 21 and the tail are left, and 21 has lost its stack
    assert numbers(rows[31].next_observation) == [31, 32]
    assert numbers(rows[41].next_observation) == [41, 42]


def test_an_episode_nobody_goes_on_with_ends_as_one_cut_short_at_the_frame_acted_on_last():
    buffer = small(n_step=2)
    play(buffer, [1, 2, 3, 4, 5], rewards=[8.0, 4.0, 2.0, 16.0])  # frame 5 was seen but not stored: no step began there
    buffer.cut()
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 3]  # what followed the action on seeing 4 is not known
    assert (rows[3].n_step_return, rows[3].discount, bool(rows[3].terminated)) == (2.0, 0.5, False)
    assert numbers(rows[3].next_observation) == [3, 4]
    play(buffer, [7, 8, 9], terminated=True)
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 3, 7, 8]
    assert numbers(rows[7].observation) == [0, 7]


@pytest.mark.parametrize("end", [{"terminated": True}, {"truncated": True}])
def test_between_episodes_and_in_an_empty_ring_there_is_nothing_to_cut(end):
    buffer = small(n_step=2)
    buffer.cut()
    assert len(buffer) == 0
    play(buffer, [1, 2, 3], **end)
    buffer.cut()
    buffer.cut()
    assert sorted(everything(buffer)) == [1, 2]
    play(buffer, [5, 6, 7], **end)
    assert sorted(everything(buffer)) == [1, 2, 5, 6]


def test_all_rings_are_cut_at_once_each_where_it_stands():
    buffer = small(capacity=90, num_envs=3, n_step=2)
    play(buffer, [1, 2, 3, 4], env=0)
    play(buffer, [11, 12, 13], env=2, terminated=True)
    buffer.cut()
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 11, 12]
    assert [rows[start].terminated.item() for start in (1, 2, 11, 12)] == [False, False, True, True]
    play(buffer, [21, 22], env=1, truncated=True)
    assert sorted(everything(buffer)) == [1, 2, 11, 12, 21]


def test_what_was_cut_stays_whole_until_it_is_overwritten():
    buffer = small(capacity=8)
    play(buffer, range(1, 7))  # 5 slots: the frames 1 to 5
    buffer.cut()  # frame 5 is a tail
    play(buffer, range(11, 15), truncated=True)  # 4 slots more: frame 1 is gone, and with it the stack of frame 2
    assert sorted(everything(buffer)) == [3, 4, 11, 12, 13]
    play(buffer, range(21, 25), truncated=True)
    assert sorted(everything(buffer)) == [11, 12, 13, 21, 22, 23]


def test_environments_side_by_side_do_not_mix():
    buffer = small(num_envs=3, n_step=2)
    envs = np.arange(3)
    for step in range(4):  # one step of all, as the loop plays them
        shown, after = (np.stack([frame(10 * (env + 1) + number) for env in range(3)]) for number in (step, step + 1))
        truncated = (envs == 1) & (step == 3)
        buffer.add(Steps(shown, np.zeros(3, np.int64), envs.astype(np.float64), envs < 0, truncated, after))
    rows = everything(buffer)
    assert sorted(rows) == [10, 11, 20, 21, 22, 23, 30, 31]
    assert numbers(rows[10].observation) == [0, 10]
    assert numbers(rows[11].next_observation) == [12, 13]
    assert numbers(rows[23].next_observation) == [23, 24]
    assert numbers(rows[31].observation) == [30, 31]
    assert [rows[start].n_step_return.item() for start in (10, 20, 23, 30)] == [0.0, 1.5, 1.0, 3.0]


def test_each_environment_has_its_own_share_of_the_capacity():
    buffer = small(capacity=16, num_envs=2)
    play(buffer, range(1, 40), env=0)  # overwrites its own 8 slots only
    play(buffer, range(101, 105), env=1)
    assert sorted(everything(buffer)) == [32, 33, 34, 35, 36, 37, 101, 102]


def test_what_is_stored_is_a_copy():
    buffer = small()
    screen, last = frame(1), frame(2)
    buffer.add(one_step(screen, last, truncated=True))
    screen[:], last[:] = 99, 98
    row = everything(buffer)[1]
    assert (numbers(row.observation), numbers(row.next_observation)) == ([0, 1], [1, 2])


def test_the_last_frame_is_looked_at_only_where_an_episode_was_cut_short():
    buffer = small()
    for number in (1, 2, 3):
        buffer.add(one_step(frame(number), frame(99), terminated=number == 3))
    rows = everything(buffer)
    assert sorted(rows) == [1, 2, 3]
    assert [numbers(rows[start].next_observation) for start in (1, 2, 3)] == [[1, 2], [2, 3], [0, 0]]


def test_a_batch_has_the_documented_shapes_and_types():
    buffer = ReplayBuffer(64, num_envs=2, frame_stack=4, n_step=3, gamma=0.9, rng=np.random.default_rng(0))
    screen = np.ones((84, 84), dtype=np.uint8)
    for _ in range(8):
        buffer.add(one_step(screen, screen, action=11, reward=-1.5), only(1))
    batch = buffer.sample(5)
    assert [(tuple(field.shape), field.dtype) for field in batch] == [
        ((5, 4, 84, 84), torch.uint8),
        ((5,), torch.int64),
        ((5,), torch.float32),
        ((5, 4, 84, 84), torch.uint8),
        ((5,), torch.bool),
        ((5,), torch.float32),
        ((5,), torch.float32),
        ((5, 2), torch.int64),
        ((5,), torch.bool),
    ]
    assert {field.device.type for field in batch} == {"cpu"}
    assert batch.action.tolist() == [11] * 5


def test_a_batch_is_the_callers_to_change():
    buffer = small()
    play(buffer, [1, 2, 3])
    buffer.sample(4).observation.zero_()
    assert numbers(everything(buffer)[1].observation) == [0, 1]


def test_every_start_is_equally_likely_whatever_its_environment_and_however_many_tails_lie_between():
    buffer = small(capacity=80, num_envs=2)
    play(buffer, range(1, 4), env=0)  # 2 steps in progress: 1 start
    for first in range(10, 60, 2):
        play(buffer, [first, first + 1], truncated=True, env=1)  # 25 episodes of a step and a tail; 20 fit
    starts = [1, *range(20, 60, 2)]
    assert len(buffer) == len(starts) == 21
    draws = 42_000
    counts = np.bincount(buffer.sample(draws).observation[:, -1, 0, 0].numpy(), minlength=60)
    assert counts.sum() == counts[starts].sum()
    expected = draws / len(starts)  # 2,000
    chi_square = ((counts[starts] - expected) ** 2 / expected).sum()
    assert chi_square < 45.3  # 20 degrees of freedom: exceeded once in a thousand


def test_the_same_generator_state_draws_the_same_batch():
    buffer = small()
    play(buffer, range(1, 30))
    state = buffer.rng.bit_generator.state
    first, second = buffer.sample(16), buffer.sample(16)
    buffer.rng.bit_generator.state = state
    again = buffer.sample(16)
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first.observation, second.observation)


def test_nothing_can_be_sampled_from_an_empty_buffer():
    with pytest.raises(ValueError, match="holds no whole transition"):
        small().sample(1)


def test_a_capacity_that_could_never_be_sampled_from_is_refused():
    assert len(small(capacity=15, num_envs=3, frame_stack=4, n_step=1)) == 0
    with pytest.raises(UserError, match=r"^replay\.capacity 14 must be at least 15 for 3 environments, 4 stacked"):
        small(capacity=14, num_envs=3, frame_stack=4, n_step=1)


def test_at_the_smallest_capacity_an_endless_episode_always_has_one_start():
    buffer = small(capacity=5, frame_stack=3, n_step=2)
    lengths = []
    for step in range(1, 12):
        buffer.add(one_step(frame(step), frame(step + 1)))
        lengths.append(len(buffer))
    assert lengths == [0, 0, 1, 2, 3, 1, 1, 1, 1, 1, 1]
