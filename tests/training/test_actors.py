"""Actor processes on the real game: what they play, what they leave, and how they die."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from mario_rl.agents import QAgent
from mario_rl.checkpoint import load_checkpoint
from mario_rl.config import Config, load_config
from mario_rl.errors import ActorError
from mario_rl.replay import replay_layout
from mario_rl.rundir import RunDir
from mario_rl.seeding import spawn_streams
from mario_rl.sharing import SharedArrays
from mario_rl.training import Observer, actors, resume, train

pytestmark = pytest.mark.emulator

PATIENCE = 300
"""Seconds; for machines that have other things to do as well."""


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch):
    """A machine that has other things to do is not an actor that hangs."""
    monkeypatch.setattr(actors, "HANG_SECONDS", PATIENCE)


@pytest.fixture
def with_actors(small_run_file) -> Config:
    return load_config(small_run_file, ["training.actors=2", "training.envs=4", "training.agent_steps=240"])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def living_actors() -> list[psutil.Process]:
    """The actors of this process; multiprocessing's own helper is not one."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


class Disturb(Observer):
    """Sends the first actor a signal each time a run has come so far."""

    def __init__(self, *at_agent_steps: int, number: signal.Signals = signal.SIGKILL) -> None:
        self.due = list(at_agent_steps)
        self.number = number
        self.warnings: list[str] = []

    def progressed(self, progress) -> None:
        if self.due and progress.agent_steps >= self.due[0]:
            del self.due[0]
            os.kill(min(child.pid for child in living_actors()), self.number)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def test_actors_play_learn_evaluate_and_leave_what_a_single_process_does(tmp_path, with_actors):
    evaluation = with_actors.evaluation.model_copy(update={"every_steps": 120})
    observer = Disturb()
    result = train(with_actors.model_copy(update={"evaluation": evaluation}), tmp_path / "run", observer=observer)
    assert not observer.warnings
    assert result.stop == "training.agent_steps"
    assert not living_actors()
    place = RunDir(tmp_path / "run")
    state = load_checkpoint(place.latest)
    assert 240 <= state["agent_steps"] < 244
    # The configured agent steps per update hold, whichever side is faster.
    assert state["updates"] == (state["agent_steps"] - 40) // 4
    episodes = rows(place.episodes)
    assert {row["env"] for row in episodes} == {"0", "1", "2", "3"}
    assert all(row["end"] in {"clear", "death", "stall", "limit"} for row in episodes)
    assert place.best.exists()
    with np.load(next(place.replay.iterdir())) as replay:
        written = replay["positions"][0]
    # Every agent step has its frame; every episode cut short has one more.
    cut_short = sum(row["end"] in {"stall", "limit"} for row in episodes)
    assert written.sum() == state["agent_steps"] + cut_short
    assert (written > 0).all()


def test_an_actor_that_is_killed_is_named_started_anew_and_costs_only_its_episodes(tmp_path, with_actors):
    observer = Disturb(60)
    result = train(with_actors, tmp_path / "run", observer=observer)
    assert result.progress.agent_steps >= 240
    assert observer.warnings == ["actor 0 is started anew (death 1 of at most 3): killed by SIGKILL"]
    assert not living_actors()


def test_an_actor_that_hangs_is_ended_and_started_anew(tmp_path, with_actors, monkeypatch):
    class Stop(Disturb):
        def progressed(self, progress) -> None:
            super().progressed(progress)
            if not self.due and not self.warnings:
                monkeypatch.setattr(actors, "HANG_SECONDS", 2.0)

        def warned(self, message: str) -> None:
            super().warned(message)
            monkeypatch.setattr(actors, "HANG_SECONDS", PATIENCE)

    observer = Stop(60, number=signal.SIGSTOP)
    result = train(with_actors, tmp_path / "run", observer=observer)
    assert result.progress.agent_steps >= 240
    assert observer.warnings == ["actor 0 is started anew (death 1 of at most 3): no sign of life for 2 seconds"]
    assert not living_actors()


def test_an_actor_is_not_held_for_hung_because_the_whole_machine_was_asleep(tmp_path, with_actors, monkeypatch):
    class Sleep(Disturb):
        def progressed(self, progress) -> None:
            monkeypatch.setattr(actors, "HANG_SECONDS", PATIENCE)
            if self.due and progress.agent_steps >= self.due[0]:
                del self.due[0]
                monkeypatch.setattr(actors, "HANG_SECONDS", 2.0)  # until the actors have played on
                for signal_number in (signal.SIGSTOP, signal.SIGCONT):
                    for child in living_actors():
                        os.kill(child.pid, signal_number)
                    time.sleep(3.0 if signal_number == signal.SIGSTOP else 0.0)

    observer = Sleep(60)
    train(with_actors, tmp_path / "run", observer=observer)
    assert not observer.due
    assert not observer.warnings


def test_silence_is_what_the_learner_has_looked_for_in_vain(monkeypatch):
    clock = 100.0
    monkeypatch.setattr(actors.time, "monotonic", lambda: clock)
    actor = actors._Actor(range(1), looked_at=clock)
    for seconds, beat, silent in [
        (0.5, 99.0, 0.0),  # its first sign of life
        (0.25, 99.0, 0.25),
        (0.5, 99.0, 0.75),
        (3600.0, 99.0, 1.75),  # the machine was asleep: a second of that counts
        (0.25, 3700.0, 0.0),
    ]:
        clock += seconds
        actor.hear(beat)
        assert actor.silent == pytest.approx(silent)


