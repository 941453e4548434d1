"""How to repeat a report: commands that can be typed."""

from __future__ import annotations

import json

import pytest
from made_up import make_study

from mario_rl.compare.repeat import how_to_repeat
from mario_rl.compare.report import write_report
from mario_rl.compare.runs import load_arms
from mario_rl.errors import UserError
from mario_rl.runs.directory import RunDir
from mario_rl.shipped import CONFIGS
from mario_rl.source import source_commit


def test_a_shipped_study_is_repeated_by_its_name_whatever_its_comments_say(tmp_path):
    folder = make_study(tmp_path / "my study", targets=("double",), action_sets=("simple",), seeds=(0,))
    text = (CONFIGS / "studies" / "action_sets.yaml").read_text()
    (folder / "study.yaml").write_text(f"# of another time\n{text}")
    said = how_to_repeat(folder, load_arms(folder).arms)
    assert said.commands == ["mario-rl compare action_sets --out 'my study'", "mario-rl compare 'my study' --report"]
    assert said.study.endswith(text)
    assert said.runs == "commit not recorded"
    assert said.page == (source_commit() or "commit not recorded")


def test_a_study_of_ones_own_is_repeated_by_its_file_with_the_base_that_it_names(tmp_path):
    folder = make_study(tmp_path / "mine", targets=("double",), action_sets=("simple",), seeds=(0,))
    asked = "axes: {agent.target: [double]}\nseeds: [0]\n"
    arms = load_arms(folder).arms
    (folder / "study.yaml").write_text(f"base: my.yaml\n{asked}")
    assert how_to_repeat(folder, arms).commands[0] == (
        "mario-rl compare mine/study.yaml --out mine  # with my.yaml beside it"
    )
    (folder / "study.yaml").write_text(f"base: ddqn_simple\n{asked}")
    assert how_to_repeat(folder, arms).commands[0] == "mario-rl compare mine/study.yaml --out mine"


def test_a_study_file_that_is_no_text_is_one_line_before_anything_is_written(tmp_path):
    folder = make_study(tmp_path / "made", targets=("double",), action_sets=("simple",), seeds=(0,))
    (folder / "runs").rename(folder / "elsewhere")  # where nobody asks what the study says of them
    (folder / "study.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"study\.yaml: .*a study is YAML"):
        write_report(folder)
    assert not (folder / "figures").exists()


def test_the_version_and_the_commit_of_the_runs_are_said_where_all_were_made_with_one(tmp_path):
    folder = make_study(tmp_path / "made", targets=("double",), action_sets=("simple",), seeds=(0, 1))
    for seed in (0, 1):
        record = RunDir(folder / "runs" / "double-simple" / f"seed_{seed}").record
        record.write_text(json.dumps({"versions": {"mario-rl": "0.9"}, "commit": "a" * 40}))
    arms = load_arms(folder).arms
    assert how_to_repeat(folder, arms).runs == f"mario-rl 0.9, {'a' * 40}"
    record.write_text(json.dumps({"versions": {"mario-rl": "0.9"}, "commit": "b" * 40}))
    assert how_to_repeat(folder, load_arms(folder).arms).runs.startswith("mario-rl 0.9, several; ")
