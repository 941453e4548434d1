"""A run that was stopped and resumed ends like one that was not, bit for bit, on the real game."""

from __future__ import annotations

import csv
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_run import SMALL_RUN

from mario_rl import machine
from mario_rl.agents import QAgent
from mario_rl.config import load_config, load_run_config
from mario_rl.errors import CheckpointError, ConfigError, StorageError, UserError
from mario_rl.evaluation import EvaluationReport
from mario_rl.game.games import Games
from mario_rl.nes import layout as console
from mario_rl.nes.cartridge import SUPER_MARIO_BROS_PAL
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import Observer, checks, collect, resume, train

pytestmark = pytest.mark.emulator


class PowerCut(BaseException):
    """What no code has time to react to."""


BY_THE_CLOCK = {"seconds", "versions", "config"}


class Listen(Observer):
    """Keeps what a run warns of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)


class StopAt(Observer):
    """Sends this process a signal once a run has come so far."""

    def __init__(self, agent_steps: int, number: signal.Signals = signal.SIGINT) -> None:
        self.agent_steps = agent_steps
        self.number = number
        self.sent = False

    def progressed(self, progress) -> None:
        if progress.agent_steps >= self.agent_steps and not self.sent:
            self.sent = True
            signal.raise_signal(self.number)


def assert_equal(one: object, other: object, path: str = "") -> None:
    """Compare nested states exactly, tensors bit for bit."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one.keys() - BY_THE_CLOCK:
            assert_equal(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal(left, right, f"{path}/{index}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    else:
        assert one == other, path


def replay_of(run_dir: Path) -> dict[str, np.ndarray]:
    (file,) = (run_dir / "replay").iterdir()
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def training_state(run_dir: Path) -> dict:
    state = load_checkpoint(RunDir(run_dir).latest)
    del state["training"]["replay_generation"]  # counts saves, not agent steps
    return state


def rows(path: Path, *, without: tuple[str, ...] = ("seconds",)) -> list[dict[str, str]]:
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param([], id="double"),
        pytest.param(["agent.target=none", "agent.epsilon.schedule=per_update"], id="none"),
        pytest.param(
            ["env.sticky_probability=0.25", 'env.stage=["1-1","1-2"]', "agent.soft_update=0.01", "agent.bfloat16=true"],
            id="sticky, two stages, soft updates, bfloat16",
        ),
        pytest.param(
            [
                "env.snapshot_probability=0.7",
                "replay.priority_exponent=0.5",
                "network.quantiles=4",
                "agent.random_shift=2",
                "agent.averaging=0.01",
            ],
            id="snapshots, priorities, quantiles, shifts, averaging",
        ),
    ],
)
def test_a_run_stopped_in_the_middle_of_an_episode_ends_like_an_unbroken_one(
    tmp_path, small_run_file, whole_run, settings
):
    config = load_config(small_run_file, settings)
    unbroken = train(config, tmp_path / "whole").run_dir.path if settings else whole_run
    result = train(config, tmp_path / "broken", observer=StopAt(110))
    assert (result.stop, result.progress.agent_steps) == ("SIGINT", 110)
    resume(tmp_path / "broken")

    whole, broken = training_state(unbroken), training_state(tmp_path / "broken")
    assert whole["agent_steps"] == 200
    assert whole["updates"] == (200 - 40) // 4
    assert_equal(whole, broken)
    whole_replay, broken_replay = replay_of(unbroken), replay_of(tmp_path / "broken")
    assert whole_replay.keys() == broken_replay.keys()
    for name, array in whole_replay.items():
        assert (array == broken_replay[name]).all(), name
    episodes = [rows(run_dir / "episodes.csv") for run_dir in (unbroken, tmp_path / "broken")]
    assert episodes[0] == episodes[1]
    assert len(episodes[0]) >= 2


