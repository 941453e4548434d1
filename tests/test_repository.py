"""What the repository tracks stays light: the limits that CONTRIBUTING.md states."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mario_rl.runs.packed import archives_below, packed_runs

ROOT = Path(__file__).parents[1]
MOST_BYTES = 45_000_000
MOST_FILE_BYTES = 4_000_000
MOST_AGENTS_BYTES = 25_000_000


@pytest.fixture(scope="module")
def tracked() -> dict[str, int]:
    """Size of every tracked file, by its name; files that are deleted but not yet committed are left out."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing says which files are tracked")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name: path.lstat().st_size for name in listed.split("\0") if name and (path := ROOT / name).is_file()}


def test_all_files_together_are_at_most_45_megabytes(tracked):
    largest = sorted(tracked, key=lambda name: -tracked[name])[:10]
    assert len(tracked) > 100
    assert sum(tracked.values()) <= MOST_BYTES, f"the largest are {largest}"


def test_no_file_is_larger_than_4_megabytes(tracked):
    assert {name: size for name, size in tracked.items() if size > MOST_FILE_BYTES} == {}


def test_all_agents_together_are_at_most_25_megabytes_and_each_has_its_card(tracked):
    folder = "checkpoints/pretrained/"
    agents = [name.removesuffix(".pt") for name in tracked if name.startswith(folder) and name.endswith(".pt")]
    assert agents
    cards = [f"{agent}{suffix}" for agent in agents for suffix in (".pt", ".json", ".md")]
    assert sorted(name for name in tracked if name.startswith(folder)) == sorted(cards)
    assert sum(tracked[name] for name in cards) <= MOST_AGENTS_BYTES


def test_tables_of_runs_are_packed_and_nothing_that_a_command_rebuilds_lies_beside_them(tracked):
    loose = (".csv", ".mp4", ".html", ".pt", ".npz")
    assert [name for name in tracked if name.startswith("docs/") and name.endswith(loose)] == []
    archives = [name for name in tracked if name.startswith("docs/") and name.endswith("/runs.zip")]
    assert archives
    assert all(packed_runs(ROOT / name) for name in archives)
    assert {path.relative_to(ROOT).as_posix() for path in archives_below(ROOT / "docs")} >= set(archives)


def test_every_picture_in_docs_is_shown_by_a_page(tracked):
    kinds = (".md", ".ipynb", ".html", ".css", ".yml", ".toml")
    pages = [name for name in tracked if name.endswith(kinds) and not name.startswith("checkpoints/")]
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in pages)
    endings = (".png", ".webp", ".gif", ".svg")
    pictures = [name for name in tracked if name.startswith("docs/") and name.endswith(endings)]
    unused = [name for name in pictures if f"{Path(name).parent.name}/{Path(name).name}" not in text]
    assert unused == []
