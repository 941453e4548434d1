"""Checkpoints are loaded beside the game: one at a time, and of many that were asked for only the last."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from test_game import wait_for

from mario_rl.errors import CheckpointError
from mario_rl.watch.loading import Loaded, Loader


def loaded_by(loader: Loader) -> Loaded:
    got: list[Loaded] = []
    wait_for(lambda: bool(got) or ((one := loader.take()) is not None and got.append(one)) or bool(got))
    return got[0]


def test_of_a_thousand_the_first_and_the_last_are_loaded(monkeypatch):
    begun: list[Path] = []
    may_end = threading.Event()

    def load(path: Path) -> Any:
        begun.append(path)
        may_end.wait(30)
        return f"trained {path}"

    monkeypatch.setattr("mario_rl.evaluation.trained.load_trained", load)
    loader = Loader()
    for number in range(1000):
        loader.ask(Path(str(number)))
        assert loader.take() is None  # nobody waits
    may_end.set()
    assert [loaded_by(loader).trained for _ in range(2)] == ["trained 0", "trained 999"]
    assert begun == [Path("0"), Path("999")]
    assert loader.is_idle


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CheckpointError("a.pt: damaged"), "a.pt: damaged"),
        (KeyError("seconds"), "a.pt: can't be loaded (KeyError: 'seconds')"),
    ],
)
def test_what_can_not_be_loaded_is_said_in_a_line(error, said, monkeypatch):
    def load(path: Path) -> Any:
        raise error

    monkeypatch.setattr("mario_rl.evaluation.trained.load_trained", load)
    loader = Loader()
    loader.ask(Path("a.pt"))
    assert loaded_by(loader) == Loaded(Path("a.pt"), None, None, said)
