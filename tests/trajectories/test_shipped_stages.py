"""The trajectories that come with the package: each clears its stage, on both emulators."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mario_rl import shipped
from mario_rl.cli import main
from mario_rl.cli.trajectories import EMULATORS
from mario_rl.config import EnvConfig
from mario_rl.envs import make_game
from mario_rl.shipped import TRAJECTORIES, find_trajectory
from mario_rl.trajectories import Ends, read_trajectory, replay, write_trajectory

PATHS = sorted(TRAJECTORIES.glob("*.json"))
SHORTEST, NEXT_SHORTEST, *_ = sorted(PATHS, key=lambda path: read_trajectory(path).ending.frames)

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


def play_side_by_side(path: Path) -> None:
    """Play on both emulators; memory and picture are the same after every frame, and so is the end."""
    trajectory = read_trajectory(path)
    games: list[Any] = [make_game(EnvConfig(stage=trajectory.stage, emulator=emulator)) for emulator in EMULATORS]
    endings = [Ends(game) for game in games if game.reset()]
    for frame, byte in enumerate(trajectory.buttons):
        pictures, memories = [], []
        for game, ending in zip(games, endings, strict=True):
            picture, _, terminated, _, info = game.step(byte)
            ending.update(terminated, info)
            pictures.append(picture)
            memories.append(game.unwrapped.ram)
        assert np.array_equal(*memories), f"memory after frame {frame}"
        assert np.array_equal(*pictures), f"picture after frame {frame}"
    assert [one.ending for one in endings] == [trajectory.ending] * 2
    for game in games:
        game.close()


@pytest.mark.emulator
def test_both_emulators_show_the_same_in_every_frame_of_the_shortest():
    play_side_by_side(SHORTEST)


@pytest.mark.emulator
@pytest.mark.slow
@each
def test_both_emulators_show_the_same_in_every_frame_of_each(path):
    play_side_by_side(path)


@pytest.mark.emulator
def test_verify_plays_a_stage_on_both_emulators(capsys):
    assert main(["verify", SHORTEST.stem]) == 0
    ending = read_trajectory(SHORTEST).ending
    assert capsys.readouterr().out.splitlines() == [
        str(SHORTEST),
        f"  holds  native: it {ending}",
        f"  holds  nes_py: it {ending}",
    ]


@pytest.mark.emulator
def test_verify_finds_the_end_that_a_trajectory_does_not_have(tmp_path, capsys):
    honest = read_trajectory(SHORTEST)
    claimed = honest.model_copy(update={"ending": honest.ending.model_copy(update={"x": honest.ending.x + 1})})
    write_trajectory(tmp_path / "claimed.json", claimed)
    assert main(["verify", str(tmp_path / "claimed.json")]) == 1
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["FAILS", "FAILS"]
    assert f"it {honest.ending}, and its file says that it {claimed.ending}" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "verify: name what to verify, or --all for all of the package; not both"),
        (["1-1", "--all"], "verify: name what to verify, or --all for all of the package; not both"),
        (["1-1", "--protocol", "noop"], "--protocol: trajectories have none, only agents; leave it out"),
        (["1-1", "nothing.json"], "nothing.json: no such file"),
    ],
)
def test_verify_refuses_with_a_line_and_plays_nothing(arguments, line, capsys):
    assert main(["verify", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err == f"mario-rl: {line}\n"
    assert said.out == ""


@pytest.mark.emulator
def test_verify_all_is_of_every_agent_and_every_trajectory(monkeypatch, tmp_path, capsys):
    stages = tmp_path / "stages"
    stages.mkdir()
    for path in (SHORTEST, NEXT_SHORTEST):
        shutil.copy(path, stages)
    monkeypatch.setattr(shipped, "TRAJECTORIES", stages)
    monkeypatch.setattr(shipped, "AGENTS", tmp_path)
    assert main(["verify", "--all"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert said == sorted(str(path) for path in stages.iterdir())


@pytest.mark.emulator
def test_its_stage_stands_for_it_where_trajectories_are_played_and_filmed(tmp_path, capsys):
    assert main(["replay", SHORTEST.stem]) == 0
    assert main(["record", SHORTEST.stem, "--output", str(tmp_path / "film.mp4")]) == 0
    said = capsys.readouterr().out
    assert said.count(f"it {read_trajectory(SHORTEST).ending}") == 2
    assert (tmp_path / "film.mp4").stat().st_size > 10_000


def test_a_stage_without_one_has_none():
    assert find_trajectory(Path("9-9")) is None
