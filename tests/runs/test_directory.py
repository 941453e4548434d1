"""Run directories: which run a path stands for, which files are its own, and whether it is still where it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mario_rl.errors import CheckpointError, GoneError, UserError
from mario_rl.runs.checkpoint import find_checkpoint
from mario_rl.runs.directory import RunDir, Whereabouts, find_run


def make_run(path: Path, *, written: int, checkpoint: str | None = "latest.pt") -> RunDir:
    """Make a run directory whose config was written at a moment, seconds."""
    run = RunDir(path)
    path.mkdir(parents=True)
    run.config.write_text("seed: 0\n")
    os.utime(run.config, (written, written))
    if checkpoint is not None:
        run.checkpoints.mkdir()
        (run.checkpoints / checkpoint).write_bytes(b"PK\x05\x06" + bytes(18))  # an empty zip archive
    return run


def has_config(run: RunDir) -> bool:
    return run.config.is_file()


def test_of_a_directory_it_is_the_newest_run_below_by_when_its_config_was_written(tmp_path):
    make_run(tmp_path / "b", written=100)
    newest = make_run(tmp_path / "arms" / "a" / "seed_0", written=300)
    make_run(tmp_path / "c", written=200)
    assert find_run(tmp_path, has=has_config) == newest
    assert find_checkpoint(tmp_path) == newest.latest


def test_a_name_that_says_when_the_run_began_counts_before_the_date_of_the_file(tmp_path):
    make_run(tmp_path / "20261123-104500-seed0", written=1_900_000_000)  # copied or changed later
    newest = make_run(tmp_path / "20261124-080000-seed0", written=1_800_000_000)
    assert find_run(tmp_path, has=has_config) == newest


def test_of_runs_begun_in_the_same_second_the_one_written_last_counts(tmp_path):
    make_run(tmp_path / "20261123-104500-seed1", written=1_800_000_000)
    newest = make_run(tmp_path / "20261123-104500-seed0", written=1_800_000_001)
    assert find_run(tmp_path, has=has_config) == newest


def test_a_run_that_lacks_what_is_needed_is_passed_over(tmp_path):
    older = make_run(tmp_path / "older", written=100, checkpoint="best.pt")
    newer = make_run(tmp_path / "newer", written=200, checkpoint=None)
    assert find_checkpoint(tmp_path) == older.best
    with pytest.raises(CheckpointError, match="newer: this run has no checkpoint yet"):
        find_checkpoint(newer.path)


def test_latest_is_the_newest_run_of_its_directory_unless_there_is_such_a_file(tmp_path, monkeypatch):
    run = make_run(tmp_path / "checkpoints" / "demo" / "one", written=100)
    monkeypatch.chdir(tmp_path)
    place = Path("checkpoints/demo/one/checkpoints/latest.pt")
    assert find_checkpoint(Path("checkpoints/demo/latest")) == place
    assert find_checkpoint(Path("latest")) == place  # where `mario-rl train` puts its runs
    other = make_run(tmp_path / "checkpoints" / "demo" / "latest", written=50)
    assert find_checkpoint(tmp_path / "checkpoints" / "demo" / "latest") == other.latest
    assert find_checkpoint(run.path / "latest") == run.latest
    with pytest.raises(CheckpointError, match="nothing/latest: no run with a checkpoint below nothing"):
        find_checkpoint(Path("nothing/latest"))


def test_hidden_folders_and_the_insides_of_runs_are_not_searched(tmp_path):
    run = make_run(tmp_path / "run", written=100)
    make_run(tmp_path / ".run.partial", written=300)
    make_run(run.path / "copy", written=400)
    assert find_run(tmp_path, has=has_config) == run


def test_a_directory_of_agents_is_told_from_one_without_any(tmp_path):
    (tmp_path / "mine.pt").touch()
    with pytest.raises(CheckpointError, match=r"a directory of checkpoints; name one of them, such as .*mine\.pt"):
        find_checkpoint(tmp_path)


FOREIGN = (
    "thesis.npz",
    "generation_000001.npz.bak",
    "generation_1.npz",
    "generation_0000001.npz",
    "my_generation_000001.npz",
    "generation_000001.npy",
    "step_000000001.pt",
    "generation_00000\u0661.npz",
)


def test_of_the_replays_only_those_with_the_names_of_the_run_are_ever_deleted_and_no_link(tmp_path):
    run = RunDir(tmp_path / "run")
    run.replay.mkdir(parents=True)
    for name in FOREIGN:
        (run.replay / name).write_text("mine")
    (tmp_path / "elsewhere").write_text("mine")
    (run.replay / "generation_000003.npz").symlink_to(tmp_path / "elsewhere")
    (run.replay / "generation_000004.npz").mkdir()
    for generation in (999_999, 7, 1_000_000):
        run.replay_file(generation).touch()
    assert run.replay_files() == [run.replay_file(7), run.replay_file(999_999), run.replay_file(1_000_000)]
    run.remove_replays(but=[run.replay_file(1_000_000)])
    assert run.replay_files() == [run.replay_file(1_000_000)]
    run.remove_replays()
    left = {*FOREIGN, "generation_000003.npz", "generation_000004.npz"}
    assert {file.name for file in run.replay.iterdir()} == left
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_folder_of_replays_that_is_empty_goes_with_the_last_of_them(tmp_path):
    run = RunDir(tmp_path / "run")
    run.replay.mkdir(parents=True)
    run.replay_file(3).touch()
    run.remove_replays()
    assert list(run.path.iterdir()) == []
    run.remove_replays()  # nothing to do


def test_nothing_is_listed_or_deleted_behind_a_link_to_a_folder(tmp_path):
    other, run = RunDir(tmp_path / "other"), RunDir(tmp_path / "run")
    for file in (other.replay_file(1), other.step_checkpoint(5)):
        file.parent.mkdir(parents=True)
        file.touch()
    run.path.mkdir()
    run.replay.symlink_to(other.replay)
    run.checkpoints.symlink_to(other.checkpoints)
    run.remove_replays()
    assert (run.replay_files(), run.step_checkpoints()) == ([], [])
    assert run.replay.is_symlink()
    assert (other.replay_files(), other.step_checkpoints()) == ([other.replay_file(1)], [other.step_checkpoint(5)])


def test_kept_checkpoints_come_oldest_first(tmp_path):
    run = RunDir(tmp_path)
    run.checkpoints.mkdir()
    for agent_steps in (999_999_999, 200, 1_000_000_000):
        run.step_checkpoint(agent_steps).touch()
    for name in ("step_best.pt", "step_000000300.pt.bak", "latest.pt"):
        (run.checkpoints / name).touch()
    assert run.step_checkpoints() == [run.step_checkpoint(steps) for steps in (200, 999_999_999, 1_000_000_000)]


@pytest.mark.parametrize("folder", ["checkpoints", "replay", "tensorboard"])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.symlink_to(path.parent.parent), "a symbolic link"),
        (lambda path: path.symlink_to("nothing"), "a symbolic link"),
        (lambda path: path.write_text(""), "not a folder"),
    ],
    ids=["link", "link to nothing", "file"],
)
def test_folders_that_are_not_the_runs_own_are_refused_by_name(tmp_path, folder, make, kind):
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    run.require_own_folders()
    make(run.path / folder)
    with pytest.raises(UserError, match=rf"run/{folder}: {kind}, but a run writes and deletes files in it; "):
        run.require_own_folders()


def test_a_lock_that_is_a_link_is_refused_and_the_directory_itself_may_be_one(tmp_path):
    (tmp_path / "disk").mkdir()
    run = RunDir(tmp_path / "run")
    run.path.symlink_to("disk")
    run.require_own_folders()
    run.lock.symlink_to(tmp_path / "thesis.txt")  # locking would empty it
    with pytest.raises(UserError, match=r"run/\.lock: a symbolic link; it must be a file of the run directory"):
        run.require_own_folders()


def test_the_command_that_goes_on_with_a_run_is_one_for_a_shell():
    assert RunDir(Path("runs/a")).resume_command == "mario-rl train --resume runs/a"
    assert RunDir(Path("my runs/$a")).resume_command == "mario-rl train --resume 'my runs/$a'"


@pytest.fixture
def held(tmp_path):
    run = make_run(tmp_path / "run", written=100)
    with Whereabouts(run) as whereabouts:
        whereabouts.require()
        yield run, whereabouts


@pytest.mark.parametrize("replaced", [False, True])
def test_a_directory_that_was_moved_is_missed_and_found(tmp_path, held, replaced):
    run, whereabouts = held
    run.path.rename(tmp_path / "other name")
    if replaced:
        run.path.mkdir()
    latest = tmp_path / "other name" / "checkpoints" / "latest.pt"
    with pytest.raises(GoneError, match=rf"run: moved to {latest.parents[1]} while .* resumed there from {latest}$"):
        whereabouts.require()
    if not replaced:
        (tmp_path / "other name").rename(run.path)
        whereabouts.require()  # moved and moved back: nothing has happened


def test_a_directory_that_was_deleted_is_missed_also_where_another_is_made_in_its_place(held):
    """A new directory often gets the number of the one that was deleted just before."""
    run, whereabouts = held
    shutil.rmtree(run.path)
    for make in (lambda: None, run.path.mkdir, lambda: run.path.rmdir() or run.path.touch()):
        make()
        with pytest.raises(GoneError, match=r"run: deleted, moved or replaced while .*; nothing was made anew there"):
            whereabouts.require()


def test_a_write_that_fails_because_the_directory_went_says_so(held):
    run, whereabouts = held

    def write(error: OSError, *, after: Callable[[], object] = lambda: None) -> None:
        with whereabouts.kept():
            after()
            raise error

    with pytest.raises(OSError, match="of its own"):
        write(OSError("of its own"))
    with pytest.raises(GoneError):
        write(OSError("no such file"), after=lambda: shutil.rmtree(run.path))


def test_there_are_no_whereabouts_of_what_is_not_there(tmp_path):
    with pytest.raises(GoneError):
        Whereabouts(RunDir(tmp_path / "run"))
