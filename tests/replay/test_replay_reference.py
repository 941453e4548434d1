"""The replay against a naive one in plain Python that keeps every transition whole, on random play."""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from one_step import one_step, only

from mario_rl.replay import ReplayBuffer
from mario_rl.types import Pixels, Steps

GAMMA = 0.5  # a power of two, and whole rewards: sums are exact


class Setup(NamedTuple):
    num_envs: int
    frame_stack: int
    n_step: int
    slots: int

    def buffer(self, *, capacity_left_over: int = 0) -> ReplayBuffer:
        return ReplayBuffer(
            self.num_envs * self.slots + capacity_left_over,
            num_envs=self.num_envs,
            frame_shape=(2, 2),
            frame_stack=self.frame_stack,
            n_step=self.n_step,
            gamma=GAMMA,
            rng=np.random.default_rng(0),
        )


class Transition(NamedTuple):
    """One agent step of one environment, with both of its whole stacks."""

    observation: Pixels
    action: int
    reward: float
    next_observation: Pixels
    terminated: bool
    truncated: bool

    @property
    def steps(self) -> Steps:
        """The same for the replay."""
        return one_step(
            self.observation[-1],
            self.next_observation[-1],
            action=self.action,
            reward=self.reward,
            terminated=self.terminated,
            truncated=self.truncated,
        )


class Item(NamedTuple):
    """What one row of a batch must hold; arrays as bytes, so that items compare."""

    observation: bytes
    action: int
    n_step_return: float
    next_observation: bytes | None  # None: anything
    terminated: bool
    discount: float


class Game:
    """Players whose every frame is different: the four pixels spell a number that counts up."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.frames = 0
        self.observations = [self.first() for _ in range(setup.num_envs)]

    def frame(self) -> np.ndarray:
        self.frames += 1
        return np.array([self.frames], dtype=np.uint32).view(np.uint8).reshape(1, 2, 2)

    def first(self) -> np.ndarray:
        return np.concatenate([np.zeros((self.setup.frame_stack - 1, 2, 2), dtype=np.uint8), self.frame()])

    def step(self, env: int, end: str, reward: int) -> Transition:
        observation = self.observations[env]
        following = np.concatenate([observation[1:], self.frame()])
        transition = Transition(
            observation, self.frames % 12, float(reward), following, "terminated" in end, "truncated" in end
        )
        self.observations[env] = self.first() if end else following
        return transition


class Reference:
    """One list per environment of (transition, or None for a tail; its index in the episode)."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.stored: list[list[tuple[Transition | None, int]]] = [[] for _ in range(setup.num_envs)]
        self.index = [0] * setup.num_envs

    def add(self, env: int, transition: Transition) -> None:
        self.stored[env].append((transition, self.index[env]))
        self.index[env] += 1
        if transition.truncated and not transition.terminated:
            self.stored[env].append((None, self.index[env]))
        if transition.truncated or transition.terminated:
            self.index[env] = 0

    def items(self) -> set[Item]:
        found = (self.item(stored, number) for stored in self.stored for number in range(len(stored)))
        return {item for item in found if item is not None}

    def item(self, stored: list[tuple[Transition | None, int]], number: int) -> Item | None:
        first, index = stored[number]
        oldest_needed = number - min(index, self.setup.frame_stack - 1)
        if first is None or oldest_needed < len(stored) - self.setup.slots:
            return None
        total, steps, last = 0.0, 0, first
        while steps < self.setup.n_step and not (steps and (last.terminated or last.truncated)):
            if number + steps == len(stored):
                return None
            step, _ = stored[number + steps]
            assert step is not None  # a tail comes only after a truncation
            last = step
            total += GAMMA**steps * last.reward
            steps += 1
        if not last.terminated and number + steps == len(stored):
            return None  # the next frame is not stored yet
        return Item(
            first.observation.tobytes(),
            first.action,
            total,
            None if last.terminated else last.next_observation.tobytes(),
            last.terminated,
            GAMMA**steps,
        )


