"""PyTorch computes with no more threads than there are cores for them, whatever a CPU quota leaves of those."""

from __future__ import annotations

import pytest
import torch

from mario_rl import cli, devices
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.devices import no_more_threads_than_cores
from mario_rl.evaluation import playing
from mario_rl.training import Observer, Progress, train


@pytest.fixture
def _one_core_paid_for(monkeypatch):
    """Two threads, as PyTorch counts processors, and a quota of one."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "usable_cores", lambda: 1)
    torch.set_num_threads(2)


@pytest.mark.usefixtures("_one_core_paid_for")
def test_threads_beyond_the_cores_are_given_up_and_taken_back():
    with no_more_threads_than_cores():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("_one_core_paid_for")
def test_a_number_of_threads_that_was_chosen_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with no_more_threads_than_cores():
        assert torch.get_num_threads() == 2


def test_fewer_threads_than_cores_stay(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "usable_cores", lambda: 8)
    with no_more_threads_than_cores():
        assert torch.get_num_threads() == 1


@pytest.mark.emulator
@pytest.mark.usefixtures("_one_core_paid_for")
def test_training_and_evaluating_from_python_keep_to_it(tmp_path, small_run_file, monkeypatch):
    seen = set()

    class Looks(Observer):
        def progressed(self, progress: Progress) -> None:
            seen.add(torch.get_num_threads())

    train(load_config(small_run_file, ["training.agent_steps=4"]), tmp_path / "run", observer=Looks())
    assert seen == {1}
    monkeypatch.setattr(playing, "evaluate_policy", lambda *_, **__: torch.get_num_threads())
    assert playing.evaluate(tmp_path / "run") == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("allowed", "usable", "threads"), [(4, 1, "1"), (4, 4, None)])
def test_the_command_line_tells_all_libraries_of_a_quota_before_they_are_loaded(allowed, usable, threads, monkeypatch):
    environment: dict[str, str] = {}
    monkeypatch.setattr(cli.os, "environ", environment)
    monkeypatch.setattr(cli, "allowed_cores", lambda: allowed)
    monkeypatch.setattr(cli, "usable_cores", lambda: usable)
    assert main(["--version"]) == 0
    assert environment.get("OMP_NUM_THREADS") == threads
