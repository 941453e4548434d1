"""How fast each part is on this machine, and a training run as a whole: what `mario-rl benchmark` measures."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from mario_rl.agents import QAgent
from mario_rl.config import Config
from mario_rl.devices import describe_machine, one_thread, resolve_device, training_versions
from mario_rl.envs import make_games, num_actions
from mario_rl.errors import MeasurementInterrupted
from mario_rl.game.rom import load_rom, stage_start
from mario_rl.machine import computing_cores, keep_freed_memory
from mario_rl.nes.console import Console
from mario_rl.replay import ReplayBuffer
from mario_rl.runs.directory import RunDir
from mario_rl.seeding import spawn_streams
from mario_rl.training import Observer, Progress, check_machine, make_replay, train
from mario_rl.types import Steps
from mario_rl.wording import count_text

RIGHT = 1 << 7  # the joypad byte
WARMUP_STEPS = 500  # agent steps before the first update of a measured training run
FILLED_STEPS = 10_000  # transitions in the replay that is sampled from


class Figure(NamedTuple):
    """One line of the report: how much of `unit` a part does in a second, over several repeats.

    part: what was measured, and on how many cores.
    bound: what holds it back, in words; empty where there is nothing to say.
    """

    part: str
    unit: str
    per_second: float
    lowest: float
    highest: float
    bound: str = ""


class Measured(NamedTuple):
    """One measurement: how much of a unit in how many seconds, and the share of them that the learner waited."""

    amount: int
    seconds: float
    waited: float = 0.0


class BenchmarkReport(NamedTuple):
    """All figures, and what they were measured on and with.

    complete: whether all was measured as often as was asked for; false where it was interrupted.
    """

    figures: list[Figure]
    settings: dict[str, Any]
    machine: dict[str, str]
    versions: dict[str, str]
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Turn it into what the JSON file holds."""
        return self._asdict() | {"figures": [figure._asdict() for figure in self.figures]}


@one_thread()
def run_benchmark(
    config: Config,
    *,
    seconds: float = 3.0,
    agent_steps: int = 2_000,
    repeats: int = 3,
    should_stop: Callable[[], bool] = lambda: False,
    on_measured: Callable[[str, int], None] = lambda part, total: None,
) -> BenchmarkReport:
    """Measure every part, then all of them again, `repeats` times, so that a slow minute hits all alike.

    Args:
        config: says which stage, network, batch, replay ratio, device and so on.
        seconds: how long each part is measured, each time.
        agent_steps: how many a training run is measured over, after its warm-up.
        repeats: of which the median counts.
        should_stop: asked after each measurement, which then does not count; the report is of those before it.
        on_measured: told of each measurement made, and how many there will be.

    Raises:
        MeasurementInterrupted: `should_stop` said so before anything was measured.
        UserError: the machine lacks the device, the memory or the disk space.
    """
    check_machine(_for_training(config, agent_steps), RunDir(Path(tempfile.gettempdir())))
    keep_freed_memory()
    measurements: dict[tuple[str, str], Callable[[], Measured]] = {
        ("emulator alone, 1 core", "frames"): partial(_emulator, config, seconds),
        ("environment, 1 core", "agent steps"): partial(_environment, config, seconds),
        ("replay, sampling", "transitions"): partial(_replay, config, seconds),
    }
    device = resolve_device(config.device)
    for cores in sorted({1, min(computing_cores(), 2)}) if device.type == "cpu" else [1]:
        measurements[f"learner, {count_text(cores, 'core')}", "updates"] = partial(_learner, config, seconds, cores)
    measurements["training", "agent steps"] = partial(_training, config, agent_steps)

    results: dict[tuple[str, str], list[Measured]] = {key: [] for key in measurements}
    total = repeats * len(measurements)
    complete = False
    with suppress(MeasurementInterrupted):
        for key, measure in list(measurements.items()) * repeats:
            measured = measure()
            if should_stop():
                raise MeasurementInterrupted
            results[key].append(measured)
            on_measured(key[0], total)
        complete = True
    if not any(results.values()):
        raise MeasurementInterrupted
    return BenchmarkReport(
        figures=[_figure(part, unit, measured, config) for (part, unit), measured in results.items() if measured],
        settings={
            "config": config.model_dump(mode="json"),
            "seconds": seconds,
            "agent_steps": agent_steps,
            "repeats": repeats,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        },
        machine=describe_machine(device),
        versions=training_versions(config.agent.bfloat16, device),
        complete=complete,
    )


