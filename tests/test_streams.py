"""Standard output that is closed, full, or left by its reader: no traceback, no file lost, an exit code that tells."""

from __future__ import annotations

import errno
import io
import os
import subprocess
from pathlib import Path

import pytest

from mario_rl.streams import Guarded

FULL = Path("/dev/full")
REPOSITORY = Path(__file__).parents[1]
CONFIG = str(REPOSITORY / "configs" / "demo.yaml")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")


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
