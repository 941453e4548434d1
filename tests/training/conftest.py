"""Runs that several tests read or copy, made once; nobody writes to them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from env_fakes import CLEAR_1_1, unroll
from small_run import SMALL_RUN

from mario_rl.config import load_config
from mario_rl.game.actions import action_bytes
from mario_rl.training import train
from mario_rl.trajectories import Made, make_trajectory, write_trajectory

CLEAR_BYTES = bytes(action_bytes("right_only")[action] for action in unroll(CLEAR_1_1) for _ in range(4))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run from its beginning to its end, 200 agent steps, with nothing in between."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("training")
    (folder / "small.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "small.yaml"), folder / "whole").run_dir.path


@pytest.fixture(scope="session")
def clear_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trajectory that clears 1-1: 6 frames without input, then actions of right_only, 4 frames each."""
    file = tmp_path_factory.mktemp("trajectories") / "clear.json"
    write_trajectory(file, make_trajectory("1-1", bytes(6) + CLEAR_BYTES, Made(by="search")))
    return file
