"""A stand-in for the hub, and a small agent to push to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_stand_in import TOKEN, HubStandIn, point_to, serving
from huggingface_hub import close_session, constants

from mario_rl.cards import ship
from mario_rl.config import load_config
from mario_rl.training import train

TINY_RUN = """\
agent: {target: double}
env: {stall_limit: 10, noop_max: 0, max_agent_steps: 40}
network: {hidden_size: 8}
replay: {capacity: 200, warmup_steps: 32}
training: {agent_steps: 60, envs: 2}
evaluation: {every_steps: null}
logging: {tensorboard: false}
device: cpu
"""


@pytest.fixture(autouse=True)
def _nobody_logged_in(tmp_path, monkeypatch) -> None:
    """No token but the tests' own, nothing of the library's in the home folder, no request to the real hub."""
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))  # for processes; this one has read its constants already
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf_home" / "token"))
    point_to(monkeypatch, "http://127.0.0.1:9")  # nobody listens there
    close_session()


@pytest.fixture
def hub(monkeypatch) -> Iterator[HubStandIn]:
    """The hub, where the owner is logged in."""
    with serving() as hub:
        point_to(monkeypatch, hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture(scope="session")
def shipped_once(tmp_path_factory) -> Path:
    """An agent of 60 agent steps, with a card of 1 + 31 + 3 + 3 episodes of 40 agent steps at most."""
    place = tmp_path_factory.mktemp("hub")
    (place / "tiny.yaml").write_text(TINY_RUN)
    train(load_config(place / "tiny.yaml"), place / "run")
    ship(place / "run", place / "tiny_agent.pt", episodes=3)
    return place / "tiny_agent.pt"


@pytest.fixture
def agent(shipped_once, tmp_path) -> Path:
    """A copy of it, to be spoiled."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for ending in (".pt", ".json", ".md"):
        shutil.copy(shipped_once.with_suffix(ending), folder)
    return folder / shipped_once.name


@pytest.fixture
def film(tmp_path) -> Path:
    """What begins as an MP4 does."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(500))
    return path
