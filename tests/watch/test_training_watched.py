"""`mario-rl train --watch`: the page of a run while it is trained, in a process that can't touch the training."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from conftest import free_port, wait_until_served
from playwright.sync_api import Browser, Page
from test_game import wait_for

from mario_rl.cli import main
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import read_metrics
from mario_rl.watch import beside
from mario_rl.watch.beside import PageBeside

pytestmark = pytest.mark.emulator


def is_served(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/curve.json", timeout=30) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture
def begun(trained_run: Path, tmp_path: Path) -> RunDir:
    """A run directory that has all of a run but a checkpoint."""
    run = RunDir(tmp_path / "run")
    shutil.copytree(trained_run, run.path, ignore=shutil.ignore_patterns("*.pt", "replay"))
    return run


@pytest.fixture
def opened(begun: RunDir, browser: Browser) -> Iterator[tuple[PageBeside, Page]]:
    """The page of that run, in a process of its own, and a browser that shows it."""
    port = free_port()
    with PageBeside(port, open_browser=False) as beside_it:
        beside_it.start(begun.path)
        wait_until_served(port)
        page = browser.new_page(bypass_csp=True)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(beside_it.url)
        yield beside_it, page
        page.close()
        assert complaints == []


def put(checkpoint: Path, run: RunDir) -> None:
    """Write it as `latest`, the way that training does."""
    partial = run.checkpoints / "partial"
    shutil.copy(checkpoint, partial)
    partial.replace(run.latest)


@pytest.mark.takes("a process that imports PyTorch, and a browser")
def test_the_page_waits_for_the_first_checkpoint_then_plays_the_newest_until_training_ends(opened, begun, trained_run):
    beside_it, page = opened
    page.wait_for_function("!by('waiting').hidden && !by('training').hidden", timeout=60_000)
    assert page.locator("#waiting").inner_text() == (
        f"{begun.path.parent.name}/run has no checkpoint yet. The page waits for its first, which training writes as "
        "soon as its games have begun."
    )
    assert page.locator("#curve").is_visible()  # grows meanwhile
    assert not page.locator("#bar").is_visible()  # nothing to control
    early, late = (RunDir(trained_run).step_checkpoints()[index] for index in (0, -1))
    put(early, begun)
    age = "age => by('waiting').hidden && view.shown && view.shown.agent_steps === age"
    page.wait_for_function(age, arg=int(early.stem[5:]), timeout=60_000)
    assert page.locator("#bar").is_visible()
    put(late, begun)
    page.evaluate("ask({do: 'speed', speed: 0})")
    page.wait_for_function(age, arg=int(late.stem[5:]), timeout=60_000)
    beside_it.close()
    page.wait_for_function("by('state').textContent === 'training has ended: this is the last picture'", timeout=60_000)


@pytest.mark.takes("a process that imports PyTorch, beside a run")
def test_a_run_that_is_watched_learns_the_same_bit_for_bit(small_run_file, tmp_path, monkeypatch, capsys):
    served: list[bool] = []
    start = PageBeside.start

    def start_and_wait(page: PageBeside, run_dir: Path) -> None:
        start(page, run_dir)
        wait_until_served(port)
        served.append(True)

    monkeypatch.setattr(PageBeside, "start", start_and_wait)
    port = free_port()
    watched = ["--watch", "--no-browser", "--port", str(port)]
    assert main(["train", str(small_run_file), "--run-dir", str(tmp_path / "alone")]) == 0
    assert main(["train", str(small_run_file), "--run-dir", str(tmp_path / "watched"), *watched]) == 0
    assert served == [True]
    assert f"watch at http://localhost:{port}/" in capsys.readouterr().out
    assert not is_served(port)  # it has ended with the run
    alone, beside_it = (load_checkpoint(RunDir(tmp_path / name).latest) for name in ("alone", "watched"))
    assert alone["network"].keys() == beside_it["network"].keys()
    assert all(torch.equal(alone["network"][name], beside_it["network"][name]) for name in alone["network"])
    # Going on with it is watched as well.
    assert main(["train", "--resume", str(tmp_path / "watched"), "training.agent_steps=204", *watched]) == 0
    assert served == [True, True]


@pytest.mark.takes("two processes that import PyTorch")
def test_ctrl_c_saves_the_run_and_ends_it_and_the_page_without_a_traceback(small_run_file, tmp_path):
    port, run = free_port(), RunDir(tmp_path / "run")
    command = [sys.executable, "-m", "mario_rl", "train", str(small_run_file), "training.agent_steps=10_000_000"]
    process = subprocess.Popen(
        [*command, "--run-dir", str(run.path), "--watch", "--no-browser", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, all of which Ctrl-C reaches, as in a terminal
    )
    try:
        wait_for(lambda: run.latest.is_file() and is_served(port) and len(read_metrics(run.metrics)["updates"]) > 0)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "stopped by SIGINT after " in out
    assert f"watch it:   mario-rl watch {run.path}\ngo on with:  {run.resume_command}\n" in out
    assert load_checkpoint(run.latest)["agent_steps"] > 0
    assert not is_served(port)


STARTS_A_PAGE = """
import sys, threading
from pathlib import Path
from mario_rl.watch.beside import PageBeside
page = PageBeside(int(sys.argv[1]), open_browser=False)
page.start(Path(sys.argv[2]))
threading.Event().wait()
"""


@pytest.mark.takes("a process that imports PyTorch")
def test_whoever_is_killed_takes_the_page_with_it(begun):
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", STARTS_A_PAGE, str(port), str(begun.path)]) as starter:
        try:
            wait_for(lambda: is_served(port))
        finally:
            starter.kill()
    wait_for(lambda: not is_served(port))


def test_a_port_in_use_is_told_in_a_line_before_anything_is_begun(small_run_file, tmp_path, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = tmp_path / "run"
        assert main(["train", str(small_run_file), "--run-dir", str(run), "--watch", "--port", port]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"mario-rl: --port: {port} can't be had on 127.0.0.1 (")
    assert not run.exists()


def test_the_browser_is_opened_once_the_port_is_taken_and_not_where_that_failed(monkeypatch):
    urls: list[str] = []
    monkeypatch.setattr(beside.webbrowser, "open", urls.append)
    for said, expected in ((b"", []), (b"served\n", ["http://localhost:1/"])):
        read, write = os.pipe()
        os.write(write, said)
        os.close(write)
        with os.fdopen(read) as lines:
            beside._open_once_served(lines, "http://localhost:1/")
        assert urls == expected
