"""Runs of a study as tasks of a Ray cluster, each with its cores and its share of a GPU (Moritz et al. 2018)."""

from __future__ import annotations

import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mario_rl.config import parse_config, parse_section
from mario_rl.config.study import FinalConfig
from mario_rl.errors import FailedError, UserError
from mario_rl.machine import usable_cores
from mario_rl.runs.directory import RunDir
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.parcels import Complete, Parcel, Piece, Receiver, Sender
from mario_rl.studies.processes import SILENT_SECONDS
from mario_rl.studies.runner import SECONDS_BETWEEN_LOOKS, RunFailed
from mario_rl.studies.work import CountingObserver, RunStopped, perform
from mario_rl.wording import duration_text

LOCAL = "local"
MOST_LOSSES = 5  # of the nodes a run was on, before it counts as failed
UNSENT = 4  # messages that wait for the driver

ROOM_SECONDS = 7 * 24 * 3600.0
"""What a run may wait for room on a cluster, behind all others and those of other people."""

ENDING_SECONDS = 60.0
"""What a cluster may take to end a task that was cancelled; after that the run is left to it."""


class Failure(NamedTuple):
    """A run has failed where it was; why."""

    reason: str


type Message = int | Parcel | Failure
"""What a task tells: agent steps made, pieces of its run directory, or that it failed."""


class Cluster:
    """Works on runs wherever a Ray cluster has room; their directories are gathered here at every checkpoint.

    No disk is shared: a run travels to its node with all that was gathered of it. The run of a node that is lost goes
    on elsewhere from its last checkpoint.

    Args:
        address: of the cluster, such as 10.0.0.1:6379 or auto; "local" for one on this machine alone.
        final: the evaluations at a run's end.
        threads: processor threads, and so cores, of a run.
        gpus: share of a GPU of a run.
        memory_bytes: of a run.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """

    def __init__(
        self, address: str, final: FinalConfig, *, threads: int, gpus: float = 0.0, memory_bytes: int = 0
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise UserError('--cluster: Ray is not installed; pip install "mario-rl[cluster]"') from error
        self._ray: Any = ray  # it is typed in part only
        self._final, self._threads = final, threads
        self._lock = threading.Lock()
        self._working: set[Any] = set()
        self._stopped_at: float | None = None
        # By itself Ray counts processors that this process may not use; a run must have room in any case.
        cores = {"num_cpus": max(threads, usable_cores())} if address == LOCAL else {}
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **cores)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--cluster: {address} is not allowed; no Ray cluster answers there ({reason})") from error
        self._task = self._ray.remote(
            num_cpus=threads,
            num_gpus=gpus,
            memory=memory_bytes,
            max_retries=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=UNSENT,
        )(_work)

    @property
    def cores(self) -> int:
        """The cores of all nodes together."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def execute(self, run: StudyRun, run_dir: RunDir) -> Iterator[int]:
        """Work on one run; yields the agent steps made, again and again.

        Raises:
            RunStopped: `stop` was called. RunFailed: the run failed, or too many nodes were lost under it.
        """
        for _ in range(MOST_LOSSES):
            receiver = Receiver(run_dir)
            try:
                yield from self._attempt(run, run_dir, receiver)
            except (self._ray.exceptions.RayError, ConnectionError) as error:
                if self._stopped_at is not None:
                    raise RunStopped(signal.SIGTERM) from error
                lost = error
            else:
                return
            finally:
                receiver.discard()
        raise RunFailed(f"lost {MOST_LOSSES} times with the node it was on ({type(lost).__name__})")

    def stop(self) -> None:
        """End all runs and begin no more; what came after their last checkpoints is lost."""
        with self._lock:
            self._stopped_at = time.monotonic()
            for task in self._working:
                self._ray.cancel(task, force=True)

    def kill(self) -> None:
        """The same: nothing is waited for that a task would have to save."""
        self.stop()

    def close(self) -> None:
        """Leave the cluster."""
        self._ray.shutdown()

    def _attempt(self, run: StudyRun, run_dir: RunDir, receiver: Receiver) -> Iterator[int]:
        job = {
            "config": run.config.model_dump(mode="json"),
            "final": self._final.model_dump(mode="json"),
            "threads": self._threads,
        }
        gathered = [self._ray.put(parcel) for parcel in Sender(run_dir).changes() if isinstance(parcel, Piece)]
        with self._lock:
            if self._stopped_at is not None:
                raise RunStopped(signal.SIGTERM)
            messages = self._task.remote(job, gathered)
            self._working.add(messages)
        try:
            limit, late = ROOM_SECONDS, "had no room on the cluster"
            while (message := self._next_message(messages, limit, late)) is not None:
                limit, late = SILENT_SECONDS, "said nothing"
                if isinstance(message, Failure):
                    raise RunFailed(message.reason)
                if isinstance(message, int):
                    yield message
                else:
                    receiver.receive(message)
        finally:
            with self._lock:
                self._working.discard(messages)

    def _next_message(self, messages: Any, limit: float, late: str) -> Message | None:
        """Wait for what a task tells, so many seconds; None at its end. `late` says what it is if nothing comes.

        Raises:
            RunStopped: the cluster has not ended it though it was told. RunFailed: it says nothing for too long.
            RayError: its node is lost, or it was ended.
        """
        since = time.monotonic()
        while not self._ray.wait([messages], timeout=SECONDS_BETWEEN_LOOKS, fetch_local=False)[0]:
            now, told_at = time.monotonic(), self._stopped_at
            if told_at is not None and now - told_at > ENDING_SECONDS:
                raise RunStopped(signal.SIGTERM)
            if now - since > limit:
                self._ray.cancel(messages, force=True)
                raise RunFailed(f"{late} for {duration_text(limit)}, and was ended; its last checkpoint is kept")
        try:
            reference = next(messages)
        except StopIteration:
            return None
        message: Message = self._ray.get(reference, timeout=SILENT_SECONDS)
        return message


def _work(job: dict[str, Any], gathered: list[Any]) -> Iterator[Message]:
    """Work on one run on a node, in a folder that is thrown away; the task of `Cluster`."""
    import ray

    with tempfile.TemporaryDirectory(prefix="mario_rl_study_") as folder:
        run_dir = RunDir(Path(folder) / "run")
        receiver = Receiver(run_dir)
        for reference in gathered:
            receiver.receive(ray.get(reference))
        if gathered:
            receiver.receive(Complete([*dict.fromkeys(ray.get(reference).path for reference in gathered)]))
        messages: queue.Queue[Message | None] = queue.Queue(UNSENT)
        # Beside this thread, which hands messages on: so the run waits while its files are sent, and only then.
        threading.Thread(target=_perform, args=(job, run_dir, messages), daemon=True).start()
        while (message := messages.get()) is not None:
            yield message


def _perform(job: dict[str, Any], run_dir: RunDir, messages: queue.Queue[Message | None]) -> None:
    sender = Sender(run_dir)

    def send() -> None:
        for parcel in sender.changes():
            messages.put(parcel)

    try:
        perform(
            parse_config(job["config"], "the study"),
            run_dir,
            parse_section(FinalConfig, job["final"], "the study"),
            threads=job["threads"],
            observer=CountingObserver(messages.put, on_saved=send),
        )
        send()
    except (UserError, FailedError, OSError) as error:
        messages.put(Failure(str(error)))
    except Exception as error:
        messages.put(Failure(f"{type(error).__name__}: {error}"))
        raise
    finally:
        messages.put(None)
