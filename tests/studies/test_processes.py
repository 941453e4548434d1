"""Runs as processes: each ends, or is ended with a line that says so, and their starter never waits without end."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mario_rl.config import Config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import DivergedError
from mario_rl.runs.directory import RunDir
from mario_rl.studies import processes, worker
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.processes import Processes
from mario_rl.studies.runner import RunDiverged, RunFailed
from mario_rl.studies.work import CountingObserver, RunStopped

RUN = StudyRun("arm", 0, Config())
READY = "import json, signal, sys, time; json.load(sys.stdin); print(1, flush=True); "


@pytest.fixture
def executor() -> Iterator[Processes]:
    executor = Processes(FinalConfig(), threads=1)
    yield executor
    executor.kill()


@pytest.fixture
def work(executor: Processes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def begin(code: str) -> Iterator[int]:
        monkeypatch.setattr(processes, "WORKER", ("-c", code))
        return executor.execute(RUN, RunDir(tmp_path / "run"))

    return begin


def test_what_a_process_says_is_passed_on_until_it_ends(work):
    assert list(work(READY + "print(20, flush=True)")) == [1, 20]


def test_why_a_process_failed_is_what_it_said_last(work):
    with pytest.raises(RunFailed, match=r"^no room\nreally$"):
        list(work("import sys; sys.exit('no room\\nreally')"))  # it has not even read what it was given


def test_a_process_that_fails_without_a_word_has_an_exit_code(work):
    with pytest.raises(RunFailed, match="its process ended with exit code 7"):
        list(work(READY + "sys.exit(7)"))


def test_a_process_whose_learning_ran_away_says_so_by_its_exit_code(work, monkeypatch, tmp_path, capsys):
    def diverging(*_: object, **__: object) -> None:
        raise DivergedError("learning diverged")

    job = {"config": {}, "run_dir": str(tmp_path), "final": {}, "threads": 1}
    monkeypatch.setattr(worker, "perform", diverging)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job)))
    assert worker.main() == worker.DIVERGED
    assert capsys.readouterr().err == "learning diverged\n"
    with pytest.raises(RunDiverged, match="its process ended with exit code 3"):
        list(work(READY + f"sys.exit({worker.DIVERGED})"))


def test_what_a_class_of_the_users_prints_is_no_progress(monkeypatch, tmp_path, capsys):
    def talking(*_: object, observer: CountingObserver, **__: object) -> None:
        print("100 !")  # noqa: T201
        print(7)  # noqa: T201
        observer.started(Config(), tmp_path, 300)

    job = {"config": {}, "run_dir": str(tmp_path), "final": {}, "threads": 1}
    monkeypatch.setattr(worker, "perform", talking)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job)))
    assert worker.main() == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("300\n", "100 !\n7\n")


def test_a_process_that_saves_when_told_is_waited_for(work, executor, tmp_path):
    saved = tmp_path / "saved"
    said = work(
        READY + f"signal.signal(15, lambda *_: (open({str(saved)!r}, 'w'), sys.exit(143))); print(2, flush=True); "
        "time.sleep(60)"
    )
    assert (next(said), next(said)) == (1, 2)
    executor.stop()
    with pytest.raises(RunStopped):
        list(said)
    assert saved.exists()


def test_a_process_that_does_not_end_though_it_was_told_is_killed_and_says_so(work, executor, monkeypatch):
    monkeypatch.setattr(processes, "SAVING_SECONDS", 0.3)
    said = work(READY + "signal.signal(15, signal.SIG_IGN); print(2, flush=True); time.sleep(60)")
    assert (next(said), next(said)) == (1, 2)
    executor.stop()
    with pytest.raises(RunFailed, match="did not end within 0 seconds of being told to save, and was killed"):
        list(said)


def test_a_process_that_says_nothing_for_too_long_is_killed_and_says_so(work, monkeypatch):
    monkeypatch.setattr(processes, "SILENT_SECONDS", 0.3)
    said = work(READY + "time.sleep(60)")
    assert next(said) == 1
    with pytest.raises(RunFailed, match="said nothing for 0 seconds, and was killed; its last checkpoint is kept"):
        list(said)


def test_kill_ends_a_process_that_would_save(work, executor):
    said = work(READY + "signal.signal(15, signal.SIG_IGN); print(2, flush=True); time.sleep(60)")
    assert (next(said), next(said)) == (1, 2)
    executor.stop()
    threading.Timer(0.2, executor.kill).start()
    with pytest.raises(RunStopped):
        list(said)


def test_a_process_whose_output_another_one_keeps_open_is_not_waited_for(work, monkeypatch):
    monkeypatch.setattr(processes, "ENDING_SECONDS", 0.3)
    child = "import subprocess; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)']).pid)"
    one, pid = work(READY + child)
    assert one == 1
    os.kill(pid, signal.SIGKILL)  # it is there still


def test_after_stop_nothing_is_begun(work, executor):
    executor.stop()
    with pytest.raises(RunStopped) as stopped:
        list(work(READY))
    assert stopped.value.number == signal.SIGTERM
