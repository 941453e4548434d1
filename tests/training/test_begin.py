"""How a run directory comes to be: whole, of one process, in a directory that is new or empty."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mario_rl.config import Config, load_config
from mario_rl.errors import StorageError, UserError
from mario_rl.runs.directory import RunDir
from mario_rl.training import RunDirTaken, begin, train
from mario_rl.training.begin import new_run_dir


def seed_of(path: Path) -> int:
    return load_config(path / "config.yaml").seed


def begin_in(path: Path, seed: int = 0) -> None:
    begin.begin(new_run_dir(path), Config(seed=seed))


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty"])
def test_of_several_that_begin_in_one_place_at_once_one_does_and_the_others_are_told(tmp_path, exists):
    count = 4
    for attempt in range(25):
        path = tmp_path / str(attempt)
        if exists:
            path.mkdir()
        ready = threading.Barrier(count)

        def enter(seed: int, path: Path = path, ready: threading.Barrier = ready) -> int | None:
            directory = new_run_dir(path)
            ready.wait()
            try:
                begin.begin(directory, Config(seed=seed))
            except RunDirTaken:
                return None
            return seed

        with ThreadPoolExecutor(count) as pool:
            winners = [seed for seed in pool.map(enter, range(count)) if seed is not None]
        assert [seed_of(path)] == winners
        assert [file.name for file in path.iterdir()] == ["config.yaml"]


def test_who_comes_second_between_two_steps_of_the_first_has_begun_the_run(tmp_path, monkeypatch):
    path = tmp_path / "run"
    render = begin.render_config

    def interrupted(config: Config) -> str:
        monkeypatch.setattr(begin, "render_config", render)
        begin_in(path, seed=2)
        (path / "episodes.csv").write_text("")
        return render(config)

    monkeypatch.setattr(begin, "render_config", interrupted)
    with pytest.raises(RunDirTaken):
        begin_in(path, seed=1)
    assert seed_of(path) == 2
    assert sorted(file.name for file in path.iterdir()) == ["config.yaml", "episodes.csv"]


def test_what_is_there_already_is_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("folder", "file"):
        with pytest.raises(RunDirTaken, match=rf"{name}: exists already; name another --run-dir"):
            begin_in(tmp_path / name)
    assert [file.name for file in (tmp_path / "folder").iterdir()] == ["thesis.txt"]


def test_an_empty_directory_is_used_as_it_is(tmp_path):
    """It can't be replaced by another where a disk is mounted there."""
    mounted = tmp_path / "mounted"
    (mounted / "lost+found").mkdir(parents=True)
    before = mounted.stat().st_ino
    begin_in(mounted)
    assert mounted.stat().st_ino == before
    assert seed_of(mounted) == 0


def test_a_link_to_an_empty_directory_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    begin_in(tmp_path / "run", seed=5)
    assert (tmp_path / "run").is_symlink()
    assert seed_of(tmp_path / "disk") == 5


def test_a_link_to_nothing_is_said_to_be_one(tmp_path):
    (tmp_path / "run").symlink_to("not mounted")
    with pytest.raises(UserError, match="run: can't be made, it is a link to nothing; name another --run-dir"):
        begin_in(tmp_path / "run")


@pytest.mark.parametrize("name", [".", "", "../here"])
def test_the_empty_folder_one_is_in_becomes_the_run_directory(tmp_path, monkeypatch, name):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    begin_in(Path(name), seed=4)
    assert seed_of(here) == 4


def test_what_a_process_left_that_was_killed_on_the_way_is_no_run_and_in_nobodys_way(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / ".config.yaml.123-0123abcd.partial").write_text("env:")
    begin_in(path, seed=3)
    assert seed_of(path) == 3


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_one_still_wins(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    directory = new_run_dir(tmp_path / "run")
    begin.begin(directory, Config(seed=1))
    monkeypatch.setattr(begin, "_is_empty", lambda _: True)  # looked at before the first one began
    with pytest.raises(RunDirTaken):
        begin.begin(directory, Config(seed=2))
    assert seed_of(tmp_path / "run") == 1


def test_a_full_disk_leaves_no_part_of_a_config(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=r"config\.yaml: could not be written \(No space left on device: .*\)"):
        begin_in(tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
    monkeypatch.undo()
    begin_in(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_empty_directory_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "run").mkdir(mode=0o555)
    with pytest.raises(UserError, match="run: can't be written to; name another --run-dir"):
        new_run_dir(tmp_path / "run")


@pytest.mark.emulator
def test_a_run_that_began_in_an_empty_directory_has_all_its_files_there(tmp_path, small_run_file, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = train(load_config(small_run_file, ["training.agent_steps=20"]), ".")
    assert result.run_dir.path.resolve() == tmp_path / "here"
    assert RunDir(tmp_path / "here").latest.is_file()
    assert not [path for path in tmp_path.iterdir() if path.name not in ("here", small_run_file.name)]
