"""What is left of a run of a study when it is done: its record and the film of its best checkpoint."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import av
import pytest
from small_run import SMALL_RUN

from mario_rl.config import load_config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.report import video
from mario_rl.report.endings import caption
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EVALUATION_COLUMNS, read_table
from mario_rl.source import source_commit
from mario_rl.studies.work import film, perform
from mario_rl.training import Observer

FINAL = FinalConfig(protocols=("greedy",))
OTHERS = FinalConfig(protocols=("sticky", "greedy"), episodes=2, seed=5)
EVIDENCE = ("config.yaml", "episodes.csv", "evaluation.csv", "final.csv")


def see_through(folder: Path, *overrides: str, observer: Observer | None = None) -> RunDir:
    (folder / "small.yaml").write_text(SMALL_RUN)
    config = load_config(folder / "small.yaml", ["training.agent_steps=100", *overrides])
    run = RunDir(folder / "double" / "seed_11")
    perform(config, run, FINAL, threads=1, observer=observer or Observer())
    return run


@pytest.mark.emulator
def test_a_run_that_is_done_leaves_the_film_of_its_best_checkpoint_and_says_what_is_on_it(tmp_path):
    run = see_through(tmp_path, "evaluation.every_steps=100")
    best = json.loads(run.record.read_text())["best"]
    assert best["agent_steps"] == load_checkpoint(run.best)["agent_steps"] == 100
    end, x = best["film"]["end"], best["film"]["x"]
    # The last weights are the best here, and greedily there is one episode to play with them.
    final = read_table(run.final, EVALUATION_COLUMNS)
    assert (final["end"].tolist(), final["x"].tolist()) == ([end], [x])
    with av.open(str(run.film)) as container:
        assert container.metadata["title"] == f"double seed_11, greedy: {caption(end, x)}"
        assert container.streams.video[0].frames > 100


@pytest.mark.emulator
def test_of_a_run_on_several_stages_the_best_episode_is_filmed(tmp_path):
    run = see_through(tmp_path, "env.stage=[1-1,1-2]", "evaluation.every_steps=100")
    said = json.loads(run.record.read_text())["best"]["film"]
    final = read_table(run.final, EVALUATION_COLUMNS)
    assert len(final["x"]) == 2
    assert said["x"] == final["x"].max()
    assert run.film.is_file()


@pytest.mark.emulator
def test_a_run_that_made_no_evaluation_has_no_best_checkpoint_to_film(tmp_path):
    run = see_through(tmp_path)
    assert json.loads(run.record.read_text())["best"] is None
    assert film(run, Observer()) is None
    assert not run.film.exists()


@pytest.mark.emulator
def test_a_film_that_cannot_be_made_is_a_warning_and_the_run_is_done(tmp_path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("no\nencoder")

    warnings: list[str] = []

    class Listen(Observer):
        def warned(self, message: str) -> None:
            warnings.append(message)

    monkeypatch.setattr(video, "write_video", fail)
    run = see_through(tmp_path, "evaluation.every_steps=100", observer=Listen())
    assert warnings == [f"{run.film}: could not be made (no encoder)"]
    assert run.final.is_file()
    assert not run.film.exists()


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> RunDir:
    """A run that is done; who changes it takes a copy."""
    return see_through(tmp_path_factory.mktemp("done"), "training.keep_checkpoints=2")


@pytest.fixture
def run(done: RunDir, tmp_path: Path) -> RunDir:
    return RunDir(Path(shutil.copytree(done.path, tmp_path / "seed_11")))


def again(run: RunDir, final: FinalConfig) -> None:
    perform(load_config(run.config), run, final, threads=1, observer=Observer())


def contents(run: RunDir, *names: str) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in names or EVIDENCE}


@pytest.mark.emulator
def test_a_run_that_is_done_says_what_its_evidence_was_and_keeps_only_its_last_weights(done):
    record = json.loads(done.record.read_text())
    assert record["commit"] == source_commit()
    assert record["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in contents(done).items()}
    assert [path.name for path in done.checkpoints.iterdir()] == ["latest.pt"]
    assert not done.replay.exists()


@pytest.mark.emulator
def test_other_final_evaluations_are_made_of_the_last_weights_without_training_again(run):
    before, record = contents(run, *EVIDENCE[:3]), json.loads(run.record.read_text())
    again(run, OTHERS)
    final = read_table(run.final, EVALUATION_COLUMNS)
    assert final["protocol"].tolist() == ["sticky", "sticky", "greedy"]
    assert set(final["seed"]) == {5}
    assert contents(run, *EVIDENCE[:3]) == before
    after = json.loads(run.record.read_text())
    assert after["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in contents(run).items()}
    assert {**after, "files": 0} == {**record, "files": 0}  # what it was trained with stays what it was


@pytest.mark.emulator
@pytest.mark.parametrize("damage", [b"x", None], ids=["damaged", "gone"])
def test_final_evaluations_that_are_damaged_or_gone_are_made_again(run, damage):
    before = contents(run)
    run.final.unlink()
    if damage is not None:
        run.final.write_bytes(damage)
    again(run, FINAL)
    assert contents(run) == before


@pytest.mark.emulator
def test_what_is_asked_for_and_there_is_left_as_it_is(run):
    before = contents(run, *EVIDENCE, "run.json", "checkpoints/latest.pt")
    again(run, FINAL)
    assert contents(run, *EVIDENCE, "run.json", "checkpoints/latest.pt") == before


@pytest.mark.emulator
@pytest.mark.parametrize("damage", [None, b"x"], ids=["others", "damaged"])
def test_where_the_weights_are_gone_the_run_fails_in_a_line_and_its_evaluations_stay(run, damage):
    shutil.rmtree(run.checkpoints)
    if damage is not None:
        run.final.write_bytes(damage)
    before = contents(run, *EVIDENCE, "run.json")
    with pytest.raises(UserError) as error:
        again(run, OTHERS)
    assert str(error.value).startswith(f"{run.final}: ")
    assert str(error.value).endswith(f"it can't be evaluated again, its weights are gone (there is no {run.latest})")
    assert contents(run, *EVIDENCE, "run.json") == before


@pytest.mark.emulator
def test_a_run_whose_evidence_was_changed_is_not_made_good_by_evaluating_it_again(run):
    run.episodes.write_bytes(run.episodes.read_bytes() + b"9,100,1.0,0,1-1,3000.0,3161,200,300,clear\n")
    before = contents(run, *EVIDENCE, "run.json")
    for final in (FINAL, OTHERS):
        with pytest.raises(UserError, match=r"episodes\.csv: was changed after the run was done"):
            again(run, final)
    assert contents(run, *EVIDENCE, "run.json") == before


@pytest.mark.emulator
def test_what_training_did_not_write_is_not_removed_when_a_run_is_done(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.npz").write_bytes(b"mine")

    class Adds(Observer):
        """Puts files of its own beside those of the run."""

        def saved(self, path: Path, agent_steps: int) -> None:
            run = RunDir(path.parents[1])
            (run.checkpoints / "step_mine.pt").write_bytes(b"mine")
            (run.path / "notes.txt").write_bytes(b"mine")
            if not (run.path / "replay" / "link").exists():
                (run.replay / "link").symlink_to(elsewhere)

    run = see_through(tmp_path, "training.checkpoint_every_steps=40", observer=Adds())
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["latest.pt", "step_mine.pt"]
    assert (run.path / "notes.txt").is_file()
    assert (elsewhere / "mine.npz").is_file()
