"""A page that shows a freshly trained agent, served by a real process."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser
from small_run import SMALL_RUN

from mario_rl.config import load_config
from mario_rl.training import train


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 200 agent steps on the real game, 100 in each environment, so two episodes or more; 3 checkpoints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("watch")
    (folder / "small.yaml").write_text(SMALL_RUN)
    overrides = ["training.checkpoint_every_steps=60", "env.max_agent_steps=95", "logging.every_seconds=0.1"]
    return train(load_config(folder / "small.yaml", overrides), folder / "run").run_dir.path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def url(trained_run: Path) -> Iterator[str]:
    """Where `mario-rl watch` serves that run."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mario_rl", "watch", str(trained_run), "--port", str(port), "--no-browser"],
        cwd=trained_run.parent,  # where no runs lie but this one
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    complaints: list[str] = []
    reader = threading.Thread(target=complaints.extend, args=(server.stderr,), daemon=True)
    reader.start()
    said = server.stdout.readline()
    assert re.search(rf":{port}/", said), (said, complaints)
    place = f"http://127.0.0.1:{port}/"
    wait_until_served(port)
    yield place
    server.terminate()
    server.wait(20)
    reader.join(5)
    assert "Traceback" not in "".join(complaints), complaints


def wait_until_served(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.1)
    pytest.fail("the page is not served")


@pytest.fixture
def page(url: str, browser: Browser) -> Iterator[Any]:
    """The page in a browser; a complaint of the browser or a request to anywhere else fails the test."""
    # The page allows no eval, by which playwright waits for conditions; what it forbids is tested on its own.
    page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "blob:", "data:")) else complaints.append(request.url),
    )
    page.goto(url)
    page.wait_for_function("view.shown !== null && view.catalog !== null", timeout=60_000)
    yield page
    page.close()
    assert complaints == []