def markdown(report: BenchmarkReport) -> str:
    """Lay a report out as a Markdown table under one line on the machine and the settings."""
    config = report.settings["config"]
    agent = config["agent"]
    rows = [("part", "per second (median)", "lowest to highest", "bound by")] + [
        (figure.part, f"{_number(figure.per_second)} {figure.unit}", _range(figure), figure.bound)
        for figure in report.figures
    ]
    rows.insert(1, ("---",) * 4)
    return "\n".join(
        [
            f"{report.machine['processor']}, {count_text(int(report.machine['cores']), 'core')}, "
            f"{report.machine['memory']}, {report.machine['device']}; {report.settings['date']}; "
            f"Python {report.versions['python']}, torch {report.versions['torch']}.",
            f"Stage {config['env']['stage']}, {config['env']['grayscale']} grayscale, target {agent['target']}, "
            f"batch {agent['batch_size']}, one update per {count_text(agent['steps_per_update'], 'agent step')}, "
            f"{report.versions['updates in']}, {count_text(config['training']['envs'], 'environment')}; "
            f"median of {report.settings['repeats']}{'' if report.complete else ', or of fewer: CUT SHORT'}.",
            "",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
        ]
    )


@one_thread()
def seconds_per_step_and_update(config: Config, *, cores: int, seconds: float = 1.0) -> tuple[float, float]:
    """Measure an agent step of the environment and an update of the learner, each for so many seconds."""
    played, learned = _environment(config, seconds), _learner(config, seconds, cores)
    return played.seconds / played.amount, learned.seconds / learned.amount


def _emulator(config: Config, seconds: float) -> Measured:
    """Advance the game by frames without looking at them, as fast as the emulator goes."""
    cartridge = load_rom(config.env.rom)
    console, start = Console(cartridge), stage_start(cartridge, config.env.stages[0]).machine

    def advance() -> int:
        console.restore(start)
        for _ in range(100):
            console.play(RIGHT, draw=False)
        return 100

    return _repeat(advance, seconds)


def _environment(config: Config, seconds: float) -> Measured:
    """Take random agent steps, resets included."""
    count = config.training.envs
    games, rng = make_games(config.env, count, autoreset=True), np.random.default_rng(config.seed)
    actions = num_actions(config.env.action_set)
    for number in range(count):
        games.seed(number, config.seed + number)
        games.reset(number)

    def step() -> int:
        games.step(rng.integers(actions, size=count))
        return count

    measured = _repeat(step, seconds)
    games.close()
    return measured


def _replay(config: Config, seconds: float) -> Measured:
    """Draw batches from a replay of random frames."""
    replay, size = _filled_replay(config), config.agent.batch_size

    def sample() -> int:
        replay.sample(size)
        return size

    return _repeat(sample, seconds)


def _learner(config: Config, seconds: float, cores: int) -> Measured:
    """Make updates from one batch over and over; on CUDA until the device has really made them."""
    device = resolve_device(config.device)
    agent = _agent(config, device, cores)
    batch = _filled_replay(config).sample(config.agent.batch_size)

    def learn() -> int:
        for _ in range(5):
            loss = agent.learn(batch).loss
        loss.item()
        return 5

    learn()
    return _repeat(learn, seconds)


