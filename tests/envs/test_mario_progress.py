"""Where Mario is and how far he has come, per area, stage and life."""

from __future__ import annotations

from env_fakes import Frame, ScriptedGame
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.envs import TrackProgress
from mario_rl.envs.progress import Position, StageProgress, read_position

STAGE, ROOM = (1, 5), (2, 2)


def at(x: int, *, area: tuple[int, int] = STAGE, life: int = 2, stage: str = "1-1") -> Position:
    return Position(stage, area, life, x)


def after(*positions: Position) -> StageProgress:
    progress = StageProgress(positions[0])
    for position in positions[1:]:
        progress.update(position)
    return progress


def test_position_is_read_from_the_games_memory() -> None:
    game = ScriptedGame([Frame(x=2 * 256 + 7, stage="4-2", area=(2, 1), life=1)])
    game.reset()
    assert read_position(game.ram) == Position(stage="4-2", area=(2, 1), life=1, x=519)


def test_best_x_is_the_furthest_so_far_and_starts_where_mario_does() -> None:
    assert after(at(40)).best_x == 40
    assert after(at(40), at(60), at(50)).best_x == 60


def test_x_in_another_area_is_not_x_in_the_stage() -> None:
    assert after(at(40), at(916), at(24, area=ROOM), at(5000, area=ROOM)).best_x == 916
    assert after(at(40), at(916), at(24, area=ROOM), at(2616)).best_x == 2616


def test_every_area_has_progress_of_its_own() -> None:
    assert after(at(40), at(41), at(41), at(40)).new_bests == 1
    assert after(at(40), at(41), at(24, area=ROOM), at(25, area=ROOM), at(24, area=ROOM)).new_bests == 3
    there_and_back = (at(40), at(41), at(24, area=ROOM), at(41), at(24, area=ROOM), at(41))
    assert after(*there_and_back).new_bests == 2


def test_a_new_life_makes_progress_anew_but_keeps_the_best_x() -> None:
    progress = after(at(40), at(300), at(40, life=1), at(41, life=1))
    assert progress.best_x == 300
    assert progress.new_bests == 3
    progress.update(at(41, life=1))
    assert progress.new_bests == 3


def test_a_new_stage_starts_anew_and_its_first_area_is_the_one_that_counts() -> None:
    progress = after(at(40), at(3160), at(40, stage="1-2", area=ROOM), at(50, stage="1-2", area=ROOM))
    assert progress.stage == "1-2"
    assert progress.best_x == 50
    progress.update(at(900, stage="1-2", area=STAGE))
    assert progress.best_x == 50


@given(st.lists(st.builds(at, st.integers(0, 5000), area=st.sampled_from([STAGE, ROOM])), min_size=1))
def test_within_a_life_best_x_is_the_maximum_over_the_starting_area(positions: list[Position]) -> None:
    here = [position.x for position in positions if position.area == positions[0].area]
    assert after(*positions).best_x == max(here)


def test_the_wrapper_reports_progress_at_reset_and_after_every_step() -> None:
    env = TrackProgress(ScriptedGame([Frame(x=40), Frame(x=42), Frame(x=9, stage="1-2")]))
    reports = [env.reset()[1], env.step(0)[4], env.step(0)[4]]
    assert [(info["best_x"], info["stage_reached"], info["new_bests"]) for info in reports] == [
        (40, "1-1", 0),
        (42, "1-1", 1),
        (9, "1-2", 2),
    ]
