"""Signals: answered at any moment while a run is prepared, and also where the games never answer again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mario_rl import workers
from mario_rl.cli import main
from mario_rl.compiling import FOLDER_VARIABLE
from mario_rl.config import load_config
from mario_rl.errors import UnansweredError
from mario_rl.game.games import Games
from mario_rl.replay import ReplayBuffer
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import Interrupts, Observer, checks, observer, resume, session, sitting, train
from mario_rl.training.interrupts import Stopped

pytestmark = pytest.mark.emulator


def with_signal(function: Callable[..., Any], number: signal.Signals = signal.SIGINT) -> Callable[..., Any]:
    """The same, but at its beginning a signal comes."""

    def interrupted(*arguments: Any, **others: Any) -> Any:
        signal.raise_signal(number)
        return function(*arguments, **others)

    return interrupted


def test_nothing_is_begun_where_a_signal_comes_while_the_machine_is_looked_at(tmp_path, small_run, monkeypatch):
    monkeypatch.setattr(checks, "check_memory", with_signal(checks.check_memory, signal.SIGTERM))
    result = train(small_run, tmp_path / "run")
    assert (result.stop, result.signal, result.progress) == ("SIGTERM", signal.SIGTERM, None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_parts_of_a_run_are_made_leaves_one_that_can_be_gone_on_with(
    tmp_path, small_run, monkeypatch, number
):
    with monkeypatch.context() as patch:
        patch.setattr(session, "make_replay", with_signal(session.make_replay, number))
        result = train(small_run, tmp_path / "run")
    assert (result.stop, result.signal, result.progress) == (number.name, number, None)
    assert not RunDir(tmp_path / "run").latest.exists()
    assert resume(tmp_path / "run", ["training.agent_steps=4"]).progress.agent_steps == 4


def test_a_signal_while_a_run_is_restored_changes_nothing_of_it(tmp_path, small_run_file, monkeypatch):
    config = load_config(small_run_file, ["training.agent_steps=20"])
    place = train(config, tmp_path / "run").run_dir
    before = {file: file.read_bytes() for file in place.path.rglob("*") if file.is_file()}
    monkeypatch.setattr(ReplayBuffer, "load", with_signal(ReplayBuffer.load))
    result = resume(place.path)
    assert (result.signal, result.progress) == (signal.SIGINT, None)
    assert {file: file.read_bytes() for file in place.path.rglob("*") if file.is_file()} == before


@pytest.mark.takes("nes-py opens three games, a third of a second each, and is imported")
def test_games_that_open_slowly_are_told_of_and_a_signal_ends_it_between_two_frames(
    tmp_path, small_run_file, monkeypatch
):
    pytest.importorskip("nes_py")
    from mario_rl.envs import nes_py

    opened, said = [], []

    def open_one(*arguments: Any, **others: Any) -> Any:
        opened.append(1)
        if len(opened) == 4:
            signal.raise_signal(signal.SIGTERM)
        return make_plain_env(*arguments, **others)

    class Listen(Observer):
        def preparing(self, message: str) -> None:
            said.append(message)

    make_plain_env = nes_py.make_plain_env
    monkeypatch.setattr(nes_py, "make_plain_env", open_one)
    monkeypatch.setattr(observer, "SECONDS_BETWEEN_WORDS", 0.0)
    config = load_config(small_run_file, ["env.emulator=nes_py", "training.envs=200", "replay.capacity=2000"])
    assert train(config, tmp_path / "run", observer=Listen()).stop == "SIGTERM"
    assert len(opened) == 4
    assert said == [f"opening the games: {count} of 200" for count in (1, 2, 3)]


def test_a_signal_whose_exception_a_library_swallows_ends_it_all_the_same():
    def swallow() -> None:
        with suppress(BaseException):  # as LLVM does, which calls Python in between
            signal.raise_signal(signal.SIGTERM)

    with Interrupts() as interrupts, pytest.raises(Stopped), interrupts.at_once():
        swallow()
    assert interrupts.received == signal.SIGTERM


def test_what_is_quick_is_not_worth_a_word(monkeypatch):
    clock, told = [0.0], []
    monkeypatch.setattr(observer.time, "monotonic", lambda: clock[0])
    tell = observer.now_and_then(told.append)
    for number in range(13):
        clock[0] = float(number)
        tell(number)
    assert told == [5, 10]


@pytest.mark.parametrize(("agent_steps", "words"), [(None, ["loading a replay of 0.0 GB"]), (4, [])])
def test_a_large_replay_is_told_of_before_it_is_loaded(tmp_path, small_run_file, monkeypatch, agent_steps, words):
    said: list[str] = []

    class Listen(Observer):
        def preparing(self, message: str) -> None:
            said.append(message)

    train(load_config(small_run_file, ["training.agent_steps=4"]), tmp_path / "run")
    if agent_steps is None:
        monkeypatch.setattr(session, "LARGE_REPLAY_BYTES", 0)
    resume(tmp_path / "run", observer=Listen())
    assert said == words


@pytest.mark.takes("a process that imports PyTorch, and begins to compile")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_emulator_is_compiled_ends_it_with_the_words_of_always(
    number, code, small_run_file, tmp_path, mario_rl_command
):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*mario_rl_command, "train", str(small_run_file), "--run-dir", str(run)],
        env=os.environ | {FOLDER_VARIABLE: str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("compiling the emulator")
        process.send_signal(number)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, said) == (code, "")
    assert out.splitlines()[0] == (
        f"stopped by {number.name} before the first agent step: there is nothing to save yet"
    )
    assert out.splitlines()[-1] == f"go on with:  mario-rl train --resume {run}"
    assert main(["train", "--resume", str(run), "training.agent_steps=4"]) == 0


def test_the_command_says_where_nothing_was_begun(tmp_path, small_run_file, monkeypatch, capsys):
    monkeypatch.setattr(sitting, "check_machine", with_signal(sitting.check_machine))
    assert main(["train", str(small_run_file), "--run-dir", str(tmp_path / "run")]) == 130
    out, said = capsys.readouterr()
    assert (out, said) == ("stopped by SIGINT before the first agent step: there is nothing to save yet\n", "")


HANGING = textwrap.dedent(
    """
    import sys, threading
    from mario_rl import workers
    from mario_rl.cli import main
    from mario_rl.game.games import Games

    step, taken = Games.step, []

    def hang(games, actions):
        taken.append(1)
        if len(taken) == 60:
            print("hangs", flush=True)
            threading.Event().wait()
        step(games, actions)

    Games.step = hang
    workers.LOOK_SECONDS = {seconds}
    sys.exit(main(["train", "{config}", "--run-dir", "{run}"]))
    """
)


def hanging(config: Path, run: Path, *, seconds: float) -> subprocess.Popen[str]:
    """A run of whose 60th step the games never come back, and what waits for them looks every so many seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING.format(config=config, run=run, seconds=seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hangs\n"
    return process


@pytest.mark.takes("a process that imports PyTorch")
def test_games_that_never_answer_end_the_run_with_a_line_that_says_how_to_go_on(tmp_path, small_run_file):
    run = tmp_path / "run"
    process = hanging(small_run_file, run, seconds=0.001)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in said
    line = said.splitlines()[-1]
    assert line.startswith(f"mario-rl: {run}: no answer from the games for ")
    assert line.endswith(f"; go on from its last checkpoint with: mario-rl train --resume {run}")
    assert load_checkpoint(RunDir(run).latest)["agent_steps"] == 80
    assert resume(run).progress.agent_steps == 200


def test_games_that_never_answer_are_given_up_sooner_after_a_signal(tmp_path, small_run, monkeypatch):
    step, taken, given_up = Games.step, [], threading.Event()

    def hang(games: Games, actions: Any) -> None:
        taken.append(1)
        if len(taken) == 60:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            given_up.wait(60)
        step(games, actions)

    monkeypatch.setattr(Games, "step", hang)
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.02)
    with pytest.raises(UnansweredError, match=r"no answer from the games for 1 s; go on from its last checkpoint"):
        train(small_run, tmp_path / "run")  # after 30 looks, not 600
    given_up.set()
    assert load_checkpoint(RunDir(tmp_path / "run").latest)["agent_steps"] == 80


@pytest.mark.takes("a process that imports PyTorch")
def test_a_second_ctrl_c_ends_a_program_at_once_whatever_its_games_do(tmp_path, small_run_file):
    process = hanging(small_run_file, tmp_path / "run", seconds=0.2)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
