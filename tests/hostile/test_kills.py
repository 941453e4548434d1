"""A run that is killed at any moment, again and again, ends as one that was left alone: weights, games, tables.

Two kills each time; `make test-slow` kills a hundred times.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import same

from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import read_episodes, read_evaluations

pytestmark = pytest.mark.emulator

SETTINGS = ["training.agent_steps=120", "training.checkpoint_every_steps=20", "evaluation.every_steps=60"]


def state_of(run: RunDir) -> dict[str, Any]:
    """What a run has come to, but for the time it took and how often it was saved."""
    state = load_checkpoint(run.latest)
    training = {key: value for key, value in state["training"].items() if key != "replay_generation"}
    return {key: state[key] for key in ("agent_steps", "updates", "episodes", "network")} | training


def rows_of(run: RunDir) -> list[tuple[list[object], ...]]:
    tables = read_episodes(run.episodes), read_evaluations(run.evaluation)
    return [
        tuple(
            np.nan_to_num(column).tolist() if column.dtype.kind == "f" else column.tolist()
            for name, column in table.items()
            if name != "seconds"
        )
        for table in tables
    ]


@pytest.mark.takes("each kill costs the start of a process that trains")
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_as_one_left_alone(
    tmp_path, small_run_file, mario_rl_command, record_property, kills
):
    begin = [*mario_rl_command, "train", str(small_run_file), *SETTINGS, "--run-dir"]
    subprocess.run([*begin, str(tmp_path / "whole")], check=True, capture_output=True)
    whole = RunDir(tmp_path / "whole")
    chance = random.Random(kills)
    killed, runs = 0, 0
    while killed < kills:
        runs += 1
        run = RunDir(tmp_path / f"killed_{runs}")
        again = [*mario_rl_command, "train", "--resume", str(run.path)]
        killed += kill_until_done(run, [*begin, str(run.path)], again, chance, most=kills - killed)
        assert same(state_of(run), state_of(whole))
        assert rows_of(run) == rows_of(whole)
        (replay,) = run.replay.iterdir()
        assert not list(run.path.rglob("*.partial"))
        with np.load(replay) as one, np.load(next(whole.replay.iterdir())) as other:
            assert set(one.files) == set(other.files)
            assert all(np.array_equal(one[name], other[name]) for name in one.files)
        shutil.rmtree(run.path)
    record_property("counted", f"kills: {killed} in {runs} runs, each ended as the one left alone")


def kill_until_done(run: RunDir, begin: list[str], again: list[str], chance: random.Random, *, most: int) -> int:
    """Begin a run and kill it at a random moment, go on with it and kill it again; returns how many kills there were.

    After `most` kills, or where it ends before its kill comes, it is let be.
    """
    killed = 0
    while True:
        command = again if run.config.is_file() else begin
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if killed < most:
            wait_for_a_moment(run, chance)
            process.kill()
        said, _ = process.communicate()
        if process.returncode >= 0:
            assert process.returncode == 0, said
            return killed
        killed += 1


def wait_for_a_moment(run: RunDir, chance: random.Random) -> None:
    """Wait until the run has been saved anew and a little longer, or for any short time: starting takes some of it."""
    before = stamp(run.latest)
    if chance.random() < 0.7:
        give_up = time.monotonic() + 60
        while stamp(run.latest) == before and time.monotonic() < give_up:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.5))
    else:
        time.sleep(chance.uniform(0, 3))


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
