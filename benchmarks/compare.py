"""Speed and memory of mario_rl beside other people's programs: same machine, same settings, in turn, medians.

    python benchmarks/compare.py speed          # one update per 4 agent steps: Stable-Baselines3, CleanRL's arrangement
    python benchmarks/compare.py article        # one update per agent step: the article's algorithm
    python benchmarks/compare.py environment    # no learning: the wrappers alone, on one core
    python benchmarks/compare.py memory         # a full replay of 100,000 transitions

Needs `pip install -e ".[benchmarks]"`. Each writes JSON and a Markdown table to benchmarks/results/.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
import psutil
import torch
from busy import kept_busy
from contestants import Settings
from tqdm import tqdm

from mario_rl.devices import describe_machine, software_versions

HERE = Path(__file__).parent
SECONDS_BETWEEN_LOOKS = 0.5
RIVALS = ("Stable-Baselines3, 1 environment", "Stable-Baselines3, 8 environments", "Stable-Baselines3, 8 processes")
OURS = "mario_rl"
FLOAT32 = "mario_rl, float32"
RECIPE = "mario_rl, shipped recipe"


class Comparison(NamedTuple):
    """Who is compared, and with what; the first is ours, the second the one that the ratio is taken to."""

    title: str
    names: tuple[str, ...]
    settings: Settings


BASE = Settings(agent_steps=2_000, warmup_steps=1_000, capacity=20_000, steps_per_update=4)
COMPARISONS = {
    "speed": Comparison(
        "Training with learning, one update per 4 agent steps",
        (OURS, RIVALS[0], FLOAT32, RECIPE, *RIVALS[1:], "CleanRL's arrangement"),
        BASE,
    ),
    "article": Comparison(
        "Training with learning, one update per agent step",
        (OURS, "the article's algorithm", FLOAT32),
        replace(BASE, steps_per_update=1, agent_steps=1_000),
    ),
    "environment": Comparison(
        "Environment alone: frame skip 4, 84 x 84, stack 4, random actions, one core",
        (
            "environment: mario_rl, article",
            "environment: Gymnasium's wrappers",
            "environment: mario_rl, plain",
            "environment: Stable-Baselines3's wrappers",
        ),
        replace(BASE, agent_steps=3_000),
    ),
    "memory": Comparison(
        "Memory with a full replay of 100,000 transitions",
        (OURS, RIVALS[0]),
        replace(BASE, capacity=100_000, agent_steps=300, fill=True),
    ),
}


class Run(NamedTuple):
    """One run of a contestant: agent steps per second, and the most memory all its processes had, in bytes."""

    steps_per_second: float
    peak_bytes: int


@click.command()
@click.argument("comparison", type=click.Choice(list(COMPARISONS)))
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
@click.option("--agent-steps", type=click.IntRange(min=200), help="Measured in each run.  [default: as in this file]")
@click.option("--only", multiple=True, metavar="NAME", help="Leave out all but this and others so named.")
@click.option("--busy", type=click.IntRange(min=0), default=0, help="Processes that compute beside each run.")
@click.option("--output", type=click.Path(path_type=Path), default=HERE / "results", help="Folder for the results.")
def main(
    comparison: str, repeats: int, agent_steps: int | None, only: tuple[str, ...], busy: int, output: Path
) -> None:
    """Compare the speed or the memory of mario_rl with other people's programs, in alternation."""
    title, names, settings = COMPARISONS[comparison]
    if unknown := set(only) - set(names):
        raise click.UsageError(f"--only: {', '.join(sorted(unknown))} is not compared; one of {', '.join(names)}")
    names = tuple(name for name in names if not only or name in only)
    if len(names) < 2:
        raise click.UsageError("--only: name two or more, the second of which the ratio is taken to")
    if busy:
        title += f", beside {busy} busy {'process' if busy == 1 else 'processes'}"
    settings = replace(settings, agent_steps=agent_steps or settings.agent_steps)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with tqdm(total=repeats * len(names), unit="run") as bar, kept_busy(busy):
        for _ in range(repeats):
            for name in names:
                bar.set_description(name)
                runs[name].append(run(name, settings))
                bar.update()
    report = {
        "title": title,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "settings": asdict(settings),
        "machine": describe_machine(torch.device("cpu")),
        "versions": software_versions() | {"stable-baselines3": _version("stable-baselines3")},
        "runs": {name: [one._asdict() for one in made] for name, made in runs.items()},
    }
    output.mkdir(parents=True, exist_ok=True)
    text = table(report, by_memory=comparison == "memory")
    stem = f"{comparison}_busy" if busy else comparison
    for path, content in (
        (output / f"{stem}.json", json.dumps(report, indent=2) + "\n"),
        (output / f"{stem}.md", text),
    ):
        path.write_text(content, encoding="utf-8")
    click.echo(f"{text}\n{output / stem}.json, .md")


def run(name: str, settings: Settings) -> Run:
    """Run a contestant in processes of its own and watch their memory, shared pages counted once."""
    # Others' threads shall spin less while somebody works beside them; ours don't.
    environment = os.environ | {"GOMP_SPINCOUNT": "5000"}
    command = [sys.executable, str(HERE / "contestants.py"), name, json.dumps(asdict(settings))]
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        while process.poll() is None:
            peak = max(peak, memory_of_all(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    if process.returncode != 0:
        raise click.ClickException(f"{name} ended with exit code {process.returncode}")
    return Run(json.loads(lines[-1])["steps_per_second"], peak)


def memory_of_all(pid: int) -> int:
    """Add up the proportional set sizes (Linux) of a process and all its children, in bytes."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (psutil.NoSuchProcess, OSError, StopIteration):  # it ended while it was looked at
        return 0
    return total


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def table(report: dict[str, Any], *, by_memory: bool) -> str:
    """Lay a comparison out in Markdown; ratios are to the second contestant."""
    runs: dict[str, list[dict[str, float]]] = report["runs"]
    rates = {name: [one["steps_per_second"] for one in made] for name, made in runs.items()}
    peaks = {name: median(one["peak_bytes"] for one in made) for name, made in runs.items()}
    values = peaks if by_memory else {name: median(made) for name, made in rates.items()}
    base = values[list(runs)[1]]
    machine, versions = report["machine"], report["versions"]
    lines = [
        f"{report['title']}. {machine['processor']}, {machine['cores']} cores, {machine['memory']}; {report['date']}; "
        f"torch {versions['torch']}, Stable-Baselines3 {versions['stable-baselines3']}; median of "
        f"{len(next(iter(runs.values())))}.",
        "",
        f"| who | agent steps/s | lowest to highest | peak memory | {'memory' if by_memory else 'speed'}, times |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, made in rates.items():
        lines.append(
            f"| {name.removeprefix('environment: ')} | {median(made):.1f} | {min(made):.1f} to {max(made):.1f} | "
            f"{peaks[name] / 1e6:,.0f} MB | {values[name] / base:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
