"""Arrays that processes share: the same memory in each, and nothing left when they end."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from mario_rl.sharing import SharedArrays, private_arrays

LAYOUT = {
    "frames": ((3, 2, 2), np.uint8),
    "flags": ((5,), np.bool_),
    "counts": ((2, 3), np.int64),
    "none": ((0,), "f4"),
}


def fill(shared: SharedArrays) -> None:
    shared.arrays["frames"][1] = 7
    shared.arrays["counts"][1, 2] = -1


@pytest.mark.parametrize("allocate", [private_arrays, lambda layout: SharedArrays(layout).arrays])
def test_arrays_are_zeros_of_the_shape_and_dtype_asked_for_and_do_not_overlap(allocate):
    arrays = allocate(LAYOUT)
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        name: (shape, np.dtype(dtype)) for name, (shape, dtype) in LAYOUT.items()
    }
    for name, array in arrays.items():
        assert not array.any()
        array[...] = 1
        assert all((other == 1).all() == (seen == name) for seen, other in arrays.items() if other.size and array.size)
        array[...] = 0


def test_what_a_child_process_writes_is_seen_here():
    shared = SharedArrays(LAYOUT)
    process = multiprocessing.get_context("spawn").Process(target=fill, args=(shared,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert shared.arrays["frames"].tolist() == [[[0, 0], [0, 0]], [[7, 7], [7, 7]], [[0, 0], [0, 0]]]
    assert shared.arrays["counts"].tolist() == [[0, 0, 0], [0, 0, -1]]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_memory_has_no_name_and_goes_with_the_last_array():
    def held() -> int:
        return sum(
            "mario_rl" in os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
        ) + Path("/proc/self/maps").read_text().count("mario_rl (deleted)")

    before = held()
    shared = SharedArrays(LAYOUT)
    array = shared.arrays["frames"]
    assert held() == before + 2  # the file and the mapping
    del shared
    array[0, 0, 0] = 3  # still there
    assert held() == before + 1
    del array
    assert held() == before


def test_without_memfd_an_unnamed_file_serves(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    shared = SharedArrays(LAYOUT)
    shared.arrays["counts"][0, 0] = 5
    assert shared.arrays["counts"].sum() == 5
