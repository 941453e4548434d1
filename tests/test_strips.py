"""Moments of episodes side by side: each is what the game shows at that frame."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from click.testing import CliRunner
from scripts_of_ours import load_script

from mario_rl.config import EnvConfig
from mario_rl.envs import make_game
from mario_rl.shipped import TRAJECTORIES
from mario_rl.trajectories import read_trajectory

strips = load_script("strips")
FILE = TRAJECTORIES / "1-4.json"
LAST = len(read_trajectory(FILE).buttons)


def test_each_moment_is_what_the_game_shows_after_that_many_frames():
    screens = strips._strip(f"{FILE}:200,3").screens
    assert list(screens) == [200, 3]  # as they were asked for
    with closing(make_game(EnvConfig(stage="1-4"))) as game:
        game.reset()
        for number, byte in enumerate(read_trajectory(FILE).buttons[:200], start=1):
            shown, *_ = game.step(byte)
            if number in screens:
                np.testing.assert_array_equal(screens[number], shown)


def test_a_row_is_drawn_for_each_trajectory(tmp_path):
    written = CliRunner().invoke(strips.main, [str(tmp_path / "out.png"), f"{FILE}:1,{LAST}", f"{FILE}:2,3"])
    assert written.output == f"written: {tmp_path / 'out.png'}\n"
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([], "TRAJECTORY"),
        ([f"{FILE}"], "must be a file, a colon and frames"),
        ([f"{FILE}:1,"], "must be a file, a colon and frames"),
        ([f"{FILE}:0"], f"must be from 1 to {LAST}"),
        ([f"{FILE}:{LAST + 1}"], f"must be from 1 to {LAST}"),
        (["none.json:1"], "none.json"),
        ([f"{FILE}:1,2", f"{FILE}:1"], "as many frames as the others"),
        ([f"{FILE}:1,1"], "each frame once"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, wanted, told):
    refused = CliRunner().invoke(strips.main, [str(tmp_path / "out.png"), *wanted])
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.split())
