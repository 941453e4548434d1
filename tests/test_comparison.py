"""benchmarks/: the comparison runs for real, and its table is worked out by hand."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def compare() -> dict:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return runpy.run_path(str(BENCHMARKS / "compare.py"))
    finally:
        sys.path.remove(str(BENCHMARKS))


REPORT = {
    "title": "Training",
    "date": "2026-11-23",
    "machine": {"processor": "P", "cores": "2", "memory": "24 GB"},
    "versions": {"torch": "2.15.0", "stable-baselines3": "2.9.2"},
    "runs": {
        "ours": [{"steps_per_second": rate, "peak_bytes": 600e6} for rate in (90, 120, 100)],
        "theirs": [{"steps_per_second": rate, "peak_bytes": 800e6} for rate in (40, 60, 50)],
    },
}


def test_ratios_are_of_the_medians_to_the_second_contestant(compare):
    lines = compare["table"](REPORT, by_memory=False).splitlines()
    assert lines[-2:] == [
        "| ours | 100.0 | 90.0 to 120.0 | 600 MB | 2.00 |",
        "| theirs | 50.0 | 40.0 to 60.0 | 800 MB | 1.00 |",
    ]
    assert compare["table"](REPORT, by_memory=True).splitlines()[-2].endswith("| 600 MB | 0.75 |")


def test_the_memory_of_a_process_is_counted_with_its_childrens(compare):
    """40 MB here, 80 MB in a child."""
    child = "import sys; kept = b'1' * 80_000_000; print(flush=True); sys.stdin.read()"
    parent = (
        "import subprocess, sys; kept = b'1' * 40_000_000;"
        f"process = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=sys.stdin); process.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        total = compare["memory_of_all"](process.pid)
        process.communicate("")
    assert 120e6 < total < 160e6


@pytest.mark.slow
@pytest.mark.emulator
def test_the_articles_algorithm_runs_beside_ours(tmp_path: Path):
    command = [sys.executable, str(BENCHMARKS / "compare.py"), "article", "--repeats", "1", "--agent-steps", "200"]
    subprocess.run([*command, "--output", str(tmp_path)], check=True)
    report = json.loads((tmp_path / "article.json").read_text())
    assert set(report["runs"]) >= {"mario_rl", "the article's algorithm"}
    assert all(
        run["steps_per_second"] > 0 and run["peak_bytes"] > 0 for runs in report["runs"].values() for run in runs
    )
