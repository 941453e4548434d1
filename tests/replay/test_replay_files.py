"""Replay files: whole or absent, of this configuration or refused, and never run as code."""

import io
import os
import pickle
import resource
import zipfile

import numpy as np
import pytest
import torch
from one_step import one_step, only

from mario_rl.errors import CheckpointError, StorageError
from mario_rl.replay import ReplayBuffer, buffer


def filled(steps: int, **changes) -> ReplayBuffer:
    options = {"capacity": 60, "num_envs": 2, "frame_stack": 3, "frame_shape": (2, 4)} | changes
    capacity = options.pop("capacity")
    buffer = ReplayBuffer(capacity, **({"n_step": 2} | options), gamma=0.9, rng=np.random.default_rng(0))
    frames = np.random.default_rng(1).integers(1, 256, size=(steps + 1, *options["frame_shape"]), dtype=np.uint8)
    for step in range(steps):
        steps_of_one = one_step(
            frames[step], frames[step + 1], action=step % 7, reward=step / 3, truncated=step % 11 == 10
        )
        buffer.add(steps_of_one, only(step % options["num_envs"]))
    return buffer


def same_batches(one: ReplayBuffer, other: ReplayBuffer) -> bool:
    other.rng.bit_generator.state = one.rng.bit_generator.state
    return len(one) == len(other) and all(
        torch.equal(*pair) for pair in zip(one.sample(200), other.sample(200), strict=True)
    )


@pytest.mark.parametrize("steps", [20, 200])
@pytest.mark.parametrize("block", [7, 1024])
def test_a_loaded_buffer_samples_as_the_saved_one_whatever_it_held_before(tmp_path, monkeypatch, steps, block):
    monkeypatch.setattr(buffer, "FILE_BLOCK_SLOTS", block)
    original, restored = filled(steps), filled(131)
    original.save(tmp_path / "replay.npz")
    restored.load(tmp_path / "replay.npz")
    assert same_batches(original, restored)
    assert os.listdir(tmp_path) == ["replay.npz"]


def test_an_empty_buffer_can_be_saved_and_loaded(tmp_path):
    filled(0).save(tmp_path / "replay.npz")
    restored = filled(50)
    restored.load(tmp_path / "replay.npz")
    assert len(restored) == 0


def test_loading_leaves_the_generator_alone(tmp_path):
    filled(50).save(tmp_path / "replay.npz")
    restored = filled(0)
    restored.rng.random(5)
    state = restored.rng.bit_generator.state
    restored.load(tmp_path / "replay.npz")
    assert restored.rng.bit_generator.state == state


def test_only_filled_slots_are_written(tmp_path):
    few, many = tmp_path / "few.npz", tmp_path / "many.npz"
    filled(10, capacity=1000, frame_shape=(84, 84)).save(few)
    filled(110, capacity=1000, frame_shape=(84, 84)).save(many)
    added = many.stat().st_size - few.stat().st_size
    assert added == (100 + 10) * (84 * 84 + 8)  # 100 steps, and tails at steps 10, 21, ..., 109


def test_a_file_in_the_place_of_another_replaces_it(tmp_path):
    filled(20).save(tmp_path / "replay.npz")
    original, restored = filled(90), filled(0)
    original.save(tmp_path / "replay.npz")
    restored.load(tmp_path / "replay.npz")
    assert same_batches(original, restored)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_file_is_refused_and_the_buffer_is_as_it_was(tmp_path, share):
    file = tmp_path / "replay.npz"
    filled(200).save(file)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    buffer = filled(50)
    with pytest.raises(CheckpointError, match=r"^\S+replay\.npz: (cut short, )?damaged[^\n]+$"):
        buffer.load(file)
    assert same_batches(buffer, filled(50))


def test_a_flipped_bit_in_a_frame_is_noticed_and_leaves_the_buffer_empty(tmp_path):
    file = tmp_path / "replay.npz"
    original = filled(200)
    original.save(file)
    data = bytearray(file.read_bytes())
    newest = original._frames.read(slice(29, 30)).tobytes()  # the last slot of the first environment's ring
    data[data.index(newest)] ^= 1
    file.write_bytes(data)
    buffer = filled(50)
    with pytest.raises(CheckpointError, match="damaged"):
        buffer.load(file)
    assert len(buffer) == 0


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("trapped",))


def write_bare_array(file):
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


def write_array_of_objects(file):
    with file.open("wb") as opened:
        np.savez(opened, format=np.array([Trap()], dtype=object))


FOREIGN = {
    "nothing": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("hello"),
    "pickle": lambda file: file.write_bytes(pickle.dumps(Trap())),
    "bare array": write_bare_array,
    "other arrays": lambda file: np.savez(file, rewards=np.zeros(3)),
    "array of objects": write_array_of_objects,
    "torch checkpoint": lambda file: torch.save({"format": "x"}, file),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_in_one_line_and_not_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "replay.npz"
    FOREIGN[kind](file)
    with pytest.raises(CheckpointError, match=r"^\S+replay\.npz: (cut short, )?damaged[^\n]+$"):
        filled(0).load(file)
    assert os.listdir(tmp_path) == ["replay.npz"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"replay\.npz: no such replay file$"):
        filled(0).load(tmp_path / "replay.npz")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"capacity": 62}, "capacity 60, but this run needs 62"),
        ({"num_envs": 3}, "num_envs 2, but this run needs 3"),
        ({"frame_stack": 4}, "frame_stack 3, but this run needs 4"),
        ({"n_step": 5}, "n_step 2, but this run needs 5"),
        ({"frame_shape": (4, 2)}, "frame_height 2, but this run needs 4"),
        ({"frame_shape": (2, 5)}, "frame_width 4, but this run needs 5"),
    ],
)
def test_a_replay_of_another_configuration_is_refused_naming_the_difference(tmp_path, changes, difference):
    filled(50).save(tmp_path / "replay.npz")
    with pytest.raises(CheckpointError, match=rf"replay\.npz: a replay with {difference}$"):
        filled(0, **changes).load(tmp_path / "replay.npz")


