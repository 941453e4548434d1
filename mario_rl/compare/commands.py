"""What `mario-rl compare` does: a study file to a plan, to runs, to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mario_rl.compare.plan import default_jobs, make_plan, memory_bytes
from mario_rl.compare.processes import Processes
from mario_rl.compare.runner import Outcome, StudyObserver, run_study
from mario_rl.compare.study import StudyDir, StudyRun, expand, load_study
from mario_rl.errors import UserError
from mario_rl.runs.directory import runs_below
from mario_rl.streams import SCREEN
from mario_rl.wording import count_text, duration_text

if TYPE_CHECKING:
    from mario_rl.compare.report import Report

MAX_CLUSTER_JOBS = 256


def study_directory(study_file: Path, out: Path | None) -> StudyDir:
    """Name where a study's files go; by default after its file."""
    return StudyDir(out or Path("checkpoints") / "studies" / study_file.stem)


def describe_plan(study_file: Path, directory: StudyDir, *, jobs: int | None) -> str:
    """Say what is left of a study and what it asks of this machine, over a few lines.

    Raises:
        UserError: the study is refused, or not one run has room in memory.
    """
    study = load_study(study_file)
    runs = expand(study, study_file)
    left = _left(runs, directory)
    arms = list(dict.fromkeys(run.arm for run in runs))
    lines = [
        f"study:    {study_file}: {count_text(len(arms), 'arm')} x {count_text(len(study.seeds), 'seed')}, "
        f"{len(left)} of {count_text(len(runs), 'run')} left",
        f"files:    {directory.path}",
        f"arms:     {', '.join(arms)}",
    ]
    if left:
        plan = make_plan(left, study.final, threads=study.threads, jobs=jobs)
        lines += [
            f"to do:    {count_text(plan.agent_steps, 'agent step')}, {count_text(plan.jobs, 'run')} at once, "
            f"{count_text(study.threads, 'thread')} each",
            f"memory:   {plan.jobs * plan.memory_bytes / 1e9:.1f} GB, {plan.memory_bytes / 1e9:.1f} GB a run",
            f"disk:     {plan.disk_bytes / 1e9:.1f} GB at a time",
            f"time:     about {duration_text(plan.seconds)}, if nothing else runs here (by how fast this machine "
            "just played and learned)",
        ]
    return "\n".join(lines)


def run(study_file: Path, directory: StudyDir, *, jobs: int | None, cluster: str | None) -> Outcome:
    """See a study through, here or on a cluster, and show how it goes on stderr.

    Raises:
        UserError: the study is refused, the machine can't carry it, or no cluster answers.
    """
    study = load_study(study_file)
    runs = expand(study, study_file)
    text = study_file.read_text(encoding="utf-8")
    left = _left(runs, directory)
    observer = TerminalStudyObserver(directory)
    try:
        if cluster is not None:
            from mario_rl.compare.cluster import Cluster

            most = max((memory_bytes(run.config) for run in left), default=0)
            executor = Cluster(cluster, study.final, threads=study.threads, gpus=study.gpus, memory_bytes=most)
            try:
                at_once = jobs or min(MAX_CLUSTER_JOBS, max(1, len(left)))
                return run_study(runs, directory, executor, jobs=at_once, study=text, observer=observer)
            finally:
                executor.close()
        at_once = jobs or (default_jobs(left, threads=study.threads) if left else 1)
        processes = Processes(study.final, threads=study.threads)
        return run_study(runs, directory, processes, jobs=at_once, study=text, observer=observer)
    finally:
        observer.close()


def report(path: Path) -> Report:
    """Make the report of the runs in a directory.

    Raises:
        UserError: there is no such directory, or no run in it; nothing has been written then.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such directory; --report takes one with run directories in it")
    if not any(run.episodes.is_file() for run in runs_below(path)):
        raise UserError(f"{path}: no run in it whose first episode has ended, so there is nothing to report")
    from mario_rl.compare.report import write_report

    return write_report(path)


class TerminalStudyObserver(StudyObserver):
    """Shows a study on stderr: one bar over all agent steps, and a line for every run that ends."""

    def __init__(self, directory: StudyDir) -> None:
        self._directory = directory
        self._bar: tqdm[Any] | None = None
        self._steps: dict[tuple[str, int], int] = {}
        self._total = 0  # agent steps of this sitting

    def started(self, done: int, agent_steps: int) -> None:
        tqdm.write(f"study in {self._directory.path}, {count_text(done, 'run')} done already", file=SCREEN)
        # As many units as agent steps in all: the rate is what the machine makes, all runs together.
        self._total = agent_steps
        self._bar = tqdm(
            file=SCREEN, total=agent_steps, unit=" agent steps", unit_scale=True, dynamic_ncols=True, disable=None
        )

    def progressed(self, run: StudyRun, agent_steps: int) -> None:
        assert self._bar is not None
        if self._bar.disable:  # no terminal, no bar
            return
        key = (run.arm, run.seed)
        if key not in self._steps:
            self._total -= agent_steps  # made in an earlier sitting: not of this one's rate
            self._bar.total = self._total
        self._bar.update(agent_steps - self._steps.get(key, agent_steps))
        self._steps[key] = agent_steps

    def finished(self, run: StudyRun) -> None:
        tqdm.write(f"done: {run}: {self._directory.run(run.arm, run.seed).path}", file=SCREEN)

    def failed(self, run: StudyRun, reason: str) -> None:
        tqdm.write(f"failed: {run}: {reason} ({self._directory.error(run.arm, run.seed)})", file=SCREEN)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()


def _left(runs: list[StudyRun], directory: StudyDir) -> list[StudyRun]:
    return [run for run in runs if not directory.run(run.arm, run.seed).final.exists()]
