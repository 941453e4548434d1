"""The picture of the ways of episodes: where Mario was, by the game's own memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from scripts_of_ours import load_script

from mario_rl.shipped import TRAJECTORIES
from mario_rl.trajectories import read_trajectory
from mario_rl.watch.stage_map import StageMap

ROOT = Path(__file__).parents[1]
ways = load_script("ways")


def test_a_way_begins_where_mario_stands_and_ends_where_the_trajectory_says():
    trajectory = read_trajectory(TRAJECTORIES / "1-1.json")
    stage_map = StageMap()
    way = ways._play(trajectory, stage_map)
    assert (way.x[0], way.y[0]) == (48, 200)  # on the ground, whose upper edge is at 208
    assert abs(max(way.x) - trajectory.ending.x) <= 16
    assert len(way.x) == len(way.y) == trajectory.ending.frames // 4
    assert way.told == f"search: {trajectory.ending}"
    assert 2 * stage_map.picture().shape[1] > trajectory.ending.x


def test_the_fall_in_1_3_is_drawn_beside_the_way_that_clears_it(tmp_path):
    falls = ROOT / "docs" / "stages" / "1-3_falls.json"
    written = CliRunner().invoke(ways.main, [str(tmp_path / "ways.png"), "480", "900", "1-3", str(falls)])
    assert written.output == f"written: {tmp_path / 'ways.png'}\n"
    assert (tmp_path / "ways.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["0", "9", "1-4", "1-3"], "all trajectories must be of one stage"),
        (["0", "9"], "TRAJECTORY"),
        (["0", "9", *["1-3"] * 4], "at most 3 trajectories"),
        (["9", "9", "1-3"], "FROM below TO"),
        (["0", "9", "none.json"], "none.json"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, arguments, told):
    refused = CliRunner().invoke(ways.main, [str(tmp_path / "ways.png"), *arguments])
    assert refused.exit_code == 2
    assert told in refused.output
