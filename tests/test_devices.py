"""How many cores are computed on, and that PyTorch's own threads are left out of it."""

from __future__ import annotations

import pytest
import torch

from mario_rl import cli, machine
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.evaluation import playing
from mario_rl.machine import computing_cores
from mario_rl.training import Observer, Progress, train


@pytest.fixture
def _two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.emulator
@pytest.mark.usefixtures("_two_threads")
def test_training_and_evaluating_from_python_keep_to_one_thread_of_pytorchs_and_give_the_others_back(
    tmp_path, small_run_file, monkeypatch
):
    seen = set()

    class Looks(Observer):
        def progressed(self, progress: Progress) -> None:
            seen.add(torch.get_num_threads())

    train(load_config(small_run_file, ["training.agent_steps=4"]), tmp_path / "run", observer=Looks())
    assert seen == {1}
    assert torch.get_num_threads() == 2
    monkeypatch.setattr(playing, "evaluate_policy", lambda *_, **__: torch.get_num_threads())
    assert playing.evaluate(tmp_path / "run") == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("usable", "chosen", "cores"), [(4, None, 4), (4, "1", 1), (2, "8", 2), (4, "0", 1), (4, "", 4)]
)
def test_cores_are_computed_on_unless_fewer_were_chosen(usable, chosen, cores, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: usable)
    if chosen is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    assert computing_cores() == cores


@pytest.mark.parametrize(("allowed", "usable", "threads"), [(4, 1, "1"), (4, 4, None)])
def test_the_command_line_tells_all_libraries_of_a_quota_before_they_are_loaded(allowed, usable, threads, monkeypatch):
    environment: dict[str, str] = {}
    monkeypatch.setattr(cli.os, "environ", environment)
    monkeypatch.setattr(cli, "allowed_cores", lambda: allowed)
    monkeypatch.setattr(cli, "usable_cores", lambda: usable)
    assert main(["--version"]) == 0
    assert environment.get("OMP_NUM_THREADS") == threads
