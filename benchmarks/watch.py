"""Frames per second that viewers of `mario-rl watch` get, and what serving them costs.

python benchmarks/watch.py CHECKPOINT [--viewers 1] [--seconds 20] [--speed 1]
"""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import click
import psutil
from websockets.sync.client import ClientConnection, connect


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--viewers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=1.0), default=20.0, show_default=True)
@click.option("--speed", type=float, default=1.0, show_default=True, help="As on the page; 0: unlimited.")
def main(checkpoint: Path, viewers: int, seconds: float, speed: float) -> None:
    """Serve a checkpoint, look on for some seconds, and print what was seen and what it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mario_rl", "watch", str(checkpoint), "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server, ExitStack() as stack:
        try:
            sockets = [stack.enter_context(_connect(port)) for _ in range(viewers)]
            sockets[0].send(json.dumps({"do": "speed", "speed": speed}))
            time.sleep(3.0)  # until it plays at that speed
            seen = [0] * viewers
            process = psutil.Process(server.pid)
            before, began = process.cpu_times(), time.perf_counter()
            watching = [
                threading.Thread(target=_count, args=(one, seen, index, began + seconds))
                for index, one in enumerate(sockets)
            ]
            for thread in watching:
                thread.start()
            for thread in watching:
                thread.join()
            took, after = time.perf_counter() - began, process.cpu_times()
            busy = after.user + after.system - before.user - before.system
            rates = ", ".join(f"{count / took:.1f}" for count in seen)
            click.echo(f"frames per second of each viewer: {rates}; server: {busy / took:.0%} of one core")
        finally:
            server.terminate()


def _connect(port: int) -> ClientConnection:
    for _ in range(300):
        try:
            return connect(f"ws://127.0.0.1:{port}/socket", max_queue=4)
        except OSError:
            time.sleep(0.1)
    raise click.ClickException("the page is not served")


def _count(viewer: ClientConnection, seen: list[int], index: int, until: float) -> None:
    while time.perf_counter() < until:
        if isinstance(viewer.recv(timeout=10), bytes):
            seen[index] += 1


if __name__ == "__main__":
    main()
