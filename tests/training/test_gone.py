"""A run directory that somebody changes while it is trained in: what is missing is noticed, and nothing made anew."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.errors import GoneError, UserError
from mario_rl.replay import ReplayBuffer
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import Observer, curve, resume, saving, train

pytestmark = pytest.mark.emulator


class DoAt(Observer):
    """Does something once the first checkpoint of 80 agent steps was saved."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def saved(self, path: Path, agent_steps: int) -> None:
        if agent_steps == 80:
            self.action()


def everything_below(path: Path) -> set[str]:
    return {str(one.relative_to(path)) for one in path.rglob("*")}


@pytest.mark.parametrize("settings", [[], ["logging.trackers=[tensorboard]", "evaluation.every_steps=100"]])
def test_a_run_whose_directory_is_moved_ends_and_goes_on_where_it_is_now(tmp_path, small_run_file, settings):
    run, moved = tmp_path / "runs" / "run", tmp_path / "elsewhere"
    with pytest.raises(GoneError, match=rf"run: moved to {moved} while .*{moved / 'checkpoints' / 'latest.pt'}$"):
        train(load_config(small_run_file, settings), run, observer=DoAt(lambda: run.rename(moved)))
    assert everything_below(tmp_path / "runs") == set()
    assert load_checkpoint(RunDir(moved).latest)["agent_steps"] == 80
    assert resume(moved).progress.agent_steps == 200


def test_a_run_whose_directory_is_deleted_ends_and_none_is_made(tmp_path, small_run):
    run = tmp_path / "runs" / "run"
    with pytest.raises(GoneError, match="run: deleted, moved or replaced while training went on"):
        train(small_run, run, observer=DoAt(lambda: shutil.rmtree(tmp_path / "runs")))
    assert not (tmp_path / "runs").exists()


def test_nothing_is_written_into_another_directory_in_its_place(tmp_path, small_run):
    run, moved = tmp_path / "run", tmp_path / "elsewhere"

    def replace() -> None:
        run.rename(moved)
        run.mkdir()
        (run / "thesis.txt").write_text("mine")

    with pytest.raises(GoneError):
        train(small_run, run, observer=DoAt(replace))
    assert everything_below(run) == {"thesis.txt"}


def test_a_directory_that_is_moved_and_moved_back_between_two_writes_is_as_before(tmp_path, small_run):
    run = tmp_path / "run"
    there_and_back = DoAt(lambda: run.rename(tmp_path / "away") and (tmp_path / "away").rename(run))
    assert train(small_run, run, observer=there_and_back).progress.agent_steps == 200


@pytest.mark.parametrize("name", ["episodes.csv", "metrics.csv"])
def test_a_table_that_is_deleted_ends_the_run_which_goes_on_without_the_rows_that_are_lost(tmp_path, small_run, name):
    run = tmp_path / "run"
    with pytest.raises(GoneError, match=rf"{name}: deleted, moved or replaced .* the run can be resumed"):
        train(small_run, run, observer=DoAt((run / name).unlink))
    assert not (run / name).exists()
    assert resume(run).progress.agent_steps == 200


def test_a_curve_is_not_drawn_into_a_directory_that_went_while_it_was_being_drawn(tmp_path, small_run, monkeypatch):
    run = tmp_path / "run"

    def draw_slowly(run_dirs: list[Path]) -> None:
        if (run / "checkpoints" / "latest.pt").exists():
            shutil.rmtree(run)

    monkeypatch.setattr(curve, "curve_figure", draw_slowly)
    with pytest.raises(GoneError):
        train(small_run, run)
    assert not run.exists()


@pytest.mark.parametrize("during", ["generation_000002.npz", "latest.pt", "step_000000080.pt"])
def test_a_directory_that_goes_while_it_is_saved_in_is_not_made_anew(tmp_path, small_run, monkeypatch, during):
    run = tmp_path / "run"
    save_replay, save_checkpoint = ReplayBuffer.save, saving.save_checkpoint

    def go_after(path: Path) -> None:
        if path.name == during:
            shutil.rmtree(run)

    monkeypatch.setattr(ReplayBuffer, "save", lambda replay, path: (save_replay(replay, path), go_after(path)))
    monkeypatch.setattr(saving, "save_checkpoint", lambda path, state: (save_checkpoint(path, state), go_after(path)))
    with pytest.raises(GoneError):
        train(small_run, run)
    assert not run.exists()


@pytest.mark.takes("a process, which imports PyTorch, and one more in this one")
def test_ctrl_c_saves_nothing_in_the_old_place_and_it_is_one_line(tmp_path, small_run_file, mario_rl_command):
    run, moved = tmp_path / "runs" / "run", tmp_path / "elsewhere"
    arguments = ["train", str(small_run_file), "training.agent_steps=100000", "--run-dir", str(run)]
    settings = ["logging.every_seconds=1000", "env.max_agent_steps=100000", "training.checkpoint_every_steps=100000"]
    process = subprocess.Popen(
        [*mario_rl_command, *arguments, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while not RunDir(run).latest.exists() and process.poll() is None:
            time.sleep(0.02)
        run.rename(moved)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (1, "")
    assert said.splitlines()[-1].startswith(f"mario-rl: {run}: moved to {moved} while training went on")
    assert "Traceback" not in said
    assert everything_below(tmp_path / "runs") == set()
    assert main(["train", "--resume", str(moved), "training.agent_steps=4"]) == 0


def test_what_others_put_beside_the_replay_stays_and_a_link_in_its_place_is_refused(tmp_path, small_run, capsys):
    """Saving deleted whatever else was in the folder, also behind a link."""
    place, mine = RunDir(tmp_path / "run"), tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    train(small_run, place.path, observer=DoAt(lambda: shutil.copytree(mine, place.replay, dirs_exist_ok=True)))
    (replay,) = place.replay_files()
    assert {file.name for file in place.replay.iterdir()} == {"thesis.txt", replay.name}

    place.replay.rename(tmp_path / "replay of before")
    place.replay.symlink_to(mine)
    before = load_checkpoint(place.latest)
    with pytest.raises(UserError, match="run/replay: a symbolic link"):
        resume(place.path, ["training.agent_steps=300"])
    assert main(["train", "--resume", str(place.path), "training.agent_steps=300"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert everything_below(mine) == {"thesis.txt"}
    assert load_checkpoint(place.latest)["agent_steps"] == before["agent_steps"]
