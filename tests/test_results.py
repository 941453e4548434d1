"""The tables in the documents: what cards, runs and searches say, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripts_of_ours import load_script

from mario_rl.cards import Card, Claim
from mario_rl.cards.card import ROW_COLUMNS, Machine
from mario_rl.config import Config, parse_config

results = load_script("results")

EPISODES = """\
episode,agent_steps,seconds,env,stage,return,x,length,clock,end
0,900,61.0,0,1-1,600.0,700,80,380,death
1,12345,718.0,0,1-1,3050.0,3161,330,330,clear
2,13000,760.0,0,1-1,3050.0,3161,330,330,clear
"""


def claim(
    protocol: str,
    clears: int,
    episodes: int,
    low: float,
    high: float,
    mean_x: float,
    rows: Sequence[dict[str, Any]] = (),
) -> Claim:
    return Claim(
        protocol=protocol,
        seed=1,
        episodes=episodes,
        clears=clears,
        clear_rate=clears / episodes,
        clear_rate_low=low,
        clear_rate_high=high,
        mean_x=mean_x,
        results=list(rows),
        stage="1-1",
        mean_return=0.0,
        median_return=0.0,
        best_return=0.0,
        median_x=0.0,
        best_x=0,
        mean_clock=0.0,
        mean_length=0.0,
        ends={},
    )


def made_up_agent(
    folder: Path, config: Config | None = None, evaluations: Sequence[Claim] = (), **settings: Any
) -> None:
    """An agent `ours` and its card."""
    weights, machine = b"weights", Machine(processor="P", cores="2", memory="24 GB", device="cpu")
    before = {"initial_agent_steps": 0, "initial_minutes": 0.0}
    (folder / "ours.pt").write_bytes(weights)
    card = Card(
        format="mario_rl card 1",
        file="ours.pt",
        sha256=hashlib.sha256(weights).hexdigest(),
        rom="0" * 64,
        seed=4,
        agent_steps=300_000,
        updates=73_750,
        minutes=80.0,
        trained_on=machine,
        trained_with={},
        config=(config or Config()).model_dump(mode="json"),
        date="2026-11-24",
        evaluated_on=machine,
        versions={},
        evaluations=list(evaluations)
        or [
            claim("greedy", 0, 1, 0.0, 1.0, 2345.0),
            claim("noop", 30, 31, 0.8, 1.0, 3139.0),
            claim("sticky", 50, 100, 0.404, 0.596, 2500.0),
            claim("epsilon", 96, 100, 0.902, 0.984, 3100.0),
        ],
        **(before | settings),
    )
    (folder / "ours.json").write_text(card.model_dump_json())


def test_a_row_says_what_the_card_and_the_runs_episodes_say(tmp_path):
    made_up_agent(tmp_path)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "episodes.csv").write_text(EPISODES)
    row = results.agents_table(tmp_path, tmp_path).splitlines()[2]
    assert row == (
        "| Double DQN, right_only on 1-1 (`ours`) | 4 | 300,000 | 12,345 agent steps, 12 min | 30 of 31 "
        "| ends at x 2,345 | 50 of 100 (40% to 60%) | 96 of 100 (90% to 98%) |"
    )


def test_a_row_says_what_training_came_before_and_that_some_episodes_began_from_snapshots(tmp_path):
    initial = {"initial_checkpoint": "checkpoints/pretrained/first.pt"}
    config = parse_config({"env": {"snapshot_probability": 0.5}, "training": initial}, "made up")
    made_up_agent(tmp_path, config, initial_agent_steps=400_000, initial_minutes=90.0)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "episodes.csv").write_text(EPISODES)
    row = results.agents_table(tmp_path, tmp_path).splitlines()[2]
    assert row.startswith(
        "| Double DQN, right_only on 1-1 (`ours`), with starts from snapshots | 4 | 400,000 + 300,000 "
        "| went on with an earlier agent | 30 of 31 |"
    )


def test_a_run_that_never_cleared_says_so(tmp_path):
    made_up_agent(tmp_path)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "episodes.csv").write_text("".join(EPISODES.splitlines(keepends=True)[:2]))
    assert "| 300,000 | none | 30 of 31 |" in results.agents_table(tmp_path, tmp_path)


def search(stage: str, **values: Any) -> dict[str, str]:
    """A row of `stages.csv`."""
    row = {"stage": stage, "end": "clear", "minutes": "0.26", "clear_seconds": "16.7"}
    return row | {name: str(value) for name, value in values.items()}


def played(stage: str, *ends: str) -> list[dict[str, Any]]:
    """Episodes of a card."""
    row = dict.fromkeys(ROW_COLUMNS, 1) | {"protocol": "noop", "stage": stage}
    return [row | {"episode": number, "end": end} for number, end in enumerate(ends)]


def test_there_is_a_row_for_each_stage_with_what_the_search_did_and_the_agent_that_clears_it(tmp_path):
    config = parse_config({"env": {"stage": ["1-2", "1-3"]}, "replay": {"demonstrations": ["1-2"]}}, "made up")
    episodes = [*played("1-2", "clear", "death"), *played("1-3", "clear", "clear", "clear")]
    made_up_agent(tmp_path, config, evaluations=[claim("noop", 4, 5, 0.0, 1.0, 1.0, episodes)])
    searches = [search("1-1"), search("1-2", end="limit", minutes="30", clear_seconds="")]
    table = results.stages_table(searches, tmp_path).splitlines()
    assert len(table) == 2 + 32
    assert table[2:5] == [
        "| 1-1 | 0.26 | 16.7 |  |  |  |  |  |",
        "| 1-2 | not cleared in 30.00 |  | `ours`, with demonstrations | 300,000 | 1 of 2 | 0 of 0 | 0 of 0 |",
        "| 1-3 |  |  | `ours`, with demonstrations | 300,000 | 3 of 3 | 0 of 0 | 0 of 0 |",
    ]


def test_the_table_goes_between_its_marks_and_changes_nothing_else():
    begin, end = results.marks("agents")
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    assert results.with_table(text, "agents", "new") == f"before\n{begin}\nnew\n{end}\nafter\n"
    with pytest.raises(ValueError, match="0 times, not once"):
        results.with_table("no marks", "agents", "new")


@pytest.mark.parametrize("document", results.DOCUMENTS, ids=lambda document: document.path.name)
def test_the_documents_agree_with_cards_runs_and_searches(document):
    assert document.text() == document.path.read_text(encoding="utf-8")
