"""Seeing a study through: what is left, what fails, and what a signal leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up import make_finals, make_study

from mario_rl.cli import main
from mario_rl.compare import report
from mario_rl.config.study import FinalConfig, load_study
from mario_rl.errors import UserError
from mario_rl.runs.directory import RunDir
from mario_rl.runs.packed import pack
from mario_rl.runs.study import StudyDir
from mario_rl.studies import commands, runner
from mario_rl.studies.arms import StudyRun, expand
from mario_rl.studies.runner import RunFailed, StudyObserver, run_study
from mario_rl.studies.work import RunStopped, perform
from mario_rl.training import Observer

SMALL_STUDY = """\
base: small.yaml
settings: {training.agent_steps: 160, evaluation.every_steps: 100, logging.every_seconds: 0.1}
axes: {agent.target: [target, double]}
seeds: [0]
final: {protocols: [greedy], episodes: 1}
"""
FINAL = FinalConfig(protocols=("greedy",), episodes=1)


@pytest.fixture
def study_file(small_run_file: Path) -> Path:
    path = small_run_file.with_name("study.yaml")
    path.write_text(SMALL_STUDY)
    return path


@pytest.fixture
def runs(study_file: Path) -> list[StudyRun]:
    return expand(load_study(study_file), study_file)


class Pretended:
    """Makes no agent steps but writes the file that says a run is done; what it is told to, fails."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.worked_on = failing, list[str]()

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        self.worked_on.append(run.arm)
        yield 10
        if run.arm in self.failing:
            raise RunFailed("first line\nthe disk is full")
        run_dir.path.mkdir(parents=True, exist_ok=True)
        make_finals(run_dir, FINAL)

    def stop(self) -> None:
        pytest.fail("nobody interrupted")

    def kill(self) -> None:
        pytest.fail("nobody interrupted twice")


