"""What a terminal shows of a search: a bar over all agent steps that are left, a line for every trial that ends."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from mario_rl.cli.terminal import TerminalSearchObserver
from mario_rl.config import Config
from mario_rl.studies.arms import StudyRun
from mario_rl.tuning.directory import SearchDir
from mario_rl.tuning.trials import Trial


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_pruned_trial_will_not_make_leaves_the_bar(monkeypatch, terminal):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("COLUMNS", "120")
    observer = TerminalSearchObserver(SearchDir(Path("out")))
    observer.started(3, 2_000)
    run = StudyRun("trial_0003", 1, Config())
    for made in (0, 200, 400):
        observer.progressed(run, made)
    observer.ended(Trial(3, {"agent.n_step": 5}, "pruned", None), "worse than others at 400 agent steps", 600)
    observer.close()
    text = stderr.getvalue()
    assert "search in out, 3 trials done already" in text
    assert "pruned: trial_0003: n_step 5 (worse than others at 400 agent steps)" in text
    assert ("400/1.40k" in text) == terminal
    assert (" agent steps/s" in text) == terminal
