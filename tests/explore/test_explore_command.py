"""`mario-rl explore`: what it refuses in one line, what it leaves, and a stage cleared."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mario_rl.cli import main
from mario_rl.cli.terminal import TerminalExploreObserver
from mario_rl.explore import search as search_module
from mario_rl.explore import several
from mario_rl.explore.directory import ExploreDir
from mario_rl.explore.observer import Standing
from mario_rl.explore.search import Settings
from mario_rl.explore.several import explore_all, table_of
from mario_rl.explore.sitting import COLUMNS, Limits
from mario_rl.report.drawing import DPI
from mario_rl.trajectories import read_trajectory, replay

ONE_ROUND = ["--agent-steps", "1", "--jobs", "1"]


@pytest.fixture
def _small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "WAYS_PER_ROUND", 8)
    monkeypatch.setattr(search_module, "STEPS_PER_WAY", 40)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "explore needs one of these: a stage, such as 1-1; --all; --resume DIR"),
        (["1-1", "--all"], "explore needs one of these"),
        (["9-9"], "STAGE: 9-9 is not allowed; must be a stage from 1-1 to 8-4"),
        (["game"], "STAGE: game is not allowed; must be a stage from 1-1 to 8-4"),
        (["1-1", "--minutes", "0"], "0.0 is not in the range 0<x<=100000"),
        (["1-1", "--minutes", "soon"], "'soon' is not a valid float"),
        (["1-1", "--jobs", "0"], "0 is not in the range"),
        (["1-1", "--action-set", "all"], "'all' is not one of"),
        (["--resume", "nowhere"], "nowhere/search.archive: no such file, so no search was begun there"),
        (["--resume", "nowhere", "--seed", "3"], "--seed can't be given with --resume: the search keeps its own"),
        (["1-1", "--out", "taken"], "taken: exists already; name another --out, or go on with it by --resume"),
        (["1-1", "--out", "file"], "file/search.archive: can't be written"),
        (["--all", "--out", "file"], "file/stages.csv: can't be written"),
        (["--resume", "file"], "can't be read (Not a directory)"),
        (["--resume", "other"], "other/search.archive: not a search that this mario_rl reads"),
    ],
)
def test_what_it_can_not_do_it_says_in_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    for folder in ("taken", "other"):
        (tmp_path / folder).mkdir()
    Path("taken/notes.txt").write_text("mine")
    Path("other/search.archive").write_text("something else\n" * 10)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert main(["explore", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mario-rl: ")
    assert said in line
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


@pytest.mark.emulator
@pytest.mark.usefixtures("_small_rounds")
def test_a_search_that_clears_nothing_says_how_far_it_came_and_how_to_go_on(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explore", "1-1", "--out", str(out), *ONE_ROUND]) == 1
    text = capsys.readouterr().out
    assert "not cleared: 1-1 after" in text
    assert f"go on with: mario-rl explore --resume {out}" in text
    result = json.loads((out / "result.json").read_text())
    assert tuple(result) == COLUMNS
    assert (result["stage"], result["end"], result["seed"], result["frames"]) == ("1-1", "limit", 0, None)
    assert 0 < result["agent_steps"] <= 8 * 40
    assert result["cells"] > 5
    assert not (out / "1-1.json").exists()
    assert main(["explore", "--resume", str(out), *ONE_ROUND]) == 1


@pytest.mark.emulator
@pytest.mark.usefixtures("_small_rounds")
def test_the_picture_is_as_wide_as_what_was_seen(tmp_path):
    import cv2

    out = tmp_path / "out"
    assert main(["explore", "1-1", "--out", str(out), *ONE_ROUND]) == 1
    image = cv2.imread(str(out / "archive.png"))
    assert image is not None
    assert 5 * DPI < image.shape[1] < 8 * DPI  # less than two screens: as wide as what stands below it
    assert len({tuple(pixel) for pixel in image[::7, ::7].reshape(-1, 3).tolist()}) > 20


def told(names: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which notes its name where it is called."""

    def tell(*arguments: Any, **options: Any) -> Any:
        names.append(name)
        return function(*arguments, **options)

    return tell


