"""The loop on the real game: what is written, when it stops, what is kept."""

from __future__ import annotations

import csv
import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from mario_rl import envs
from mario_rl.agents import QAgent
from mario_rl.config import load_config
from mario_rl.errors import DivergedError, StorageError, UserError
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import Observer, Progress, checks, curve, evaluating, resume, saving, session, train

pytestmark = pytest.mark.emulator


def rows(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_directory_holds_everything_it_promises(tmp_path, small_run_file, drawn_curves):
    settings = ["evaluation.every_steps=100", "logging.trackers=[tensorboard]", "logging.every_seconds=0.2"]
    result = train(load_config(small_run_file, settings), tmp_path / "run")
    place = RunDir(tmp_path / "run")
    assert result.run_dir == place
    assert load_config(place.config) == load_config(small_run_file, settings)
    assert {path.name for path in place.checkpoints.iterdir()} == {
        "latest.pt",
        "best.pt",
        "step_000000080.pt",
        "step_000000160.pt",
    }
    assert place.curve.read_bytes().startswith(b"\x89PNG")
    assert list(place.tensorboard.glob("events.*"))
    episodes, metrics, evaluation = rows(place.episodes), rows(place.metrics), rows(place.evaluation)
    assert [row["episode"] for row in episodes] == [str(n + 1) for n in range(len(episodes))]
    assert all(row["end"] in {"clear", "death", "stall", "limit"} for row in episodes)
    assert all(0 < int(row["length"]) <= 60 for row in episodes)
    assert metrics[-1]["agent_steps"] == "200"
    assert metrics[-1]["updates"] == str((200 - 40) // 4)
    assert float(metrics[-1]["loss"]) > 0
    assert [(row["agent_steps"], row["protocol"], row["seed"]) for row in evaluation] == [
        ("100", "greedy", "10000"),
        ("200", "greedy", "10000"),
    ]


def test_numbers_too_small_to_matter_are_zero_while_a_run_learns_and_numbers_again_after_it(tmp_path, small_run_file):
    def smallest() -> float:
        return (torch.full((8,), 1e-30) * 1e-10).double().max().item()

    class Look(Observer):
        seen: ClassVar[set[float]] = set()

        def progressed(self, progress: Progress) -> None:
            self.seen.add(smallest())

    config = load_config(small_run_file, ["training.agent_steps=60"])  # five updates after a warm-up of 40
    assert train(config, tmp_path / "run", observer=Look()).progress.updates == 5
    assert Look.seen == {0.0}
    assert smallest() == pytest.approx(1e-40, rel=1e-3)


def test_episodes_from_snapshots_are_reported_apart(tmp_path, small_run_file):
    runs_into_the_first_goomba = ["env.action_set=[[right]]", "env.max_agent_steps=100"]
    settings = ["env.snapshot_probability=1.0", "training.agent_steps=400", *runs_into_the_first_goomba]
    config = load_config(small_run_file, settings)
    result = train(config, tmp_path / "run")
    episodes, from_snapshots = rows(result.run_dir.episodes), rows(result.run_dir.snapshot_episodes)
    # Every environment begins at the stage's start until its first death, and never again here.
    assert len(episodes) <= 2 * config.training.envs + 2
    assert len(from_snapshots) >= 3
    assert [row["episode"] for row in from_snapshots] == [str(n + 1) for n in range(len(from_snapshots))]
    assert result.progress.episodes == len(episodes)
    assert result.progress.mean_x == sum(float(row["x"]) for row in episodes) / len(episodes)


def test_a_kept_checkpoint_holds_what_evaluating_it_alone_needs(whole_run):
    state = load_checkpoint(RunDir(whole_run).step_checkpoint(160))
    assert state["config"]["seed"] == 11
    assert state["agent_steps"] == 160
    assert state["versions"]["gym-super-mario-bros"].startswith("9.")
    assert "training" not in state


def test_only_the_last_k_step_checkpoints_are_kept(tmp_path, small_run_file):
    settings = ["training.checkpoint_every_steps=40", "training.keep_checkpoints=3"]
    train(load_config(small_run_file, settings), tmp_path / "run")
    kept = [path.name for path in RunDir(tmp_path / "run").step_checkpoints()]
    assert kept == ["step_000000120.pt", "step_000000160.pt", "step_000000200.pt"]
    assert len(list(RunDir(tmp_path / "run").replay.iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "stop"),
    [
        (["training.agent_steps=30"], "training.agent_steps"),
        (["training.episodes=1"], "training.episodes"),
        (["training.minutes=0.02"], "training.minutes"),
    ],
)
def test_the_first_stop_condition_reached_ends_the_run(tmp_path, small_run_file, settings, stop):
    config = load_config(small_run_file, ["training.agent_steps=3000", *settings])
    assert train(config, tmp_path / "run").stop == stop


def test_a_clear_rate_reached_in_evaluation_ends_the_run(tmp_path, small_run_file, monkeypatch):
    from mario_rl.evaluation import EvaluationReport

    config = load_config(small_run_file, ["training.clear_rate=0.9", "evaluation.every_steps=50"])
    monkeypatch.setattr(EvaluationReport, "clear_rate", property(lambda report: 1.0))
    result = train(config, tmp_path / "run")
    assert (result.stop, result.progress.agent_steps) == ("training.clear_rate", 50)


def test_best_is_the_highest_clear_rate_then_the_highest_mean_x_then_the_newest(tmp_path, small_run_file, monkeypatch):
    from mario_rl.evaluation import EvaluationReport

    scores = iter([(0.0, 500.0), (0.5, 100.0), (0.5, 90.0), (0.0, 3000.0), (0.5, 100.0)])
    current: list[tuple[float, float]] = []
    monkeypatch.setattr(EvaluationReport, "clear_rate", property(lambda report: current[-1][0]))
    monkeypatch.setattr(EvaluationReport, "mean_x", property(lambda report: current[-1][1]))
    monkeypatch.setattr(
        session.Session,
        "count_evaluation",
        lambda self, report, original=session.Session.count_evaluation: (
            current.append(next(scores)) or original(self, report)
        ),
    )
    seen = []

    class Watch(Observer):
        def evaluated(self, report, agent_steps: int, *, best: bool) -> None:
            seen.append((agent_steps, best))

    train(load_config(small_run_file, ["evaluation.every_steps=40"]), tmp_path / "run", observer=Watch())
    assert seen == [(40, True), (80, True), (120, False), (160, False), (200, True)]
    assert load_checkpoint(RunDir(tmp_path / "run").best)["agent_steps"] == 200


def test_updates_keep_to_the_configured_agent_steps_each(tmp_path, small_run_file):
    config = load_config(small_run_file, ["agent.steps_per_update=3", "training.envs=8", "replay.capacity=2000"])
    result = train(config, tmp_path / "run")
    assert result.progress.updates == (200 - 40) // 3


def test_each_moment_has_one_row_of_metrics_and_evaluating_slows_no_rate(tmp_path, small_run_file, monkeypatch):
    evaluate = evaluating.evaluate_policy
    monkeypatch.setattr(evaluating, "evaluate_policy", lambda *args, **rest: time.sleep(2) or evaluate(*args, **rest))
    train(load_config(small_run_file, ["evaluation.every_steps=100"]), tmp_path / "run")
    metrics = rows(RunDir(tmp_path / "run").metrics)
    steps = [int(row["agent_steps"]) for row in metrics]
    assert len(set(steps)) == len(steps)
    assert {100, 200} <= set(steps)
    updates = [0] + [int(row["updates"]) for row in metrics]
    assert updates[-1] > 0
    for at, row in enumerate(metrics):
        assert bool(row["loss"]) == (updates[at + 1] > updates[at])
    # What the rows say was done per second is what was done, over the time without the two seconds at step 100.
    spans = [0.0] + [float(row["seconds"]) for row in metrics]
    for at, row in enumerate(metrics):
        done = steps[at] - ([0, *steps][at])
        waited = 2.0 if at and steps[at - 1] == 100 else 0.0
        assert float(row["steps_per_second"]) * (spans[at + 1] - spans[at] - waited) >= 0.9 * done


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StorageError("curve.png: could not be written"), "curve.png: could not be written"),
        (KeyError("a fault in the drawing"), "KeyError: 'a fault in the drawing'"),
        (MemoryError("no room"), "MemoryError: no room"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_one_warning_and_the_run_is_saved(
    tmp_path, small_run_file, monkeypatch, error, said
):
    drawn = []

    def fail(run_dirs: list[Path]) -> None:
        drawn.append(load_checkpoint(RunDir(run_dirs[0]).latest)["agent_steps"])  # saved first, drawn after
        raise error

    warnings: list[str] = []

    class Listen(Observer):
        def warned(self, message: str) -> None:
            warnings.append(message)

    monkeypatch.setattr(curve, "curve_figure", fail)
    config = load_config(small_run_file, ["training.agent_steps=20"])
    assert train(config, tmp_path / "run", observer=Listen()).progress.agent_steps == 20
    assert drawn == [0, 20]
    assert warnings == [f"the curve can't be drawn, training goes on without it ({said})"]


@pytest.mark.parametrize("name", ["a$x_$b", b"not \xff utf-8"])
def test_a_run_directory_may_have_any_name_that_the_disk_allows(name, tmp_path, small_run_file, drawn_curves):
    settings = ["training.agent_steps=60", "training.checkpoint_every_steps=30", "evaluation.every_steps=60"]
    config = load_config(small_run_file, [*settings, "logging.trackers=[tensorboard]"])
    result = train(config, tmp_path / os.fsdecode(name))
    assert result.run_dir.curve.read_bytes().startswith(b"\x89PNG")
    resumed = resume(result.run_dir.path, ["training.agent_steps=70"])
    assert resumed.progress.agent_steps == 70
    assert load_checkpoint(result.run_dir.latest)["agent_steps"] == 70


def test_a_run_has_its_first_checkpoint_before_its_first_step(tmp_path, small_run_file):
    seen = []

    class Look(Observer):
        def progressed(self, progress: Progress) -> None:
            if not seen:
                seen.append(load_checkpoint(RunDir(tmp_path / "run").latest)["agent_steps"])

    train(load_config(small_run_file, ["training.agent_steps=4"]), tmp_path / "run", observer=Look())
    assert seen == [0]


@pytest.mark.parametrize("method", ["started", "progressed", "evaluating", "evaluated", "saved"])
def test_what_an_observer_fails_with_ends_the_run_only_after_it_was_saved(method, tmp_path, small_run_file):
    class Faulty(Observer):
        def __getattribute__(self, name: str) -> Any:
            return self.fail if name == method else super().__getattribute__(name)

        def fail(self, *arguments: object, **rest: object) -> None:
            counted.append(1)
            if len(counted) == 2 or method == "started":
                raise ZeroDivisionError("a fault of the observer's")

    counted: list[int] = []
    config = load_config(small_run_file, ["evaluation.every_steps=50"])
    with pytest.raises(ZeroDivisionError, match="a fault of the observer's"):
        train(config, tmp_path / "run", observer=Faulty())
    expected = {"started": 0, "progressed": 4, "evaluating": 100, "evaluated": 100, "saved": 80}[method]
    place = RunDir(tmp_path / "run")
    assert load_checkpoint(place.latest)["agent_steps"] == expected
    assert resume(place.path, ["training.agent_steps=110"]).progress.agent_steps == 110


def test_a_finished_run_has_its_last_row_and_its_curve_also_where_a_checkpoint_was_due_just_then(
    tmp_path, small_run_file
):
    config = load_config(small_run_file, ["training.agent_steps=160", "logging.every_seconds=3600"])
    place = train(config, tmp_path / "run").run_dir
    assert [row["agent_steps"] for row in rows(place.metrics)] == ["160"]
    assert place.curve.is_file()


@pytest.mark.parametrize("replay", ["priority_exponent=0.0", "priority_exponent=0.5"])
def test_learning_that_diverges_ends_the_run_and_overwrites_nothing(tmp_path, small_run_file, monkeypatch, replay):
    monkeypatch.setattr(QAgent, "learning_rate", 1e30)  # no config may ask for as much
    settings = ["agent.gradient_clip=null", "evaluation.every_steps=100", f"replay.{replay}"]
    with pytest.raises(
        DivergedError, match=r"run: learning diverged, .* updates; agent\.learning_rate 0\.0002 may be too high"
    ) as ended:
        train(load_config(small_run_file, settings), tmp_path / "run")
    assert "\n" not in str(ended.value)
    place = RunDir(tmp_path / "run")
    assert load_checkpoint(place.latest)["agent_steps"] == 0  # read back: what is not finite would be refused
    assert not place.best.exists()
    assert not place.step_checkpoints()
    assert "nan" not in place.metrics.read_text()


def test_what_updates_measured_is_summed_not_hoarded(tmp_path, small_run_file, monkeypatch):
    config = load_config(small_run_file, ["logging.every_seconds=3600"])
    kept, made = [], []
    assemble = session.Session._assemble
    monkeypatch.setattr(session.Session, "_assemble", lambda self, *rest: made.append(self) or assemble(self, *rest))

    class Look(Observer):
        def progressed(self, progress: Progress) -> None:
            kept.append((progress.updates, made[0].counts._num_learned, tuple(made[0].counts._learned.shape)))

    train(config, tmp_path / "run", observer=Look())
    assert kept[-1] == (40, 40, (3,))


@pytest.mark.parametrize(
    ("setting", "missing", "says"),
    [
        ("logging.trackers=[tensorboard]", "torch.utils.tensorboard", "or leave tensorboard out of logging.trackers"),
        ("env.emulator=nes_py", "mario_rl.envs.nes_py", "or env.emulator=native, which gives the same"),
        ("env.rom=nothing.nes", None, "nothing.nes: the ROM can't be read"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_made(
    tmp_path, small_run_file, setting, missing, says, monkeypatch
):
    monkeypatch.delattr(envs, "nes_py", raising=False)
    if missing is not None:
        monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=says):
        train(load_config(small_run_file, [setting]), tmp_path / "run")
    assert list(tmp_path.iterdir()) == [small_run_file]


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(tmp_path, small_run, monkeypatch):
    def full(*arguments: object) -> None:
        raise StorageError("latest.pt: could not be written (No space left on device)")

    class FillTheDisk(Observer):
        def saved(self, path, agent_steps: int) -> None:
            if agent_steps == 80:
                monkeypatch.setattr(saving, "save_checkpoint", full)

    with pytest.raises(StorageError, match="No space left"):
        train(small_run, tmp_path / "run", observer=FillTheDisk())
    state = load_checkpoint(RunDir(tmp_path / "run").latest)
    assert state["agent_steps"] == 80
    (replay,) = RunDir(tmp_path / "run").replay.iterdir()
    assert replay.name == f"generation_{state['training']['replay_generation']:06d}.npz"


def test_a_disk_without_room_for_the_checkpoints_is_refused_at_once(tmp_path, small_run, monkeypatch):
    class Nearly:
        free = 1_000_000

    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Nearly)
    with pytest.raises(UserError, match=r"needs 0\.3 GB of disk, 0\.0 GB is free; lower replay\.capacity"):
        train(small_run, tmp_path / "run")


def test_progress_says_how_much_time_is_left(tmp_path, small_run_file):
    seen: list[Progress] = []

    class Watch(Observer):
        def progressed(self, progress: Progress) -> None:
            seen.append(progress)

    config = load_config(small_run_file, ["training.minutes=0.03", "training.agent_steps=1000000"])
    train(config, tmp_path / "run", observer=Watch())
    assert [progress.agent_steps for progress in seen] == list(range(2, 2 * len(seen) + 1, 2))
    for progress in seen:  # a million agent steps would take longer than the 1.8 seconds allowed
        assert progress.seconds_left == pytest.approx(max(1.8 - progress.seconds, 0.0), abs=0.1)
