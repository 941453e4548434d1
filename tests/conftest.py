"""Small runs that several tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from mario_rl.config import Config, load_config

SMALL_RUN = """\
env: {noop_max: 5, stall_limit: 25, max_agent_steps: 60}
network: {hidden_size: 32, dueling: true, dropout: 0.1}
replay: {capacity: 600, warmup_steps: 40}
agent:
  batch_size: 8
  n_step: 3
  sync_period_updates: 10
  epsilon: {end: 0.2, decay_steps: 200}
training: {agent_steps: 200, envs: 2, checkpoint_every_steps: 80, keep_checkpoints: 2}
evaluation: {every_steps: null, protocol: greedy}
logging: {every_seconds: 1, curve_every_seconds: 3600, tensorboard: false}
seed: 11
device: cpu
"""


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run side by side, and a result must not depend on how many cores there are."""
    torch.set_num_threads(1)


@pytest.fixture
def small_run_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_RUN)
    return path


@pytest.fixture
def small_run(small_run_file: Path) -> Config:
    """A run of seconds on the real game, with everything switched on that has a state to restore."""
    return load_config(small_run_file)


@pytest.fixture
def mario_rl_command() -> list[str]:
    """The command line as a real subprocess."""
    return [sys.executable, "-m", "mario_rl"]
