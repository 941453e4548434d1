"""The picture of where a run's episodes ended: bars over the stage, from the tables of a real archive."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from matplotlib.patches import Rectangle
from scripts_of_ours import load_script

from mario_rl.cli import main
from mario_rl.config import parse_config, render_config
from mario_rl.runs.run import load_run

where = load_script("where")

DEMONSTRATED = {"demonstrations": ["1-4"]}
TOLD = "\nwith\ndemonstrations"
HEADER = "episode,agent_steps,seconds,env,stage,return,x,length,clock,end\n"


def write_run(place, settings, ends):
    place.mkdir(parents=True)
    (place / "config.yaml").write_text(render_config(parse_config(settings, "test")))
    lines = [f"{n + 1},{100 * (n + 1)},{n},0,1-4,0,{x},10,390,{end}\n" for n, (x, end) in enumerate(ends)]
    (place / "episodes.csv").write_text(HEADER + "".join(lines))


def bars(axes):
    return {
        (bar.get_x(), round(bar.get_y(), 3), round(bar.get_height(), 3))
        for bar in axes.patches
        if isinstance(bar, Rectangle)
    }


def test_a_strip_has_a_bar_for_every_32_pixels_in_which_episodes_ended_and_the_share_that_cleared(tmp_path):
    write_run(
        tmp_path / "run",
        {"env": {"stage": "1-4"}},
        [(300, "death"), (310, "death"), (319, "stall"), (900, "death"), (2500, "clear")],
    )
    (strip,) = where._figure(list(where._strips(load_run(tmp_path / "run")))).axes
    third = round(1 / 3, 3)  # of the fullest bar, where three ended
    assert bars(strip) == {
        (288, 0, 0.667),
        (288, 0.667, third),
        (896, 0, third),
        (2496, 0, third),
    }
    assert strip.get_ylabel() == "1-4\n20%"


def test_a_run_of_several_stages_has_a_strip_for_each(tmp_path):
    write_run(tmp_path / "run", {"env": {"stage": ["1-4", "2-4"]}, "replay": DEMONSTRATED}, [(300, "death")])
    strips = list(where._strips(load_run(tmp_path / "run")))
    assert [(strip.stage, strip.told, len(strip.x)) for strip in strips] == [("1-4", TOLD, 1), ("2-4", TOLD, 0)]
    assert [axes.get_ylabel() for axes in where._figure(strips).axes] == [f"1-4{TOLD}\n0%", f"2-4{TOLD}\n0%"]


def test_a_run_that_is_not_in_the_archive_is_named(tmp_path):
    write_run(tmp_path / "runs" / "plain", {"env": {"stage": "1-4"}}, [(300, "death")])
    assert main(["compare", str(tmp_path / "runs"), "--pack"]) == 0
    refused = CliRunner().invoke(
        where.main, [str(tmp_path / "runs" / "runs.zip"), str(tmp_path / "where.png"), "other"]
    )
    assert refused.exit_code == 2
    assert "there is no run other" in refused.output


@pytest.mark.slow
def test_an_archive_becomes_a_picture(tmp_path):
    write_run(tmp_path / "runs" / "plain", {"env": {"stage": "1-4"}}, [(300, "death")])
    assert main(["compare", str(tmp_path / "runs"), "--pack"]) == 0
    written = CliRunner().invoke(
        where.main, [str(tmp_path / "runs" / "runs.zip"), str(tmp_path / "where.png"), "plain"]
    )
    assert written.output == f"written: {tmp_path / 'where.png'}\n"
    assert (tmp_path / "where.png").read_bytes().startswith(b"\x89PNG")
