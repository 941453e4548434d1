"""Seeing a search through, by the real Optuna; runs are made up but where the game is the point."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from made_up import make_finals

from mario_rl.cli import main
from mario_rl.config import Config, load_config
from mario_rl.config.search import SearchFinalConfig, load_search
from mario_rl.errors import StorageError, UserError
from mario_rl.report.drawing import save_png
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EPISODE_COLUMNS, write_table
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.runner import RunDiverged, RunFailed
from mario_rl.studies.work import RunStopped
from mario_rl.tuning import commands, results
from mario_rl.tuning.directory import SearchDir
from mario_rl.tuning.runner import SearchObserver, objective_value, training_x
from mario_rl.tuning.trials import Trial, Trials, decode

SEARCH = """\
base: small.yaml
space:
  agent.learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}
  agent.n_step: {low: 1, high: 6}
  network.dueling: [true, false]
objective: training_x
trials: 8
agent_steps: 1_000
seeds: [7]
startup_trials: 4
final: {protocols: [greedy], episodes: 1}
"""
FINAL = SearchFinalConfig(protocols=("greedy",), episodes=1)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of this process draw nothing, which takes as long as the rest of them, but where a test asks for it."""
    monkeypatch.setattr(
        results, "save_png", lambda figure, path, **options: path.write_bytes(b"where a picture would be")
    )


@pytest.fixture
def drawn(undrawn: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "save_png", save_png)


@pytest.fixture
def search_file(small_run_file: Path) -> Path:
    path = small_run_file.with_name("search.yaml")
    path.write_text(SEARCH)
    return path


@pytest.fixture
def out(tmp_path: Path) -> SearchDir:
    return SearchDir(tmp_path / "out")


def x_of(config: Config) -> int:
    """What made-up runs come to: further with a small n_step, a little further with dueling."""
    return 2000 - 100 * config.agent.n_step + 10 * config.network.dueling


class MadeUp:
    """Makes a run of ten episodes, as far as its settings say, and leaves what says that it is done."""

    def __init__(self) -> None:
        self.stopped = False

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        for number in range(1, 11):
            write_episodes(run_dir, [self.x(run)] * number)
            yield 100 * number
            if self.stopped:
                raise RunStopped(signal.SIGTERM)
        make_finals(run_dir, FINAL)

    def x(self, run: StudyRun) -> int:
        return x_of(run.config)

    def stop(self) -> None:
        self.stopped = True

    def kill(self) -> None:
        pytest.fail("nobody interrupted twice")


def write_episodes(run_dir: RunDir, xs: list[int]) -> None:
    """Write one episode for every 100 agent steps."""
    common = {"seconds": 1.0, "env": 0, "stage": "1-1", "return": 0.0, "length": 9, "clock": 300, "end": "death"}
    rows = [{**common, "episode": n, "agent_steps": 100 * n, "x": x} for n, x in enumerate(xs, 1)]
    write_table(run_dir.episodes, EPISODE_COLUMNS, rows)


def tried(file: Path, out: SearchDir) -> list[Trial]:
    trials = Trials(out.database, load_search(file)[0], file)
    try:
        return trials.all()
    finally:
        trials.close()


def settings(trials: list[Trial]) -> list[dict[str, object]]:
    return [one.values for one in trials]


def test_the_best_settings_are_found_and_written_as_a_config_that_trains_as_long_as_the_base(search_file, out, drawn):
    sitting = commands.run(search_file, out, jobs=1, executor=MadeUp)
    trials = tried(search_file, out)
    complete = {one.number: one for one in trials if one.state == "complete"}
    best = max(complete.values(), key=lambda one: one.value)
    assert sitting.found.best == results.best_of(trials)
    assert sitting.found.best.value == best.value
    assert best.values["agent.n_step"] == 1
    found, base = load_config(out.best), load_config(search_file.with_name("small.yaml"))
    assert found.agent.n_step == 1
    assert found.agent.learning_rate == sitting.found.best.values["agent.learning_rate"]
    assert (found.training, found.evaluation, found.seed) == (base.training, base.evaluation, base.seed)
    for path in (out.history, out.importance):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert out.study.read_text() == SEARCH