@pytest.mark.takes("makes two runs, and plays a trajectory of a whole stage ten times")
@pytest.mark.parametrize(
    ("settings", "stops_at"),
    [
        pytest.param(["replay.priority_exponent=0.5"], 110, id="priorities"),
        pytest.param(["agent.target=none", "env.sticky_probability=0.25"], 110, id="sticky, no target network"),
        pytest.param(["replay.priority_exponent=0.5"], 0, id="stopped before the first agent step"),
    ],
)
def test_a_run_with_demonstrations_and_backward_starts_ends_like_an_unbroken_one(
    tmp_path, small_run_file, clear_file, settings, stops_at
):
    learns_from = [
        f"replay.demonstrations=[{clear_file}]",
        f"training.backward_starts=[{clear_file}]",
        "training.backward_window=2",
        "training.demonstration_updates=10",
        "env.max_agent_steps=500",
    ]
    config = load_config(small_run_file, [*settings, *learns_from])
    train(config, tmp_path / "whole")
    broken = train(config, tmp_path / "broken", observer=StopAt(stops_at))
    assert (broken.stop, broken.progress.agent_steps) == ("SIGINT", stops_at)
    assert broken.progress.updates == (1 if stops_at == 0 else 10 + (110 - 40) // 4)
    resume(tmp_path / "broken")

    states = [training_state(tmp_path / name) for name in ("whole", "broken")]
    assert states[0]["updates"] == 10 + (200 - 40) // 4
    assert_equal(*states)
    replays = [replay_of(tmp_path / name) for name in ("whole", "broken")]
    assert replays[0].keys() == replays[1].keys()
    assert all((array == replays[1][name]).all() for name, array in replays[0].items())
    for table in ("episodes.csv", "snapshots.csv"):
        assert rows(tmp_path / "whole" / table) == rows(tmp_path / "broken" / table)
    assert rows(tmp_path / "whole" / "snapshots.csv")


def hesitant(method: Callable[..., Any], most_seconds: float) -> Callable[..., Any]:
    """The same, after a pause of another length each time."""
    lengths = random.Random(0)

    def hesitate(*arguments: Any) -> Any:
        time.sleep(lengths.uniform(0, most_seconds))
        return method(*arguments)

    return hesitate


def test_a_run_is_the_same_bit_for_bit_however_long_games_and_updates_take(tmp_path, small_run_file, monkeypatch):
    settings = ["env.snapshot_probability=0.7", "replay.priority_exponent=0.5", "agent.random_shift=2"]
    config = load_config(small_run_file, [*settings, "training.agent_steps=140"])  # 70 steps and 25 updates
    step, learn = Games.step, QAgent.learn
    pauses = {"as they come": (0.0, 0.0), "games": (0.02, 0.0), "updates": (0.0, 0.04), "both": (0.02, 0.04)}
    for name, (of_games, of_updates) in pauses.items():
        monkeypatch.setattr(Games, "step", hesitant(step, of_games))
        monkeypatch.setattr(QAgent, "learn", hesitant(learn, of_updates))
        train(config, tmp_path / name)
    first, *others = (tmp_path / name for name in pauses)
    for other in others:
        assert_equal(training_state(first), training_state(other))
        assert_equal(rows(first / "episodes.csv"), rows(other / "episodes.csv"))
        replays = replay_of(first), replay_of(other)
        assert replays[0].keys() == replays[1].keys()
        assert all((array == replays[1][name]).all() for name, array in replays[0].items())


def test_a_run_stopped_by_its_own_limit_can_be_prolonged_to_the_same_end(tmp_path, small_run, whole_run):
    shorter = small_run.model_copy(update={"training": small_run.training.model_copy(update={"agent_steps": 90})})
    assert train(shorter, tmp_path / "broken").stop == "training.agent_steps"
    resume(tmp_path / "broken", ["training.agent_steps=200"])
    assert_equal(training_state(whole_run), training_state(tmp_path / "broken"))


def test_another_seed_is_another_run(tmp_path, small_run, whole_run):
    train(small_run.model_copy(update={"seed": 12}), tmp_path / "other")
    one, other = (training_state(path)["network"] for path in (whole_run, tmp_path / "other"))
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_evaluation_while_training_leaves_training_as_it_was(tmp_path, small_run_file, whole_run):
    train(load_config(small_run_file, ["evaluation.every_steps=60"]), tmp_path / "with")
    without, evaluated = training_state(whole_run), training_state(tmp_path / "with")
    for state in (without, evaluated):
        del state["training"]["evaluated_at"], state["training"]["best"]
    assert_equal(without, evaluated)
    assert [row["agent_steps"] for row in rows(tmp_path / "with" / "evaluation.csv")] == ["60", "120", "180", "200"]


EVALUATED = ["evaluation.every_steps=100"]


@pytest.fixture(scope="module")
def evaluated_run(tmp_path_factory) -> Path:
    """The small run from its beginning to its end, with two evaluations."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("resume")
    (folder / "small.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "small.yaml", EVALUATED), folder / "evaluated").run_dir.path


@pytest.mark.parametrize("agent_steps", [100, 200])
def test_an_evaluation_that_a_signal_cut_off_is_made_up_for_at_the_same_agent_step(
    tmp_path, small_run_file, evaluated_run, agent_steps
):
    config = load_config(small_run_file, EVALUATED)
    train(config, tmp_path / "broken", observer=StopAt(agent_steps))  # before the evaluation of that very step
    resume(tmp_path / "broken")
    assert_equal(training_state(evaluated_run), training_state(tmp_path / "broken"))
    evaluations = [rows(path / "evaluation.csv") for path in (evaluated_run, tmp_path / "broken")]
    assert evaluations[0] == evaluations[1]
    assert [row["agent_steps"] for row in evaluations[0]] == ["100", "200"]
    best = [load_checkpoint(RunDir(path).best) for path in (evaluated_run, tmp_path / "broken")]
    assert_equal(*best)


def test_the_best_so_far_and_the_clock_go_on(tmp_path, small_run_file):
    config = load_config(small_run_file, ["evaluation.every_steps=50", "logging.every_seconds=0.2"])
    train(config, tmp_path / "run", observer=StopAt(110))
    before = load_checkpoint(RunDir(tmp_path / "run").latest)
    assert before["training"]["best"] is not None
    assert before["training"]["evaluated_at"] == 100
    resume(tmp_path / "run", ["training.agent_steps=112", "evaluation.every_steps=200"])
    after = load_checkpoint(RunDir(tmp_path / "run").latest)
    assert after["training"]["best"] >= before["training"]["best"]
    assert after["seconds"] > before["seconds"]
    seconds = [float(row["seconds"]) for row in rows(tmp_path / "run" / "metrics.csv", without=())]
    assert seconds == sorted(seconds)


def test_a_better_checkpoint_than_the_last_save_knows_of_is_only_replaced_by_a_better_one(
    tmp_path, small_run_file, monkeypatch
):
    rates = iter([0.2, 0.9, 0.5, 0.3])
    merit: list[float] = []
    monkeypatch.setattr(EvaluationReport, "clear_rate", property(lambda report: merit[-1]))

    class Watch(Observer):
        def __init__(self, dies_at: int | None = None) -> None:
            self.dies_at, self.told = dies_at, []

        def progressed(self, progress) -> None:
            if progress.agent_steps % 50 == 0:
                merit.append(next(rates))  # of the evaluation that comes next

        def evaluated(self, report, agent_steps: int, *, best: bool) -> None:
            self.told.append((agent_steps, best))
            if agent_steps == self.dies_at:
                raise PowerCut

    place = RunDir(tmp_path / "run")
    settings = ["evaluation.every_steps=50", "training.checkpoint_every_steps=60", "training.agent_steps=150"]
    with pytest.raises(PowerCut):
        train(load_config(small_run_file, settings), place.path, observer=Watch(dies_at=100))
    assert load_checkpoint(place.latest)["training"]["best"][0] == 0.2  # saved at step 60
    assert load_checkpoint(place.best)["evaluation"]["merit"][0] == 0.9
    watch = Watch()
    resume(place.path, observer=watch)
    assert watch.told == [(100, False), (150, False)]
    assert load_checkpoint(place.best)["evaluation"]["merit"][0] == 0.9
    # What the run itself knows is as if nothing had happened to it.
    assert load_checkpoint(place.latest)["training"]["best"][0] == 0.5


def test_a_best_checkpoint_that_cannot_be_read_is_a_warning_and_replaced(tmp_path, small_run_file):
    place = RunDir(tmp_path / "run")
    config = load_config(small_run_file, ["evaluation.every_steps=50", "training.agent_steps=50"])
    train(config, place.path)
    place.best.write_bytes(place.best.read_bytes()[:1000])
    resume(place.path, ["training.agent_steps=100", "evaluation.protocol=noop"], observer=(listen := Listen()))
    assert any("best.pt: can't be read, the next evaluation's will take its place" in line for line in listen.warnings)
    assert load_checkpoint(place.best)["agent_steps"] == 100


def test_the_last_row_of_metrics_comes_back_where_a_kill_took_it(tmp_path, small_run_file, drawn_curves):
    config = load_config(small_run_file, ["training.agent_steps=160", "logging.every_seconds=3600"])
    place = train(config, tmp_path / "run").run_dir
    place.metrics.write_text(place.metrics.read_text().splitlines(keepends=True)[0])
    place.curve.unlink()
    resume(place.path)
    assert [row["agent_steps"] for row in rows(place.metrics)] == ["160"]
    assert place.curve.read_bytes().startswith(b"\x89PNG")


def test_a_run_goes_on_from_another_folder_than_it_was_begun_in(tmp_path, small_run_file, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(load_config(small_run_file, ["training.agent_steps=20"]), "teacher")
    config = load_config(small_run_file, ["training.initial_checkpoint=teacher", "training.agent_steps=20"])
    train(config, "student")
    monkeypatch.chdir(tmp_path)
    assert resume("here/student", ["training.agent_steps=24"]).progress.agent_steps == 24
    RunDir(tmp_path / "here" / "student").latest.unlink()  # as if killed before it: the teacher is asked for again
    assert resume("here/student").progress.agent_steps == 24


def test_a_run_that_is_refused_leaves_no_emulator_open(tmp_path, small_run, monkeypatch):
    closed = []
    close = collect.Collector.close
    monkeypatch.setattr(collect.Collector, "close", lambda self: closed.append(1) or close(self))
    train(small_run, tmp_path / "run", observer=StopAt(20))
    assert len(closed) == 1
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    del state["training"]["collector"]["games"]["arrays"]["games"]
    save_checkpoint(latest, state)
    with pytest.raises(CheckpointError, match=r"damaged.*the games' state has no games"):
        resume(tmp_path / "run")
    assert len(closed) == 2


def test_the_best_under_one_protocol_is_not_compared_with_another(tmp_path, small_run_file, monkeypatch):
    rates = {"greedy": 1.0, "sticky": 0.9}
    monkeypatch.setattr(EvaluationReport, "clear_rate", property(lambda report: rates[report.protocol]))
    config = load_config(small_run_file, ["evaluation.every_steps=50", "training.agent_steps=50"])
    train(config, tmp_path / "run")

    changes = ["evaluation.protocol=sticky", "evaluation.episodes=2", "training.clear_rate=0.95"]
    result = resume(tmp_path / "run", [*changes, "training.agent_steps=100"], observer=(listen := Listen()))
    assert result.stop == "training.agent_steps"  # greedy's rate of 1 is not sticky's
    assert listen.warnings == [
        "the best so far was found under greedy and doesn't compare with sticky, 2 episodes with seed 10000: "
        "the next evaluation's will take its place"
    ]
    assert load_checkpoint(RunDir(tmp_path / "run").best)["evaluation"]["protocol"] == "sticky"


@pytest.mark.parametrize(("key", "before", "after"), [("episodes", 1, 3), ("seed", 5, 6)])
def test_the_best_of_few_episodes_or_of_other_ones_is_not_compared_with_another(
    tmp_path, small_run_file, monkeypatch, key, before, after
):
    by_evaluation = {(1, 10_000): 1.0, (3, 10_000): 0.5, (20, 5): 1.0, (20, 6): 0.5}
    rate = property(lambda report: by_evaluation[len(report.episodes), report.seed])
    monkeypatch.setattr(EvaluationReport, "clear_rate", rate)
    settings = ["evaluation.every_steps=50", "training.agent_steps=50", "evaluation.protocol=sticky"]
    train(load_config(small_run_file, [*settings, f"evaluation.{key}={before}"]), tmp_path / "run")

    changes = [f"evaluation.{key}={after}", "training.clear_rate=0.9", "training.agent_steps=100"]
    result = resume(tmp_path / "run", changes, observer=(listen := Listen()))
    assert result.stop == "training.agent_steps"  # a lucky evaluation of another kind is not what is asked for
    assert len(listen.warnings) == 1
    assert load_checkpoint(RunDir(tmp_path / "run").best)["evaluation"]["merit"][0] == 0.5
    resume(tmp_path / "run", observer=(listen := Listen()))
    assert listen.warnings == []


def test_a_second_ctrl_c_in_the_middle_of_saving_leaves_a_run_that_resumes(tmp_path, small_run, whole_run, monkeypatch):
    replace = Path.replace

    def replace_then_interrupt(partial: Path, path: Path) -> Path:
        done = replace(partial, path)
        if path.name == "latest.pt" and sent.sent:
            signal.raise_signal(signal.SIGINT)
        return done

    sent = StopAt(110)
    monkeypatch.setattr(Path, "replace", replace_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(small_run, tmp_path / "run", observer=sent)
    monkeypatch.setattr(Path, "replace", replace)
    assert resume(tmp_path / "run").progress.agent_steps == 200
    assert_equal(training_state(whole_run), training_state(tmp_path / "run"))
    assert len(list((tmp_path / "run" / "replay").iterdir())) == 1


DAMAGES = {
    "no games": (("collector",), None, r"refused, training\.collector: "),
    "moments of another shape": (
        ("agent", "optimizer", "state", 0, "exp_avg"),
        torch.zeros(3),
        r"optimizer\.state\.0\.exp_avg is float32 \(3,\); must be float32 \(32, 4, 8, 8\)",
    ),
    "moments of another precision": (
        ("agent", "optimizer", "state", 1, "exp_avg_sq"),
        torch.zeros(32, dtype=torch.float64),
        r"exp_avg_sq is float64 \(32,\); must be float32 \(32,\)",
    ),
    "moments that are missing": (("agent", "optimizer", "state", 0), {}, r"optimizer\.state\.0 lacks step"),
    "no moments after updates": (("agent", "optimizer", "state"), {}, r"optimizer\.state lacks 0"),
    "squares below 0": (("agent", "optimizer", "state", 1, "exp_avg_sq"), -torch.ones(32), "has numbers below 0"),
    "other steps than updates": (("agent", "optimizer", "state", 0, "step"), torch.tensor(3.0), r"step is 3\.0; must"),
    "no optimiser": (("agent", "optimizer"), None, r"optimizer\.state is null; must be a dict"),
    "a target network of another size": (
        ("agent", "target", "features.0.bias"),
        torch.zeros(31),
        r"target\.features\.0",
    ),
    "updates as text": (("agent", "updates"), "3", r"updates is a str; must be a int"),
    "a generator of something else": (("replay_generator",), "{}", "not the state of a PCG64 generator"),
    "a generator of torch cut short": (("torch_generators", "cpu"), torch.zeros(4, dtype=torch.uint8), "RNG state"),
    "a replay that is not there": (("replay_generation",), 77, r"generation_000077\.npz: no such replay file"),
}


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory, whole_run) -> Path:
    """The small run after 60 agent steps, five updates of them."""
    run_dir = tmp_path_factory.mktemp("stopped") / "run"
    train(load_run_config(whole_run / "config.yaml"), run_dir, observer=StopAt(60))
    return run_dir


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_checkpoint_damaged_inside_is_one_clear_line(tmp_path, stopped_run, kind):
    path, value, said = DAMAGES[kind]
    shutil.copytree(stopped_run, tmp_path / "run")
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    part = state["training"]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    save_checkpoint(latest, state)
    before = contents(tmp_path / "run")
    with pytest.raises(CheckpointError, match=said) as refused:
        resume(tmp_path / "run")
    assert "\n" not in str(refused.value)
    assert contents(tmp_path / "run") == before


def contents(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_run_from_before_the_compiled_emulator_is_refused_with_what_to_do_instead(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    games = state["training"]["collector"].pop("games")
    state["training"]["collector"]["episodes"] = [{"seed": 1, "actions": []}] * len(games)
    save_checkpoint(latest, state)
    with pytest.raises(CheckpointError, match=r"before the compiled emulator; begin another run .*initial_checkpoint="):
        resume(tmp_path / "run")


def test_another_rom_is_refused(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    assert state["rom"] == SUPER_MARIO_BROS_PAL
    save_checkpoint(latest, state | {"rom": "ab" * 32})
    with pytest.raises(CheckpointError, match=r"run: was begun with the ROM of SHA-256 abab.*, env\.rom is now ec299b"):
        resume(tmp_path / "run")


def test_a_game_whose_state_is_damaged_inside_is_one_clear_line(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    state["training"]["collector"]["games"]["arrays"]["machines"][0, console.LISTED] = 200
    save_checkpoint(latest, state)
    with pytest.raises(CheckpointError, match=r"damaged.*a sprite that is not between 0 and 63") as refused:
        resume(tmp_path / "run")
    assert "\n" not in str(refused.value)


def test_a_run_older_than_a_key_counts_as_having_its_default(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    latest = RunDir(tmp_path / "run").latest
    state = load_checkpoint(latest)
    del state["config"]["env"]["frame_skip"]
    save_checkpoint(latest, state)
    assert resume(tmp_path / "run", ["training.agent_steps=22"]).progress.agent_steps == 22


def as_with_actors(run_dir: Path, actors: int | str) -> None:
    """Make a run look as a version wrote it that had the key `training.actors`."""
    place = RunDir(run_dir)
    text = place.config.read_text()
    assert "actors" not in text
    place.config.write_text(text.replace("  envs: 2\n", f"  envs: 2\n  # Actor processes.\n  actors: {actors}\n"))
    state = load_checkpoint(place.latest)
    state["config"]["training"]["actors"] = actors
    save_checkpoint(place.latest, state)


def test_a_run_from_when_there_were_actors_and_that_had_none_goes_on_bit_for_bit(tmp_path, small_run, whole_run):
    train(small_run, tmp_path / "broken", observer=StopAt(110))
    as_with_actors(tmp_path / "broken", 0)
    resume(tmp_path / "broken", ["logging.every_seconds=2"])
    assert_equal(training_state(whole_run), training_state(tmp_path / "broken"))
    assert "actors" not in (tmp_path / "broken" / "config.yaml").read_text()  # written anew, as this version has it


@pytest.mark.parametrize("actors", [1, "auto"])
def test_a_run_that_actor_processes_played_goes_on_with_new_episodes_and_says_so(tmp_path, small_run, actors):
    train(small_run, tmp_path / "run", observer=StopAt(110))
    as_with_actors(tmp_path / "run", actors)
    latest, played = RunDir(tmp_path / "run").latest, replay_of(tmp_path / "run")
    state = load_checkpoint(latest)
    state["training"]["collector"] = {"agent_steps": 110, "starts": 1}
    save_checkpoint(latest, state)
    episodes = rows(tmp_path / "run" / "episodes.csv")

    result = resume(tmp_path / "run", observer=(listen := Listen()))
    assert listen.warnings == ["this run was played by actor processes, which are no more: its episodes begin anew"]
    assert (result.progress.agent_steps, result.progress.updates) == (200, (200 - 40) // 4)
    assert rows(tmp_path / "run" / "episodes.csv")[: len(episodes)] == episodes
    held, (written, *_) = replay_of(tmp_path / "run"), played["positions"]
    for env, number in enumerate(written):
        at = number - 1  # the ring, 300 slots, has not come round
        ended = bool(played[f"terminated_{env}_0"][at] or played[f"is_tail_{env}_0"][at])
        assert held[f"is_tail_{env}_0"][at] == (not ended or played[f"is_tail_{env}_0"][at])
        assert held[f"earlier_{env}_0"][at + 1] == 0  # what comes next sees nothing of before
    assert "games" in load_checkpoint(latest)["training"]["collector"]
    assert resume(tmp_path / "run", ["training.agent_steps=204"], observer=(again := Listen())).progress.updates == 41
    assert again.warnings == []


def test_a_lost_table_costs_no_other(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(150))
    episodes = rows(tmp_path / "run" / "episodes.csv")
    (tmp_path / "run" / "metrics.csv").unlink()
    resume(tmp_path / "run", ["training.agent_steps=152"])
    assert rows(tmp_path / "run" / "episodes.csv")[: len(episodes)] == episodes != []


def test_rows_written_after_the_last_checkpoint_are_dropped(tmp_path, small_run, whole_run):
    class Die(Observer):
        def progressed(self, progress) -> None:
            if progress.agent_steps >= 150:
                raise PowerCut

    with pytest.raises(PowerCut):
        train(small_run, tmp_path / "run", observer=Die())
    before = rows(tmp_path / "run" / "episodes.csv")
    assert any(int(row["agent_steps"]) > 80 for row in before)  # the last checkpoint is from step 80
    resume(tmp_path / "run")
    assert rows(tmp_path / "run" / "episodes.csv") == rows(whole_run / "episodes.csv")
    assert_equal(training_state(whole_run), training_state(tmp_path / "run"))


def test_a_run_that_died_at_its_first_step_begins_again(tmp_path, small_run, whole_run):
    class Die(Observer):
        def progressed(self, progress) -> None:
            raise PowerCut

    with pytest.raises(PowerCut):
        train(small_run, tmp_path / "run", observer=Die())
    resume(tmp_path / "run")
    assert_equal(training_state(whole_run), training_state(tmp_path / "run"))


@pytest.mark.parametrize(
    "override", ["agent.gamma=0.5", "env.stage=1-2", "training.envs=4", "replay.capacity=700", "seed=1", "device=auto"]
)
def test_resume_refuses_to_change_what_was_learned_with(tmp_path, small_run, override):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    written = (tmp_path / "run" / "config.yaml").read_text()
    key = override.split("=")[0]
    with pytest.raises(ConfigError, match=rf"^{key}: .* is not allowed on --resume.*only stop conditions") as error:
        resume(tmp_path / "run", [override])
    assert "\n" not in str(error.value)
    assert (tmp_path / "run" / "config.yaml").read_text() == written


def test_resume_may_change_stop_conditions_logging_and_evaluation(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    changes = ["training.agent_steps=24", "logging.every_seconds=2", "evaluation.protocol=noop"]
    result = resume(tmp_path / "run", changes)
    assert result.progress.agent_steps == 24
    kept = load_config(tmp_path / "run" / "config.yaml")
    assert (kept.training.agent_steps, kept.logging.every_seconds, kept.evaluation.protocol) == (24, 2.0, "noop")


def test_a_config_file_edited_by_hand_is_refused_like_an_override(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("n_step: 3", "n_step: 4"))
    with pytest.raises(ConfigError, match=r"^agent\.n_step: 4 is not allowed on --resume"):
        resume(tmp_path / "run")


def test_a_finished_run_is_left_alone(tmp_path, small_run_file):
    config = load_config(small_run_file, ["training.agent_steps=20"])
    train(config, tmp_path / "run")
    before = RunDir(tmp_path / "run").latest.stat().st_mtime_ns
    assert resume(tmp_path / "run").stop == "training.agent_steps"
    assert RunDir(tmp_path / "run").latest.stat().st_mtime_ns == before


def test_a_run_for_whose_end_the_disk_has_no_room_is_told_what_can_be_done_about_it(tmp_path, small_run, monkeypatch):
    """Neither another capacity nor another place is allowed to a run that goes on."""

    class Disk:
        free = 50_000_000

    place = train(small_run, tmp_path / "run", observer=StopAt(20)).run_dir
    kept = place.replay_files()[0].stat().st_size
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: Disk)
    (place.replay / "thesis.npz").write_bytes(bytes(300_000_000))  # not this run's: it will not go
    missing = 2 * 600 * (84 * 84 + 8) + 200_000_000 - kept - 50_000_000
    assert 0.15e9 < missing <= 0.2e9
    with pytest.raises(
        UserError, match=r"0\.1 GB is free; free 0\.2 GB more there, or move the run directory to a larger disk"
    ):
        resume(place.path)


def test_a_run_whose_disk_was_full_for_a_while_goes_on_bit_for_bit(tmp_path, small_run, whole_run):
    """What the operating system refuses: files of more than a megabyte, which `latest.pt` has."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class FillTheDisk(Observer):
        def saved(self, path, agent_steps: int) -> None:
            if agent_steps == 80:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))

    run = tmp_path / "my run"
    try:
        with pytest.raises(StorageError, match=r"\.pt: could not be written .* go on with: .* --resume '.*run'$"):
            train(small_run, run, observer=FillTheDisk())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(RunDir(run).latest)["agent_steps"] == 80
    assert [file for file in run.rglob("*") if file.suffix == ".partial"] == []
    resume(run)
    assert_equal(training_state(whole_run), training_state(run))
    assert rows(whole_run / "episodes.csv") == rows(run / "episodes.csv")


