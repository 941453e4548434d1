"""Runs of a study as processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

from mario_rl.compare.runner import RunFailed
from mario_rl.compare.study import FinalConfig, StudyRun
from mario_rl.compare.work import RunStopped
from mario_rl.runs.directory import RunDir


class Processes:
    """Works on runs in processes of their own, each with so many processor threads.

    They are deaf to Ctrl-C, which a terminal sends to all: `stop` tells them, once. One whose starter is gone ends at
    its next line of progress.
    """

    def __init__(self, final: FinalConfig, *, threads: int) -> None:
        self._final, self._threads = final, threads
        self._lock = threading.Lock()
        self._working: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        """Work on one run; yields the agent steps made, again and again.

        Raises:
            RunStopped: `stop` was called. RunFailed: the process failed; says why.
        """
        job = {
            "config": run.config.model_dump(mode="json"),
            "run_dir": str(run_dir.path),
            "final": self._final.model_dump(mode="json"),
            "threads": self._threads,
        }
        with self._lock:
            if self._stopped:
                raise RunStopped(signal.SIGTERM)
            process = subprocess.Popen(
                [sys.executable, "-m", "mario_rl.compare.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": str(self._threads)},
                start_new_session=True,
            )
            self._working.add(process)
        complaints: list[str] = []
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # Read beside: a full pipe would stop the process.
        reader = threading.Thread(target=complaints.extend, args=(process.stderr,))
        reader.start()
        try:
            process.stdin.write(json.dumps(job))
            process.stdin.close()
            for line in process.stdout:
                yield int(line)
        finally:
            code = process.wait()
            reader.join()
            with self._lock:
                self._working.discard(process)
        if self._stopped and code != 0:
            raise RunStopped(signal.SIGTERM)
        if code != 0:
            raise RunFailed("".join(complaints).strip() or f"its process ended with exit code {code}")

    def stop(self) -> None:
        """Let all runs save and end, and begin no more."""
        with self._lock:
            self._stopped = True
            for process in self._working:
                process.send_signal(signal.SIGTERM)
