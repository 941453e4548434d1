"""The picture of a stage: every column once, as it first came into sight."""

from __future__ import annotations

import numpy as np

from mario_rl.watch.stage_map import SHRINK, TOP, StageMap


def screen_of(value: int) -> np.ndarray:
    return np.full((240, 256, 3), value, dtype=np.uint8)


def test_a_screen_adds_only_the_columns_that_were_not_seen_before():
    stage_map = StageMap()
    stage_map.add(screen_of(10), 0)
    stage_map.add(screen_of(20), 6)  # columns 256 to 261 are new
    stage_map.add(screen_of(30), 2)  # nothing is
    assert stage_map.seen == 262
    picture = stage_map.picture()
    assert picture.shape == ((240 - TOP) // SHRINK, 131, 3)
    assert (picture[:, :128] == 10).all()
    assert (picture[:, 128:] == 20).all()


def test_what_was_never_shown_is_black_and_what_follows_stands_in_its_place():
    stage_map = StageMap()
    stage_map.add(screen_of(10), 0)
    stage_map.add(screen_of(20), 300)
    picture = stage_map.picture()
    assert (picture[:, 128:150] == 0).all()
    assert (picture[:, 150:] == 20).all()
    assert picture.shape[1] * SHRINK == stage_map.seen == 556


def test_it_goes_on_after_a_picture_was_taken():
    stage_map = StageMap()
    stage_map.add(screen_of(10), 0)
    stage_map.picture()
    stage_map.add(screen_of(20), 4)
    assert (stage_map.picture()[0, :, 0] == [10] * 128 + [20] * 2).all()
