"""What a terminal shows of a run: one bar there, a line now and then elsewhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

import mario_rl.terminal
from mario_rl.config import Config
from mario_rl.terminal import TerminalObserver
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
    learner_waited=30.0,
    environments_waited=0.0,
)
LINE = (
    "01:37<01:37, 12,345 agent steps (84/s), 3,021 updates (21/s), epsilon 0.34, last 100 episodes: return 459, x 532"
)


def shown(moments: list[Progress], *, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    clock = iter(range(0, 10_000, 6))  # seconds
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(mario_rl.terminal.time, "monotonic", lambda: float(next(clock)))
    observer = TerminalObserver()
    observer.started(Config(), Path("run"), 0)
    for moment in moments:
        observer.progressed(moment)
    observer.close()
    return stderr.getvalue()


def test_a_terminal_gets_a_bar_with_rates_means_and_the_time_left(monkeypatch):
    text = shown([HALFWAY], terminal=True, monkeypatch=monkeypatch)
    assert " 50%|" in text
    assert "01:37<01:37, 12,345 agent steps" in text


def test_elsewhere_a_line_is_written_every_few_seconds(monkeypatch):
    text = shown([HALFWAY] * 4, terminal=False, monkeypatch=monkeypatch)
    assert text.splitlines() == ["training in run", LINE, LINE]  # every 10 seconds of 24


def test_before_the_first_episode_there_are_no_means_to_show(monkeypatch):
    fresh = HALFWAY._replace(episodes=0, mean_return=float("nan"), mean_x=float("nan"), seconds_left=None)
    text = shown([fresh] * 2, terminal=False, monkeypatch=monkeypatch)
    assert "01:37<?" in text
    assert "no episode ended yet" in text
    assert "nan" not in text
