"""What is small on the disk and would be huge in memory is refused by the command line in a line, and stays small."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

MOST_BYTES = 200_000_000  # of memory; Python and what the command line imports take 50 MB of it


def write_packed_checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/data.pkl", b"")
        packed.writestr("a/data/0", bytes(500_000_000))


def write_sparse_checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"")
    whole = path.read_bytes()
    with path.open("wb") as file:
        file.seek(6_000_000_000)
        file.write(whole)


def write_packed_runs(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "runs.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            archive.writestr(f"{number}/episodes.csv", bytes(334_000_000))


def write_many_packed_files(folder: Path) -> None:
    folder.mkdir()
    with zipfile.ZipFile(folder / "runs.zip", "w") as archive:
        for number in range(30_000):
            archive.writestr(f"{number}/{'x' * 150}/episodes.csv", b"")


def write_aliases(path: Path) -> None:
    doubled = (f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]" for place in range(1, 30))
    path.write_text("\n".join(["a0: &a0 [lol]", *doubled]))


def write_study(path: Path, base: str, axes: int) -> None:
    values = "".join(f"  agent.key_{axis}: [{', '.join(map(str, range(1000)))}]\n" for axis in range(axes))
    path.write_text(f"base: {base}\nseeds: [0]\naxes:\n{values}")


BOMBS: dict[str, tuple[str, Callable[[Path], object], list[str], str]] = {
    "a checkpoint that unpacks": ("a.pt", write_packed_checkpoint, ["evaluate"], "it is compressed"),
    "a checkpoint of 6 GB": ("a.pt", write_sparse_checkpoint, ["watch", "--no-browser"], "6.0 GB; a checkpoint has"),
    "packed runs that unpack": ("a", write_packed_runs, ["compare", "--report"], "unpacks to more than 1,000,000,000"),
    "packed runs without number": ("a", write_many_packed_files, ["compare", "--report"], "lists more than 10,000"),
    "aliases of aliases": ("a.yaml", write_aliases, ["train"], "more than 10,000 values"),
    "a thousand million runs": (
        "a.yaml",
        lambda path: write_study(path, "demo", 3),
        ["compare", "--dry-run"],
        "1,000,000,000 arms",
    ),
    "a base without end": (
        "a.yaml",
        lambda path: write_study(path, "/dev/zero", 1),
        ["compare", "--dry-run"],
        "/dev/zero: not a regular file",
    ),
    "a config nested deeply": ("a.yaml", lambda path: path.write_text("env: " + "[" * 1_500), ["config"], "32 deep"),
}


COMMAND = """
import sys
from pathlib import Path
from mario_rl.cli import main

code = main(sys.argv[1:])
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(peak)
sys.exit(code)
"""
"""The command line, which then prints the most memory that it took, kB."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a process took")
@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_in_a_line_and_little_memory(tmp_path, kind):
    name, write, command, said = BOMBS[kind]
    write(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *command, name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert int(done.stdout) * 1024 < MOST_BYTES