def test_a_replay_of_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(buffer, "FORMAT", "mario_rl replay 0")
    filled(50).save(tmp_path / "replay.npz")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format mario_rl replay 0, but this run needs mario_rl replay 1"):
        filled(0).load(tmp_path / "replay.npz")


def test_a_full_disk_leaves_the_previous_file_and_no_other(tmp_path):
    file = tmp_path / "replay.npz"
    original, restored = filled(30), filled(0)
    original.save(file)
    large = filled(400, capacity=400, frame_shape=(84, 84))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the system refuses to write past 1 MB of 2.8
    try:
        with pytest.raises(StorageError, match=r"replay\.npz: could not be written .*it takes 2\.8 MB, .*intact$"):
            large.save(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["replay.npz"]
    restored.load(file)
    assert same_batches(original, restored)


def rewritten(file, change) -> None:
    """Write a replay file anew, with its arrays changed."""
    with np.load(file) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    change(arrays)
    with file.open("wb") as opened:
        np.savez(opened, **arrays)


@pytest.mark.parametrize("steps", [20, 200])
@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("by", [-1, 1, 60, 1 << 40, -(1 << 62)])
def test_positions_that_are_not_those_of_the_slots_are_refused(tmp_path, steps, row, by):
    filled(steps).save(tmp_path / "replay.npz")

    def move(arrays):
        arrays["positions"][row, 1] += by

    rewritten(tmp_path / "replay.npz", move)
    buffer = filled(10)
    with pytest.raises(CheckpointError, match="damaged"):
        buffer.load(tmp_path / "replay.npz")
    assert len(buffer) == 0


def set_in(column, place, value):
    def change(arrays):
        arrays[f"{column}_0_0"][place] = value

    return change


IMPOSSIBLE = {
    "an action that there is not": (set_in("actions", 3, 7), "has an action 7; the game has 7"),
    "a reward that is no number": (set_in("rewards", 5, np.nan), "rewards that are not finite"),
    "an end that nothing follows": (set_in("terminated", 4, True), "do not follow one another"),
    "a tail inside an episode": (set_in("is_tail", 4, True), "do not follow one another"),
    "a stack of more frames than there are": (set_in("earlier", 8, 9), "do not follow one another"),
    "an episode that begins in its middle": (set_in("earlier", 0, 2), "do not follow one another"),
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_slots_that_no_game_has_written_are_refused(tmp_path, kind):
    change, said = IMPOSSIBLE[kind]
    filled(20, num_actions=7).save(tmp_path / "replay.npz")
    rewritten(tmp_path / "replay.npz", change)
    with pytest.raises(CheckpointError, match=rf"replay\.npz: damaged, .*{said}"):
        filled(0, num_actions=7).load(tmp_path / "replay.npz")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays["priorities"].fill(np.inf), "priorities are not finite"),
        (lambda arrays: arrays["priorities"].fill(1.0), "priorities of slots that can't be sampled"),
        (lambda arrays: arrays["highest_priority"].fill(-1.0), "priorities are not finite"),
        (lambda arrays: arrays["ranked"].fill(1 << 40), "priorities are of other slots"),
    ],
)
def test_priorities_that_are_not_those_of_the_slots_are_refused(tmp_path, change, said):
    ranked = filled(20, priority_exponent=0.6)
    ranked.sample(4)
    ranked.save(tmp_path / "replay.npz")
    rewritten(tmp_path / "replay.npz", change)
    with pytest.raises(CheckpointError, match=rf"replay\.npz: damaged, .*{said}"):
        filled(0, priority_exponent=0.6).load(tmp_path / "replay.npz")


def test_an_array_that_says_it_is_huge_takes_no_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    filled(20).save(tmp_path / "replay.npz")
    with zipfile.ZipFile(tmp_path / "replay.npz") as archive, zipfile.ZipFile(tmp_path / "huge.npz", "w") as huge:
        for name in archive.namelist():
            huge.writestr(name, header.getvalue() if name == "frames_0_0.npy" else archive.read(name))
    with pytest.raises(CheckpointError, match=r"damaged, frames_0_0 is uint8 \(1099511627776,\), not uint8"):
        filled(0).load(tmp_path / "huge.npz")


def test_a_compressed_replay_is_refused_before_it_is_unpacked(tmp_path):
    with (tmp_path / "replay.npz").open("wb") as file:
        np.savez_compressed(file, format=np.zeros(10_000_000))
    with pytest.raises(CheckpointError, match="it is compressed, which no replay is"):
        filled(0).load(tmp_path / "replay.npz")
