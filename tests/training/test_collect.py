"""The games play in the background: what is stored of them, what is waited for, and what becomes of their errors."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mario_rl.agents import QAgent
from mario_rl.config import EnvConfig
from mario_rl.errors import GameError
from mario_rl.game import layout
from mario_rl.game.games import Games
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import resume, session, train
from mario_rl.training.collect import Collector
from mario_rl.types import Steps

pytestmark = pytest.mark.emulator

SHORT = EnvConfig(noop_max=5, stall_limit=12, max_agent_steps=40)
SEEDS = (5, 6, 7)


class Presses:
    """In place of a network's policy: keys at random."""

    def act(self, observations, *, epsilon, generator):
        return generator.choice([0, 1, 3, 4], size=len(observations))


class Kept:
    """In place of a replay: everything that is stored."""

    def __init__(self) -> None:
        self.steps: list[Steps] = []

    def add(self, steps: Steps) -> None:
        self.steps.append(Steps(*(column.copy() for column in steps)))


def collector() -> Collector:
    made = Collector(SHORT, seeds=SEEDS, generator=np.random.default_rng(0), exponents=np.ones(len(SEEDS)))
    made.start()
    return made


def test_what_is_stored_is_what_was_seen_done_and_given():
    playing, kept = collector(), Kept()
    played = []
    for _ in range(120):
        playing.begin(Presses(), epsilon=0.1)
        played.append(playing.finish(kept))
    playing.close()

    games = Games(SHORT, len(SEEDS), autoreset=True)
    for number, seed in enumerate(SEEDS):
        games.seed(number, seed)
        games.reset(number)
    ends = {"terminated": 0, "truncated": 0}
    for steps, told in zip(kept.steps, played, strict=True):
        assert (steps.frame == games.observations[:, -1]).all()
        games.step(steps.action)
        assert (steps.reward == games.rewards).all()
        assert (steps.terminated == games.terminated).all()
        assert (steps.truncated == games.truncated).all()
        assert (steps.last_frame[steps.truncated] == games.final_observations[steps.truncated, -1]).all()
        over = np.flatnonzero(games.terminated | games.truncated)
        assert [finished.env for finished in told.finished] == over.tolist()
        assert [finished.result for finished in told.finished] == [games.result(number) for number in over]
        assert told.agent_steps == len(SEEDS)
        ends["terminated"] += int(games.terminated.sum())
        ends["truncated"] += int(games.truncated.sum())
    assert ends["truncated"] > 5


def test_updates_are_made_while_the_games_play_from_what_was_stored_before(tmp_path, small_run, monkeypatch):
    """A step with updates to make does not end before the first of them was made."""
    step, learn = Games.step, QAgent.learn
    made, steps_taken, moments = threading.Event(), [], []

    def step_after_update(games: Games, actions: np.ndarray) -> None:
        steps_taken.append(1)
        if len(steps_taken) > 20 and len(steps_taken) % 2 == 0:  # 2 environments, warm-up 40, an update per 4 steps
            assert made.wait(60)
            made.clear()
        step(games, actions)

    def learn_and_say_so(agent: QAgent, batch):
        stats = learn(agent, batch)
        made.set()
        return stats

    count = session.Session.count_update
    monkeypatch.setattr(Games, "step", step_after_update)
    monkeypatch.setattr(QAgent, "learn", learn_and_say_so)
    monkeypatch.setattr(
        session.Session, "count_update", lambda self, stats: moments.append(self.agent_steps) or count(self, stats)
    )
    train(small_run, tmp_path / "run")
    assert moments == list(range(42, 200, 4))  # in the round that makes them 44, 48, ... 200


def test_only_what_is_left_of_a_step_is_waited_for(monkeypatch):
    step = Games.step
    monkeypatch.setattr(Games, "step", lambda games, actions: time.sleep(0.3) or step(games, actions))
    playing, kept = collector(), Kept()
    playing.begin(Presses(), epsilon=0.1)
    playing.finish(kept)
    assert playing.waited_seconds >= 0.29
    before = playing.waited_seconds
    playing.begin(Presses(), epsilon=0.1)
    while not playing._round.playing.done():
        time.sleep(0.01)
    playing.finish(kept)
    assert playing.waited_seconds - before < 0.1
    playing.close()


def test_closing_in_the_middle_of_a_step_waits_for_its_end(monkeypatch):
    step, close = Games.step, Games.close
    happened = []
    monkeypatch.setattr(
        Games, "step", lambda games, actions: time.sleep(0.3) or step(games, actions) or happened.append("played")
    )
    monkeypatch.setattr(Games, "close", lambda games: happened.append("closed") or close(games))
    playing = collector()
    playing.begin(Presses(), epsilon=0.1)
    playing.close()
    assert happened == ["played", "closed"]


def test_a_game_that_fails_in_the_background_ends_the_run_with_its_error(tmp_path, small_run, monkeypatch):
    step, taken = Games.step, []

    def get_stuck(games: Games, actions: np.ndarray) -> None:
        taken.append(threading.current_thread() is threading.main_thread())
        step(games, actions)
        if len(taken) == 60:
            games.numbers(layout.STUCK)[1] = 1  # as compiled code notes it
            games._refuse_stuck()

    monkeypatch.setattr(Games, "step", get_stuck)
    with pytest.raises(GameError, match=r"^game 1 does not come back from a scene"):
        train(small_run, tmp_path / "run")
    assert taken == [False] * 60
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("games")]
    assert load_checkpoint(RunDir(tmp_path / "run").latest)["agent_steps"] == 80
    monkeypatch.setattr(Games, "step", step)
    assert resume(tmp_path / "run").progress.agent_steps == 200


def test_an_error_of_the_learner_ends_the_run_after_the_step_in_play(tmp_path, small_run, monkeypatch):
    def fail(agent: QAgent, batch) -> None:
        raise ZeroDivisionError("a fault of the learner's")

    step, ended = Games.step, []
    monkeypatch.setattr(
        Games, "step", lambda games, actions: time.sleep(0.02) or step(games, actions) or ended.append(1)
    )
    monkeypatch.setattr(QAgent, "learn", fail)
    with pytest.raises(ZeroDivisionError, match="a fault of the learner's"):
        train(small_run, tmp_path / "run")
    assert len(ended) == 22  # 42 agent steps were counted, the next two were in play
