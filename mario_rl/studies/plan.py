"""What a study asks of the machine: how many runs at once, memory, disk, and about how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mario_rl.config import Config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.evaluation.finals import asked_finals
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.machine import available_memory_bytes, usable_cores
from mario_rl.replay.memory import estimate_bytes
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.left import Left

PROCESS_BYTES = 700_000_000
"""A run's process without its replay: 600 MB, measured on Linux with the CUDA build of torch 2.15, and some room."""

EPISODE_STEPS = 300
"""Agent steps of an evaluated episode: what clearing 1-1 takes, and more than most that fail."""


class Plan(NamedTuple):
    """What the runs that are left ask for.

    runs: how many. agent_steps: of all of them. jobs: how many at once. memory_bytes: of one run, the most.
    disk_bytes: at a time, with two generations of every replay. seconds: of wall-clock, about.
    """

    runs: int
    agent_steps: int
    jobs: int
    memory_bytes: int
    disk_bytes: int
    seconds: float


def make_plan(left: Left, final: FinalConfig, *, threads: int, jobs: int | None = None) -> Plan:
    """Plan the runs that are left; measures for a few seconds how fast this machine plays and learns.

    The time is that of agent steps, updates and evaluated episodes, each run on a core of its own; what several runs
    take from each other in caches and memory is not in it.

    Args:
        left: at least one run.
        final: the evaluations at a run's end.
        threads: processor threads of a run.
        jobs: runs at once; None for as many as cores and memory carry.

    Raises:
        UserError: not even one run has room in memory.
    """
    memory = max((memory_bytes(run.config) for run in left.train), default=PROCESS_BYTES)
    at_once = min(jobs or default_jobs(left.train, threads=threads), len(left.runs))
    from mario_rl.diagnostics.benchmark import seconds_per_step_and_update  # it needs torch, and refusing did not

    step_seconds, update_seconds = seconds_per_step_and_update(left.runs[0].config, cores=threads)
    seconds = sum(_training_seconds(run.config, step_seconds, update_seconds) for run in left.train)
    seconds += sum(_final_steps(run.config, final) for run in left.runs) * step_seconds
    return Plan(
        runs=len(left.runs),
        agent_steps=sum(run.config.training.agent_steps or 0 for run in left.train),
        jobs=at_once,
        memory_bytes=memory,
        disk_bytes=at_once * max((2 * estimate_bytes(run.config.replay.capacity) for run in left.train), default=0),
        seconds=seconds / at_once,
    )


def default_jobs(left: Sequence[StudyRun], *, threads: int) -> int:
    """Count the runs that this machine carries at once: by its cores, and by the memory that is left.

    Args:
        left: those that are to be trained; evaluating others takes no replay.
        threads: processor threads of a run.

    Raises:
        UserError: not even one has room in memory.
    """
    needed, available = max((memory_bytes(run.config) for run in left), default=PROCESS_BYTES), available_memory_bytes()
    if needed > available:
        raise UserError(
            f"replay.capacity: a run needs {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB is available; "
            "lower replay.capacity under settings"
        )
    return max(1, min(usable_cores() // threads, available // needed))


def memory_bytes(config: Config) -> int:
    """Estimate the memory of one run that trains; a replay on a GPU takes none of the machine's."""
    return PROCESS_BYTES + (estimate_bytes(config.replay.capacity) if config.replay.device == "cpu" else 0)


def _training_seconds(config: Config, step_seconds: float, update_seconds: float) -> float:
    steps = config.training.agent_steps or 0
    updates = max(0, steps - config.replay.warmup_steps) / config.agent.steps_per_update
    every, protocol = config.evaluation.every_steps, config.evaluation.protocol
    evaluations = 0 if every is None else steps // every
    episodes = evaluations * (PROTOCOLS[protocol].fixed_episodes or config.evaluation.episodes)
    return (steps + episodes * _episode_steps(config)) * step_seconds + updates * update_seconds


def _final_steps(config: Config, final: FinalConfig) -> int:
    return sum(made.episodes for made in asked_finals(config, final).values()) * _episode_steps(config)


def _episode_steps(config: Config) -> int:
    return min(EPISODE_STEPS, config.env.max_agent_steps or EPISODE_STEPS)
