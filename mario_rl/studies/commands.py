"""What `mario-rl compare` does with a study file: it plans, and sees its runs through."""

from __future__ import annotations

from pathlib import Path

from mario_rl.config.files import read_config_text
from mario_rl.config.study import load_study, parse_study
from mario_rl.runs.study import StudyDir
from mario_rl.studies.arms import expand
from mario_rl.studies.left import what_is_left
from mario_rl.studies.plan import PROCESS_BYTES, default_jobs, make_plan, memory_bytes
from mario_rl.studies.processes import Processes
from mario_rl.studies.runner import Outcome, StudyObserver, run_study
from mario_rl.wording import count_text, duration_text

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
    left = what_is_left(runs, directory, study.final)
    again = "" if not left.evaluate else f", {len(left.evaluate)} of them to be evaluated again"
    arms = list(dict.fromkeys(run.arm for run in runs))
    lines = [
        f"study:    {study_file}: {count_text(len(arms), 'arm')} x {count_text(len(study.seeds), 'seed')}, "
        f"{len(left.runs)} of {count_text(len(runs), 'run')} left{again}",
        f"files:    {directory.path}",
        f"arms:     {', '.join(arms)}",
    ]
    if left.runs:
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


def run(
    study_file: Path,
    directory: StudyDir,
    *,
    jobs: int | None,
    cluster: str | None,
    observer: StudyObserver | None = None,
) -> Outcome:
    """See a study through, here or on a cluster; an observer hears how it goes.

    Raises:
        UserError: the study is refused, the machine can't carry it, or no cluster answers.
    """
    text = read_config_text(study_file, "study")
    study = parse_study(text, study_file)
    runs = expand(study, study_file)
    left = what_is_left(runs, directory, study.final)
    if cluster is not None:
        from mario_rl.studies.cluster import Cluster

        most = max((memory_bytes(run.config) for run in left.train), default=PROCESS_BYTES)
        executor = Cluster(cluster, study.final, threads=study.threads, gpus=study.gpus, memory_bytes=most)
        try:
            at_once = jobs or min(MAX_CLUSTER_JOBS, max(1, len(left.runs)))
            return run_study(runs, directory, executor, study.final, jobs=at_once, study=text, observer=observer)
        finally:
            executor.close()
    at_once = jobs or (default_jobs(left.train, threads=study.threads) if left.runs else 1)
    processes = Processes(study.final, threads=study.threads)
    return run_study(runs, directory, processes, study.final, jobs=at_once, study=text, observer=observer)
