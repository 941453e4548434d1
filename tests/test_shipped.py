"""Names of configs, studies and agents stand wherever a path does, in a checkout and in an installed wheel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mario_rl import shipped
from mario_rl.config import load_config
from mario_rl.runs.checkpoint import find_checkpoint

ROOT = Path(__file__).parents[1]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_stands_for_what_is_shipped_and_a_file_of_that_name_goes_before(elsewhere):
    assert load_config("article/dqn_simple").agent.target == "none"
    assert shipped.find_study(Path("smoke")).read_text() == (ROOT / "configs" / "studies" / "smoke.yaml").read_text()
    (elsewhere / "demo").write_text("seed: 77\n")
    assert load_config("demo").seed == 77


def test_an_agents_name_without_a_seed_is_the_seed_that_cleared_most(elsewhere, monkeypatch):
    assert find_checkpoint(Path("ddqn_right_only_1-1")).stem == "ddqn_right_only_1-1_seed_0"
    names = ["dqn_right_only_1-1_seed_0", "ddqn_complex_1-1_seed_0", "ddqn_right_only_1-1_seed_0"]
    for seed, name in enumerate(names):  # the same agents, as if they were seeds of one
        for suffix in (".pt", ".json"):
            shutil.copy((shipped.AGENTS / name).with_name(f"{name}{suffix}"), elsewhere / f"ours_seed_{seed}{suffix}")
    monkeypatch.setattr(shipped, "AGENTS", elsewhere)
    cleared = [shipped.clear_rate(elsewhere / f"ours_seed_{seed}.pt") for seed in range(3)]
    assert max(cleared) == cleared[2] > min(cleared)
    assert find_checkpoint(Path("ours")) == elsewhere / "ours_seed_2.pt"


def test_who_is_shown_first_is_the_agent_that_clears_most_of_what_it_plays_and_not_one_that_played_more(
    elsewhere, monkeypatch
):
    assert shipped.best_agent() == shipped.AGENTS / "ddqn_right_only_1-1_seed_0.pt"
    cards = {"seldom": (60, 100), "often": (9, 10), "unread": None}
    for name, counts in cards.items():
        (elsewhere / f"{name}.pt").touch()
        if counts is not None:
            claim = {"protocol": "noop", "clears": counts[0], "episodes": counts[1]}
            (elsewhere / f"{name}.json").write_text(json.dumps({"evaluations": [claim]}))
    monkeypatch.setattr(shipped, "AGENTS", elsewhere)
    assert shipped.best_agent() == elsewhere / "often.pt"


def test_training_may_begin_with_a_named_agent_and_keeps_the_name(elsewhere):
    config = load_config("ddqn_right_only", ["training.initial_checkpoint=ddqn_right_only_1-1"])
    assert config.training.initial_checkpoint == "ddqn_right_only_1-1"
