"""`mario-rl benchmark`: real measurements of every part, and the arithmetic of the report by hand."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from mario_rl.cli import main
from mario_rl.config import Config
from mario_rl.diagnostics import benchmark, emulator_benchmark
from mario_rl.diagnostics.benchmark import Measured, _figure, _for_training, _training, markdown, run_benchmark
from mario_rl.diagnostics.emulator_benchmark import NES_PY, NOT_DRAWN, emulator_markdown, measure_emulator
from mario_rl.errors import MeasurementInterrupted
from mario_rl.machine import computing_cores
from mario_rl.runs.directory import RunDir
from mario_rl.training import Interrupts, TrainingResult

TINY = (
    "env: {noop_max: 0}\nnetwork: {hidden_size: 8}\nreplay: {capacity: 2_000, warmup_steps: 64}\n"
    "training: {envs: 2}\nevaluation: {every_steps: null}\ndevice: cpu\n"
)


@pytest.mark.emulator
def test_benchmark_measures_every_part_and_writes_json_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    small = ["agent.batch_size=8", "training.envs=8", "--seconds", "0.1", "--agent-steps", "100", "--repeats", "2"]
    assert main(["benchmark", "tiny.yaml", "--output", "speed.json", *small]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    figures = {figure["part"]: figure for figure in report["figures"]}
    assert set(figures) >= {
        "emulator alone, 1 core",
        "environment, 1 core",
        "replay, sampling",
        "learner, 1 core",
        *(["learner, 2 cores"] if computing_cores() > 1 else []),
        "training",
    }
    for figure in figures.values():
        assert 0 < figure["lowest"] <= figure["per_second"] <= figure["highest"]
    assert report["versions"]["torch"]
    assert report["settings"]["config"]["network"]["hidden_size"] == 8
    table = (tmp_path / "speed.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert all(f"| {part} |" in table for part in figures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.json", "speed.md", "tiny.yaml"]


def test_a_figure_is_the_median_rate_and_says_how_long_the_learner_waited():
    measured = [Measured(100, 2.0, 0.5), Measured(90, 1.0, 0.3), Measured(60, 1.0, 0.4)]
    figure = _figure("training", "agent steps", measured, Config())
    assert (figure.per_second, figure.lowest, figure.highest) == (60.0, 50.0, 90.0)
    assert figure.bound == "the learner waits for the games 40% of the time"


def test_rates_of_batches_and_updates_are_given_as_times_as_well():
    config = Config.model_validate({"agent": {"batch_size": 32}})
    assert _figure("replay, sampling", "transitions", [Measured(64_000, 1.0)], config).bound == "0.50 ms per batch"
    assert _figure("learner, 1 thread", "updates", [Measured(40, 2.0)], config).bound == "50.0 ms per update"


def test_a_measured_run_keeps_what_is_measured_and_drops_what_would_be_measured_with_it():
    config = Config.model_validate(
        {"env": {"stage": "1-2"}, "agent": {"epsilon": {"end": 0.2}}, "training": {"envs": 12}}
    )
    measured = _for_training(config, agent_steps=2_000)
    assert (measured.training.envs, measured.env.stage) == (12, "1-2")
    assert measured.training.agent_steps == measured.replay.warmup_steps + 2_000
    assert measured.agent.epsilon.start == measured.agent.epsilon.end == 0.2
    assert measured.evaluation.every_steps is None


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"replay": {"capacity": 400, "warmup_steps": 100}, "training": {"envs": 8}}, 2_000),
        ({"agent": {"steps_per_update": 128}, "training": {"envs": 8}}, 100),
        ({"training": {"envs": 256}}, 100),
    ],
)
def test_a_measured_run_fits_its_replay_and_comes_to_an_update(settings, asked):
    measured = _for_training(Config.model_validate(settings), agent_steps=asked)
    assert measured.replay.warmup_steps <= measured.replay.capacity
    left = measured.training.agent_steps - measured.replay.warmup_steps - 2 * measured.training.envs
    assert left >= min(asked, measured.agent.steps_per_update)


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is really measured."""
    for name in ("_emulator", "_environment", "_replay", "_learner", "_training"):
        monkeypatch.setattr(benchmark, name, lambda *rest: Measured(100, 1.0))
    for name in ("_nes_py_frames", "_native_frames", "_wrappers", "_games", "_start"):
        monkeypatch.setattr(emulator_benchmark, name, lambda *rest, **named: 100.0)


def test_an_interrupted_benchmark_reports_what_was_measured_and_says_so(measurements: None):
    told: list[str] = []
    config = Config.model_validate({"device": "cpu"})
    report = run_benchmark(
        config,
        repeats=3,
        should_stop=lambda: len(told) == 2,
        on_measured=lambda part, total: told.append(part),
    )
    assert [figure.part for figure in report.figures] == told == ["emulator alone, 1 core", "environment, 1 core"]
    assert report.as_dict()["complete"] is False
    assert "median of 3, or of fewer: CUT SHORT." in markdown(report)
    with pytest.raises(MeasurementInterrupted):
        run_benchmark(config, should_stop=lambda: True)


def test_an_interrupted_benchmark_of_the_emulator_does_so_too(measurements: None):
    told: list[str] = []
    report = measure_emulator(
        seconds=1.0, repeats=2, should_stop=lambda: len(told) == 2, on_measured=lambda part, total: told.append(part)
    )
    assert [rate.what for rate in report.rates] == told == [NES_PY, NOT_DRAWN]
    assert report.as_dict()["complete"] is False
    assert "CUT SHORT" in emulator_markdown(report)
    whole = measure_emulator(seconds=1.0, repeats=2)
    assert whole.complete
    assert "CUT SHORT" not in emulator_markdown(whole)
    with pytest.raises(MeasurementInterrupted):
        measure_emulator(seconds=1.0, repeats=2, should_stop=lambda: True)


def test_a_signal_that_ends_a_measured_run_ends_the_measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    ended = TrainingResult(RunDir(tmp_path), "SIGINT", None, signal.SIGINT)
    monkeypatch.setattr(benchmark, "train", lambda *rest, **named: ended)
    with Interrupts() as interrupts, pytest.raises(MeasurementInterrupted):
        _training(Config(), 100)
    assert interrupts.received == signal.SIGINT


def test_figures_and_their_table_are_both_written_or_neither(
    measurements: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "tiny.yaml").write_text(TINY)
    output, table = tmp_path / "speed.json", tmp_path / "speed.md"
    output.write_text("old")

    def full(path: Path, *rest: object, **named: object) -> None:
        if "speed.md" in path.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["benchmark", str(tmp_path / "tiny.yaml"), "--output", str(output)]) == 1
    assert (output.read_text(), table.exists()) == ("old", False)
    assert "| replay, sampling |" in capsys.readouterr().out
