"""The death map: every episode has its mark, and the histogram counts the last of them."""

from __future__ import annotations

import pytest

from mario_rl.cli import main
from mario_rl.errors import UserError
from mario_rl.files import printable
from mario_rl.report.drawing import MAX_TITLE
from mario_rl.report.ends import RECENT, draw_ends, ends_figure

HEADER = "episode,agent_steps,seconds,env,stage,return,x,length,clock,end\n"


def write_run(place, rows):
    place.mkdir(exist_ok=True)
    lines = [f"{n + 1},{100 * (n + 1)},{n},0,1-1,0,{x},10,390,{end}\n" for n, (x, end) in enumerate(rows)]
    (place / "episodes.csv").write_text(HEADER + "".join(lines))
    return place


def test_each_end_is_marked_where_and_when_it_was(tmp_path):
    run = write_run(tmp_path / "run", [(300, "death"), (700, "stall"), (310, "death"), (3161, "clear")])
    course, _ = ends_figure(run).axes
    marks = {line.get_label(): line.get_xydata().tolist() for line in course.get_lines() if line.get_marker() != "None"}
    assert marks == {
        "death (2)": [[100, 300], [300, 310]],
        "stall (1)": [[200, 700]],
        "clear (1)": [[400, 3161]],
    }


def test_the_histogram_counts_the_last_episodes_by_where_they_ended(tmp_path):
    early = [(40, "death")] * 7  # no longer counted
    run = write_run(tmp_path / "run", early + [(300, "death")] * (RECENT - 2) + [(310, "stall"), (3161, "clear")])
    _, recent = ends_figure(run).axes
    counts = {(bar.get_y(), bar.get_width()) for bar in recent.patches if bar.get_width()}
    assert counts == {(288.0, RECENT - 2), (288.0, 1), (3136.0, 1)}
    assert sum(bar.get_width() for bar in recent.patches) == RECENT


def test_the_picture_is_written_beside_the_curve(tmp_path, capsys):
    run = write_run(tmp_path / "run", [(300, "death")])
    assert main(["plot", str(run), "--ends", str(tmp_path / "ends.png")]) == 0
    assert (tmp_path / "ends.png").read_bytes().startswith(b"\x89PNG")
    assert f"ends:  {tmp_path / 'ends.png'}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a$x_$b", b"caf\xe9".decode("utf-8", "surrogateescape"), "_\x1b[31m\n", "m" * 250])
def test_the_name_of_the_run_is_text_whatever_is_in_it(tmp_path, name):
    run = write_run(tmp_path / name, [(300, "death")])
    title = ends_figure(run).get_suptitle()
    assert title == f"{printable(f'{tmp_path.name}/{name}', MAX_TITLE)}\nwhere 1 episode ended"
    assert draw_ends(run, run / f"{name[:240]}.png").read_bytes().startswith(b"\x89PNG")


def test_a_death_map_is_of_one_run_with_episodes(tmp_path, capsys):
    one, empty = write_run(tmp_path / "one", [(300, "death")]), write_run(tmp_path / "empty", [])
    assert main(["plot", str(one), str(one), "--ends", str(tmp_path / "ends.png")]) == 2
    assert "a death map is of one run" in capsys.readouterr().err
    with pytest.raises(UserError, match="no episode has ended yet"):
        draw_ends(empty, tmp_path / "ends.png")
    assert main(["plot", str(empty), "--ends", str(tmp_path / "ends.png")]) == 2
    assert not (tmp_path / "ends.png").exists()
    assert not (empty / "curve.png").exists()
