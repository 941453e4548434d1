"""Episodes that begin along a trajectory: when the start moves back, and the same on both emulators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from env_fakes import CLEAR_1_1, unroll
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.config import EnvConfig
from mario_rl.envs import make_games
from mario_rl.envs.snapshots import PERIOD_FRAMES, Backward
from mario_rl.game import layout
from mario_rl.game.actions import action_bytes
from mario_rl.game.games import Games
from mario_rl.seeding import generator_state
from mario_rl.types import BackwardStarts, EpisodeResult

STAGE = "1-1"
POINTS = 5
CLEAR_BYTES = bytes(action_bytes("right_only")[action] for action in unroll(CLEAR_1_1) for _ in range(4))
RNG = np.random.default_rng(0)


def starts(
    *, threshold: float = 0.2, window: int = 10, probability: float = 1.0, buttons: bytes = bytes(32 * POINTS + 7)
) -> BackwardStarts:
    return BackwardStarts({STAGE: buttons}, probability=probability, threshold=threshold, window=window)


def begins_at(backward: Backward) -> int | None:
    """The frame at which the next episode begins; None for the stage's start."""
    moment = backward.draw(STAGE, RNG)
    return None if moment is None else len(moment.buttons) - 1


def after(outcomes: str, **rule: Any) -> int | None:
    """Where an episode begins after others of the same stage, each cleared (+) or not (-)."""
    backward = Backward(starts(**rule))
    for outcome in outcomes:
        backward.draw(STAGE, RNG)
        backward.ended(cleared=outcome == "+")
    return begins_at(backward)


LAST, BEFORE_IT = 4 * PERIOD_FRAMES, 3 * PERIOD_FRAMES


@pytest.mark.parametrize(
    ("outcomes", "begins"),
    [
        ("", LAST),
        ("+", LAST),
        ("++", BEFORE_IT),  # 2 of 10, whenever they come
        ("+--------+", BEFORE_IT),
        ("+---------+", LAST),  # the first is not among the last 10
        ("+---------++", BEFORE_IT),
        ("+++", BEFORE_IT),  # what was cleared from the start before counts no more
        ("++++", 2 * PERIOD_FRAMES),
        ("++++++", PERIOD_FRAMES),
        ("++++++++", None),  # the first point is the stage's start
    ],
)
def test_the_start_moves_back_exactly_when_the_share_of_clears_is_reached(outcomes, begins):
    assert after(outcomes, threshold=0.2, window=10) == begins


@pytest.mark.parametrize(
    ("threshold", "window", "needed"), [(0.2, 10, 2), (0.21, 10, 3), (0.3, 10, 3), (1.0, 60, 60), (0.01, 5, 1)]
)
def test_clears_needed_are_the_share_of_the_window_rounded_up(threshold, window, needed):
    assert starts(threshold=threshold, window=window).needed == needed
    assert after("+" * (needed - 1), threshold=threshold, window=window) == LAST
    assert after("+" * needed, threshold=threshold, window=window) == BEFORE_IT


def test_an_episode_that_was_cut_short_counts_as_not_cleared():
    backward = Backward(starts(threshold=0.5, window=2))
    backward.draw(STAGE, RNG)
    backward.ended(cleared=True)
    moved = begins_at(backward)
    for _ in range(3):  # none of them is ended by the game
        assert begins_at(backward) == moved
    assert backward.state() == {STAGE: [1, [False, False]]}


def test_episodes_from_the_stages_start_do_not_count():
    backward = Backward(starts(threshold=0.1, window=1, probability=0.0))
    for _ in range(5):
        assert begins_at(backward) is None
        backward.ended(cleared=True)
    assert backward.state() == {STAGE: [0, []]}


def test_a_stage_without_a_trajectory_begins_at_its_start_and_draws_nothing():
    generator = np.random.default_rng(0)
    assert Backward(starts()).draw("1-2", generator) is None
    assert generator_state(generator) == generator_state(np.random.default_rng(0))


