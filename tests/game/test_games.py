"""N games stepped together: their states saved and restored, and what is refused."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from mario_rl.config import EnvConfig
from mario_rl.errors import GameError, UnansweredError, UserError
from mario_rl.game import games as games_module
from mario_rl.game import layout
from mario_rl.game.arrays import check_machines
from mario_rl.game.games import LEAVE, Games
from mario_rl.nes import layout as console

pytestmark = pytest.mark.emulator

DISTURBED: dict[str, Any] = {"sticky_probability": 0.25, "snapshot_probability": 0.5, "stall_limit": 20}


def begun(count: int = 3, **env: Any) -> Games:
    """Games after a few steps."""
    games = Games(EnvConfig(**env), count, autoreset=True)
    for number in range(count):
        games.seed(number, number)
        games.reset(number)
    play(games, 60)
    return games


def play(games: Games, steps: int, seed: int = 0) -> bytes:
    """Take random steps; returns all that was seen."""
    rng, seen = np.random.default_rng(seed), b""
    for _ in range(steps):
        games.step(rng.choice([1, 3, 4], size=games.num_games))
        seen += games.observations[:, -1].tobytes() + games.rewards.tobytes() + games.truncated.tobytes()
    return seen


def test_games_go_on_from_a_state_as_if_never_interrupted() -> None:
    games = begun(**DISTURBED)
    state = games.state_dict()
    expected = play(games, 120, seed=1)
    other = Games(EnvConfig(**DISTURBED), 3, autoreset=True)
    other.load_state_dict(state)
    assert play(other, 120, seed=1) == expected


def test_threads_that_never_come_to_the_end_of_a_step_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    games = begun()
    monkeypatch.setattr(games_module, "BRIEF_LOOKS", 10)
    monkeypatch.setattr(games_module, "LONG_LOOKS", 10)
    monkeypatch.setattr(games, "_step_kernel", lambda rules, thread: 1)  # a helper is still playing
    games._turn[layout.DONE // 8] = 2
    with pytest.raises(UnansweredError, match="no answer from the threads that play the games for 600 s"):
        games.step([1, 1, 1])


def test_one_game_is_left_as_it_is_while_another_plays() -> None:
    games = begun(2)
    before = games.ram(0).tobytes()
    games.step([LEAVE, 4])
    assert games.ram(0).tobytes() == before
    games.step([4, LEAVE])
    assert games.ram(0).tobytes() != before


def test_an_action_that_is_not_one_of_the_set_is_named() -> None:
    games = begun(2)
    with pytest.raises(ValueError, match="action 5 is not one of 0 to 4"):
        games.step([1, 5])
    with pytest.raises(ValueError, match="action -2 is not one of 0 to 4"):
        games.step([-2, 1])


def test_a_step_without_an_episode_in_progress_is_refused_and_plays_nothing() -> None:
    games = Games(EnvConfig(noop_max=0, max_agent_steps=1), 2)
    with pytest.raises(ResetNeeded, match="call reset before step: no episode is in progress in game 0"):
        games.step([0, 0])
    games.reset(0)
    before = games.ram(0).tobytes()
    with pytest.raises(ResetNeeded, match="no episode is in progress in game 1"):
        games.step([4, 4])
    assert games.ram(0).tobytes() == before
    games.step([4, LEAVE])  # its first step is its last
    with pytest.raises(ResetNeeded, match="no episode is in progress in game 0"):
        games.step([4, LEAVE])
    games.reset(0)
    games.step([4, LEAVE])


def test_before_an_episode_has_ended_there_is_no_result() -> None:
    games = Games(EnvConfig(max_agent_steps=1), 1)
    games.reset(0)
    with pytest.raises(RuntimeError, match="no episode has ended yet in game 0"):
        games.result(0)
    games.step([0])
    assert games.result(0).length == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stage": "9-9"}, "reset option stage: '9-9' is not allowed; must be one of 1-1"),
        ({"noop_frames": -1}, "reset option noop_frames: -1 is not allowed; must be a whole number from 0 up"),
        ({"noop_frames": 1.5}, "reset option noop_frames: 1.5 is not allowed"),
        ({"opening": [128]}, "reset option opening: must be bytes, one joypad byte per frame"),
        ({"opening": b"", "noop_frames": 3}, "reset options noop_frames and opening: give one of them"),
    ],
)
def test_a_reset_option_that_is_not_allowed_is_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        begun(1).reset(0, **options)


def test_a_game_that_does_not_come_back_from_a_scene_is_named() -> None:
    games = begun(2)
    games.numbers(layout.STUCK)[1] = 1  # as compiled code notes it
    with pytest.raises(GameError, match=r"^game 1 does not come back from a scene: 36,000 frames"):
        games.step([1, LEAVE])


def break_console(state: dict[str, Any], place: int, value: int) -> None:
    state["arrays"]["machines"][1].view(np.int64)[place // 8] = value


BROKEN = {
    "a counter outside memory": lambda state: break_console(state, console.PC, 0x10000),
    "a line that no screen has": lambda state: break_console(state, console.LINE, 262),
    "a stack outside its page": lambda state: break_console(state, console.STACK, -1),
    "a ninth sprite on a line": lambda state: break_console(state, console.NUM_LISTED, 9),
    "a sprite there is not": lambda state: state["arrays"]["machines"].__setitem__((0, console.LISTED), 64),
    "a stage there is not": lambda state: state["arrays"]["games"].__setitem__((0, layout.STAGE // 8), 1),
    "more moments than are kept": lambda state: state["arrays"]["games"].__setitem__((2, layout.NUM_MOMENTS // 8), 99),
    "other games": lambda state: state["arrays"].update(games=state["arrays"]["games"][:2]),
    "another type": lambda state: state["arrays"].update(stacks=state["arrays"]["stacks"].astype(np.float32)),
    "nothing of the machines": lambda state: state["arrays"].pop("machines"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_state_that_would_lead_compiled_code_astray_is_refused_and_changes_nothing(name: str) -> None:
    games = begun(**DISTURBED)
    state = games.state_dict()
    BROKEN[name](state)
    before = games.state_dict()
    with pytest.raises(ValueError, match="the games'"):
        games.load_state_dict(state)
    after = games.state_dict()
    assert all(np.array_equal(before["arrays"][key], after["arrays"][key]) for key in before["arrays"])
    assert before["generators"] == after["generators"]


def test_neighbours_share_no_cache_line() -> None:
    games = begun(2)
    rows = [games.ram(number).ctypes.data for number in range(2)]
    assert [address % console.CACHE_LINES for address in rows] == [0, 0]
    assert games.row(1).ctypes.data % console.CACHE_LINES == 0


def test_a_forked_child_plays_on_without_the_threads_it_does_not_have() -> None:
    games = Games(EnvConfig(noop_max=0), 4, threads=3, autoreset=True)
    for number in range(4):
        games.reset(number)
    games.step([1, 2, 3, 4])
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads, which is the point
        child = os.fork()
    if child == 0:
        games.step([4, 4, 4, 4])
        os.write(writing, games.observations[:, -1].tobytes()[:4096])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    games.step([4, 4, 4, 4])
    assert os.read(reading, 4096) == games.observations[:, -1].tobytes()[:4096]
    os.close(reading)
    os.close(writing)
    games.close()


def test_a_state_with_an_episode_that_is_over_is_refused_where_the_next_begins_by_itself():
    games = Games(EnvConfig(), 1, autoreset=True)
    games.reset(0)
    state = games.state_dict()
    state["arrays"]["games"][0, layout.OVER // 8] = 1
    with pytest.raises(ValueError, match="an episode that is over, where the next had begun"):
        games.load_state_dict(state)


def test_a_console_in_the_middle_of_a_line_has_no_dot_missing():
    rows = Games(EnvConfig(), 1).state_dict()["arrays"]["machines"]
    check_machines(rows)
    rows[0, console.LINE : console.LINE + 8].view(np.int64)[0] = 1
    rows[0, console.DOTS_OF_LINE : console.DOTS_OF_LINE + 8].view(np.int64)[0] = -1
    with pytest.raises(ValueError, match="number of dots that is not between 0 and 340"):
        check_machines(rows)