def test_the_table_has_a_row_for_every_trial_and_a_value_where_it_is_complete(search_file, out):
    commands.run(search_file, out, jobs=1, executor=MadeUp)
    with out.trials.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trials = tried(search_file, out)
    assert [int(row["trial"]) for row in rows] == list(range(8))
    assert [row["state"] for row in rows] == [one.state for one in trials]
    for row, one in zip(rows, trials, strict=True):
        assert json.loads(row["network.dueling"]) == one.values["network.dueling"]
        assert int(row["agent.n_step"]) == one.values["agent.n_step"]
        assert row["training_x"] == ("" if one.state != "complete" else str(one.value))
        assert one.state != "complete" or one.value == 2000 - 100 * int(row["agent.n_step"]) + 10 * (
            row["network.dueling"] == "true"
        )


def test_the_same_seed_draws_the_same_trials_and_another_seed_others(search_file, tmp_path):
    first, second, other = (SearchDir(tmp_path / name) for name in "abc")
    for directory in (first, second):
        commands.run(search_file, directory, jobs=1, executor=MadeUp)
    assert tried(search_file, first) == tried(search_file, second)
    search_file.write_text(SEARCH + "seed: 1\n")
    commands.run(search_file, other, jobs=1, executor=MadeUp)
    ours = {str(one) for one in settings(tried(search_file, other))}
    search_file.write_text(SEARCH)
    assert not ours & {str(one) for one in settings(tried(search_file, first))}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_in_two_sittings_has_the_trials_of_one_and_repeats_no_draw(search_file, tmp_path, sampler):
    whole, parts = SearchDir(tmp_path / "whole"), SearchDir(tmp_path / "parts")
    search_file.write_text(SEARCH + f"sampler: {sampler}\npruner: none\n")
    commands.run(search_file, whole, jobs=1, executor=MadeUp)
    commands.run(search_file, parts, jobs=1, trials=5, executor=MadeUp)
    assert len(tried(search_file, parts)) == 5
    commands.run(search_file, parts, jobs=1, executor=MadeUp)
    assert tried(search_file, parts) == tried(search_file, whole)
    assert len({str(one) for one in settings(tried(search_file, whole))}) == 8
    done = commands.run(search_file, parts, jobs=1, executor=lambda: pytest.fail("all is done"))
    assert done.found.best == results.best_of(tried(search_file, whole))


def test_an_interrupted_trial_goes_on_as_itself_and_is_counted_once(search_file, tmp_path):
    whole, broken = SearchDir(tmp_path / "whole"), SearchDir(tmp_path / "broken")
    commands.run(search_file, whole, jobs=1, executor=MadeUp)
    begun: list[StudyRun] = []

    class Interrupted(MadeUp):
        def execute(self, run, run_dir):
            begun.append(run)
            for steps in super().execute(run, run_dir):
                if run.arm == "trial_0005" and steps == 200:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0.5)  # as long as the main thread takes to tell
                yield steps

    sitting = commands.run(search_file, broken, jobs=1, executor=Interrupted)
    assert sitting.outcome.signal == signal.SIGTERM
    assert [one.state for one in tried(search_file, broken)][5:] == ["running"]
    assert sitting.found.best is not None  # what there is so far is written too

    class GoingOn(MadeUp):
        def execute(self, run, run_dir):
            begun.append(run)
            return super().execute(run, run_dir)

    commands.run(search_file, broken, jobs=1, executor=GoingOn)
    assert tried(search_file, broken) == tried(search_file, whole)
    assert [run.arm for run in begun].count("trial_0005") == 2
    assert begun[5] == begun[6]


