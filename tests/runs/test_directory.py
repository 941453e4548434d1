"""Run directories: which run a path stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mario_rl.errors import CheckpointError
from mario_rl.runs.checkpoint import find_checkpoint
from mario_rl.runs.directory import RunDir, find_run


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
