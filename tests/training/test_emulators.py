"""Which emulator plays makes no difference to what is learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mario_rl.config import load_config
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import train

pytestmark = pytest.mark.emulator


def test_a_run_on_either_emulator_ends_with_the_same_weights(tmp_path: Path, small_run_file: Path) -> None:
    weights = []
    for emulator in ("native", "nes_py"):
        config = load_config(small_run_file, [f"env.emulator={emulator}", "training.agent_steps=100"])
        train(config, tmp_path / emulator)
        weights.append(load_checkpoint(RunDir(tmp_path / emulator).latest)["network"])
    ours, theirs = weights
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
