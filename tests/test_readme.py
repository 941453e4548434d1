"""The README tells the truth: its Python example runs as it stands, and the files it names are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from shown import commands, flaws

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.emulator
@pytest.mark.parametrize(("number", "prints"), [(0, "right"), (1, "EpisodeResult(stage='1-1'"), (2, "(16, 4, 84, 84)")])
def test_the_python_examples_run_as_they_stand(number, prints, tmp_path):
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(examples) == 3
    example = examples[number]
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    result = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert prints in result.stdout
    assert (tmp_path / "checkpoints" / "example" / "curve.png").exists() == (number == 1)


def test_the_files_it_names_are_there():
    named = set(re.findall(r"(?:configs|scripts|mario_rl|tests|docs)/[\w/]+\.\w+", README))
    assert len(named) > 5
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_the_commands_it_shows_exist_with_their_options_keys_and_names():
    assert len(commands(README)) > 5
    assert flaws(README) == []
