"""The trajectories that come with the package: each clears its stage, on both emulators."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.shipped import TRAJECTORIES, find_trajectory
from mario_rl.trajectories import read_trajectory, replay

PATHS = sorted(TRAJECTORIES.glob("*.json"))
SHORTEST = min(PATHS, key=lambda path: read_trajectory(path).ending.frames)

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_all_of_them_together_take_less_than_200_kilobytes():
    assert PATHS
    assert sum(path.stat().st_size for path in PATHS) < 200_000


@each
def test_it_says_that_a_search_cleared_the_stage_that_its_name_is(path):
    trajectory = read_trajectory(path)
    assert (trajectory.made.by, trajectory.ending.end) == ("search", "clear")
    assert trajectory.stage == trajectory.ending.stage == path.stem
    assert find_trajectory(Path(path.stem)) == path


@each
def test_its_actions_are_held_for_four_frames_as_those_of_an_agent_are(path):
    buttons = read_trajectory(path).buttons
    assert all(len(set(buttons[frame : frame + 4])) == 1 for frame in range(0, len(buttons), 4))


@pytest.mark.emulator
@each
def test_it_clears_the_stage_on_the_compiled_emulator(path):
    trajectory = read_trajectory(path)
    assert replay(trajectory) == trajectory.ending


@pytest.mark.emulator
def test_the_shortest_clears_its_stage_on_nes_py():
    trajectory = read_trajectory(SHORTEST)
    assert replay(trajectory, emulator="nes_py") == trajectory.ending


@pytest.mark.emulator
@pytest.mark.slow
@each
def test_each_clears_its_stage_on_nes_py(path):
    trajectory = read_trajectory(path)
    assert replay(trajectory, emulator="nes_py") == trajectory.ending


def test_a_stage_without_one_has_none():
    assert find_trajectory(Path("9-9")) is None
