"""Output that can't be written is lost, and nothing else: a run goes on and saves, whatever became of its terminal."""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.streams import SCREEN, Guarded

PATIENCE = 120  # seconds
FULL = Path("/dev/full")
REPOSITORY = Path(__file__).parents[1]
CONFIG = str(REPOSITORY / "configs" / "demo.yaml")
SETTINGS = ["training.agent_steps=60", "logging.every_seconds=0.001"]  # five updates after a warm-up of 40


pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


class BrokenPipe(io.StringIO):
    """A stream whose reader went away after so many writes."""

    def __init__(self, writes: int = 0) -> None:
        super().__init__()
        self.writes = writes

    def write(self, text: str) -> int:
        if self.writes == 0:
            raise BrokenPipeError
        self.writes -= 1
        return super().write(text)


def test_what_can_be_written_is(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert SCREEN.write("one\n") == 4
    SCREEN.flush()
    assert sys.stderr.getvalue() == "one\n"


def test_after_the_first_write_that_fails_no_other_is_tried(monkeypatch):
    broken = BrokenPipe()
    monkeypatch.setattr(sys, "stderr", broken)
    assert SCREEN.write("lost\n") == 5
    broken.writes = 1
    SCREEN.write("lost as well\n")
    assert broken.getvalue() == ""
    assert not SCREEN.isatty()


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_stream_that_is_not_there_or_closed_takes_everything(stream, monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed if stream else None)
    assert not SCREEN.isatty()
    assert SCREEN.write("lost\n") == 5
    SCREEN.flush()


def test_a_bar_outlives_its_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", BrokenPipe(writes=3))
    with tqdm(file=SCREEN, total=50, mininterval=0) as bar:
        for _ in range(50):
            bar.update()
            tqdm.write("a line above it", file=SCREEN)
    assert bar.n == 50


def test_the_next_file_does_not_become_a_standard_stream_that_was_closed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from mario_rl.streams import guarded_output\n"
        "with guarded_output():\n"
        f"    table = open({str(tmp_path / 'table.csv')!r}, 'w')\n"
        "    print('to nowhere')\n"
        "    os.write(2, b'a warning from C')\n"
        "    table.write(str(table.fileno()))\n"
    )
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], check=False, timeout=PATIENCE).returncode == 0
    assert int((tmp_path / "table.csv").read_text()) > 2


@pytest.mark.emulator
@pytest.mark.parametrize(
    "where",
    [
        pytest.param("2>&1 >/dev/null | head -1", id="a pipe whose reader is gone"),
        pytest.param(">/dev/full 2>&1", id="a full disk"),
        pytest.param(">&- 2>&-", id="closed"),
    ],
)
def test_training_goes_on_to_its_end_where_nothing_can_be_said(where, tmp_path, small_run_file, mario_rl_command):
    place = RunDir(tmp_path / "run")
    command = [*mario_rl_command, "train", str(small_run_file), "--run-dir", str(place.path), *SETTINGS]
    subprocess.run(["bash", "-c", f"{shlex.join(command)} {where}"], check=False, timeout=PATIENCE)
    assert load_checkpoint(place.latest)["agent_steps"] == 60
    assert place.episodes.read_text().startswith("episode,")


@pytest.mark.emulator
@pytest.mark.parametrize(("ignored", "code"), [(False, 129), (True, 0)], ids=["a closed terminal", "nohup"])
def test_a_closed_terminal_saves_unless_the_signal_was_ignored_from_the_start(
    ignored, code, tmp_path, small_run_file, mario_rl_command
):
    place = RunDir(tmp_path / "run")
    # The signal comes while it trains, from itself: a line is due at every step.
    program = (
        "import os, signal, sys\n"
        "from mario_rl.cli import main\n"
        "from mario_rl.cli.terminal import TerminalObserver\n"
        "tell = TerminalObserver.progressed\n"
        "def hang_up(self, progress):\n"
        "    if progress.agent_steps == 50:\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "    tell(self, progress)\n"
        "TerminalObserver.progressed = hang_up\n"
        "sys.exit(main())\n"
    )
    ended = subprocess.run(
        [
            *(["nohup"] if ignored else []),
            *(sys.executable, "-c", program, "train", str(small_run_file), "--run-dir", str(place.path), *SETTINGS),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert ended.returncode == code, ended.stderr
    assert load_checkpoint(place.latest)["agent_steps"] == (60 if ignored else 50)
    assert ("--resume" in ended.stdout) == (not ignored)


class Broken(io.StringIO):
    """A stream whose every flush fails."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def flush(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


def shell(command: str, *mario_rl: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `"$@"` is the command line."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, "bash", *mario_rl],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_a_closed_output_is_what_was_asked_for(mario_rl_command):
    done = shell('"$@" >&-', *mario_rl_command, "config", CONFIG)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_left_wants_no_more(mario_rl_command):
    done = shell('"$@" | head -1', *mario_rl_command, "config", CONFIG)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# The game")


def test_words_that_are_lost_are_said_in_one_line_and_by_the_exit_code(mario_rl_command):
    done = shell('"$@" >/dev/full', *mario_rl_command, "config", CONFIG)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mario-rl: standard output could not be written ([Errno 28] No space left on device)")


@pytest.mark.parametrize("closed", ["2>/dev/full", "2>&-", ">&- 2>&- <&-"])
def test_where_not_even_the_error_can_be_said_the_exit_code_says_it(closed, mario_rl_command):
    done = shell(f'"$@" {closed}', *mario_rl_command, "config", "nothing.yaml")
    assert (done.returncode, done.stdout) == (2, "")


def test_after_the_first_error_nothing_more_is_tried():
    stream = Broken(errno.ENOSPC)
    guarded = Guarded(stream)
    for word in ("a", "b"):
        guarded.write(word)
        guarded.flush()
    assert stream.getvalue() == "a"
    assert guarded.lost


def test_a_broken_pipe_is_no_loss():
    guarded = Guarded(Broken(errno.EPIPE))
    guarded.write("a")
    guarded.flush()
    assert guarded.error is not None
    assert not guarded.lost


def test_a_closed_stream_is_noticed_as_well():
    stream = io.StringIO()
    stream.close()
    guarded = Guarded(stream)
    assert guarded.write("a") == 1
    assert guarded.lost


def test_what_an_encoding_lacks_is_written_as_an_escape():
    content = io.BytesIO()
    guarded = Guarded(io.TextIOWrapper(content, encoding="ascii"))
    guarded.write("run_\udcff, 1 → 2")
    guarded.flush()
    assert content.getvalue() == rb"run_\udcff, 1 \u2192 2"
    assert guarded.error is None
