"""What a terminal shows of a run: one bar there, a line now and then elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

import mario_rl.cli.terminal
from mario_rl.cli.terminal import TerminalObserver, _bar_line, _describe
from mario_rl.config import Config
from mario_rl.training import Progress

HALFWAY = Progress(
    agent_steps=12_345,
    updates=3_021,
    episodes=140,
    seconds=97.0,
    epsilon=0.34,
    steps_per_second=84.4,
    updates_per_second=21.1,
    mean_return=459.0,
    mean_x=532.0,
    seconds_left=97.0,
    waited_seconds=30.0,
)
LINE = (
    "last 100 episodes: return 459, x 532, 01:37 left (50% done), 12,345 agent steps (84/s), epsilon 0.34, "
    "3,021 updates (21/s), 01:37 so far"
)


def shown(moments: list[Progress], *, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    clock = iter(range(0, 10_000, 6))  # seconds
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(mario_rl.cli.terminal.time, "monotonic", lambda: float(next(clock)))
    observer = TerminalObserver()
    observer.started(Config(), Path("run"), 0)
    for moment in moments:
        observer.progressed(moment)
    observer.close()
    return stderr.getvalue()


def test_a_terminal_gets_a_bar_with_rates_means_and_the_time_left(monkeypatch):
    text = shown([HALFWAY], terminal=True, monkeypatch=monkeypatch)
    assert " 50%|######      | last 100 episodes: return 459, x 532, 01:37 left" in text


def test_elsewhere_a_line_is_written_every_few_seconds(monkeypatch):
    text = shown([HALFWAY] * 4, terminal=False, monkeypatch=monkeypatch)
    assert text.splitlines() == ["training in run", LINE, LINE]  # every 10 seconds of 24


def test_before_the_first_episode_there_are_no_means_to_show(monkeypatch):
    fresh = HALFWAY._replace(episodes=0, mean_return=float("nan"), mean_x=float("nan"), seconds_left=None)
    text = shown([fresh] * 2, terminal=False, monkeypatch=monkeypatch)
    assert text.splitlines()[1] == (
        "no episode ended yet, 12,345 agent steps (84/s), epsilon 0.34, 3,021 updates (21/s), 01:37 so far"
    )


DESCRIBED = "last 100 episodes: return 459, x 532, 01:37 left, 12,345 agent steps (84/s)"


def rendered(progress: Progress, columns: int) -> str:
    """What tqdm makes of it on a terminal of so many columns."""
    layout, text = _bar_line(progress, columns)
    return tqdm.format_meter(0.5, 1.0, 1.0, ncols=columns, bar_format=layout, prefix=text)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (17, "return 459, x 532"),
        (40, " 50% return 459, x 532, 01:37 left"),
        (60, " 50% last 100 episodes: return 459, x 532, 01:37 left"),
        (80, " 50%|######      | last 100 episodes: return 459, x 532, 01:37 left"),
        (100, f" 50%|######      | {DESCRIBED}"),
        (119, f" 50%|######      | {DESCRIBED}, epsilon 0.34"),
    ],
)
def test_a_line_has_what_matters_most_on_terminals_of_every_width(columns, line):
    assert rendered(HALFWAY, columns).replace("\u2588", "#").replace("\u258c", "#") == line


steps = st.integers(0, 10**10)
rates = st.floats(0, 10**6)


@given(
    st.integers(10, 250),
    st.builds(
        Progress,
        agent_steps=steps,
        updates=steps,
        episodes=st.integers(1, 10**7),
        seconds=st.floats(0, 10**7),
        epsilon=st.floats(0, 1),
        steps_per_second=rates,
        updates_per_second=rates,
        mean_return=st.floats(-(10**5), 10**5),
        mean_x=st.floats(0, 10**5),
        seconds_left=st.none() | st.floats(0, 10**7),
        waited_seconds=st.just(0.0),
    ),
)
def test_a_line_fits_its_terminal_and_only_whole_parts_are_left_out(columns, progress):
    means = f"return {progress.mean_return:.0f}, x {progress.mean_x:.0f}"
    line = rendered(progress, columns)
    if columns < len(means):
        assert line == means[:columns]
        return
    assert len(line) <= columns
    text = line.split("% ")[-1].split("| ")[-1]
    parts = _describe(progress)
    shown = text.split(", ")
    assert means in text
    whole = [means, *parts[1:]] if text.startswith("return") else parts
    assert ", ".join(whole).startswith(text)
    assert text == ", ".join(whole[: len(shown) - 1])  # the means are one part, with a comma in it


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_real_terminal_shows_the_means_and_the_time_left(columns, monkeypatch):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        clock = iter(range(0, 10_000, 6))
        monkeypatch.setattr(mario_rl.cli.terminal.time, "monotonic", lambda: float(next(clock)))
        observer = TerminalObserver()
        observer.started(Config(), Path("run"), 0)
        observer.progressed(HALFWAY)
        observer.close()
        monkeypatch.undo()
    shown = b""
    with suppress(OSError):  # that is how a terminal ends whose other side is closed
        while more := os.read(ours, 100_000):
            shown += more
    os.close(ours)
    last = shown.decode().rstrip().split("\r")[-1]
    assert len(last) < columns
    assert "return 459, x 532, 01:37 left" in last


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_shown_has_the_right_plurals(count):
    few = HALFWAY._replace(episodes=count, agent_steps=count, updates=count)
    ending = "" if count == 1 else "s"
    assert _describe(few)[0].startswith(f"last {count} episode{ending}: ")
    assert f"{count} agent step{ending} (84/s)" in _describe(few)
    assert f"{count} update{ending} (21/s)" in _describe(few)
