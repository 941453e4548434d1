"""Which stage an episode plays, and whose generator decides."""

from __future__ import annotations

import pytest
from env_fakes import Frame, ScriptedGame

from mario_rl.envs import StagePool
from mario_rl.errors import UserError
from mario_rl.seeding import generator_state

STAGES = ("1-1", "1-2", "4-4")


class Opened:
    """Remembers every game it opened."""

    def __init__(self) -> None:
        self.games: dict[str, ScriptedGame] = {}

    def __call__(self, stage: str) -> ScriptedGame:
        assert stage not in self.games
        self.games[stage] = ScriptedGame([Frame(value=STAGES.index(stage))])
        return self.games[stage]


def drawn(pool: StagePool, episodes: int) -> list[int]:
    return [int(pool.reset()[0].max()) for _ in range(episodes)]


def test_each_episode_draws_one_stage_uniformly() -> None:
    pool = StagePool(STAGES, open_stage=Opened())
    pool.reset(seed=0)
    stages = drawn(pool, 600)
    assert min(stages.count(index) for index in range(3)) > 150  # 200 expected; 50 is 4.3 standard deviations


def test_the_same_seed_draws_the_same_stages() -> None:
    first, second = (StagePool(STAGES, open_stage=Opened()) for _ in range(2))
    first.reset(seed=3)
    second.reset(seed=3)
    assert drawn(first, 30) == drawn(second, 30)
    second.reset(seed=4)
    assert drawn(first, 30) != drawn(second, 30)


def test_a_stage_is_opened_once_and_when_it_is_first_played() -> None:
    opened = Opened()
    pool = StagePool(STAGES, open_stage=opened)
    for stage in ("1-1", "4-4", "4-4", "1-1"):
        pool.reset(options={"stage": stage})
    assert set(opened.games) == {"1-1", "4-4"}


def test_a_stage_that_is_asked_for_is_played_and_nothing_drawn() -> None:
    pool = StagePool(STAGES, open_stage=Opened())
    pool.reset(seed=0)
    before = generator_state(pool.np_random)
    assert pool.reset(options={"stage": "4-4"})[0].max() == 2
    assert generator_state(pool.np_random) == before


def test_a_stage_outside_the_list_is_refused_with_those_inside() -> None:
    pool = StagePool(STAGES, open_stage=Opened())
    with pytest.raises(UserError, match=r"^reset option stage: '8-4' is not allowed; must be one of 1-1, 1-2, 4-4$"):
        pool.reset(options={"stage": "8-4"})


def test_unwrapped_is_the_game_that_is_played() -> None:
    opened = Opened()
    pool = StagePool(STAGES, open_stage=opened)
    pool.reset(options={"stage": "1-2"})
    assert pool.unwrapped is opened.games["1-2"]


def test_the_generator_outlives_a_change_of_stage() -> None:
    pool = StagePool(STAGES, open_stage=Opened())
    pool.reset(seed=0, options={"stage": "1-1"})
    generator = pool.np_random
    pool.reset(options={"stage": "1-2"})
    assert pool.np_random is generator


def test_closing_closes_every_game_once_however_often_it_is_called() -> None:
    opened = Opened()
    pool = StagePool(STAGES, open_stage=opened)
    pool.reset(options={"stage": "4-4"})
    pool.close()
    pool.close()
    assert {stage: game.closed for stage, game in opened.games.items()} == {"1-1": 1, "4-4": 1}
