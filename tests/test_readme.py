"""The README tells the truth: its Python example runs as it stands, and the files it names are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shown import blocks, commands, flaws

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.emulator
def test_the_python_example_runs_as_it_stands(tmp_path):
    (example,) = blocks(README, "python")
    result = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("right")


def test_it_is_short():
    assert len(README.splitlines()) <= 130


def test_the_files_it_names_are_there():
    named = set(re.findall(r"(?:configs|scripts|mario_rl|tests|docs)/[\w/]+\.\w+", README))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_the_commands_it_shows_exist_with_their_options_keys_and_names():
    assert len(commands(README)) > 5
    assert flaws(README) == []
