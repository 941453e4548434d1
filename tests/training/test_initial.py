"""A run may begin with another agent's network, and everything that is said of it includes that agent's training."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import pytest
import torch
from small_run import SMALL_RUN

from mario_rl.cli import main
from mario_rl.config import Config, load_config
from mario_rl.errors import CheckpointError, ConfigError
from mario_rl.evaluation import load_trained
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import resume, train
from mario_rl.training.initial import MAY_DIFFER, must_agree

pytestmark = pytest.mark.emulator

AVERAGED = "agent.averaging=0.01"


def settings_of(teacher: Path) -> list[str]:
    return [AVERAGED, f"training.initial_checkpoint={teacher}"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """Another run, which nobody writes to."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("initial")
    (folder / "small.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "small.yaml", [AVERAGED]), folder / "teacher").run_dir.path


def test_before_the_first_update_the_agent_is_the_one_it_began_with(small_run_file, teacher, tmp_path):
    settings = [*settings_of(teacher), "training.agent_steps=30", "seed=3"]
    student = train(load_config(small_run_file, settings), tmp_path / "student").run_dir  # its warm-up takes 40
    was, state = load_checkpoint(RunDir(teacher).latest), load_checkpoint(student.latest)
    assert state["updates"] == 0
    for part in (state["network"], *(state["training"]["agent"][name] for name in ("online", "target", "averaged"))):
        assert part.keys() == was["network"].keys()
        assert all(torch.equal(part[name], weights) for name, weights in was["network"].items())


def test_a_stop_changes_nothing_and_the_checkpoint_is_not_asked_for_again(small_run_file, teacher, tmp_path):
    settings = settings_of(copytree(teacher, tmp_path / "teacher"))
    whole = train(load_config(small_run_file, settings), tmp_path / "whole").run_dir
    stopped = train(load_config(small_run_file, [*settings, "training.agent_steps=110"]), tmp_path / "stopped")
    (tmp_path / "teacher").rename(tmp_path / "gone")
    resumed = resume(stopped.run_dir.path, ["training.agent_steps=200"]).run_dir
    one, other = load_checkpoint(whole.latest), load_checkpoint(resumed.latest)
    assert all(torch.equal(one["network"][name], weights) for name, weights in other["network"].items())
    assert one["initial_agent_steps"] == other["initial_agent_steps"] == 200
    assert load_trained(resumed.latest).agent_steps == 400


def test_a_chain_of_runs_counts_all_of_its_training_and_the_card_says_so(small_run_file, teacher, tmp_path):
    second = train(load_config(small_run_file, settings_of(teacher)), tmp_path / "second").run_dir
    third = train(load_config(small_run_file, settings_of(second.path)), tmp_path / "third").run_dir
    output = tmp_path / "shipped.pt"
    assert main(["ship", str(third.path), str(output), "--episodes", "1"]) == 0
    assert load_trained(output).agent_steps == 600
    here = r"200 agent steps in \d+ seconds?, seed 11; "
    before = r"it began as an agent that had 400 agent steps in \d+ seconds? behind it\."
    assert re.search(here + before, output.with_suffix(".md").read_text())


def test_every_key_that_weights_may_depend_on_was_decided_about():
    """A new key of the schema must agree; whoever adds one decides that this is right, here or in MAY_DIFFER."""
    assert must_agree() == [
        "env.action_set",
        "env.grayscale",
        "env.show_buttons",
        "env.frame_stack",
        "env.wrappers",
        "network.body",
        "network.channels",
        "network.layer_norm",
        "network.hidden_size",
        "network.dueling",
        "network.quantiles",
    ]
    for name, keys in MAY_DIFFER.items():
        assert keys <= getattr(Config(), name).model_dump().keys()


def test_what_is_new_in_the_network_must_agree(small_run_file, teacher, tmp_path, monkeypatch):
    monkeypatch.setitem(MAY_DIFFER, "network", set())  # as if dropout had just been added
    with pytest.raises(ConfigError, match=r"has network\.dropout 0\.1, this run 0\.2; they must be the same"):
        train(load_config(small_run_file, [*settings_of(teacher), "network.dropout=0.2"]), tmp_path / "student")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("env.action_set=simple", "has env.action_set 'right_only', this run 'simple'; they must be the same"),
        ("env.show_buttons=true", "has env.show_buttons False, this run True; they must be the same"),
        ("network.hidden_size=64", "has network.hidden_size 32, this run 64; they must be the same"),
    ],
)
def test_an_agent_of_another_kind_is_refused_before_anything_is_written(
    small_run_file, teacher, tmp_path, change, said
):
    with pytest.raises(ConfigError, match=r"^training\.initial_checkpoint: ") as refused:
        train(load_config(small_run_file, [*settings_of(teacher), change]), tmp_path / "student")
    assert str(refused.value).endswith(said)
    assert not (tmp_path / "student").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short"], ids=["missing", "empty", "damaged"])
def test_a_checkpoint_that_cannot_be_read_is_refused_by_the_name_of_the_key(small_run_file, tmp_path, content):
    file = tmp_path / "teacher.pt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^training.initial_checkpoint: {file}: "):
        train(load_config(small_run_file, [f"training.initial_checkpoint={file}"]), tmp_path / "student")
    assert not (tmp_path / "student").exists()
