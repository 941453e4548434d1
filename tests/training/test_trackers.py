"""Trackers: TensorBoard and Weights & Biases get what the tables have, and never end a run."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mario_rl.config import Config, load_config
from mario_rl.errors import UserError
from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EPISODE_COLUMNS, METRIC_COLUMNS
from mario_rl.training import resume, train
from mario_rl.training.trackers import TensorBoard, load_tensorboard, load_wandb, make_trackers
from mario_rl.types import EpisodeResult

LOG_BLOCK = 32_768  # bytes


def episode(agent_steps: int = 120, **changes: Any) -> dict[str, Any]:
    row = dict(zip(EPISODE_COLUMNS, (1, agent_steps, 2.5, 0, "1-1", 231.0, 315, 60, 394, "death"), strict=True))
    return row | changes


def interval(agent_steps: int = 120, **changes: Any) -> dict[str, Any]:
    values = (agent_steps, 30, 2, 2.5, 0.9, 0.25, 1.5, 3.0, 200.0, 50.0, 231.0, 315.0, 0.0)
    return dict(zip(METRIC_COLUMNS, values, strict=True)) | changes


def report(protocol: str, *ends_and_x: tuple[str, int]) -> EvaluationReport:
    episodes = [
        EvaluatedEpisode("1-1", number, EpisodeResult("1-1", x - 100.0, x, 60, 394, end), 0.0, 0.0, (), 0.0, 0.0)
        for number, (end, x) in enumerate(ends_and_x)
    ]
    return EvaluationReport(protocol, 7, tuple(episodes))


def scalars(place: RunDir, tag: str) -> list[tuple[int, float]]:
    """Steps and values of a TensorBoard curve, as TensorBoard shows them."""
    events = EventAccumulator(str(place.tensorboard)).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def board(place: RunDir, at: int = 0, warnings: list[str] | None = None) -> TensorBoard:
    board = TensorBoard([].append if warnings is None else warnings.append)
    board.started(Config(), place.path, at)
    return board


@pytest.fixture
def place(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def test_tensorboard_gets_episodes_intervals_and_the_means_of_each_evaluation(place):
    tracker = board(place)
    tracker.episode_ended(episode(120, x=315))
    tracker.measured(interval(128, epsilon=0.5, loss=None))
    tracker.evaluated(report("noop", ("clear", 3161), ("death", 1161), ("death", 461), ("stall", 17)), 136, best=True)
    tracker.evaluated(report("sticky", ("death", 200)), 136, best=True)
    tracker.ended()
    assert scalars(place, "episode/x") == [(120, 315.0)]
    assert scalars(place, "training/epsilon") == [(128, 0.5)]
    assert scalars(place, "evaluation/noop/clear_rate") == [(136, 0.25)]
    assert scalars(place, "evaluation/noop/mean_x") == [(136, 1200.0)]
    assert scalars(place, "evaluation/noop/mean_return") == [(136, 1100.0)]
    assert scalars(place, "evaluation/sticky/mean_x") == [(136, 200.0)]
    tags = EventAccumulator(str(place.tensorboard)).Reload().Tags()["scalars"]
    assert "training/mean_q" in tags
    assert "training/loss" not in tags, "there is no value yet"


def test_running_means_are_shown_from_the_hundredth_episode_on(place):
    tracker = board(place)
    for agent_steps, episodes, mean in ((100, 2, 900.0), (5000, 99, 400.0), (5050, 100, 410.0)):
        tracker.measured(interval(agent_steps, episodes=episodes, mean_x=mean, mean_return=mean, clear_rate=0.5))
    tracker.ended()
    for name, value in (("mean_x", 410.0), ("mean_return", 410.0), ("clear_rate", 0.5)):
        assert scalars(place, f"training/{name}") == [(5050, value)]
    assert scalars(place, "training/episodes") == [(100, 2.0), (5000, 99.0), (5050, 100.0)]


def test_tensorboard_hides_what_lies_past_the_checkpoint_and_keeps_the_checkpoints_own_step(place):
    before = board(place)
    for agent_steps in (80, 160, 240):
        before.episode_ended(episode(agent_steps, x=1))
    before.ended()
    time.sleep(1.1)  # TensorBoard reads files in the order of their names, which begin with the second
    after = board(place, 160)
    after.episode_ended(episode(200, x=2))
    after.ended()
    assert scalars(place, "episode/x") == [(80, 1.0), (160, 1.0), (200, 2.0)]


def test_where_tensorboard_fails_it_is_left_out_with_one_warning(tmp_path):
    warnings: list[str] = []
    tracker = board(RunDir(tmp_path / os.fsdecode(b"not \xff utf-8")), warnings=warnings)
    for agent_steps in (100, 200):
        tracker.measured(interval(agent_steps))
    tracker.ended()
    assert len(warnings) == 1
    assert warnings[0].startswith("TensorBoard's files can't be written, training goes on without (Unicode")


def test_there_are_as_many_trackers_as_the_config_names(small_run_file):
    names = {
        setting: [
            name for name, _ in make_trackers(load_config(small_run_file, [f"logging.trackers={setting}"]), print)
        ]
        for setting in ("[]", "[wandb]", "[tensorboard, wandb]")
    }
    assert names == {"[]": [], "[wandb]": ["wandb"], "[tensorboard, wandb]": ["tensorboard", "wandb"]}


@pytest.mark.parametrize(
    ("package", "load", "install"),
    [
        ("torch.utils.tensorboard", load_tensorboard, "pip install tensorboard, or leave tensorboard out of"),
        ("wandb", load_wandb, 'pip install "mario-rl[wandb]", or leave wandb out of'),
    ],
)
def test_a_package_that_is_not_there_is_one_line_that_names_it_and_the_key(monkeypatch, package, load, install):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as error:
        load()
    name = package.rpartition(".")[2]
    assert str(error.value).startswith(f"logging.trackers: the package {name} is not installed or does not load (")
    assert str(error.value).endswith(f"{install} logging.trackers")
    assert "\n" not in str(error.value)


def test_a_run_with_a_tracker_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path, small_run_file, monkeypatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"mario-rl\[wandb\]"):
        train(load_config(small_run_file, ["logging.trackers=[wandb]"]), tmp_path / "run")
    assert list(tmp_path.iterdir()) == [small_run_file]


TRAINS = """
import sys
from mario_rl.config import load_config
from mario_rl.training import train
train(load_config(sys.argv[1], ["training.agent_steps=4"]), sys.argv[2])
print(*(name for name in ("tensorboard", "wandb") if name in sys.modules))
"""


@pytest.mark.takes("starts Python, which trains")
def test_without_trackers_nothing_of_them_is_written_or_imported(tmp_path, small_run_file):
    command = [sys.executable, "-c", TRAINS, str(small_run_file), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == []
    assert not RunDir(tmp_path / "run").tensorboard.exists()
    assert not RunDir(tmp_path / "run").wandb.exists()


def records(file: Path) -> Iterator[bytes]:
    """What an offline file of Weights & Biases holds: a LevelDB log after seven bytes of its own."""
    content, place, begun = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if LOG_BLOCK - place % LOG_BLOCK < 7:  # no room for a header: the rest of the block is empty
            place += LOG_BLOCK - place % LOG_BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)  # after a checksum
        begun += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield begun
            begun = b""


def offline_history(place: RunDir) -> list[tuple[str, list[dict[str, str]]]]:
    """What the offline files of a run have: of each sitting the run's id, and its rows as JSON texts."""
    from wandb.proto import wandb_internal_pb2

    sittings = []
    for file in sorted(place.wandb.glob("offline-run-*/run-*.wandb"), key=lambda one: one.stat().st_mtime):
        rows, run_id = [], ""
        for data in records(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "run":
                run_id = record.run.run_id
            if record.WhichOneof("record_type") == "history":
                rows.append({item.key or ".".join(item.nested_key): item.value_json for item in record.history.item})
        sittings.append((run_id, rows))
    return sittings


@pytest.mark.takes("two sittings, each with a process of Weights & Biases")
def test_weights_and_biases_gets_the_same_without_a_network_and_a_resumed_run_goes_on_as_the_same_one(
    tmp_path, small_run_file, monkeypatch
):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    settings = ["logging.trackers=[wandb]", "training.agent_steps=120", "evaluation.every_steps=100"]
    place = train(load_config(small_run_file, settings), tmp_path / "run").run_dir
    kept = place.wandb_id.read_text().strip()
    resume(place.path, ["training.agent_steps=200"])
    first, second = offline_history(place)
    assert first[0] == second[0] == kept
    assert place.wandb_id.read_text().strip() == kept
    rows = [*first[1], *second[1]]
    steps = [int(row["agent_steps"]) for row in rows if "training/epsilon" in row]
    assert steps[-1] == 200
    assert steps == sorted(steps)
    assert any("episode/x" in row for row in rows)
    assert [int(row["agent_steps"]) for row in rows if "evaluation/greedy/mean_x" in row] == [100, 120, 200]
