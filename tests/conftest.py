"""Small runs that several tests share, and which tests take long.

What takes long to import, such as torch, is imported by what needs it: the process that hands out tests needs none.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from small_run import SMALL_RUN

from mario_rl.config import Config, load_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = 5.0  # seconds
CHROMIUM_OPTIONS = [
    "--no-sandbox",  # its sandbox does not start as root, and these pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# However the tests were started: what a shell runs in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test depends on how fast the machine is, or on what else runs on it.
settings.register_profile("any_speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_speed")


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run side by side, and a result must not depend on how many cores there are."""
    import torch

    torch.set_num_threads(1)


def leave_a_file(figure: None, output: Path) -> None:
    """In place of drawing a curve, which takes five times as long as the run of a test."""
    output.write_bytes(b"where a curve would be")


@pytest.fixture(scope="session", autouse=True)
def _undrawn_curves() -> Iterator[None]:
    """Runs in this process draw no curve, but where a test asks for `drawn_curves`."""
    from mario_rl.training import curve

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curve, "curve_figure", lambda run_dirs: None)
        patch.setattr(curve, "save_png", leave_a_file)
        yield


@pytest.fixture
def drawn_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The curve is drawn, as every run does it that is not one of a test."""
    from mario_rl.report.curve import curve_figure
    from mario_rl.report.drawing import save_png
    from mario_rl.training import curve

    monkeypatch.setattr(curve, "curve_figure", curve_figure)
    monkeypatch.setattr(curve, "save_png", save_png)


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium: Debian's, or whichever is on the PATH."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on the PATH to open the page with (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what campaigns have counted, and name the tests that took long and don't say why.

    On a busy machine there may be some of those that need not.
    """
    ended = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in ended if isinstance(report, pytest.TestReport) and report.when == "call"]
    counted = [str(value) for report in calls for name, value in report.user_properties if name == "counted"]
    if counted:
        terminalreporter.section("what was tried")
        for line in counted:
            terminalreporter.line(line)
    unexplained = [one for one in calls if one.duration > LONG and not {"takes", "slow"} & set(one.keywords)]
    if unexplained:
        terminalreporter.section(f"over {LONG:.0f} seconds, with no mark that says why")
        for report in sorted(unexplained, key=lambda report: -report.duration):
            terminalreporter.line(f"{report.duration:5.1f} s  {report.nodeid}")
