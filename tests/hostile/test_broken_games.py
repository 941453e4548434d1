"""Games restored from a damaged state: refused, or played on inside their memory, or ended by an error of the game."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import games_from_damage
import pytest

pytestmark = pytest.mark.emulator


@pytest.mark.takes("some damaged games wait for 36,000 frames that never come")
@pytest.mark.parametrize("states", [10, pytest.param(400, marks=pytest.mark.slow)])
def test_games_whose_saved_state_is_damaged_never_end_the_process(record_property, states):
    command = [sys.executable, str(Path(games_from_damage.__file__)), "0", str(states)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record_property("counted", f"states of games: {states} damaged, {done.stdout.strip()}")
