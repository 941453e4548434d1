"""`mario-rl tune` as a real process, on the real game."""

from __future__ import annotations

import csv
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.config.files import nested, parse_keys
from mario_rl.config.search import load_search
from mario_rl.runs.tables import read_episodes, read_evaluations
from mario_rl.tuning.directory import SearchDir
from mario_rl.tuning.trials import Trial, Trials

SEARCH = """\
base: small.yaml
settings: {logging.every_seconds: 0.1}
space:
  agent.learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}
  network.dueling: [true, false]
trials: 2
agent_steps: 200
seeds: [1000]
final: {protocols: [epsilon], episodes: 2}
"""


@pytest.fixture
def search_file(small_run_file: Path) -> Path:
    path = small_run_file.with_name("search.yaml")
    path.write_text(SEARCH)
    return path


def tried(file: Path, out: SearchDir) -> list[Trial]:
    trials = Trials(out.database, load_search(file)[0], file)
    try:
        return trials.all()
    finally:
        trials.close()


def started(command: list[str], file: Path, out: SearchDir, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, "tune", str(file), "--out", str(out.path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.takes("a process for each of two trials, and one that trains what they found")
@pytest.mark.emulator
def test_a_search_of_two_trials_at_once_ends_with_a_config_that_trains(mario_rl_command, search_file, tmp_path):
    out = SearchDir(tmp_path / "out")
    process = started(mario_rl_command, search_file, out, "--jobs", "2")
    said, complaints = process.communicate(timeout=400)
    assert process.returncode == 0, complaints
    trials = tried(search_file, out)
    assert [one.state for one in trials] == ["complete", "complete"]
    for one in trials:
        run = out.run(f"trial_{one.number:04d}", 1000)
        assert load_config(run.config).agent.learning_rate == one.values["agent.learning_rate"]
        assert read_episodes(run.episodes)["agent_steps"][-1] <= 200
        evaluated = read_evaluations(run.final)
        assert set(evaluated["seed"]) == {20_000}
        assert one.value == evaluated["x"].mean()
    best = max(trials, key=lambda one: (one.value, -one.number))
    assert f"best: trial_{best.number:04d}, mean x of the evaluation at the end {best.value:,.0f} pixels" in said
    printed = said.split("\n", 1)[1].partition("written:")[0]
    assert parse_keys(textwrap.dedent(printed), out.best) == nested(best.values)
    for path in (out.best, out.trials, out.history, out.importance):
        assert f"written: {path}" in said
        assert path.stat().st_size > 100
    with out.trials.open(encoding="utf-8") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["complete", "complete"]
    for one in trials:
        assert f"complete {one.value:,.4g}: trial_{one.number:04d}: learning_rate " in complaints

    trained = tmp_path / "trained"
    assert main(["train", str(out.best), "--run-dir", str(trained), "training.agent_steps=20"]) == 0
    assert load_config(trained / "config.yaml").network.dueling == best.values["network.dueling"]


@pytest.mark.takes("five processes of a run each")
@pytest.mark.emulator
def test_ctrl_c_saves_and_the_same_command_comes_to_what_an_undisturbed_search_does(
    mario_rl_command, search_file, tmp_path
):
    search_file.write_text(SEARCH.replace("agent_steps: 200", "agent_steps: 400"))
    whole, broken = SearchDir(tmp_path / "whole"), SearchDir(tmp_path / "broken")
    process = started(mario_rl_command, search_file, broken, "--jobs", "1")
    deadline = time.monotonic() + 200
    while not broken.run("trial_0000", 1000).episodes.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 130, complaints
    assert f"saved in {broken.path}; go on with the same command" in said
    assert [one.state for one in tried(search_file, broken)] == ["running"]
    assert broken.run("trial_0000", 1000).latest.is_file()

    again = started(mario_rl_command, search_file, broken, "--jobs", "1")
    _, complaints = again.communicate(timeout=300)
    assert again.returncode == 0, complaints
    assert main(["tune", str(search_file), "--out", str(whole.path), "--jobs", "1"]) == 0
    one, other = tried(search_file, broken), tried(search_file, whole)
    assert [(trial.values, trial.state, trial.value) for trial in one] == [
        (trial.values, trial.state, trial.value) for trial in other
    ]
    for number in range(2):
        first, second = (read_episodes(out.run(f"trial_{number:04d}", 1000).episodes) for out in (broken, whole))
        assert first["x"].tolist() == second["x"].tolist()
        assert first["agent_steps"].tolist() == second["agent_steps"].tolist()
    assert [one.name for one in sorted(broken.runs.iterdir())] == ["trial_0000", "trial_0001"]


@pytest.mark.takes("it measures how fast this machine is")
@pytest.mark.emulator
def test_a_dry_run_says_what_a_search_takes_and_writes_nothing(search_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["tune", str(search_file), "--out", str(out), "--dry-run", "--trials", "5", "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert "5 of 5 trials left, final_x is to be as high as possible (tpe, pruner median, seed 0)" in said
    assert (
        "space:    agent.learning_rate: 1e-05 to 0.01, by its logarithm\n          network.dueling: true, false\n"
        in said
    )
    assert "1,000 agent steps at most, 2 trials at once, 1 thread each" in said
    assert "time:     about " in said
    assert not out.exists()


def test_the_help_shows_how(capsys):
    assert main(["tune", "--help"]) == 0
    said = capsys.readouterr().out
    assert "mario-rl tune right_only --dry-run" in said
    assert "mario-rl train search/best.yaml" in said
