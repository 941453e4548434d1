"""Runs with classes of one's own: told as training goes on, resumed bit for bit, used wherever the agent is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from own_classes import Diary
from test_resume import assert_equal, replay_of, training_state

import mario_rl
from mario_rl.config import load_config
from mario_rl.errors import CheckpointError, ConfigError, FailedError
from mario_rl.evaluation import evaluate, load_trained
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import resume, train
from mario_rl.watch.play import Episode
from mario_rl.watch.saliency import saliency

pytestmark = pytest.mark.emulator

OWN = [
    "network.body=own_classes:Small",
    "env.reward=own_classes:EveryNumber",
    "env.wrappers=[own_classes:Inverted, own_classes:Counting]",
    "env.clear_bonus=50",
    "env.sticky_probability=0.25",
]


@pytest.fixture(scope="session")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a body, a reward and wrappers of one's own, from its beginning to its end; nobody writes to it."""
    from small_run import SMALL_RUN

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "own.yaml", OWN), folder / "whole").run_dir.path


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["env.snapshot_probability=0.7", "agent.bfloat16=true", "agent.random_shift=2", "agent.averaging=0.01"],
        ["env.emulator=nes_py", "training.agent_steps=130"],
    ],
    ids=["compiled", "snapshots, bfloat16, shifts", "nes_py"],
)
@pytest.mark.takes("two runs; nes-py plays one pair of them")
def test_a_run_stopped_in_the_middle_of_an_episode_ends_like_an_unbroken_one(
    tmp_path, small_run_file, own_run, settings
):
    config = load_config(small_run_file, [*OWN, *settings])
    unbroken = train(config, tmp_path / "whole").run_dir.path if settings else own_run
    stopping = load_config(small_run_file, [*OWN, *settings, "training.observers=[own_classes:Stops]"])
    result = train(stopping, tmp_path / "broken")
    assert (result.stop, result.progress.agent_steps) == ("SIGINT", 60)
    resume(tmp_path / "broken")
    whole, broken = training_state(unbroken), training_state(tmp_path / "broken")
    assert_equal(whole, broken)
    assert whole["training"]["collector"]["games"]["wrappers"]["1"]["steps"].dtype == torch.int64
    ours, theirs = replay_of(unbroken), replay_of(tmp_path / "broken")
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.takes("nes-py plays one of two runs")
def test_a_run_on_either_emulator_ends_with_the_same_weights(tmp_path, small_run_file):
    weights = []
    for emulator in ("native", "nes_py"):
        config = load_config(small_run_file, [*OWN, f"env.emulator={emulator}", "training.agent_steps=100"])
        train(config, tmp_path / emulator)
        weights.append(load_checkpoint(RunDir(tmp_path / emulator).latest)["network"])
    ours, theirs = weights
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_what_is_watched_and_played_by_hand_is_what_is_evaluated(own_run, emulator):
    trained = load_trained(own_run)
    env = trained.config.env.model_copy(update={"emulator": emulator})
    config = trained.config.model_copy(update={"env": env})
    report = evaluate(own_run, protocol="sticky", episodes=2, seed=5)
    for number, played in enumerate(report.episodes):
        episode = Episode(trained.policy, config, stage="1-1", protocol="sticky", seed=5, number=number)
        shown = list(episode.play())
        assert episode.result == played.result
        assert episode.returns[0] == pytest.approx(played.discounted_return)
        assert shown[-1].decision.observation.dtype == np.uint8
    assert saliency(trained.policy, shown[-1].decision.observation, 0).max() == 255


def test_an_agent_loaded_by_a_program_plays_what_was_evaluated(own_run):
    agent = mario_rl.load(own_run)
    env = agent.env()
    observation, info = env.reset(options={"noop_frames": 0})
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(agent.act(observation))
        over = terminated or truncated
    assert info["episode_result"] == evaluate(own_run, protocol="greedy").episodes[0].result


def test_an_agent_whose_body_is_not_here_is_refused_in_one_line_that_names_the_module(tmp_path, own_run):
    state = load_checkpoint(RunDir(own_run).latest)
    state["config"]["network"]["body"] = "not_installed_here:Small"
    torch.save({"format": "mario_rl checkpoint 1", **state}, tmp_path / "agent.pt")
    with pytest.raises(CheckpointError, match=r"agent\.pt: network\.body: .* there is no module not_installed_here"):
        load_trained(tmp_path / "agent.pt")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("env.reward=not_here:A", r"^env\.reward: not_here:A: there is no module not_here"),
        (
            "env.wrappers=[own_classes:Smaller]",
            r"^env\.wrappers: own_classes:Smaller: changes single_observation_space",
        ),
        ("network.body=own_classes:Idle", r"^network\.body: own_classes:Idle: idle\.weight is not used"),
        ("training.observers=[own_classes:NeedsMore]", r"^training\.observers: own_classes:NeedsMore: failed in being"),
        ("training.observers=[own_classes:Small]", r"must be a class whose base is mario_rl\.Observer"),
    ],
)
def test_a_class_that_can_not_be_used_is_refused_before_anything_is_made(tmp_path, small_run_file, setting, says):
    with pytest.raises(ConfigError, match=says):
        train(load_config(small_run_file, [setting]), tmp_path / "run")
    assert list(tmp_path.iterdir()) == [small_run_file]


