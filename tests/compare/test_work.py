"""What is left of a run when it is done: which checkpoint of an arm is filmed, and which videos stay as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import pytest
from small_run import SMALL_RUN

from mario_rl.compare.work import film
from mario_rl.config import load_config
from mario_rl.rundir import RunDir
from mario_rl.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a best checkpoint."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "small.yaml").write_text(SMALL_RUN)
    config = load_config(folder / "small.yaml", ["training.agent_steps=100", "evaluation.every_steps=100"])
    return train(config, folder / "run").run_dir.path


def done_run(place: Path, trained: Path, *, clear_rate: float, mean_x: float, kept: bool = True) -> RunDir:
    """A run whose record says how good its best checkpoint was; the checkpoint is there or, as published, not."""
    run = RunDir(place)
    run.checkpoints.mkdir(parents=True)
    if kept:
        shutil.copy(RunDir(trained).best, run.best)
    best = {"agent_steps": 100, "clear_rate": clear_rate, "mean_x": mean_x}
    run.record.write_text(json.dumps({"best": best}))
    return run


def title(video: Path) -> str:
    with av.open(str(video)) as container:
        return str(container.metadata["title"])


@pytest.mark.emulator
def test_the_highest_clear_rate_is_filmed_and_of_equals_the_highest_mean_x(trained, tmp_path):
    runs = [
        done_run(tmp_path / "arm" / "seed_0", trained, clear_rate=0.1, mean_x=3000.0),
        done_run(tmp_path / "arm" / "seed_1", trained, clear_rate=0.2, mean_x=900.0),
        done_run(tmp_path / "arm" / "seed_2", trained, clear_rate=0.2, mean_x=1000.0),
    ]
    assert film(runs, tmp_path / "arm.mp4") == tmp_path / "arm.mp4"
    assert title(tmp_path / "arm.mp4").startswith("arm seed_2, greedy: ")


def test_where_the_best_of_an_earlier_sitting_is_not_here_its_video_stays(trained, tmp_path):
    runs = [
        done_run(tmp_path / "arm" / "seed_0", trained, clear_rate=0.9, mean_x=3000.0, kept=False),
        done_run(tmp_path / "arm" / "seed_1", trained, clear_rate=0.2, mean_x=900.0),
    ]
    (tmp_path / "arm.mp4").write_bytes(b"the video of seed 0")
    assert film(runs, tmp_path / "arm.mp4") is None
    assert (tmp_path / "arm.mp4").read_bytes() == b"the video of seed 0"


@pytest.mark.parametrize("record", [{"best": None}, {"best_agent_steps": 100}], ids=["none kept", "an older record"])
def test_a_run_that_says_nothing_of_a_best_checkpoint_is_not_filmed(tmp_path, record):
    run = RunDir(tmp_path / "arm" / "seed_0")
    run.path.mkdir(parents=True)
    run.record.write_text(json.dumps(record))
    assert film([run], tmp_path / "arm.mp4") is None
