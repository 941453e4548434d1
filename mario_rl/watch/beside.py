"""The page of a run in training, served by a process of its own, which can't change the run and hardly slows it.

`python -m mario_rl.watch.beside` is that process. Its job comes as a line of JSON on stdin; it ends when stdin does, so
also when whoever trains is killed. On stdout it writes a line once the page can be opened.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from mario_rl.errors import FailedError, UserError
from mario_rl.watch.port import address_of, bind

HOST = "127.0.0.1"
PROCESS = ("-m", "mario_rl.watch.beside")
FAREWELL = "training has ended"
NICENESS = 10  # where all cores are busy, the page gets a tenth of what training does
ENDING_SECONDS = 10.0  # what the process may take to be gone


class PageBeside:
    """The page of a run that is about to be trained: takes its port at once, is served from `start` on.

    The process is deaf to Ctrl-C, which a terminal sends to all: `close` ends it, once the run is saved.

    Args:
        port: where.
        others: more agents and runs to choose from on the page.
        open_browser: whether to open it as well.

    Raises:
        UserError: the port is taken.
    """

    def __init__(self, port: int, *, others: Sequence[Path] = (), open_browser: bool = True) -> None:
        self._others, self._open_browser = others, open_browser
        self._bound = bind(HOST, port)
        self._address = address_of(self._bound, HOST)
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """What to open."""
        return self._address.url

    def start(self, run_dir: Path) -> None:
        """Serve the page of a run directory, which need not have a checkpoint yet."""
        job = {
            "run_dir": str(run_dir.absolute()),
            "others": [str(place.absolute()) for place in self._others],
            "port": self._address.port,
        }
        self._bound.close()  # the process takes it as its first act
        self._process = subprocess.Popen(
            [sys.executable, *PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            process_group=0,  # and no session of its own: some systems count priorities only within one
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended already, and said why
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        if self._open_browser:
            arguments = (self._process.stdout, self.url)
            threading.Thread(target=_open_once_served, args=arguments, daemon=True).start()

    def close(self) -> None:
        """Let go of the port, and end the process if there is one."""
        self._bound.close()
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(ENDING_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open_once_served(said: IO[str], url: str) -> None:
    if said.readline():  # nothing, where it failed
        webbrowser.open(url)


def main() -> int:
    """Serve the page of the job on stdin; returns the exit code."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        with bind(HOST, job["port"]) as bound:
            print("served", flush=True)  # noqa: T201  # the other end waits for it; who opens the page now is kept waiting
            from mario_rl.watch.game import Game
            from mario_rl.watch.server import make_server

            with suppress(OSError, AttributeError):  # refused, or no such thing on this system
                os.nice(NICENESS)  # not before: the page would take long to come
            game = Game(Path(job["run_dir"]), others=[Path(place) for place in job["others"]], live=True)
            make_server(game, address_of(bound, HOST), farewell=FAREWELL).run(sockets=[bound])
    except (UserError, FailedError) as error:
        sys.stderr.write(f"mario-rl: no page: {error}\n")
        return 1
    return 0


def _end_with_stdin() -> None:
    """Answered by the server once it runs; before that, the process simply ends."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