def test_a_killed_search_keeps_what_was_drawn_in_part(search_file, out):
    """Killed between two suggestions, a trial has some of its settings; they stay, the others are drawn."""
    commands.run(search_file, out, jobs=1, trials=1, executor=MadeUp)
    (before,) = tried(search_file, out)
    with sqlite3.connect(out.database) as database:
        database.execute("UPDATE trials SET state = 'RUNNING'")
        database.execute("DELETE FROM trial_values")
        database.execute("DELETE FROM trial_params WHERE param_name != 'agent.n_step'")
    database.close()
    commands.run(search_file, SearchDir(out.path), jobs=1, trials=1, executor=MadeUp)
    (after,) = tried(search_file, out)
    assert after.values["agent.n_step"] == before.values["agent.n_step"]
    assert after.state == "complete"
    assert set(after.values) == set(before.values)


def test_two_trials_at_once(search_file, out):
    both = threading.Barrier(2, timeout=20)  # passes only if two are there together

    class Together(MadeUp):
        def execute(self, run, run_dir):
            both.wait()
            yield from super().execute(run, run_dir)

    search_file.write_text(SEARCH + "pruner: none\n")
    commands.run(search_file, out, jobs=2, executor=Together)
    trials = tried(search_file, out)
    assert [one.state for one in trials] == ["complete"] * 8
    assert [one.number for one in trials] == list(range(8))


def test_a_pruned_trial_is_stopped_alone_and_keeps_its_tables(search_file, out):
    heard: list[tuple[str, str, int]] = []

    class Hearing(SearchObserver):
        def ended(self, trial, reason, unmade):
            heard.append((trial.state, reason, unmade))

    class WithWeights(MadeUp):
        def execute(self, run, run_dir):
            run_dir.checkpoints.mkdir(parents=True)
            run_dir.latest.write_bytes(b"weights")
            yield from super().execute(run, run_dir)

    commands.run(search_file, out, jobs=1, executor=WithWeights, observer=Hearing())
    trials = tried(search_file, out)
    pruned = [one for one in trials if one.state == "pruned"]
    assert pruned, [one.state for one in trials]
    assert all(one.number >= 4 for one in pruned)  # those at startup are seen through
    for one in trials:
        run = out.run(f"trial_{one.number:04d}", 7)
        assert run.episodes.is_file()
        assert run.latest.exists() == (one.state == "complete")
        assert run.final.exists() == (one.state == "complete")
    assert len(heard) == 8
    for state, reason, unmade in heard:
        assert reason.startswith("worse than others at ") == (state == "pruned")
        assert (unmade > 0) == (state == "pruned")


def test_a_trial_is_the_mean_over_its_seeds(search_file, out):
    class BySeed(MadeUp):
        def x(self, run):
            return run.seed

    search_file.write_text(SEARCH.replace("seeds: [7]", "seeds: [100, 300]"))
    commands.run(search_file, out, jobs=1, trials=2, executor=BySeed)
    assert [one.value for one in tried(search_file, out)] == [200.0, 200.0]
    assert {run.parent.name for run in out.runs.glob("*/seed_300")} == {"trial_0000", "trial_0001"}


def test_a_trial_that_fails_says_why_and_another_takes_its_place_next_time(search_file, out):
    class Failing(MadeUp):
        def execute(self, run, run_dir):
            if run.arm == "trial_0001":
                raise RunFailed("first line\nthe disk is full")
            yield from super().execute(run, run_dir)

    sitting = commands.run(search_file, out, jobs=1, trials=3, executor=Failing)
    assert [(run.arm, reason) for run, reason in sitting.outcome.failed.items()] == [("trial_0001", "the disk is full")]
    assert out.error("trial_0001", 7).read_text() == "first line\nthe disk is full\n"
    assert [one.state for one in tried(search_file, out)] == ["complete", "failed", "complete"]
    commands.run(search_file, out, jobs=1, trials=3, executor=MadeUp)
    assert [one.state for one in tried(search_file, out)] == ["complete", "failed", "complete", "complete"]


