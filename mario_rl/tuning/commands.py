"""What `mario-rl tune` does: it plans, sees trials through, and writes what they have found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mario_rl.config.search import Choices, Range, Search, corners, load_search, space_of, trial_configs
from mario_rl.files import json_text, write_atomically
from mario_rl.studies.arms import StudyRun
from mario_rl.studies.left import Left
from mario_rl.studies.plan import default_jobs, make_plan, memory_bytes
from mario_rl.studies.processes import Processes
from mario_rl.studies.runner import Executor, Outcome
from mario_rl.tuning.directory import SearchDir, trial_name
from mario_rl.tuning.results import Found, write_results
from mario_rl.tuning.runner import SearchObserver, only_one, run_search
from mario_rl.tuning.trials import Trials, import_optuna
from mario_rl.wording import count_text, duration_text


class Sitting(NamedTuple):
    """How a sitting of a search ended, and what the search has found so far."""

    outcome: Outcome
    found: Found


def search_directory(file: Path, out: Path | None) -> SearchDir:
    """Name where a search's files go; by default after its file."""
    return SearchDir(out or Path("checkpoints") / "searches" / file.stem)


def describe_plan(file: Path, directory: SearchDir, *, jobs: int | None, trials: int | None = None) -> str:
    """Say what is left of a search and what it asks of this machine, over a few lines. Nothing is written.

    Raises:
        UserError: the search is refused, or not one run has room in memory.
    """
    search, _ = _load(file, trials)
    left = search.trials
    if directory.database.is_file():
        kept = Trials(directory.database, search, file)
        left = kept.left
        kept.close()
    space = space_of(search, file)
    lines = [
        f"search:   {file}: {left:,} of {count_text(search.trials, 'trial')} left, {search.objective} is to be as high "
        f"as possible ({search.sampler}, pruner {search.pruner}, seed {search.seed})",
        f"files:    {directory.path}",
        *(f"{'space:' if number == 0 else '':<9} {_entry(key, space[key])}" for number, key in enumerate(space)),
    ]
    if left:
        runs = _largest(search, file, left)
        plan = make_plan(Left(runs, []), search.final, threads=search.threads, jobs=jobs)
        at_once = min(plan.jobs, left)
        lines += [
            f"to do:    {count_text(plan.agent_steps, 'agent step')} at most, {count_text(at_once, 'trial')} at once, "
            f"{count_text(search.threads, 'thread')} each",
            f"memory:   {at_once * plan.memory_bytes / 1e9:.1f} GB, {plan.memory_bytes / 1e9:.1f} GB a run",
            f"disk:     {plan.disk_bytes / 1e9:.1f} GB at a time",
            f"time:     about {duration_text(plan.seconds * plan.jobs / at_once)} if nothing is pruned and nothing "
            "else runs here (by how fast this machine just played and learned)",
        ]
    return "\n".join(lines)


def run(
    file: Path,
    directory: SearchDir,
    *,
    jobs: int | None = None,
    trials: int | None = None,
    observer: SearchObserver | None = None,
    executor: Callable[[], Executor] | None = None,
) -> Sitting:
    """See a search through, and write what it has found; an observer hears how it goes.

    Args:
        file: a search, a config or a study.
        directory: where its files are or shall be.
        jobs: trials at once; None for as many as cores and memory carry.
        trials: how many there shall be in all; None for what the file says.
        observer: hears how it goes.
        executor: makes what works on one run; None for processes of this machine.

    Raises:
        UserError: the search is refused, its directory is of another or in use, or the machine can't carry it.
        StorageError: the disk refused a write; trials that are done are kept.
    """
    import_optuna()  # before anything is made
    search, text = _load(file, trials)
    with only_one(directory):
        kept = Trials(directory.database, search, file)
        try:
            write_atomically(directory.study, lambda partial: partial.write_text(text, encoding="utf-8"))
            at_once = jobs or default_jobs(_largest(search, file, 1), threads=search.threads)
            outcome = run_search(
                search,
                kept,
                directory,
                lambda trial: trial_configs(search, file, [trial.values])[0],
                executor or (lambda: Processes(search.final, threads=search.threads)),
                jobs=max(1, min(at_once, kept.left)),
                observer=observer or SearchObserver(),
            )
            return Sitting(outcome, write_results(search, file, kept, directory))
        finally:
            kept.close()


def _load(file: Path, trials: int | None) -> tuple[Search, str]:
    search, text = load_search(file)
    return (search if trials is None else search.model_copy(update={"trials": trials})), text


def _largest(search: Search, file: Path, trials: int) -> list[StudyRun]:
    """Make up the runs of some trials, as they are where the search's values take most memory, for what they take."""
    config = max(trial_configs(search, file, corners(space_of(search, file))), key=memory_bytes)
    return [StudyRun(trial_name(number), seed, config) for number in range(trials) for seed in search.seeds]


def _entry(key: str, one: Range | Choices) -> str:
    if isinstance(one, Range):
        return f"{key}: {one.low} to {one.high}{', by its logarithm' if one.log else ''}"
    return f"{key}: {', '.join(value if isinstance(value, str) else json_text(value) for value in one)}"
