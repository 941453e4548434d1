"""Runs that several tests read or copy, made once; nobody writes to them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_run import SMALL_RUN

from mario_rl.config import load_config
from mario_rl.training import train


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run from its beginning to its end, 200 agent steps, with nothing in between."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("training")
    (folder / "small.yaml").write_text(SMALL_RUN)
    return train(load_config(folder / "small.yaml"), folder / "whole").run_dir.path