def test_settings_with_which_learning_runs_away_count_as_tried_and_as_bad(search_file, out):
    class Diverging(MadeUp):
        def execute(self, run, run_dir):
            run_dir.replay.mkdir(parents=True)
            run_dir.checkpoints.mkdir()
            for file in (run_dir.replay_file(1), run_dir.latest, run_dir.episodes):
                file.touch()
            yield 100
            raise RunDiverged("learning diverged")

    sitting = commands.run(search_file, out, jobs=1, trials=2, executor=Diverging)
    assert sitting.outcome.failed == {}
    assert [one.state for one in tried(search_file, out)] == ["pruned", "pruned"]
    assert sitting.found.text == "2 of 2 trials: 0 complete, 2 pruned"
    assert sitting.found.files == [out.trials]
    left = {file.name for file in out.path.rglob("*") if file.suffix in (".pt", ".npz", ".csv")}
    assert left == {"episodes.csv", "trials.csv"}  # nobody goes on with their weights


def test_values_that_are_no_config_together_are_pruned_before_anything_runs(search_file, out):
    space = "space:\n  replay.capacity: {low: 100, high: 900}\n  replay.warmup_steps: {low: 50, high: 800}\n"
    search_file.write_text(SEARCH.replace("space:\n", space))
    commands.run(search_file, out, jobs=1, executor=MadeUp)
    trials = tried(search_file, out)
    impossible = [one for one in trials if one.values["replay.warmup_steps"] > one.values["replay.capacity"]]
    assert impossible
    assert all(one.state == "pruned" and not out.run(f"trial_{one.number:04d}", 7).path.exists() for one in impossible)


def test_what_a_search_found_before_its_database_was_lost_is_taken_up(search_file, out):
    commands.run(search_file, out, jobs=1, trials=3, executor=MadeUp)
    before = tried(search_file, out)
    out.database.unlink()
    commands.run(search_file, out, jobs=1, trials=3, executor=lambda: pytest.fail("these runs are done"))
    assert [(one.values, one.value) for one in tried(search_file, out)] == [(one.values, one.value) for one in before]