def _training(config: Config, agent_steps: int) -> Measured:
    """Train in a folder that is thrown away; the time from the first updates to the last agent step counts."""
    config = _for_training(config, agent_steps)
    clock = _Clock(config.replay.warmup_steps + config.training.envs)
    with tempfile.TemporaryDirectory(prefix="mario_rl_benchmark_") as folder:
        result = train(config, Path(folder) / "run", observer=clock)
    if result.signal is not None:
        signal.raise_signal(result.signal)  # training has taken it for its own; it is meant for all that is measured
        raise MeasurementInterrupted
    assert clock.first is not None
    assert clock.last is not None
    (began, first), (ended, last) = clock.first, clock.last
    return Measured(
        amount=last.agent_steps - first.agent_steps,
        seconds=ended - began,
        waited=(last.waited_seconds - first.waited_seconds) / (ended - began),
    )


def _for_training(config: Config, agent_steps: int) -> Config:
    """Change what would be measured with it: warm-up, evaluations, files; every action is chosen by the network."""
    warmup = min(max(WARMUP_STEPS, config.agent.batch_size), config.replay.capacity)
    agent_steps = max(agent_steps, config.agent.steps_per_update + 2 * config.training.envs)  # for one update at least
    sections = {
        "replay": {"warmup_steps": warmup},
        "agent": {"epsilon": config.agent.epsilon.model_dump() | {"start": config.agent.epsilon.end}},
        "training": {
            "agent_steps": warmup + agent_steps,
            "episodes": None,
            "minutes": None,
            "clear_rate": None,
            "checkpoint_every_steps": 10**9,
        },
        "evaluation": {"every_steps": None},
        "logging": {"trackers": (), "curve_every_seconds": 1e9},
    }
    whole = config.model_dump()
    return Config.model_validate(whole | {name: whole[name] | changes for name, changes in sections.items()})


class _Clock(Observer):
    """Notes the time when training is under way, and at its last step."""

    def __init__(self, begin_at: int) -> None:
        self._begin_at = begin_at
        self.first: tuple[float, Progress] | None = None
        self.last: tuple[float, Progress] | None = None

    def progressed(self, progress: Progress) -> None:
        if self.first is None and progress.updates > 0 and progress.agent_steps >= self._begin_at:
            self.first = time.perf_counter(), progress
        self.last = time.perf_counter(), progress


def _agent(config: Config, device: torch.device, cores: int) -> QAgent:
    return QAgent(
        config.agent,
        config.network,
        num_actions=num_actions(config.env.action_set),
        frame_stack=config.env.frame_stack,
        seed=spawn_streams(config.seed, 1).network,
        device=device,
        cores=cores,
    )


def _filled_replay(config: Config) -> ReplayBuffer:
    """Make a replay that holds random frames in episodes of 200 agent steps."""
    rng = np.random.default_rng(config.seed)
    replay, envs = make_replay(config, rng), config.training.envs
    frame = rng.integers(256, size=(envs, 84, 84), dtype=np.uint8)
    actions = num_actions(config.env.action_set)
    for step in range(min(FILLED_STEPS, config.replay.capacity) // envs):
        over = np.full(envs, step % 200 == 199)
        action = rng.integers(actions, size=envs)
        replay.add(Steps(frame, action, np.ones(envs), over, np.zeros(envs, dtype=np.bool_), frame))
    return replay


def _repeat(work: Callable[[], int], seconds: float) -> Measured:
    began = time.perf_counter()
    count = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        count += work()
    return Measured(count, elapsed)


def _figure(part: str, unit: str, measured: list[Measured], config: Config) -> Figure:
    rates = [one.amount / one.seconds for one in measured]
    bound = ""
    if unit == "transitions":
        bound = f"{config.agent.batch_size / median(rates) * 1e3:.2f} ms per batch"
    elif unit == "updates":
        bound = f"{1e3 / median(rates):.1f} ms per update"
    elif part.startswith("training"):
        bound = f"the learner waits for the games {median(one.waited for one in measured):.0%} of the time"
    return Figure(part, unit, median(rates), min(rates), max(rates), bound)


def _range(figure: Figure) -> str:
    return f"{_number(figure.lowest)} to {_number(figure.highest)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