def test_a_run_that_fails_stops_no_other_and_says_why(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")
    outcome = run_study(runs, directory, Pretended("target"), FINAL, jobs=1)
    assert {run.arm: reason for run, reason in outcome.failed.items()} == {"target": "the disk is full"}
    assert directory.run("double", 0).final.exists()
    assert directory.error("target", 0).read_text() == "first line\nthe disk is full\n"
    assert outcome.signal is None


def test_why_a_run_failed_is_kept_whatever_name_is_in_it(runs, tmp_path):
    class Odd(Pretended):
        def execute(self, run, run_dir):
            yield 10
            raise RunFailed(f"{os.fsdecode(b'caf\xe9')}: no room")

    directory = StudyDir(tmp_path / "out")
    run_study(runs, directory, Odd(), FINAL, jobs=1)
    assert directory.error("double", 0).read_text(encoding="utf-8") == "caf\\udce9: no room\n"


def test_the_next_sitting_keeps_what_is_done_and_tries_what_failed(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")
    run_study(runs, directory, Pretended("target"), FINAL, jobs=1)
    second = Pretended()
    outcome = run_study(runs, directory, second, FINAL, jobs=2)
    assert second.worked_on == ["target"]
    assert outcome.failed == {}
    assert not directory.error("target", 0).exists()


def test_who_is_refused_because_another_process_works_there_leaves_the_study_that_is_kept(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")

    class TriesAgain(Pretended):
        refused: str | None = None

        def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
            if self.refused is None:
                with pytest.raises(UserError) as error:
                    run_study(runs, directory, Pretended(), FINAL, jobs=1, study="the second")
                self.refused = str(error.value)
            return super().execute(run, run_dir)

    first = TriesAgain()
    run_study(runs, directory, first, FINAL, jobs=1, study="the first")
    assert first.refused == f"{directory.path}: in use, another process works on this study"
    assert directory.study.read_text() == "the first"


def test_the_observer_hears_of_everything(runs, tmp_path):
    heard: list[object] = []

    class Hearing(StudyObserver):
        def started(self, done, agent_steps):
            heard.append((done, agent_steps))

        def progressed(self, run, agent_steps):
            heard.append((run.arm, agent_steps))

        def finished(self, run):
            heard.append(("finished", run.arm))

        def failed(self, run, reason):
            heard.append(("failed", run.arm, reason))

    run_study(runs, StudyDir(tmp_path / "out"), Pretended("double"), FINAL, jobs=1, observer=Hearing())
    assert heard == [
        (0, 320),
        ("target", 10),
        ("finished", "target"),
        ("double", 10),
        ("failed", "double", "the disk is full"),
    ]


def test_as_many_runs_as_asked_for_work_at_once(study_file, tmp_path):
    study_file.write_text(SMALL_STUDY.replace("seeds: [0]", "seeds: [0, 1, 2]"))
    both = threading.Barrier(3, timeout=20)  # passes only if three are there together

    class Together(Pretended):
        def execute(self, run, run_dir):
            both.wait()
            yield from super().execute(run, run_dir)

    outcome = run_study(
        expand(load_study(study_file), study_file), StudyDir(tmp_path / "out"), Together(), FINAL, jobs=3
    )
    assert outcome.failed == {}


def test_a_signal_stops_what_works_and_begins_nothing_more(runs, tmp_path):
    class Waiting:
        def __init__(self):
            self.told, self.begun = threading.Event(), 0

        def execute(self, run, run_dir):
            self.begun += 1
            yield 0
            os.kill(os.getpid(), signal.SIGTERM)
            assert self.told.wait(20)
            raise RunStopped(signal.SIGTERM)

        def stop(self):
            self.told.set()

        def kill(self):
            pytest.fail("nobody interrupted twice")

    executor = Waiting()
    outcome = run_study(runs, StudyDir(tmp_path / "out"), executor, FINAL, jobs=1)
    assert outcome == runner.Outcome({}, signal.SIGTERM)
    assert executor.begun == 1


def test_a_second_ctrl_c_ends_what_works_at_once(runs, tmp_path):
    class Saving:
        def __init__(self):
            self.told, self.killed = threading.Event(), threading.Event()

        def execute(self, run, run_dir):
            yield 0
            os.kill(os.getpid(), signal.SIGINT)
            assert self.told.wait(20)
            os.kill(os.getpid(), signal.SIGINT)
            assert self.killed.wait(20)  # as long as saving takes
            raise RunStopped(signal.SIGTERM)

        def stop(self):
            self.told.set()

        def kill(self):
            self.killed.set()

    executor = Saving()
    with pytest.raises(KeyboardInterrupt):
        run_study(runs, StudyDir(tmp_path / "out"), executor, FINAL, jobs=1)
    assert executor.killed.is_set()


def test_what_nobody_expected_of_one_run_lets_the_others_save(runs, tmp_path):
    class Broken(Pretended):
        stopped = False

        def execute(self, run, run_dir):
            yield 10
            raise RuntimeError("a mistake of ours")

        def stop(self):
            self.stopped = True

    executor = Broken()
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run_study(runs, StudyDir(tmp_path / "out"), executor, FINAL, jobs=2)
    assert executor.stopped


def test_a_file_that_says_something_else_does_not_make_a_run_done(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")
    first = Pretended()
    run_study(runs, directory, first, FINAL, jobs=1)
    directory.run("double", 0).final.write_text("x")
    heard: list[object] = []

    class Hearing(StudyObserver):
        def started(self, done, agent_steps):
            heard.append((done, agent_steps))

    second = Pretended()
    run_study(runs, directory, second, FINAL, jobs=1, observer=Hearing())
    assert second.worked_on == ["double"]
    assert heard == [(1, 0)]  # nothing is trained


def test_a_damaged_config_is_a_matter_of_its_run_alone(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")
    damaged = directory.run("double", 0).config
    damaged.parent.mkdir(parents=True)
    damaged.write_text("agent: [\n")
    executor = Pretended("double")
    outcome = run_study(runs, directory, executor, FINAL, jobs=1)
    assert executor.worked_on == ["target", "double"]
    assert [run.arm for run in outcome.failed] == ["double"]


def test_runs_begun_with_other_settings_are_refused_by_key_before_anything_is_done(runs, tmp_path):
    directory = StudyDir(tmp_path / "out")
    begun = directory.run("double", 0)
    begun.path.mkdir(parents=True)
    text = runner.render_config(runs[1].config)
    begun.config.write_text(text.replace("gamma: 0.95", "gamma: 0.5"))
    with pytest.raises(UserError, match=r"config\.yaml: begun with gamma: 0\.5, the study says gamma: 0\.95; give it"):
        run_study(runs, directory, Pretended(), FINAL, jobs=1)


def test_a_study_that_is_refused_leaves_the_study_file_of_the_one_before(study_file, tmp_path):
    directory = StudyDir(tmp_path / "out")
    begun = directory.run("double", 0)
    begun.path.mkdir(parents=True)
    begun.config.write_text("agent: {gamma: 0.5}\n")
    directory.study.write_text("the one before\n")
    with pytest.raises(UserError, match="begun with"):
        commands.run(study_file, directory, jobs=1, cluster=None)
    assert directory.study.read_text() == "the one before\n"


def columns_that_repeat(path: Path) -> list[str]:
    """A table without its seconds, the one thing that no two runs share."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    index = lines[0].index("seconds")
    return [",".join(line[:index] + line[index + 1 :]) for line in lines]


def compare_command(study_file: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mario_rl", "compare", str(study_file), "--out", str(out), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.emulator
def test_an_interrupted_study_goes_on_to_the_runs_of_one_that_was_not(study_file, tmp_path):
    """What its processes do in two sittings is what this process does in one, with as many threads."""
    whole, broken = StudyDir(tmp_path / "whole"), StudyDir(tmp_path / "broken")
    interrupted = compare_command(study_file, broken.path)
    deadline = time.monotonic() + 200
    while not broken.run("double", 0).episodes.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    interrupted.send_signal(signal.SIGINT)
    said, complaints = interrupted.communicate(timeout=300)
    assert interrupted.returncode == 130, complaints
    assert "go on with the same command" in said
    assert not broken.run("double", 0).final.exists()

    again = compare_command(study_file, broken.path)
    said, complaints = again.communicate(timeout=300)
    assert again.returncode == 0, complaints
    assert f"report: {broken.path / 'index.html'}" in said
    study = load_study(study_file)
    for run in expand(study, study_file):
        one, other = whole.run(run.arm, run.seed), broken.run(run.arm, run.seed)
        threads = json.loads(other.record.read_text())["threads"]
        perform(run.config, one, study.final, threads=threads, observer=Observer())
        for name in ("episodes", "evaluation", "final"):
            assert columns_that_repeat(getattr(one, name)) == columns_that_repeat(getattr(other, name))
        assert not one.replay.exists()
        assert other.latest.is_file()
        assert one.film.read_bytes() == other.film.read_bytes()


@pytest.mark.emulator
def test_a_run_that_cannot_be_made_is_named_with_exit_code_1(study_file, tmp_path, capfd):
    directory = StudyDir(tmp_path / "out")
    damaged = directory.run("double", 0)
    damaged.checkpoints.mkdir(parents=True)
    run = expand(load_study(study_file), study_file)[1]
    damaged.config.write_text(runner.render_config(run.config))
    damaged.latest.write_bytes(b"not a checkpoint")
    assert main(["compare", str(study_file), "--out", str(directory.path), "--jobs", "2"]) == 1
    said = capfd.readouterr().out
    assert f"failed: double, seed 0: {damaged.latest}: cut short, damaged or not a checkpoint at all" in said
    assert directory.run("target", 0).final.is_file()


PUBLISHED = """\
base: base.yaml
axes: {agent.target: [target, double], env.action_set: [simple]}
seeds: [0, 1]
final: {episodes: 20}
"""


@pytest.mark.takes("a report, and four runs are looked at three times")
def test_runs_that_are_only_packed_are_not_made_anew_and_a_line_says_how_to_go_on(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(report, "write_png", lambda figure, path: None)  # figures are on the page
    (tmp_path / "base.yaml").write_text("device: cpu\nevaluation: {every_steps: 5000}\n")
    study, out = tmp_path / "study.yaml", StudyDir(tmp_path / "out")
    study.write_text(PUBLISHED)
    make_study(out.path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1), episodes=60)
    archive, _ = pack(out.path)
    shutil.rmtree(out.run("double-simple", 1).path)
    unpack = f"python -m zipfile -e {archive} {out.path}"
    for options in ([], ["--dry-run"]):
        assert main(["compare", str(study), "--out", str(out.path), *options]) == 2
        said = capfd.readouterr().err
        assert said.startswith(f"mario-rl: {archive}: holds 1 run of this study that would be made anew; unpack it")
        assert unpack in said
    assert not out.run("double-simple", 1).path.exists()
    zipfile.main(unpack.split()[3:])
    assert main(["compare", str(study), "--out", str(out.path)]) == 0


@pytest.mark.takes("two reports, and a process for each of four runs")
def test_a_published_study_keeps_its_evaluations_where_others_are_asked_for_and_says_so(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(report, "write_png", lambda figure, path: None)  # figures are on the page
    (tmp_path / "base.yaml").write_text("device: cpu\nevaluation: {every_steps: 5000}\n")
    study, out = tmp_path / "study.yaml", StudyDir(tmp_path / "out")
    study.write_text(PUBLISHED)
    make_study(out.path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1), episodes=60)
    assert main(["compare", str(study), "--out", str(out.path)]) == 0
    before = {path: path.read_bytes() for path in out.runs.rglob("final.csv")}
    assert len(before) == 4
    capfd.readouterr()

    study.write_text(PUBLISHED.replace("20", "30"))
    assert main(["compare", str(study), "--out", str(out.path), "--jobs", "2"]) == 1
    said = capfd.readouterr().out.splitlines()
    final = out.run("double-simple", 1).final
    made, asked = (f"epsilon {n} (seed 1), noop 31 (seed 1), sticky {n} (seed 1)" for n in (20, 30))
    reason = f"has episodes of {made}; the study asks for {asked}"
    gone = f"it can't be evaluated again, its weights are gone (there is no {RunDir(final.parent).latest})"
    assert f"failed: double-simple, seed 1: {final}: {reason}; {gone}" in said
    assert f"left out: {final.parent}: final.csv: {reason}" in said
    assert said[-1] == f"report: {out.path / 'index.html'}"
    assert {path: path.read_bytes() for path in out.runs.rglob("final.csv")} == before
    assert "cleared, sticky" not in (out.path / "tables" / "arms.csv").read_text()
    assert out.study.read_text() == study.read_text()
