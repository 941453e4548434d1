"""A run that has only just begun can be watched already: its first checkpoint is waited for."""

from __future__ import annotations

import threading
import time

import pytest

from mario_rl.errors import CheckpointError
from mario_rl.runs.directory import RunDir
from mario_rl.watch.waiting import wait_for_checkpoint


@pytest.fixture
def begun(tmp_path) -> RunDir:
    place = RunDir(tmp_path / "run")
    place.checkpoints.mkdir(parents=True)
    place.config.write_text("seed: 0\n")
    return place


def test_what_is_there_is_not_waited_for(begun):
    begun.latest.write_bytes(b"")
    assert wait_for_checkpoint(begun.path, lambda: pytest.fail("waited")) == begun.latest


def test_the_first_checkpoint_of_a_run_is_waited_for_and_that_is_said_once(begun):
    def save() -> None:
        time.sleep(0.5)
        begun.latest.write_bytes(b"")

    said: list[str] = []
    saver = threading.Thread(target=save)
    saver.start()
    assert wait_for_checkpoint(begun.path, lambda: said.append("waiting")) == begun.latest
    saver.join()
    assert said == ["waiting"]


def test_a_run_that_nobody_trains_is_not_waited_for_for_ever(begun):
    with pytest.raises(CheckpointError, match=r"no checkpoint came in 0 seconds; .*train --resume .*run` goes on"):
        wait_for_checkpoint(begun.path, lambda: None, most_seconds=0.1)


def test_a_folder_that_is_no_run_directory_is_refused_at_once(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint in this directory"):
        wait_for_checkpoint(tmp_path, lambda: pytest.fail("waited"))
