"""Runs of a study as processes of this machine."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO

from mario_rl.config.study import FinalConfig
from mario_rl.runs.directory import RunDir
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.runner import SECONDS_BETWEEN_LOOKS, RunDiverged, RunFailed
from mario_rl.studies.work import RunStopped
from mario_rl.studies.worker import DIVERGED
from mario_rl.wording import duration_text

WORKER = ("-m", "mario_rl.studies.worker")

SAVING_SECONDS = 600.0
"""What a run may take to save, once it is asked to end: two replays of 8 GB on a slow disk."""

SILENT_SECONDS = 6 * 3600.0
"""What a run may take from one line of progress to the next. Some updates of the largest networks and one save take
less; what takes longer hangs, on a disk that is gone for instance, and would keep the study from ever ending."""

ENDING_SECONDS = 10.0
"""What a process that was killed, or has closed its output, may take to be gone."""


class Processes:
    """Works on runs in processes of their own, each with so many processor threads.

    They are deaf to Ctrl-C, which a terminal sends to all: `stop` tells them, once. One whose starter is gone ends at
    its next line of progress. One that says nothing for SILENT_SECONDS, or does not end within SAVING_SECONDS of being
    told, is killed; its run goes on from the last checkpoint in the next sitting.
    """

    def __init__(self, final: FinalConfig, *, threads: int) -> None:
        self._final, self._threads = final, threads
        self._lock = threading.Lock()
        self._working: set[subprocess.Popen[str]] = set()
        self._stopped_at: float | None = None

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        """Work on one run; yields the agent steps made, again and again.

        Raises:
            RunStopped: `stop` or `kill` was called. RunFailed: the process failed, or was given up; says why.
        """
        job = {
            "config": run.config.model_dump(mode="json"),
            "run_dir": str(run_dir.path),
            "final": self._final.model_dump(mode="json"),
            "threads": self._threads,
        }
        process = self._start()
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        complaints: list[str] = []
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        # Read beside: a full pipe would stop the process, and an empty one whoever reads it.
        readers = [
            threading.Thread(target=_pass_on, args=(process.stdout, said), daemon=True),
            threading.Thread(target=complaints.extend, args=(process.stderr,), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            with suppress(BrokenPipeError):  # it has ended already; its exit code says how
                process.stdin.write(json.dumps(job))
                process.stdin.close()
            while (line := self._next_line(said, process)) is not None:
                yield int(line)
            with suppress(subprocess.TimeoutExpired):  # its output is closed, so it is about to be gone
                process.wait(ENDING_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                with suppress(subprocess.TimeoutExpired):  # the system holds it, on a disk that is gone
                    process.wait(ENDING_SECONDS)
            for reader in readers:
                reader.join(ENDING_SECONDS)
            with self._lock:
                self._working.discard(process)
        if self._stopped_at is not None and process.returncode != 0:
            raise RunStopped(signal.SIGTERM)
        if process.returncode != 0:
            reason = "".join(complaints).strip()
            failure = RunDiverged if process.returncode == DIVERGED else RunFailed
            raise failure(reason or f"its process ended with exit code {process.returncode}")

    def stop(self) -> None:
        """Let all runs save and end, and begin no more."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """End all runs at once, and begin no more."""
        self._end(subprocess.Popen.kill)

    def _end(self, tell: Callable[[subprocess.Popen[str]], None]) -> None:
        with self._lock:
            self._stopped_at = time.monotonic()
            for process in self._working:
                tell(process)

    def _start(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped_at is not None:
                raise RunStopped(signal.SIGTERM)
            process = subprocess.Popen(
                [sys.executable, *WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="backslashreplace",
                env={**os.environ, "OMP_NUM_THREADS": str(self._threads)},
                start_new_session=True,
            )
            self._working.add(process)
            return process

    def _next_line(self, said: queue.SimpleQueue[str | None], process: subprocess.Popen[str]) -> str | None:
        """Wait for a line of progress; None where none is to come.

        Raises:
            RunFailed: the process says nothing for too long, or does not end though it was told.
        """
        since = time.monotonic()
        while True:
            with suppress(queue.Empty):
                return said.get(timeout=SECONDS_BETWEEN_LOOKS)
            now, told_at = time.monotonic(), self._stopped_at
            if told_at is not None and now - told_at > SAVING_SECONDS:
                raise RunFailed(
                    f"did not end within {duration_text(SAVING_SECONDS)} of being told to save, and was killed; its "
                    "last checkpoint is kept"
                )
            if now - since > SILENT_SECONDS:
                raise RunFailed(
                    f"said nothing for {duration_text(SILENT_SECONDS)}, and was killed; its last checkpoint is kept"
                )
            if process.poll() is not None and now - since > ENDING_SECONDS:  # another process holds its output
                return None


def _pass_on(output: IO[str], said: queue.SimpleQueue[str | None]) -> None:
    """Hand on line by line what a process says, and None at its end."""
    for line in output:
        said.put(line)
    said.put(None)
