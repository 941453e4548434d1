"""What is left of a run of a study when it is done: its record and the film of its best checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest
from small_run import SMALL_RUN

from mario_rl.compare.study import FinalConfig
from mario_rl.compare.work import film, perform
from mario_rl.config import load_config
from mario_rl.report import video
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EVALUATION_COLUMNS, read_table
from mario_rl.training import Observer

FINAL = FinalConfig(protocols=("greedy",))


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
        assert container.metadata["title"] == f"double seed_11, greedy: {end} at x {x}"
        assert container.streams.video[0].frames > 100


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