def test_a_search_with_other_settings_is_refused_by_key_and_loses_nothing(search_file, out):
    commands.run(search_file, out, jobs=1, trials=2, executor=MadeUp)
    before = out.database.read_bytes()
    for old, new, says in [
        ("high: 6", "high: 8", r"space was .*\"high\": 6.* there and is .*\"high\": 8"),
        ("agent_steps: 1_000", "agent_steps: 2_000", r"agent_steps was 1000 there and is 2000 here"),
        (
            "base: small.yaml",
            "base: small.yaml\nsettings: {agent.gamma: 0.5}",
            r"config agent\.gamma was 0\.95 there and",
        ),
    ]:
        search_file.write_text(SEARCH.replace(old, new))
        with pytest.raises(UserError, match=rf"search\.db: of another search, {says}"):
            commands.run(search_file, out, jobs=1, executor=MadeUp)
    assert out.database.read_bytes() == before
    assert out.study.read_text() == SEARCH


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at\n" * 40, b"SQLite format 3\0"]
)
def test_a_damaged_database_is_one_line_and_stays_as_it_was(search_file, out, content, capsys):
    out.path.mkdir()
    out.database.write_bytes(content)
    assert main(["tune", str(search_file), "--out", str(out.path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "search.db: can't be read as the database of a search" in said
    assert out.database.read_bytes() == content
    assert not out.study.exists()


def test_a_database_that_is_damaged_while_it_is_used_ends_the_sitting_in_a_line(search_file, out):
    class Damaging(MadeUp):
        def execute(self, run, run_dir):
            for file in out.path.glob("search.db*"):
                file.write_bytes(b"\xff" * 100_000)
            return super().execute(run, run_dir)

    with pytest.raises(StorageError, match=r"search\.db: could not be read or written"):
        commands.run(search_file, out, jobs=1, executor=Damaging)


def test_two_processes_do_not_share_a_search(search_file, out):
    out.path.mkdir()
    with FileLock(out.lock), pytest.raises(UserError, match="in use, another process works on this search"):
        commands.run(search_file, out, jobs=1, executor=MadeUp)


def test_a_folder_that_cannot_be_written_is_refused(search_file, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert main(["tune", str(search_file), "--out", str(tmp_path / "taken")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{tmp_path / 'taken' / '.lock'}: can't be written" in said
    assert (tmp_path / "taken").read_text() == "a file"


def test_any_folder_will_do(search_file, tmp_path):
    odd = SearchDir(tmp_path / "50% a?b #c é")
    commands.run(search_file, odd, jobs=1, trials=1, executor=MadeUp)
    assert odd.database.is_file()
    assert len(tried(search_file, odd)) == 1


def test_without_optuna_it_is_said_what_to_install(search_file, tmp_path):
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from mario_rl.cli import main\n"
        f"sys.exit(main(['tune', {str(search_file)!r}, '--out', {str(tmp_path / 'out')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == 'mario-rl: mario-rl tune: Optuna is not installed; pip install "mario-rl[tune]"\n'
    assert not (tmp_path / "out").exists()


@pytest.mark.takes("24 trials, since fewer would be a guess")
def test_what_mattered_is_told_once_there_are_enough_trials(search_file, out):
    search_file.write_text(SEARCH + "sampler: random\npruner: none\n")
    for number, enough in ((7, False), (24, True)):
        commands.run(search_file, out, jobs=1, trials=number, executor=MadeUp)
        trials = Trials(out.database, load_search(search_file)[0], search_file)
        shares = trials.importances()
        trials.close()
        assert bool(shares) == enough
    assert next(iter(shares)) == "agent.n_step"  # by which made-up runs differ most
    assert sum(shares.values()) == pytest.approx(1.0)


def test_the_mean_x_of_training_takes_the_last_100_episodes_by_an_agent_step(tmp_path):
    run = RunDir(tmp_path)
    write_episodes(run, [10, 20, 60, *[1000] * 120])
    assert training_x(run, until=99) is None
    assert training_x(run, until=100) == 10
    assert training_x(run, until=399) == 30
    assert training_x(run, until=10_100) == (20 + 60 + 98 * 1000) / 100  # the second to the 101st
    assert training_x(run) == 1000
    assert objective_value(run, "training_x") == 1000


def test_a_run_without_a_whole_episode_has_no_training_x(tmp_path):
    with pytest.raises(UserError, match=r"no episode ended, so the run has no training_x; raise agent_steps"):
        objective_value(RunDir(tmp_path), "training_x")


def test_the_other_objectives_are_those_of_the_evaluation_at_the_end(tmp_path):
    from mario_rl.runs.tables import read_evaluations

    run = RunDir(tmp_path)
    run.path.mkdir(exist_ok=True)
    make_finals(run, SearchFinalConfig(episodes=20), clear_rate=0.25)
    table = read_evaluations(run.final)
    assert objective_value(run, "final_x") == sum(table["x"]) / 20
    assert objective_value(run, "clear_rate") == sum(table["end"] == "clear") / 20


def test_drawn_numbers_have_four_digits_and_stay_within_their_bounds(search_file):
    from mario_rl.config.search import Range

    space = {"a": Range(low=0.1, high=0.99996), "b": Range(low=1, high=10), "c": (None, [1, 2], "x", True)}
    drawn = {"a": 0.123456789, "b": 3, "c": "[1, 2]"}
    assert decode(space, drawn) == {"a": 0.1235, "b": 3, "c": [1, 2]}
    assert decode(space, {"a": 0.99996}) == {"a": 0.99996}
    assert decode(space, {"c": "null"}) == {"c": None}