def test_as_many_threads_as_ever_are_no_other_version(tmp_path, small_run):
    """A run computes with one thread, however many this process would use."""

    train(small_run, tmp_path / "run", observer=StopAt(20))
    torch.set_num_threads(3)
    resume(tmp_path / "run", ["training.agent_steps=24"], observer=(listen := Listen()))
    assert (listen.warnings, torch.get_num_threads()) == ([], 3)


def test_going_on_where_updates_are_computed_in_other_numbers_is_said(tmp_path, small_run_file, monkeypatch):
    """Of `agent.bfloat16: auto`, on a machine with another processor."""

    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    config = load_config(small_run_file, ["agent.bfloat16=auto", "device=cpu"])
    train(config, tmp_path / "run", observer=StopAt(20))
    (tmp_path / "cpuinfo").write_text("flags : amx_bf16\n")
    resume(tmp_path / "run", ["training.agent_steps=24"], observer=(listen := Listen()))
    assert listen.warnings == ["resuming with other versions, so not bit for bit: updates in float32 -> bfloat16"]


def test_an_existing_run_is_never_overwritten(tmp_path, small_run):
    train(small_run, tmp_path / "run", observer=StopAt(20))
    with pytest.raises(UserError, match=r"run: exists already; name another --run-dir, or go on with it by --resume"):
        train(small_run, tmp_path / "run")


def test_two_processes_cannot_train_in_one_directory(tmp_path, small_run_file):
    class TryToResume(Observer):
        refused: str | None = None

        def progressed(self, progress) -> None:
            if self.refused is None:
                try:
                    resume(tmp_path / "run")
                except UserError as error:
                    self.refused = str(error)

    observer = TryToResume()
    train(load_config(small_run_file, ["training.agent_steps=20"]), tmp_path / "run", observer=observer)
    assert observer.refused == f"{tmp_path / 'run'}: in use, another process trains in it"


def test_training_outside_the_main_thread_works_without_signal_handlers(tmp_path, small_run_file):
    config = load_config(small_run_file, ["training.agent_steps=20"])
    results = []
    thread = threading.Thread(target=lambda: results.append(train(config, tmp_path / "run")))
    thread.start()
    thread.join()
    assert results[0].progress.agent_steps == 20


def test_signal_handlers_are_put_back(tmp_path, small_run):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(small_run, tmp_path / "run", observer=StopAt(20, signal.SIGTERM))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_callers_random_state_is_left_as_it_was(tmp_path, small_run_file):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(load_config(small_run_file, ["training.agent_steps=80"]), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)
