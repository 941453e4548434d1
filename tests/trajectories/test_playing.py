"""Trajectories on the real game: the same end on both emulators, and where an environment says that it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from env_fakes import INTO_BONUS_ROOM, unroll
from shown import blocks

from mario_rl.cli import main
from mario_rl.config import EnvConfig
from mario_rl.envs import make_env
from mario_rl.errors import FailedError, UserError
from mario_rl.trajectories import (
    Made,
    make_trajectory,
    read_trajectory,
    replay,
    require_end,
    write_trajectory,
)

pytestmark = pytest.mark.emulator

HUMAN = Made(by="human")
RIGHT = 0x80
RUN_INTO_THE_FIRST_ENEMY = bytes([RIGHT] * 400)


@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_a_death_ends_it_and_what_was_pressed_after_it_is_left_out(emulator):
    made = make_trajectory("1-1", RUN_INTO_THE_FIRST_ENEMY, HUMAN, emulator=emulator)
    assert (made.ending.end, made.ending.stage) == ("death", "1-1")
    assert made.ending.x == 296
    assert made.ending.frames == len(made.buttons) < 400
    assert set(made.buttons) == {RIGHT}


def test_both_emulators_end_at_the_same_place_also_in_another_area():
    made = make_trajectory("1-1", unroll(INTO_BONUS_ROOM), HUMAN)
    assert made.ending.end == "unfinished"
    assert made.ending.x > 800  # the pipe, not the room below
    assert replay(made, emulator="native") == replay(made, emulator="nes_py") == made.ending


def test_it_ends_where_the_environment_says_no_ops_included():
    env = make_env(EnvConfig(noop_max=0))
    env.reset(options={"noop_frames": 17})
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(1)
        over = terminated or truncated
    made = make_trajectory("1-1", bytes(env.buttons_sent), HUMAN)
    assert made.buttons[:18] == bytes(17) + bytes([RIGHT])
    assert (made.ending.end, made.ending.x) == (info["episode_result"].end, info["episode_result"].x)
    assert made.ending.frames == len(env.buttons_sent)
    env.close()


@pytest.mark.takes("a process that loads PyTorch and plays an evaluation")
def test_the_examples_of_the_page_about_trajectories_run_as_they_stand(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "howto" / "trajectories.md").read_text(encoding="utf-8")
    made, begun = blocks(text, "python")
    code = f"{made}\n{begun}\nassert bytes(env.buttons_sent) == read_trajectory(Path('clear.json')).buttons[:300]"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_trajectory(tmp_path / "clear.json").ending.end == "clear"


def test_nothing_pressed_at_all_is_a_trajectory_too():
    assert make_trajectory("1-2", b"", HUMAN).ending.frames == 0


def test_another_end_than_the_recorded_one_fails_and_names_both():
    made = make_trajectory("1-1", RUN_INTO_THE_FIRST_ENEMY, HUMAN)
    claimed = made.model_copy(update={"ending": made.ending.model_copy(update={"end": "clear"})})
    with pytest.raises(FailedError, match=r"it dies in 1-1 at x 296 .* its file says that it clears 1-1 at x 296"):
        require_end(claimed, replay(claimed))


def test_another_rom_is_refused():
    made = make_trajectory("1-1", b"", HUMAN).model_copy(update={"rom": "ab" * 32})
    with pytest.raises(UserError, match=r"SHA-256 abababababab\.\.\., and this one is .*MARIO_RL_ROM"):
        replay(made)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "died.json"
    write_trajectory(path, make_trajectory("1-1", RUN_INTO_THE_FIRST_ENEMY, HUMAN))
    return path


def test_the_command_says_where_it_ends(file, capsys):
    assert main(["replay", str(file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{file}: made by a human, 20")
    frames = read_trajectory(file).ending.frames
    assert said[1] == f"on native: it dies in 1-1 at x 296 after {frames} frames, as recorded"


def test_the_command_fails_in_a_line_where_the_end_is_another(file, capsys):
    made = read_trajectory(file)
    write_trajectory(file, made.model_copy(update={"ending": made.ending.model_copy(update={"x": 3161})}))
    assert main(["replay", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"mario-rl: {file}: on native not the recorded end: it dies in 1-1 at x 296")
    assert len(said.splitlines()) == 1


@pytest.mark.takes("a process that opens nes-py")
def test_the_command_is_a_process_that_plays_on_nes_py_and_refuses_what_was_cut(file, mario_rl_command):
    command = [*mario_rl_command, "replay", str(file), "--emulator", "nes_py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "on nes_py: it dies in 1-1 at x 296" in done.stdout
    file.write_bytes(file.read_bytes()[:-100])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mario-rl: {file}: not a trajectory, or not a whole one (")


@pytest.mark.takes("plays a whole stage on nes-py")
def test_a_shipped_agents_clear_is_written_replayed_and_cleared_on_both_emulators(tmp_path, capsys):
    from mario_rl.evaluation import evaluate

    (episode,) = evaluate("ddqn_simple_1-1", protocol="greedy").episodes
    assert episode.result.end == "clear"
    made = Made(by="agent", name="ddqn_simple_1-1_seed_0", protocol="greedy", seed=0, episode=0)
    path = tmp_path / "clear.json"
    write_trajectory(path, make_trajectory("1-1", bytes(episode.buttons), made))
    assert path.stat().st_size < 3_000
    assert read_trajectory(path).buttons == bytes(episode.buttons)
    for emulator in ("native", "nes_py"):
        assert main(["replay", str(path), "--emulator", emulator]) == 0
        assert f"it clears 1-1 at x {episode.result.x:,}" in capsys.readouterr().out
    assert json.loads(path.read_text())["ending"]["end"] == "clear"
