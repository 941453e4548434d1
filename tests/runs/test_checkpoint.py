"""Checkpoints: whole or absent, and never running what a file says."""

import os
import pickle
import resource
from pathlib import Path

import pytest
import torch

from mario_rl.errors import CheckpointError, StorageError
from mario_rl.runs.checkpoint import FORMAT, find_checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "config": {"seed": 3},
    "versions": {"torch": "2"},
    "machine": {"cores": 2},
    "agent_steps": 12,
    "updates": 2,
    "episodes": 1,
    "seconds": 0.5,
    "network": {"weight": torch.arange(50_000.0)},
}


def test_what_is_saved_is_what_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "a.pt", STATE)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded["format"] == FORMAT
    assert loaded["config"] == {"seed": 3}
    assert torch.equal(loaded["network"]["weight"], STATE["network"]["weight"])
    assert os.listdir(tmp_path) == ["a.pt"]


def test_one_line_for_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.pt: no such checkpoint file$"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_one_line_for_a_truncated_file(tmp_path, share):
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError, match="cut short, damaged or not a checkpoint") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"hello", b"\x00" * 100, b"PK\x03\x04" + b"x" * 50, b"\x80\x04."])
def test_one_line_for_a_foreign_file(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_code_in_a_file_is_refused_and_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"format": FORMAT, "network": Attack()}, tmp_path / "torch.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Attack()))
    for name in ("torch.pt", "pickle.pt"):
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "owned").exists()


def test_another_programs_weights_are_named_as_such(tmp_path):
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint this version reads"):
        load_checkpoint(tmp_path / "a.pt")
    torch.save({"format": FORMAT, "config": {}}, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match="it lacks versions, machine, agent_steps"):
        load_checkpoint(tmp_path / "b.pt")


def test_a_full_disk_leaves_the_previous_checkpoint_and_no_debris(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"could not be written .*what was there before is intact"):
            save_checkpoint(path, STATE | {"agent_steps": 99})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path)["agent_steps"] == 12
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_run_directory_stands_for_its_best_then_its_latest_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in this directory"):
        find_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "checkpoints" / "latest.pt", STATE)
    assert find_checkpoint(tmp_path).name == "latest.pt"
    save_checkpoint(tmp_path / "checkpoints" / "best.pt", STATE)
    assert find_checkpoint(tmp_path).name == "best.pt"
    assert find_checkpoint(tmp_path / "checkpoints" / "latest.pt").name == "latest.pt"
    with pytest.raises(CheckpointError, match="no such file or directory"):
        find_checkpoint(tmp_path / "nothing")


@pytest.mark.parametrize("where", ["network", "agent"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, where, number):
    broken = {"weight": torch.tensor([1.0, number])}
    state = {**STATE, "network": broken} if where == "network" else {**STATE, "training": {"agent": {"online": broken}}}
    save_checkpoint(tmp_path / "a.pt", state)
    with pytest.raises(CheckpointError, match=r"a\.pt: damaged, or .* diverged: its weights are not finite numbers"):
        load_checkpoint(tmp_path / "a.pt")