def sampled_items(buffer: ReplayBuffer) -> set[Item]:
    """Sample until all there is has come up: any one item is missed with probability e^-40."""
    batch = buffer.sample(40 * len(buffer))
    return {
        Item(
            observation.numpy().tobytes(),
            action.item(),
            total.item(),
            None if terminated else following.numpy().tobytes(),
            terminated.item(),
            discount.item(),
        )
        for observation, action, total, following, terminated, discount in zip(*batch[:6], strict=True)
    }


@st.composite
def setups(draw: st.DrawFn) -> Setup:
    frame_stack, n_step = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    slots = frame_stack + n_step + draw(st.integers(0, 15))
    return Setup(draw(st.integers(1, 3)), frame_stack, n_step, slots)


ENDS = st.sampled_from(["", "", "", "", "", "terminated", "truncated", "terminated and truncated"])
PLAY = st.lists(st.tuples(st.integers(0, 2), ENDS, st.integers(-15, 15)), max_size=90)


@settings(max_examples=300)
@given(setup=setups(), play=PLAY, left_over=st.integers(0, 2))
def test_what_can_be_sampled_is_exactly_what_a_naive_replay_would_give(setup, play, left_over):
    game, reference = Game(setup), Reference(setup)
    buffer = setup.buffer(capacity_left_over=left_over if left_over < setup.num_envs else 0)
    for env, end, reward in play:
        transition = game.step(env % setup.num_envs, end, reward)
        buffer.add(transition.steps, only(env % setup.num_envs))
        reference.add(env % setup.num_envs, transition)
        assert len(buffer) == len(reference.items())
    if len(buffer):
        assert sampled_items(buffer) == reference.items()


def rounds(num_envs: int) -> st.SearchStrategy[list[list[tuple[int, str, int]]]]:
    """Steps of some or all environments at once, in any order."""
    step = st.tuples(st.integers(0, num_envs - 1), ENDS, st.integers(-15, 15))
    return st.lists(st.lists(step, unique_by=lambda one: one[0], max_size=num_envs), max_size=40)


@settings(max_examples=200)
@given(data=st.data(), setup=setups())
def test_environments_stored_in_one_call_are_as_if_stored_one_after_the_other(data, setup):
    game, reference = Game(setup), Reference(setup)
    at_once, one_by_one = setup.buffer(), setup.buffer()
    for played in data.draw(rounds(setup.num_envs)):
        transitions = [game.step(*step) for step in played]
        for (env, _, _), transition in zip(played, transitions, strict=True):
            one_by_one.add(transition.steps, only(env))
            reference.add(env, transition)
        if played:
            together = Steps(
                *(np.concatenate(column) for column in zip(*(one.steps for one in transitions), strict=True))
            )
            in_order = [env for env, _, _ in played] == list(range(setup.num_envs))
            at_once.add(together, None if in_order else np.array([env for env, _, _ in played]))
        assert np.array_equal(at_once._positions, one_by_one._positions)
        assert len(at_once) == len(reference.items())
    for name, column in at_once._columns().items():
        assert np.array_equal(column, one_by_one._columns()[name]), name
    if len(at_once):
        assert sampled_items(at_once) == reference.items()


@settings(max_examples=50)
@given(setup=setups(), before=PLAY, after=PLAY)
def test_a_saved_and_loaded_buffer_goes_on_bit_for_bit(setup, before, after, tmp_path_factory):
    game, original, restored = Game(setup), setup.buffer(), setup.buffer()
    for env, end, reward in before:
        original.add(game.step(env % setup.num_envs, end, reward).steps, only(env % setup.num_envs))
    file = tmp_path_factory.mktemp("replay") / "replay.npz"
    original.save(file)
    restored.load(file)
    for env, end, reward in after:
        steps = game.step(env % setup.num_envs, end, reward).steps
        original.add(steps, only(env % setup.num_envs))
        restored.add(steps, only(env % setup.num_envs))
    assert len(original) == len(restored)
    if len(original):
        for one, other in zip(original.sample(64), restored.sample(64), strict=True):
            assert np.array_equal(one.numpy(), other.numpy())
