"""The picture of the page of `mario-rl watch` that README and site show: docs/watch/screenshot.png.

python scripts/watch_picture.py [OUTPUT.png]

An agent that sometimes dies plays until it has cleared twice; at that banner the picture is taken.
"""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
from playwright.sync_api import ViewportSize, sync_playwright

AGENT = ("ddqn_simple_1-1", "--protocol", "epsilon", "--seed", "3")
SIZE = ViewportSize(width=1366, height=768)
CLEARED = "view.catalog && view.catalog.tally[0] >= 2 && !by('banner').hidden && by('banner').className === 'clear'"


@click.command()
@click.argument("output", type=click.Path(path_type=Path), default=Path("docs/watch/screenshot.png"))
def main(output: Path) -> None:
    """Serve the page, look at it in a headless Chromium, and keep what is seen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mario_rl", "watch", *AGENT, "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server, sync_playwright() as playwright:
        try:
            _wait_until_served(port)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, color_scheme="light", bypass_csp=True)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_function("view.shown !== null && view.catalog !== null")
            page.evaluate("ask({do: 'speed', speed: 4})")
            page.wait_for_function(CLEARED, timeout=600_000)
            page.evaluate("ask({do: 'pause'})")
            page.wait_for_function("!by('state').hidden")
            page.wait_for_timeout(500)
            page.screenshot(path=output)
            browser.close()
        finally:
            server.terminate()
    click.echo(f"picture: {output}")


def _wait_until_served(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the page is not served")


if __name__ == "__main__":
    main()
