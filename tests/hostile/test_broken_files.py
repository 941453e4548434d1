"""Any file of a run may be damaged in any way: it is refused in one line, or read as what a run can have written.

A short draw each time; `make test-slow` draws hundreds and prints how many were refused.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import damaged, places, plain, replaced, same, values
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mario_rl.config import load_run_config, parse_config
from mario_rl.errors import FailedError, UserError
from mario_rl.evaluation import load_trained
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.run import load_run
from mario_rl.training import resume
from mario_rl.training.session import make_replay

pytestmark = pytest.mark.emulator

FEW, MANY = 25, 500


def read_replay(run: RunDir) -> None:
    """Load the replay of a run and draw from it."""
    replay = make_replay(load_run_config(run.config), np.random.default_rng(0))
    (file,) = run.replay.iterdir()
    replay.load(file)
    assert replay.sample(50).action.max() < 7


READERS: dict[str, tuple[Callable[[RunDir], Path], Callable[[RunDir], object]]] = {
    "best checkpoint": (lambda run: run.best, lambda run: load_trained(run.best)),
    "latest checkpoint": (lambda run: run.latest, lambda run: load_checkpoint(run.latest)),
    "replay": (lambda run: next(run.replay.iterdir()), read_replay),
    "config": (lambda run: run.config, lambda run: load_run_config(run.config)),
    "episodes": (lambda run: run.episodes, lambda run: load_run(run.path)),
    "metrics": (lambda run: run.metrics, lambda run: load_run(run.path)),
    "evaluations": (lambda run: run.evaluation, lambda run: load_run(run.path)),
}
"""Of every file of a run: which it is, and what reads it."""


def outcome(read: Callable[[], object]) -> str:
    """Tell whether something was read, or refused in one line; anything else is an error of the test."""
    said = None
    try:
        read()
    except (UserError, FailedError) as error:
        said = str(error)
    if said is None:
        return "read"
    assert said.isprintable()  # on one line
    assert 0 < len(said) < 700
    return "refused"


def drawn(examples: int) -> Callable[[Any], Any]:
    """Draw so many examples; the same ones every time, so that a failure stays one."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def summary(kind: str, counts: Counter[str]) -> str:
    """Say what became of how many."""
    assert counts.total()
    return f"{kind}: {counts.total()} damaged, {counts['refused']} refused, {counts['read']} read"


@pytest.fixture
def copy(victim: Path, tmp_path: Path) -> RunDir:
    shutil.copytree(victim, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", READERS)
def test_a_file_whose_bytes_are_damaged(copy, record_property, kind, examples):
    find, read = READERS[kind]
    path, counts = find(copy), Counter[str]()
    whole = path.read_bytes()
    state = load_checkpoint(path) if path.suffix == ".pt" else None

    @drawn(examples)
    @given(damaged(whole))
    def try_one(content: bytes) -> None:
        path.write_bytes(content)
        became = outcome(lambda: read(copy))
        counts[became] += 1
        # A table or a config may say something else now; a checkpoint has checksums.
        assert state is None or became == "refused" or same(load_checkpoint(path), state)

    try_one()
    record_property("counted", summary(kind, counts))


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["best", "latest"])
def test_a_checkpoint_with_one_value_replaced_or_taken_away(copy, record_property, kind, examples):
    path, counts = getattr(copy, kind), Counter[str]()
    state = load_checkpoint(path)
    everywhere = sorted(places(state), key=str)

    @drawn(examples)
    @given(st.sampled_from(everywhere), values | st.just(...))
    def try_one(place: tuple[Any, ...], value: object) -> None:
        save_checkpoint(path, replaced(state, place, value))
        counts[outcome(lambda: load_trained(path))] += 1

    try_one()
    record_property("counted", summary(f"{kind}, a value", counts))


@pytest.mark.parametrize("examples", [5, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_run_resumed_with_one_value_replaced_or_taken_away(victim, tmp_path, record_property, examples):
    state, counts = load_checkpoint(RunDir(victim).latest), Counter[str]()
    everywhere = sorted((place for place in places(state) if place[0] == "training"), key=str)

    @drawn(examples)
    @given(st.sampled_from(everywhere), values | st.just(...))
    def try_one(place: tuple[Any, ...], value: object) -> None:
        run = RunDir(tmp_path / "run")
        shutil.rmtree(run.path, ignore_errors=True)
        shutil.copytree(victim, run.path)
        save_checkpoint(run.latest, replaced(state, place, value))
        counts[outcome(lambda: resume(run.path, ["training.agent_steps=140"]))] += 1

    try_one()
    record_property("counted", summary("resumed", counts))


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_config_with_one_value_replaced_or_taken_away(copy, record_property, examples):
    tree, counts = load_run_config(copy.config).model_dump(mode="json"), Counter[str]()

    @drawn(examples)
    @given(st.sampled_from(sorted(places(tree), key=str)), plain | st.just(...))
    def try_one(place: tuple[Any, ...], value: object) -> None:
        counts[outcome(lambda: parse_config(replaced(tree, place, value), "it"))] += 1

    try_one()
    record_property("counted", summary("config, a value", counts))
