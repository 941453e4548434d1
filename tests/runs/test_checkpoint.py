"""Checkpoints: whole or absent, and never running what a file says."""

import gc
import os
import pickle
import resource
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mario_rl.errors import CheckpointError, StorageError
from mario_rl.runs.checkpoint import FORMAT, find_checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "config": {"seed": 3},
    "versions": {"torch": "2"},
    "machine": {"cores": "2"},
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


def test_a_full_disk_is_told_once_and_nothing_after_it(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(StorageError):
            save_checkpoint(tmp_path / "a.pt", STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    gc.collect()  # what the exception held on to
    assert told == []


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


TRAINING = {
    "agent": {"online": {"weight": torch.zeros(3)}},
    "collector": {},
    "replay_generation": 2,
    "replay_generator": "{}",
    "torch_generators": {"cpu": torch.zeros(4, dtype=torch.uint8)},
    "evaluated_at": 10,
    "best": (0.5, 0.0, 900.0),
    "recent": [(1.5, 300, False)],
    "snapshot_episodes": 0,
}
EVALUATION = {"protocol": "noop", "clear_rate": 0.5, "mean_x": 900.0, "merit": [0.5, 0.0, 900.0]}
WHOLE = {**STATE, "evaluation": EVALUATION, "training": TRAINING}


def changed(tree: dict, path: tuple, value: object) -> dict:
    """Copy a nested state with one value in the place of another."""
    first, *others = path
    return {**tree, first: changed(tree[first], tuple(others), value) if others else value}


@pytest.mark.parametrize("path", [("network", "weight"), ("training", "agent", "online", "weight")])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, path, number):
    save_checkpoint(tmp_path / "a.pt", changed(WHOLE, path, torch.tensor([1.0, number])))
    with pytest.raises(CheckpointError, match=rf"a\.pt: refused, {'.'.join(path)}: not finite numbers"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_whole_checkpoint_is_read(tmp_path):
    save_checkpoint(tmp_path / "a.pt", WHOLE)
    assert load_checkpoint(tmp_path / "a.pt")["training"]["recent"] == TRAINING["recent"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("agent_steps",), -1),
        (("agent_steps",), 1.5),
        (("agent_steps",), True),
        (("updates",), "2"),
        (("episodes",), 1 << 60),
        (("seconds",), float("nan")),
        (("seconds",), None),
        (("config",), []),
        (("versions",), {"torch": 2}),
        (("machine",), {"cores": None}),
        (("network",), {1: torch.zeros(2)}),
        (("network",), {"weight": "text"} | {"bias": 1j}),
        (("network",), {"weight": 3}),
        (("network",), {"weight": None}),
        (("rom",), "../../etc/passwd"),
        (("initial_seconds",), -0.5),
        (("evaluation", "clear_rate"), 1.5),
        (("evaluation", "merit"), [1.0]),
        (("evaluation", "protocol"), "none"),
        (("training", "agent"), None),
        (("training", "replay_generation"), -3),
        (("training", "replay_generation"), "../x"),
        (("training", "replay_generation"), 1 << 60),
        (("training", "replay_generator"), 7),
        (("training", "recent"), [(1.0, 2)]),
        (("training", "recent"), [(1.0, 2, False)] * 101),
        (("training", "best"), "noop"),
        (("training", "snapshot_episodes"), None),
        (("training", "evaluated_at"), torch.tensor(3)),
    ],
)
def test_a_value_of_another_type_or_range_is_named(tmp_path, path, value):
    save_checkpoint(tmp_path / "a.pt", changed(WHOLE, path, value))
    with pytest.raises(CheckpointError, match=rf"a\.pt: refused, {'.'.join(path)}") as error:
        load_checkpoint(tmp_path / "a.pt")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_tensor_that_says_it_is_larger_than_what_is_there_is_refused_without_looking_at_its_numbers(tmp_path):
    huge = torch.zeros(1).expand(1 << 40)
    save_checkpoint(tmp_path / "a.pt", changed(WHOLE, ("network",), {"weight": huge}))
    with pytest.raises(CheckpointError, match="do not lie side by side"):
        load_checkpoint(tmp_path / "a.pt")


def test_values_that_are_named_again_and_again_come_to_an_end(tmp_path):
    tree: list = ["lol"]
    for _ in range(14):
        tree = [tree] * 10  # ten to the power of fourteen, in a few hundred bytes
    save_checkpoint(tmp_path / "a.pt", STATE | {"extra": tree})
    with pytest.raises(CheckpointError, match="refused, more than 200,000 values"):
        load_checkpoint(tmp_path / "a.pt")


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a.pt", STATE)
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(tmp_path / "a.pt") as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in archive.infolist():
            packed.writestr(part.filename, archive.read(part))
        packed.writestr("a/data/99", bytes(100_000_000))
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match="refused, it is compressed"):
        load_checkpoint(bomb)


def test_a_file_larger_than_any_checkpoint_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, STATE)
    tail = path.read_bytes()
    with path.open("r+b") as file:  # a hole of 5 GB takes no room on the disk
        file.seek(5_000_000_000)
        file.write(tail)
    with pytest.raises(CheckpointError, match=r"refused, 5\.0 GB; a checkpoint has at most 4\.3"):
        load_checkpoint(path)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


@pytest.mark.parametrize("behind", [4, 16], ids=["the disk of the index", "the number of disks"])
def test_an_archive_that_claims_to_span_disks_is_damaged(tmp_path, behind):
    """Looking whether it is an archive at all makes zipfile raise then."""
    save_checkpoint(tmp_path / "a.pt", {**STATE, "network": {"weight": torch.arange(100.0)}})
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[content.index(b"PK\x06\x07") + behind] ^= 2
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pt: cut short, damaged"):
        load_checkpoint(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: cut short, damaged"):
        find_checkpoint(tmp_path / "a.pt")


@settings(max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_or_changes_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    save_checkpoint(folder / "a.pt", {**STATE, "network": {"weight": torch.arange(100.0)}})
    content = bytearray((folder / "a.pt").read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    (folder / "b.pt").write_bytes(content)
    try:
        loaded = load_checkpoint(folder / "b.pt")
    except CheckpointError:
        return
    assert same(loaded, load_checkpoint(folder / "a.pt"))