def test_an_actor_that_dies_again_and_again_ends_the_run_which_is_saved(tmp_path, with_actors, monkeypatch):
    monkeypatch.setattr(actors, "MAX_DEATHS", 0)
    with pytest.raises(ActorError, match=r"^actor 0 died 1 times, the last time: killed by SIGKILL; saved, go on with"):
        train(with_actors, tmp_path / "run", observer=Disturb(100))
    assert not living_actors()
    assert load_checkpoint(RunDir(tmp_path / "run").latest)["agent_steps"] >= 100
    assert resume(tmp_path / "run").progress.agent_steps >= 240


def test_an_error_in_an_actor_is_what_the_learner_reports(tmp_path, with_actors, monkeypatch):
    monkeypatch.setattr(actors, "MAX_DEATHS", 0)
    monkeypatch.setattr(actors, "run_actor", fail)
    with pytest.raises(ActorError, match=r"^actor \d died 1 times, the last time: ValueError: no such game; saved"):
        train(with_actors, tmp_path / "run")


def fail(job: actors.ActorJob) -> None:
    """What an actor does whose game can't be opened."""
    job.results.send("ValueError: no such game")


def test_a_stopped_run_goes_on_with_all_but_the_episodes_in_flight(tmp_path, with_actors):
    class Stop(Observer):
        def progressed(self, progress) -> None:
            if progress.agent_steps >= 120:
                signal.raise_signal(signal.SIGINT)

    stopped = train(with_actors, tmp_path / "run", observer=Stop())
    place = RunDir(tmp_path / "run")
    before, episodes = load_checkpoint(place.latest), rows(place.episodes)
    assert stopped.stop == "SIGINT"
    assert before["agent_steps"] == stopped.progress.agent_steps < 200
    assert resume(tmp_path / "run").progress.agent_steps >= 240
    after = load_checkpoint(place.latest)
    assert after["updates"] == (after["agent_steps"] - 40) // 4
    assert before["training"]["collector"]["starts"] == 2
    assert after["training"]["collector"]["starts"] == 4  # with seeds that have not been used
    assert rows(place.episodes)[: len(episodes)] == episodes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_the_learner_ends_no_process_is_left_and_the_run_resumes(
    number, tmp_path, small_run_file, mario_rl_command
):
    place = RunDir(tmp_path / "run")
    settings = ["training.actors=2", "training.envs=4", "training.agent_steps=100000", "--run-dir", str(place.path)]
    shared_memory = Path("/dev/shm")
    before = {path.name for path in shared_memory.iterdir()} if shared_memory.is_dir() else set()
    process = subprocess.Popen(
        [*mario_rl_command, "train", str(small_run_file), *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    family = [psutil.Process(process.pid)]
    try:
        deadline = time.monotonic() + PATIENCE
        while not place.step_checkpoints():  # the first is saved before there are any
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        family += family[0].children(recursive=True)
        assert len(family) >= 3
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: all of them get it
        else:
            process.send_signal(number)
        assert process.wait(timeout=PATIENCE) == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
        _, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert not alive
    finally:
        if process.poll() is None:
            family += family[0].children(recursive=True)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    after = {path.name for path in shared_memory.iterdir()} if shared_memory.is_dir() else set()
    assert after <= before
    steps = load_checkpoint(place.latest)["agent_steps"]
    assert resume(place.path, [f"training.agent_steps={steps + 8}"]).progress.agent_steps >= steps + 8


def test_environments_are_shared_out_evenly(with_actors):
    config = with_actors.model_copy(update={"training": with_actors.training.model_copy(update={"envs": 7})})
    shared = SharedArrays(replay_layout(config.replay.capacity, 7))
    pool = actors.ActorPool(
        config,
        num_actors=3,
        streams=spawn_streams(0, 7),
        shared=shared,
        replay=actors.make_replay(config, np.random.default_rng(), shared),
        agent=QAgent(config.agent, config.network, num_actions=5, frame_stack=4, seed=0, device=torch.device("cpu")),
        warn=print,
    )
    assert [list(actor.envs) for actor in pool._actors] == [[0, 1], [2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("device", "cores", "envs", "steps_per_update", "expected"),
    [
        # On the CPU by work: 0.15 ms to emulate an agent step, 32 to learn from a batch of 32: nearly all is learning.
        ("cpu", 2, 8, 4, 0),
        ("cpu", 16, 8, 4, 0),  # 16 cores x 0.15 / (0.15 + 8)
        ("cpu", 16, 8, 64, 4),  # 16 cores x 0.15 / (0.15 + 0.5)
        ("cpu", 16, 2, 64, 2),  # no more than environments
        ("cpu", 1, 8, 4, 0),
        ("cuda", 16, 64, 1, 14),
        ("cuda", 16, 8, 1, 8),
        ("cuda", 2, 8, 4, 1),
    ],
)
def test_auto_shares_the_cores_out_by_work(device, cores, envs, steps_per_update, expected, monkeypatch):
    monkeypatch.setattr(os, "process_cpu_count", lambda: cores)
    config = Config.model_validate(
        {
            "training": {"envs": envs, "actors": "auto"},
            "agent": {"batch_size": 32, "steps_per_update": steps_per_update},
        }
    )
    assert actors.resolve_actors(config, torch.device(device)) == expected


def test_a_number_of_actors_is_taken_at_its_word():
    config = Config.model_validate({"training": {"envs": 8, "actors": 3}})
    assert actors.resolve_actors(config, torch.device("cpu")) == 3
