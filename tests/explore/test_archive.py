"""The archive: cells and their weights, the shortest way to each, and pieces that no way has twice."""

from __future__ import annotations

import numpy as np
import pytest

from mario_rl.explore.archive import Archive, area_of, read_keys, weights
from mario_rl.explore.pieces import ROOT, Pieces

START = np.arange(64, dtype=np.uint8)


def key_of(x: int, y: int, offset: int = 0, kind: int = 0, passed: int = 0, right: int = 0, power: int = 0) -> int:
    """A key, from x and y in cells."""
    return x | y << 12 | offset << 18 | kind << 26 | passed << 28 | right << 32 | power << 36


def state(number: int) -> np.ndarray:
    return np.full(64, number, dtype=np.uint8)


@pytest.fixture
def archive() -> Archive:
    return Archive(START, key_of(2, 20))


def test_a_key_says_where_in_which_area_in_which_part_of_a_maze_and_how_large_mario_is():
    cells = read_keys(np.array([key_of(x=5, y=20, offset=3, kind=1, passed=2, right=1, power=2)]))
    assert area_of(int(cells.areas[0])) == (1, 3)
    assert (cells.x[0], cells.y[0]) == (5 * 16, 20 * 16 - 256)  # the screen's top has y 256 in the game's memory
    assert (cells.passed[0], cells.right[0], cells.power[0]) == (2, 1, 2)


def test_x_left_of_an_area_is_negative():
    cells = read_keys(np.array([key_of(x=0xFFF, y=20), key_of(x=0x7FF, y=20)]))
    assert cells.x.tolist() == [-16, 0x7FF * 16]


def test_what_is_seen_often_is_seldom_returned_to():
    assert weights(np.array([0, 3, 8, 99])).tolist() == [1, 1 / 2, 1 / 3, 1 / 10]


def test_cells_are_drawn_by_their_weights(archive):
    archive.put(key_of(3, 20), 1, ROOT, state(1))
    archive.count(np.full(15, key_of(3, 20)))  # weights 1 and 1/4
    drawn = archive.choose(np.random.default_rng(0), 10_000)
    assert 7_800 < np.count_nonzero(drawn == 0) < 8_200
    assert set(drawn.tolist()) == {0, 1}


def test_a_cell_has_the_state_and_the_steps_of_the_way_kept_last(archive):
    archive.put(key_of(3, 20), 9, archive.tree.add(ROOT, b"\1" * 9), state(1))
    archive.put(key_of(3, 20), 4, archive.tree.add(ROOT, b"\2" * 4), state(2))
    place = archive.place(key_of(3, 20))
    assert (len(archive), place) == (2, 1)
    assert archive.steps.tolist() == [0, 4]
    assert archive.state(place).tolist() == state(2).tolist()
    assert archive.state(0).tolist() == START.tolist()
    assert archive.tree.way(int(archive.pieces[place])) == b"\2" * 4


def test_visits_are_counted_of_cells_that_are_kept(archive):
    archive.put(key_of(3, 20), 1, ROOT, state(1))
    archive.count(np.array([key_of(3, 20), key_of(9, 9), key_of(3, 20), key_of(2, 20)]))
    assert archive.seen.tolist() == [1, 2]


def test_known_cells_are_in_the_order_of_their_keys(archive):
    archive.put(key_of(1, 20), 7, ROOT, state(1))
    keys, steps = archive.known()
    assert keys.tolist() == [key_of(1, 20), key_of(2, 20)]
    assert steps.tolist() == [7, 0]


def test_it_grows_and_knows_about_how_much_memory_it_takes(archive):
    before = archive.num_bytes
    for number in range(3_000):
        archive.put(key_of(number % 1_000, 30 + number // 1_000), number, archive.tree.add(ROOT, b"\1"), state(1))
    assert len(archive) == 3_001
    assert before + 3_000 * 300 < archive.num_bytes < before + 3_000 * 1_000


def test_a_way_is_the_actions_of_its_pieces_from_the_first_to_the_last():
    pieces = Pieces()
    one = pieces.add(ROOT, b"\1\1")
    two = pieces.add(one, b"\2")
    other = pieces.add(one, b"\3\3")
    assert (pieces.way(two), pieces.way(other), pieces.way(ROOT)) == (b"\1\1\2", b"\1\1\3\3", b"")


def test_pieces_that_no_way_needs_are_forgotten(archive):
    stem = archive.tree.add(ROOT, b"\1")
    for number in range(10):
        archive.put(key_of(3, 20), 20 - number, archive.tree.add(stem, bytes([number])), state(number))
    assert len(archive.tree) == 12
    archive.forget_pieces()
    assert len(archive.tree) == 3
    assert archive.tree.way(int(archive.pieces[1])) == b"\1\x09"
    assert archive.tree.way(int(archive.pieces[0])) == b""
