"""The search for a Python that can serve: every place it may be in, and one line where it is in none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "find_python.sh"
BASE_PYTHON = sys._base_executable  # what is behind the environment the tests run in


@pytest.fixture
def bin_folder(tmp_path) -> Path:
    """The only folder on the PATH of `find`: commands have to be put there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def find(tmp_path, bin_folder):
    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(bin_folder), "HOME": str(tmp_path / "home"), **variables}
        return subprocess.run(
            ["/bin/sh", str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def command(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


GOOD = f'exec "{BASE_PYTHON}" "$@"'
TOO_OLD = f'exec "{BASE_PYTHON}" -c "import sys; sys.version_info = (3, 12, 9); $2"'
WITHOUT_VENV = f'exec "{BASE_PYTHON}" -c "import sys; sys.modules[\'ensurepip\'] = None; $2"'  # as Debian splits it
BROKEN_SHIM = "echo 'pyenv: python3.13: command not found' >&2; exit 127"


def test_where_there_is_none_one_line_says_what_to_install(find):
    found = find()
    assert (found.returncode, found.stdout) == (2, "")
    (line,) = found.stderr.splitlines()
    assert line.startswith("No Python 3.13 or newer")
    assert "pyenv install 3.13" in line
    assert "uv python install 3.13" in line


@pytest.mark.parametrize("name", ["python3.13", "python3.14", "python3", "python"])
def test_a_good_one_is_found_under_each_name(name, find, bin_folder):
    command(bin_folder / name, GOOD)
    found = find()
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{BASE_PYTHON}\n", "")


@pytest.mark.parametrize("useless", [BROKEN_SHIM, TOO_OLD, WITHOUT_VENV], ids=["broken shim", "too old", "no venv"])
def test_one_that_can_not_serve_is_passed_over(useless, find, bin_folder):
    command(bin_folder / "python3.13", useless)
    assert find().returncode == 2
    command(bin_folder / "python", GOOD)
    assert find().stdout == f"{BASE_PYTHON}\n"


def test_the_one_that_is_named_comes_first(find, bin_folder, tmp_path):
    command(bin_folder / "python3.13", "echo /another")
    assert find().stdout == "/another\n"
    command(tmp_path / "mine", GOOD)
    assert find(PYTHON=str(tmp_path / "mine")).stdout == f"{BASE_PYTHON}\n"
    assert find(PYTHON="/nowhere").stdout == "/another\n"


def test_one_of_pyenv_is_found_though_its_shim_refuses(find, bin_folder, tmp_path):
    command(bin_folder / "python3.13", BROKEN_SHIM)
    command(tmp_path / "home" / ".pyenv" / "versions" / "3.9.18" / "bin" / "python", "echo /too/old")
    command(tmp_path / "home" / ".pyenv" / "versions" / "3.13.0" / "bin" / "python", GOOD)
    assert find().stdout == f"{BASE_PYTHON}\n"


@pytest.mark.parametrize("by", ["PYENV_ROOT", "pyenv root"])
def test_one_of_pyenv_is_found_wherever_pyenv_keeps_it(by, find, bin_folder, tmp_path):
    command(tmp_path / "my pyenv" / "versions" / "3.14.1" / "bin" / "python", GOOD)
    if by == "PYENV_ROOT":
        found = find(PYENV_ROOT=str(tmp_path / "my pyenv"))
    else:
        command(bin_folder / "pyenv", f'[ "$1" = root ] && echo "{tmp_path}/my pyenv"')
        found = find()
    assert found.stdout == f"{BASE_PYTHON}\n"


def test_one_of_uv_is_found(find, bin_folder, tmp_path):
    command(tmp_path / "uv pythons" / "python3.13", GOOD)
    command(bin_folder / "uv", f'[ "$1 $2" = "python find" ] && echo "{tmp_path}/uv pythons/python3.13"')
    assert find().stdout == f"{BASE_PYTHON}\n"


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests run outside an environment")
def test_an_active_environment_is_seen_through(find):
    assert find(PYTHON=sys.executable).stdout == f"{BASE_PYTHON}\n"
    assert os.path.realpath(sys.prefix) not in find(PYTHON=sys.executable).stdout