def test_a_run_does_not_begin_with_an_agent_of_another_body_or_that_saw_through_other_wrappers(
    tmp_path, small_run_file, own_run
):
    for setting, key in (("network.body=null", "network.body"), ("env.wrappers=[]", "env.wrappers")):
        settings = [*OWN, f"training.initial_checkpoint={own_run}", setting]
        with pytest.raises(ConfigError, match=rf"has {key} .* they must be the same"):
            train(load_config(small_run_file, settings), tmp_path / "run")


def test_an_observer_of_ones_own_hears_everything_in_order(tmp_path, small_run_file):
    settings = ["training.observers=[own_classes:Diary]", "evaluation.every_steps=100", "training.agent_steps=120"]
    place = train(load_config(small_run_file, settings), tmp_path / "run").run_dir
    resume(place.path, ["training.agent_steps=130"])
    lines = (place.path / "diary.txt").read_text().splitlines()
    assert lines[:2] == ["started 0", "saved 0"]
    ended = lines.index("ended")
    assert lines[ended - 1 : ended + 2] == ["saved 120", "ended", "started 120"]
    assert lines[-1] == "ended"
    assert lines[-2] == "saved 130"
    assert [line for line in lines if line.startswith("evaluated")] == [f"evaluated {n}" for n in (100, 120, 130)]
    assert lines.index("evaluating 1") < lines.index("evaluated 100")
    steps = [line.split()[1] for line in lines if line.startswith("progressed")]
    assert steps == [str(step) for step in range(2, 132, 2)]
    table = place.episodes.read_text().splitlines()[1:]
    assert [line.split()[1] for line in lines if line.startswith("episode_ended")] == [r.split(",")[1] for r in table]
    table = place.metrics.read_text().splitlines()[1:]
    assert [line.split()[1] for line in lines if line.startswith("measured")] == [r.split(",")[0] for r in table]


def test_an_observer_that_fails_ends_the_run_with_one_line_after_it_was_saved_and_the_others_hear_the_end(
    tmp_path, small_run_file
):
    settings = ["training.observers=[own_classes:FailsAtAnEpisode, own_classes:Diary]"]
    with pytest.raises(FailedError) as error:
        train(load_config(small_run_file, settings), tmp_path / "run")
    said = str(error.value)
    assert said.startswith(
        "training.observers: own_classes:FailsAtAnEpisode: failed in episode_ended (ZeroDivisionError: division "
        "by zero; own_classes.py, line "
    )
    assert f"the run is saved, go on with: mario-rl train --resume {tmp_path / 'run'}" in said
    place = RunDir(tmp_path / "run")
    assert place.latest.exists()
    assert (place.path / "diary.txt").read_text().splitlines().count("ended") == 2
    assert len(place.episodes.read_text().splitlines()) > 1
    saved_at = load_checkpoint(place.latest)["agent_steps"]
    assert resume(place.path, ["training.observers=[]"]).progress.agent_steps == 200 > saved_at


def test_an_observer_that_fails_once_all_is_over_is_said_as_well(tmp_path, small_run_file):
    settings = ["training.observers=[own_classes:FailsAtTheEnd]", "training.agent_steps=60"]
    with pytest.raises(FailedError, match=r"own_classes:FailsAtTheEnd: failed in ended \(OSError: the pen is empty"):
        train(load_config(small_run_file, settings), tmp_path / "run")
    assert load_checkpoint(RunDir(tmp_path / "run").latest)["agent_steps"] == 60


def test_a_run_that_an_observer_broke_off_goes_on_as_if_nothing_had_happened(tmp_path, small_run_file, whole_run):
    settings = ["training.observers=[own_classes:FailsAtAnEpisode]"]
    with pytest.raises(FailedError):
        train(load_config(small_run_file, settings), tmp_path / "run")
    resume(tmp_path / "run", ["training.observers=[]"])
    assert_equal(training_state(whole_run), training_state(tmp_path / "run"))


def test_what_an_observer_does_not_override_does_nothing():
    assert {name for name in vars(Diary) if not name.startswith("_")} - {"write"} <= set(dir(mario_rl.Observer))
