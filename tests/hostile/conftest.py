"""A run of everything a run can have, which the tests copy and damage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_run import SMALL_RUN

from mario_rl.config import load_config
from mario_rl.training import train

CHANGES = ["training.agent_steps=120", "evaluation.every_steps=60", "replay.priority_exponent=0.5"]


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 120 agent steps with evaluations, a best checkpoint and a ranked replay."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "small.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "small.yaml", CHANGES), folder / "run").run_dir.path
