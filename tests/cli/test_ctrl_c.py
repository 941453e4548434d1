"""Ctrl-C in a real terminal, at any moment: all processes of the foreground get it, and none prints a traceback."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("what a process does with signals is read from /proc", allow_module_level=True)

import fcntl

CTRL_C = b"\x03"
STUDY = """\
base: small.yaml
settings: {training.agent_steps: 1000000, logging.every_seconds: 0.1}
axes: {agent.target: [target, double]}
seeds: [0]
final: {protocols: [greedy]}
"""


class Terminal:
    """A command in a terminal of its own, as a shell starts it: leader of the session, in the foreground."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self.said = b""

    def read(self) -> bytes:
        """What it has said so far."""
        while True:
            try:
                part = os.read(self._master, 65_536)
            except BlockingIOError:
                return self.said
            except OSError:  # nobody has the other side open any more
                return self.said
            if not part:
                return self.said
            self.said += part

    def wait_for(self, file: Path, seconds: float = 200) -> None:
        deadline = time.monotonic() + seconds
        while not file.exists() and self.process.poll() is None and time.monotonic() < deadline:
            self.read()
            time.sleep(0.01)

    def wait_for_our_code(self) -> None:
        """Wait until Python has begun and our first line is behind it; what comes before is not in our hands.

        Python ignores SIGPIPE, catches SIGINT, and then looks for its modules; our first line lets SIGINT go again. All
        three are waited for, in this order: before Python catches it, the signal looks as it does after our line, and
        before the program has begun the process still catches what we do. A machine so busy that the time between was
        missed still shows pydantic's library, which only we import.
        """
        caught_once = False
        while self.process.poll() is None:
            ignored, caught = _signals(self.process.pid)
            if signal.SIGPIPE in ignored:
                if (caught_once and signal.SIGINT not in caught) or _has_loaded(self.process.pid, "pydantic_core"):
                    return
                caught_once = caught_once or signal.SIGINT in caught
            time.sleep(0.002)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self, seconds: float = 200) -> int:
        """Wait for its end; returns the exit code."""
        deadline = time.monotonic() + seconds
        try:
            while self.process.poll() is None and time.monotonic() < deadline:
                self.read()
                time.sleep(0.01)
            self.read()
            return self.process.wait(1)
        finally:
            self.process.kill()
            os.close(self._master)


def _signals(pid: int) -> tuple[set[int], set[int]]:
    """The signals that a process ignores, and those that it catches, at one moment."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return set(), set()
    masks = {name: mask for name, _, mask in (line.partition(":") for line in lines)}
    return _numbers(masks.get("SigIgn", "0")), _numbers(masks.get("SigCgt", "0"))


def _numbers(mask: str) -> set[int]:
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def _has_loaded(pid: int, library: str) -> bool:
    try:
        return library in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def interrupt(
    command: list[str], folder: Path, after: float | Path, *, presses: int = 1, ends: tuple[int, ...] = (130, -2)
) -> None:
    """Press Ctrl-C so many seconds after our first line, or once a file is there."""
    terminal = Terminal(command, folder)
    terminal.wait_for_our_code()
    if isinstance(after, Path):
        terminal.wait_for(after)
    else:
        time.sleep(after)
    for _ in range(presses):
        terminal.press(CTRL_C)
        time.sleep(0.3 if presses > 1 else 0)
    code = terminal.end()
    said = terminal.said.decode(errors="replace")
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    assert code in ends, said
    assert processes_of(folder) == []


@pytest.fixture
def commands(small_run_file: Path, mario_rl_command: list[str]) -> dict[str, list[str]]:
    (small_run_file.parent / "study.yaml").write_text(STUDY)
    train = ["train", "small.yaml", "training.agent_steps=1000000", "--run-dir", "run"]
    arguments = {
        "train": train,
        "compare": ["compare", "study.yaml", "--out", "out", "--jobs", "2"],
        "benchmark": ["benchmark", "small.yaml", "--output", "speed.json"],
        "emulator": ["benchmark", "--emulator", "--output", "speed.json"],
        "dry run": ["compare", "study.yaml", "--dry-run"],
        "doctor": ["doctor"],
    }
    return {name: [*mario_rl_command, *one] for name, one in arguments.items()}


@pytest.mark.parametrize("command", ["train", "compare", "benchmark"])
@pytest.mark.parametrize("after", [0.0, 0.3])
def test_ctrl_c_while_a_command_starts_ends_it_without_a_traceback(command, after, commands, tmp_path):
    interrupt(commands[command], tmp_path, after)


@pytest.mark.emulator
@pytest.mark.takes("a command that imports PyTorch and trains")
def test_ctrl_c_in_training_saves(commands, tmp_path):
    interrupt(commands["train"], tmp_path, tmp_path / "run" / "checkpoints" / "latest.pt", ends=(130,))


@pytest.mark.emulator
@pytest.mark.takes("two processes of a study, which import PyTorch")
@pytest.mark.parametrize("presses", [1, 2], ids=["once", "twice"])
def test_ctrl_c_in_a_study_of_two_runs_at_once_ends_all_of_its_processes(presses, commands, tmp_path):
    episodes = tmp_path / "out" / "runs" / "double" / "seed_0" / "episodes.csv"
    interrupt(commands["compare"], tmp_path, episodes, presses=presses, ends=(130,))


def processes_of(folder: Path) -> list[str]:
    """The commands of processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")) == folder:
                found.append((process / "cmdline").read_text())
        except OSError:  # it is gone, or another user's
            continue
    return found


@pytest.mark.emulator
@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "compare", "benchmark", "emulator", "dry run", "doctor"])
def test_ctrl_c_at_many_moments_is_never_answered_with_a_traceback(command, commands, tmp_path):
    for number in range(16):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ("small.yaml", "study.yaml"):
            (folder / name).write_text((tmp_path / name).read_text())
        interrupt(commands[command], folder, 0.35 * number, ends=(0, 130, -2))  # 0: it was done before


def test_ctrl_c_that_is_ignored_stays_ignored(mario_rl_command):
    """As a shell has it of what it starts in the background."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mario_rl.__main__ import main\n"
        "import mario_rl.cli\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "assert main(['--version']) == 0\n"
        "assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


LOST = """
import signal, sys
from mario_rl import __main__, cli
import click

class Swallows:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

@cli.cli.command()
def swallow():
    Swallows()
    print("went on")

sys.exit(__main__.main(["swallow"]))
"""

TAKEN = """
import signal, sys
from mario_rl import __main__, cli

@cli.cli.command()
def take():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("numpy did not load")

sys.exit(__main__.main(["take"]))
"""


def run_code(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_ctrl_c_where_python_lets_no_exception_out_ends_the_process_silently():
    done = run_code(LOST)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_that_a_library_takes_for_a_failure_of_its_own_is_an_interruption():
    done = run_code(TAKEN)
    assert (done.returncode, done.stderr) == (130, "mario-rl: interrupted\n")
