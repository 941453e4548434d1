"""The game that all viewers share: it keeps up with a run in training, and shows what the value depends on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mario_rl.agents import NetworkPolicy
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.watch import agents
from mario_rl.watch.game import Game
from mario_rl.watch.messages import SetAgent, SetCheckpoint, SetSpeed, Simple
from mario_rl.watch.saliency import saliency


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def growing_run(trained_run: Path, tmp_path: Path) -> Path:
    """A run directory that has come as far as its first checkpoint; the others are put in later."""
    run = RunDir(tmp_path / "run")
    shutil.copytree(trained_run, run.path)
    for later in run.step_checkpoints()[1:]:
        later.unlink()
    shutil.copy(run.step_checkpoints()[0], run.latest)
    return run.path


@pytest.fixture
def game(growing_run: Path) -> Iterator[Game]:
    game = Game(growing_run)
    game.tell(SetSpeed(do="speed", speed=0.0))
    game.start()
    yield game
    game.close()


@pytest.mark.emulator
def test_a_checkpoint_written_meanwhile_is_offered_and_the_chosen_one_stays_chosen(game, growing_run, trained_run):
    first, *later = RunDir(trained_run).step_checkpoints()
    assert game.catalog()["checkpoints"] == [f"{int(first.stem[5:]):,} agent steps", "latest"]
    shutil.copy(later[0], RunDir(growing_run).checkpoints)
    game.refresh()
    wait_for(lambda: len(game.catalog()["checkpoints"]) == 3)
    names = game.catalog()["checkpoints"]
    assert names[1] == f"{int(later[0].stem[5:]):,} agent steps"
    assert names[game.catalog()["checkpoint"]] == "latest"


@pytest.mark.emulator
def test_latest_is_the_latest_from_the_next_episode_on(game, growing_run, trained_run):
    early, late = (RunDir(trained_run).step_checkpoints()[index] for index in (0, -1))
    assert game.catalog()["agent_steps"] == int(early.stem[5:])
    partial = RunDir(growing_run).checkpoints / "partial"
    shutil.copy(late, partial)
    partial.replace(RunDir(growing_run).latest)
    game.refresh()
    wait_for(lambda: game.catalog()["agent_steps"] == int(late.stem[5:]))


@pytest.mark.emulator
def test_a_run_that_has_no_checkpoint_yet_is_waited_for_and_then_played(growing_run):
    run = RunDir(growing_run)
    first = run.latest.read_bytes()
    shutil.rmtree(run.checkpoints)
    game = Game(growing_run, stage="1-2")
    said = game.catalog()["waiting"]
    assert said.startswith(f"{growing_run.parent.name}/run has no checkpoint yet. ")
    assert said.endswith(f"If nothing trains there: {run.resume_command}")
    game.start()
    game.refresh()
    game.tell(SetSpeed(do="speed", speed=0.0))
    run.checkpoints.mkdir()
    (run.checkpoints / "partial").write_bytes(first)
    (run.checkpoints / "partial").replace(run.latest)
    wait_for(lambda: game.waiting is None and game.picture.number > 5)
    assert game.catalog()["checkpoints"] == ["latest"]
    assert game.catalog()["stage"] == "1-2"
    game.close()


def test_a_run_in_training_is_shown_by_its_latest_checkpoint_not_by_its_best(growing_run):
    shutil.copy(RunDir(growing_run).latest, RunDir(growing_run).best)
    chosen = {live: Game(growing_run, live=live).offer.chosen.stem for live in (False, True)}
    assert chosen == {False: "best", True: "latest"}


@pytest.mark.emulator
def test_a_damaged_checkpoint_is_named_and_the_agent_that_was_there_plays_on(game, growing_run):
    checkpoints = RunDir(growing_run).checkpoints
    (checkpoints / "step_000000001.pt").write_bytes(b"not a checkpoint")
    game.refresh()
    game.tell(SetCheckpoint(do="checkpoint", index=0))
    wait_for(lambda: game.failure is not None)
    assert "step_000000001.pt" in game.failure
    number = game.picture.number
    wait_for(lambda: game.picture.number > number + 5)
    game.tell(SetCheckpoint(do="checkpoint", index=1))
    wait_for(lambda: game.failure is None)


@pytest.mark.emulator
def test_a_checkpoint_that_was_removed_plays_on(game, growing_run):
    os.remove(RunDir(growing_run).latest)
    game.refresh()
    number = len(game.ended)
    game.tell(Simple(do="restart"))
    wait_for(lambda: len(game.ended) > number + 1)
    assert game.failure is None


@pytest.mark.emulator
def test_an_agent_of_the_whole_game_is_first_seen_where_the_game_begins(trained_run, tmp_path):
    state = load_checkpoint(RunDir(trained_run).latest)
    state["config"]["env"]["stage"] = "game"
    save_checkpoint(tmp_path / "game.pt", {key: value for key, value in state.items() if key != "format"})
    assert Game(tmp_path / "game.pt").catalog()["stage"] == "1-1"


class OnePixelEach(nn.Module):
    """Action 0 is worth twice the newest frame's pixel in row 3, column 5; action 1 the one in row 60, column 70."""

    num_actions = 2

    def forward(self, observation: Tensor) -> Tensor:
        return torch.stack([2 * observation[:, 3, 3, 5], observation[:, 3, 60, 70]], dim=1)


@pytest.mark.parametrize(("action", "place"), [(0, (3, 5)), (1, (60, 70))])
def test_the_overlay_is_where_the_value_of_the_action_depends_on_the_picture(action, place):
    policy = NetworkPolicy(OnePixelEach(), torch.device("cpu"))
    shown = saliency(policy, np.zeros((4, 84, 84), dtype=np.uint8), action)
    assert shown.shape == (84, 84)
    assert shown[place] == 255
    assert shown.sum() == 255


def test_step_checkpoints_are_named_by_the_agents_age_which_is_more_than_its_runs(growing_run):
    (kept,) = RunDir(growing_run).step_checkpoints()
    state = {key: value for key, value in load_checkpoint(kept).items() if key != "format"}
    for path in (kept, RunDir(growing_run).latest):
        save_checkpoint(path, state | {"initial_agent_steps": 510_000})
    catalog = Game(growing_run).catalog()
    assert catalog["agent_steps"] == 510_000 + state["agent_steps"]
    assert catalog["checkpoints"] == [f"{510_000 + state['agent_steps']:,} agent steps", "latest"]


@pytest.mark.emulator
def test_a_look_that_began_before_another_agent_was_chosen_does_not_change_what_is_offered(
    trained_run, growing_run, monkeypatch
):
    game = Game(growing_run, others=[trained_run])
    game.start()
    try:
        look, looks = agents.find_checkpoints, []

        def slow_look(place: Path) -> tuple[Path, ...]:
            if not looks:
                looks.append(place)
                game.tell(SetAgent(do="agent", index=1))
                wait_for(lambda: game.catalog()["agent"] == 1)
            return look(place)

        monkeypatch.setattr(agents, "find_checkpoints", slow_look)
        game.refresh()
        number = game.picture.number
        wait_for(lambda: game.picture.number > number + 5)
        assert looks == [growing_run]
        offered = [f"{int(one.stem[5:]):,} agent steps" for one in RunDir(trained_run).step_checkpoints()]
        assert game.catalog()["checkpoints"] == [*offered, "latest"]
    finally:
        game.close()