@given(st.text("+-", max_size=40), st.integers(1, 8), st.floats(0.05, 1.0), st.integers(0, 40))
def test_it_goes_on_from_its_state_as_if_never_interrupted(outcomes, window, threshold, saved_after):
    rule = {"window": window, "threshold": threshold}
    backward = Backward(starts(**rule))
    for number, outcome in enumerate(outcomes):
        if number == saved_after:
            state, backward = backward.state(), Backward(starts(**rule))
            backward.restore(state)
        backward.draw(STAGE, RNG)
        backward.ended(cleared=outcome == "+")
    assert begins_at(backward) == after(outcomes, **rule)


# On the real game.

CONFIG = EnvConfig(grayscale="plain", max_agent_steps=25, snapshot_probability=0.5, sticky_probability=0.1)
QUICKLY = starts(threshold=0.5, window=2, probability=0.8, buttons=CLEAR_BYTES)


def games_of(emulator: str, count: int = 1) -> Any:
    config = CONFIG.model_copy(update={"emulator": emulator})
    return make_games(config, count, autoreset=True, backward=QUICKLY)


def begun(games: Any) -> Any:
    for number in range(games.num_games):
        games.seed(number, number + 1)
        games.reset(number)
    return games


def play(games: Any, steps: int, seed: int = 0) -> tuple[list[tuple[Any, ...]], list[EpisodeResult]]:
    """Take random steps to the right; returns all that was seen, and the first game's results."""
    rng, seen, results = np.random.default_rng(seed), [], []
    for _ in range(steps):
        games.step(rng.choice([3, 4, 4], size=games.num_games))
        seen.append((games.observations[:, -1].tobytes(), *games.rewards, *games.terminated, *games.truncated))
        if games.terminated[0] or games.truncated[0]:
            results.append(games.result(0))
    return seen, results


def moves(games: Games, number: int = 0) -> int:
    return int(games.state_dict()["arrays"]["backward"][number, 0, 0])


@pytest.mark.emulator
@pytest.mark.takes("nes-py plays a second of the game in 20 ms, and every start is a whole stage away")
def test_both_emulators_begin_and_move_back_alike():
    native, plain = begun(games_of("native")), begun(games_of("nes_py"))
    seen, results = play(native, 170)
    assert play(plain, 170) == (seen, results)
    assert {result.from_snapshot for result in results} == {False, True}
    assert moves(native) >= 1
    (episode,) = plain.state_dict()["episodes"]
    assert episode["backward"][STAGE][0] == moves(native)


@pytest.mark.emulator
def test_games_with_a_reward_of_ones_own_begin_and_move_back_alike():
    config = CONFIG.model_copy(update={"reward": "own_classes:Classic"})
    own = begun(make_games(config, 1, autoreset=True, backward=QUICKLY))
    assert play(own, 170)[1] == play(begun(games_of("native")), 170)[1]


@pytest.mark.emulator
def test_games_go_on_from_a_state_as_if_never_interrupted():
    games = begun(games_of("native", 3))
    play(games, 150)
    assert moves(games) >= 1
    state = games.state_dict()
    expected = play(games, 150, seed=1)
    other = games_of("native", 3)
    other.load_state_dict(state)
    assert play(other, 150, seed=1) == expected
    assert moves(other) == moves(games)


@pytest.mark.emulator
def test_each_game_moves_its_own_start():
    games = begun(games_of("native", 4))
    play(games, 150)
    assert len({moves(games, number) for number in range(4)}) > 1


@pytest.mark.emulator
def test_an_episode_begins_where_the_trajectory_is_one_frame_after_its_last_point():
    games = begun(make_games(CONFIG, 1, backward=starts(buttons=CLEAR_BYTES)))
    begins = len(CLEAR_BYTES) // PERIOD_FRAMES * PERIOD_FRAMES - PERIOD_FRAMES
    other = Games(EnvConfig(), 1)
    other.reset(0, opening=CLEAR_BYTES[: begins + 1])
    assert (games.ram(0) == other.ram(0)).all()
    assert games.infos()["x_pos"] == other.infos()["x_pos"] > 2_500
    assert games.numbers(layout.FROM_SNAPSHOT)[0] == layout.ON_TRAJECTORY


@pytest.mark.emulator
def test_a_state_whose_start_lies_before_the_trajectory_is_refused():
    games = begun(games_of("native"))
    state = games.state_dict()
    state["arrays"]["backward"][0, 0, 0] = -1
    with pytest.raises(ValueError, match="number of moves back that is not between 0 and"):
        games.load_state_dict(state)
