"""The mean of a run's last step checkpoints, and the agent that is shipped of it."""

from __future__ import annotations

import json

import pytest
import torch

from mario_rl.cards import load_card
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.errors import CheckpointError
from mario_rl.runs.averaging import load_mean
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.shipped import AGENTS
from mario_rl.training import train

TINY_RUN = """\
env: {stall_limit: 10, noop_max: 0, max_agent_steps: 40}
network: {hidden_size: 8, body: "own_classes:Indexed"}
replay: {capacity: 200, warmup_steps: 32}
training: {agent_steps: 60, envs: 2, checkpoint_every_steps: 20}
evaluation: {every_steps: null}
logging: {trackers: []}
device: cpu
"""


def write_step(run: RunDir, agent_steps: int, weights: dict[str, torch.Tensor]) -> None:
    state = {
        "config": {},
        "versions": {},
        "machine": {},
        "agent_steps": agent_steps,
        "updates": agent_steps // 2,
        "episodes": 1,
        "seconds": 1.0,
        "network": weights,
    }
    save_checkpoint(run.step_checkpoint(agent_steps), state)


@pytest.fixture
def run(tmp_path) -> RunDir:
    """A run with three step checkpoints, whose two weights are 9 and 0, 1 and 4, 2 and -1."""
    run = RunDir(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for steps, values in ((10, [9.0, 0.0]), (20, [1.0, 4.0]), (30, [2.0, -1.0])):
        write_step(run, steps, {"head.weight": torch.tensor(values)})
    return run


def test_the_weights_are_the_mean_of_the_newest_and_all_else_is_the_newests(run):
    state = load_mean(run, 2)
    assert state["network"]["head.weight"].tolist() == [1.5, 1.5]
    assert (state["agent_steps"], state["updates"], state["mean_of"]) == (30, 15, 2)
    assert load_mean(run, 3)["network"]["head.weight"].tolist() == [4.0, 1.0]
    assert load_mean(run, 1)["network"]["head.weight"].tolist() == [2.0, -1.0]


def test_a_mean_of_float16_is_taken_in_more_digits_and_stays_float16(tmp_path):
    run = RunDir(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for steps in (10, 20, 30, 40):
        write_step(run, steps, {"head.weight": torch.full((1,), 60_000, dtype=torch.float16)})
    mean = load_mean(run, 4)["network"]["head.weight"]
    assert (mean.dtype, mean.item()) == (torch.float16, 60_000)  # whose sum has no float16


def test_whole_numbers_have_no_mean_and_stay_the_newests(tmp_path):
    run = RunDir(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    for steps in (10, 20, 30):
        write_step(run, steps, {"body.index": torch.tensor([0, 1, 48]), "body.seen": torch.tensor(steps)})
    network = load_mean(run, 3)["network"]
    assert network["body.index"].tolist() == [0, 1, 48]
    assert (network["body.seen"].item(), network["body.seen"].dtype) == (30, torch.int64)


def test_too_few_checkpoints_are_refused_and_the_key_is_named(run):
    with pytest.raises(CheckpointError, match=r"has 3 step checkpoints, 4 are needed .* training.keep_checkpoints=4$"):
        load_mean(run, 4)


@pytest.mark.parametrize("other", [{"head.weight": torch.zeros(3)}, {"head.bias": torch.zeros(2)}])
def test_checkpoints_of_different_networks_have_no_mean(run, other):
    write_step(run, 20, other)
    with pytest.raises(CheckpointError, match=r"step_000000020.pt: its network is not that of step_000000030.pt"):
        load_mean(run, 2)


@pytest.mark.emulator
def test_an_agent_of_a_mean_is_shipped_says_so_and_is_verified(tmp_path, capsys, monkeypatch):
    (tmp_path / "tiny.yaml").write_text(TINY_RUN)
    train(load_config(tmp_path / "tiny.yaml"), tmp_path / "run")
    run = RunDir(tmp_path / "run")
    output = tmp_path / "agent.pt"
    monkeypatch.chdir(run.checkpoints)  # a file may be named from anywhere
    assert main(["ship", "latest.pt", str(output), "--episodes", "1", "--mean-of", "3"]) == 0
    states = [load_checkpoint(file)["network"] for file in run.step_checkpoints()]
    for name, tensor in load_checkpoint(output)["network"].items():
        mean = sum(state[name] for state in states).div(3).half() if tensor.is_floating_point() else states[0][name]
        torch.testing.assert_close(tensor, mean)
    assert load_card(output).mean_of == 3
    assert "the mean of the run's last 3 step checkpoints" in output.with_suffix(".md").read_text()
    assert main(["verify", str(output), "--protocol", "greedy"]) == 0

    again = tmp_path / "again.pt"  # as it is handed on
    assert main(["ship", str(output), str(again), "--episodes", "1"]) == 0
    assert load_card(again).mean_of == 3

    card = json.loads(output.with_suffix(".json").read_text())
    output.with_suffix(".json").write_text(json.dumps(card | {"mean_of": 2}))
    assert main(["verify", str(output), "--protocol", "greedy"]) == 1
    assert "mean_of" in capsys.readouterr().out


@pytest.mark.emulator
def test_a_file_beside_no_run_has_no_mean(tmp_path, capsys):
    copy = tmp_path / "alone.pt"
    copy.write_bytes((AGENTS / "ddqn_right_only_1-4_seed_0.pt").read_bytes())
    assert main(["ship", str(copy), str(tmp_path / "agent.pt"), "--mean-of", "2"]) == 2
    assert f"{copy}: lies in no run" in capsys.readouterr().err