@pytest.mark.emulator
@pytest.mark.usefixtures("_small_rounds")
def test_all_stages_leave_out_those_that_have_a_trajectory_and_go_on_with_those_that_were_begun(tmp_path, monkeypatch):
    limits, stages = Limits(agent_steps=1), ("1-1", "1-2", "1-3")
    explore_all(tmp_path, Settings, limits, stages=stages[:2], jobs=1)
    cleared = ExploreDir(tmp_path / "1-1", "1-1")
    cleared.trajectory.write_text("here it would be")
    done: list[str] = []
    for name in ("begin", "resume"):
        monkeypatch.setattr(several, name, told(done, name, getattr(several, name)))
    rows, interrupted = explore_all(tmp_path, Settings, limits, stages=stages, jobs=1)
    assert (done, interrupted) == (["resume", "begin"], None)
    with (tmp_path / "stages.csv").open() as file:
        assert [row["stage"] for row in csv.DictReader(file)] == [row["stage"] for row in rows] == list(stages)


@pytest.mark.emulator
@pytest.mark.usefixtures("_small_rounds")
def test_stages_that_were_searched_one_by_one_get_their_table(tmp_path):
    explore_all(tmp_path, Settings, Limits(agent_steps=1), stages=("1-1",), jobs=1)
    ExploreDir(tmp_path / "1-1", "1-1").trajectory.write_text("here it would be")
    (tmp_path / "stages.csv").unlink()
    explore_all(tmp_path, Settings, Limits(agent_steps=1), stages=("1-1",), jobs=1)
    with (tmp_path / "stages.csv").open() as file:
        assert [row["stage"] for row in csv.DictReader(file)] == ["1-1"]


def test_the_table_says_what_a_clear_took_or_how_far_a_search_came():
    row = dict.fromkeys(COLUMNS) | {"stage": "1-1", "minutes": 0.52, "agent_steps": 129_950, "cells": 2_151}
    cleared = row | {"end": "clear", "frames": 999, "clear_seconds": 16.62}
    table = table_of([cleared, row | {"stage": "8-4", "end": "limit", "best_x": "4576 1072"}])
    assert [line.split() for line in table.splitlines()] == [
        ["stage", "minutes", "agent", "steps", "cells", "result"],
        ["1-1", "0.5", "129,950", "2,151", "cleared", "in", "999", "frames,", "16.6", "s"],
        ["8-4", "0.5", "129,950", "2,151", "not", "cleared;", "best", "x", "4576", "1072,", "by", "area"],
    ]


@pytest.mark.parametrize(
    ("columns", "shown"), [("160", "1.9 MB, 65,374 agent steps (6,294/s)"), ("40", "1-4: best x 1,952")]
)
def test_the_bar_says_how_far_it_is_and_fits_the_terminal(columns, shown, monkeypatch):
    stderr = io.StringIO()
    stderr.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("COLUMNS", columns)
    standing = Standing("searching", 1_121, {(3, 0): 1952, (2, 2): 96}, 1_900_000, 65_374, 6_294.4, 11.0, None, 0.25)
    observer = TerminalExploreObserver()
    observer.begun(ExploreDir(Path("out"), "1-4"), standing)
    monkeypatch.setattr("mario_rl.cli.terminal.SECONDS_BETWEEN_REFRESHES", 0)
    observer.progressed(standing)
    observer.said("cleared 1-4")
    observer.close()
    text = stderr.getvalue()
    assert "going on with 1-4 in out" in text
    assert shown in text
    assert "cleared 1-4" in text


@pytest.mark.emulator
@pytest.mark.slow
def test_1_1_is_cleared_shortened_and_the_trajectory_ends_the_same_on_both_emulators(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explore", "1-1", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    trajectory = read_trajectory(out / "1-1.json")
    assert f"written: {out / '1-1.json'}" in text
    assert (trajectory.ending.end, trajectory.made.by, trajectory.made.seed) == ("clear", "search", 0)
    assert replay(trajectory) == replay(trajectory, emulator="nes_py") == trajectory.ending
    result = json.loads((out / "result.json").read_text())
    assert trajectory.ending.frames == result["frames"] < result["first_frames"]
    assert (out / "1-1.json").stat().st_size < 5_000
    assert main(["explore", "--resume", str(out)]) == 2  # there is nothing left to do
