"""What is computed on, and in which numbers: cores, threads, and bfloat16 where it is faster."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mario_rl import cli, machine
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.devices import number_of_updates
from mario_rl.evaluation import load_trained
from mario_rl.machine import computing_cores
from mario_rl.training import Observer, Progress, train


@pytest.fixture
def _two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.emulator
@pytest.mark.usefixtures("_two_threads")
def test_training_and_policies_keep_to_one_thread_of_pytorchs_and_give_the_others_back(tmp_path, small_run_file):
    seen = set()

    class Looks(Observer):
        def progressed(self, progress: Progress) -> None:
            seen.add(torch.get_num_threads())

    train(load_config(small_run_file, ["training.agent_steps=4"]), tmp_path / "run", observer=Looks())
    assert seen == {1}
    assert torch.get_num_threads() == 2
    seen.clear()
    policy = load_trained(tmp_path / "run").policy
    policy.network.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    values = policy.q_values(np.zeros((20, 4, 84, 84), np.uint8))  # two batches, on two threads where there are two
    assert values.shape == (20, 5)
    assert seen == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("usable", "chosen", "cores"), [(4, None, 4), (4, "1", 1), (2, "8", 2), (4, "0", 1), (4, "", 4)]
)
def test_cores_are_computed_on_unless_fewer_were_chosen(usable, chosen, cores, monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: usable)
    if chosen is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    assert computing_cores() == cores


INTEL = "vendor_id : GenuineIntel\n"
AMD = "vendor_id : AuthenticAMD\n"


@pytest.mark.parametrize(
    ("listed", "number"),
    [
        pytest.param(f"{INTEL}flags : fpu avx512f avx512_bf16 amx_tile amx_bf16", torch.bfloat16, id="AMX"),
        pytest.param(f"{INTEL}flags : fpu avx512f avx512_bf16", torch.float32, id="Intel without AMX"),
        pytest.param(f"{AMD}flags : fpu avx512f avx512_bf16", torch.bfloat16, id="AMD"),
        pytest.param(f"{AMD}flags : fpu avx2\nbugs : avx512_bf16", torch.float32, id="AMD without it"),
        pytest.param("Features : fp asimd bf16", torch.float32, id="ARM"),
        pytest.param(None, torch.float32, id="no list"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_is_faster_with_it(listed, number, tmp_path, monkeypatch):
    if listed is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{listed}\n\nprocessor : 1\n{listed}\n")
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert number_of_updates("auto", torch.device("cpu")) == number
    assert number_of_updates("auto", torch.device("mps")) == torch.float32
    assert number_of_updates(True, torch.device("cpu")) == torch.bfloat16
    assert number_of_updates(False, torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(("supported", "number"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_on_a_gpu_that_computes_in_it(supported, number, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: supported)
    assert number_of_updates("auto", torch.device("cuda")) == number


@pytest.mark.parametrize(("allowed", "usable", "threads"), [(4, 1, "1"), (4, 4, None)])
def test_the_command_line_tells_all_libraries_of_a_quota_before_they_are_loaded(allowed, usable, threads, monkeypatch):
    environment: dict[str, str] = {}
    monkeypatch.setattr(cli.os, "environ", environment)
    monkeypatch.setattr(cli, "allowed_cores", lambda: allowed)
    monkeypatch.setattr(cli, "usable_cores", lambda: usable)
    assert main(["--version"]) == 0
    assert environment.get("OMP_NUM_THREADS") == threads
