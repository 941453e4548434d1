"""How fast the compiled emulator is here, beside nes-py on the same work: `mario-rl benchmark --emulator`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import FrameStackObservation, GrayscaleObservation, MaxAndSkipObservation, ResizeObservation

from mario_rl.compiling import FOLDER_VARIABLE
from mario_rl.config import EnvConfig
from mario_rl.devices import describe_machine, resolve_device, software_versions
from mario_rl.envs import ButtonActions, action_buttons, make_game
from mario_rl.errors import MeasurementInterrupted
from mario_rl.game.games import Games
from mario_rl.game.rom import load_rom, stage_start
from mario_rl.machine import usable_cores
from mario_rl.nes.console import Console
from mario_rl.wording import count_text

STAGE = "1-1"
RIGHT = 1 << 7  # the joypad byte
FRAMES = 100  # from the stage's start, again and again
NUM_GAMES = 16
STEPS = 25  # of each game, between looks at the clock

START = """
import time
began = time.perf_counter()
from mario_rl.config import EnvConfig
from mario_rl.game.games import Games
from mario_rl.machine import usable_cores
games = Games(EnvConfig(), 1)
games.reset(0)
games.step([1])
print(time.perf_counter() - began)
"""


def _on_threads(number: int) -> str:
    return f"native, {NUM_GAMES} games, {count_text(number, 'thread')}"


ONE_THREAD = _on_threads(1)


type Part = tuple[str, str, str | None, Callable[[], float]]
"""What is measured, in which unit, what it is compared with, and how."""


class Rate(NamedTuple):
    """One line: what was measured, in which unit, each time; and what it is compared with."""

    what: str
    unit: str
    values: list[float]
    against: str | None = None

    @property
    def median(self) -> float:
        return median(self.values)


class EmulatorReport(NamedTuple):
    """All lines, and what they were measured on and with.

    complete: whether all was measured as often as was asked for; false where it was interrupted.
    """

    rates: list[Rate]
    repeats: int
    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    complete: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Turn it into what the JSON file holds."""
        return self._asdict() | {"rates": [rate._asdict() | {"median": rate.median} for rate in self.rates]}


NES_PY, NOT_DRAWN, DRAWN = "nes-py, every frame drawn", "native, nothing drawn", "native, every frame drawn"
WRAPPERS = "gym-super-mario-bros with Gymnasium's wrappers"
COLD, WARM = "compiling, once", "start where it is compiled"


def measure_emulator(
    *,
    seconds: float,
    repeats: int,
    evaluation: Callable[[], float] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_measured: Callable[[str, int], None] = lambda part, total: None,
) -> EmulatorReport:
    """Measure everything in turn, `repeats` times, so that a slow minute hits all alike; compiling once.

    Args:
        seconds: how long each is measured, each time.
        repeats: of which the median counts.
        evaluation: makes an evaluation and returns how many seconds it took; left out where it is None.
        should_stop: asked after each measurement, which then does not count; the report is of those before it.
        on_measured: told of each measurement made, and how many there will be.

    Raises:
        MeasurementInterrupted: `should_stop` said so before anything was measured.
        UserError: the ROM can't be played.
    """
    cores = usable_cores()
    parts: list[Part] = [
        (NES_PY, "frames/s", None, partial(_nes_py_frames, seconds)),
        (NOT_DRAWN, "frames/s", NES_PY, partial(_native_frames, seconds, draw=False)),
        (DRAWN, "frames/s", NES_PY, partial(_native_frames, seconds, draw=True)),
        (WRAPPERS, "agent steps/s", None, partial(_wrappers, seconds)),
        (ONE_THREAD, "agent steps/s", WRAPPERS, partial(_games, seconds, threads=1)),
    ]
    parts += [
        (
            f"native, {NUM_GAMES} games, {count_text(threads, 'thread')}",
            "agent steps/s",
            ONE_THREAD,
            partial(_games, seconds, threads=threads),
        )
        for threads in sorted({min(2, cores), cores} - {1})
    ]
    parts.append((WARM, "s", None, _start))
    if evaluation is not None:
        parts.append(("noop evaluation, 31 episodes", "s", None, evaluation))
    total = repeats * len(parts) + 1
    values: dict[str, list[float]] = {what: [] for what, *_ in parts}
    with tempfile.TemporaryDirectory(prefix="mario_rl_benchmark_") as folder:
        cold: Part = (COLD, "s", None, partial(_start, Path(folder)))
        complete = False
        with suppress(MeasurementInterrupted):
            for what, _, _, measure in [*parts * repeats, cold]:
                values.setdefault(what, []).append(_unless_stopped(measure, should_stop))
                on_measured(what, total)
            complete = True
    rates = [Rate(what, unit, values[what], against) for what, unit, against, _ in [*parts, cold] if values.get(what)]
    if not rates:
        raise MeasurementInterrupted
    return EmulatorReport(
        rates=rates,
        repeats=repeats,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine=describe_machine(resolve_device("cpu")),
        versions=software_versions(),
        complete=complete,
    )


def _unless_stopped(measure: Callable[[], float], should_stop: Callable[[], bool]) -> float:
    try:
        measured = measure()
    except subprocess.CalledProcessError:  # Ctrl-C in a terminal goes to the processes that are measured as well
        if not should_stop():
            raise
        raise MeasurementInterrupted from None
    if should_stop():
        raise MeasurementInterrupted
    return measured


def emulator_markdown(report: EmulatorReport) -> str:
    """Lay a report out as a Markdown table under one line on the machine and the settings."""
    by_name = {rate.what: rate for rate in report.rates}
    rows = [("what", "median", "lowest to highest", "median of the turns' ratios"), ("---",) * 4]
    for rate in report.rates:
        other = by_name.get(rate.against or "")
        ratio = f"{_times(rate, other):.2f} times {rate.against}" if other else ""
        between = f"{_number(min(rate.values))} to {_number(max(rate.values))}" if len(rate.values) > 1 else ""
        rows.append((rate.what, f"{_number(rate.median)} {rate.unit}", between, ratio))
    return "\n".join(
        [
            f"{report.machine['processor']}, {count_text(int(report.machine['cores']), 'core')}; {report.date}; Python "
            f"{report.versions['python']}; stage {STAGE}, article grayscale, frame skip 4; median of {report.repeats}"
            f"{'' if report.complete else ', or of fewer: CUT SHORT'}.",
            "",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
        ]
    )


def _times(rate: Rate, other: Rate) -> float:
    """How many times as much, turn by turn: neighbours in time, since a shared machine is slower at some times."""
    return median(one / another for one, another in zip(rate.values, other.values, strict=False))


def _repeat(work: Callable[[], int], seconds: float) -> float:
    """How much `work` does in a second."""
    work()  # whatever is only slow the first time
    began = time.perf_counter()
    count = 0
    while (elapsed := time.perf_counter() - began) < seconds:
        count += work()
    return count / elapsed


def _nes_py_frames(seconds: float) -> float:
    game: Any = make_game(EnvConfig(stage=STAGE, emulator="nes_py")).unwrapped
    game.reset()
    start = game.dump_state()

    def play() -> int:
        game.load_state(start)
        for _ in range(FRAMES):
            game._frame_advance(RIGHT)
        return FRAMES

    rate = _repeat(play, seconds)
    game.close()
    return rate


def _native_frames(seconds: float, *, draw: bool) -> float:
    cartridge = load_rom(None)
    console, start = Console(cartridge), stage_start(cartridge, STAGE).machine

    def play() -> int:
        console.restore(start)
        for _ in range(FRAMES):
            console.play(RIGHT, draw=draw)
        return FRAMES

    return _repeat(play, seconds)


def _wrappers(seconds: float) -> float:
    """The same work by what Gymnasium has: four frames, maximum of two, gray, 84 x 84, stack of four."""
    game: Any = make_game(EnvConfig(stage=STAGE, emulator="nes_py"))
    env: gym.Env[Any, Any] = MaxAndSkipObservation(game.env, skip=4)  # without the copy that ours makes
    env = FrameStackObservation(ResizeObservation(GrayscaleObservation(env), (84, 84)), 4)
    env = ButtonActions(env, actions=action_buttons("right_only"))
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def step() -> int:
        for _ in range(STEPS):
            _, _, terminated, truncated, _ = env.step(int(rng.integers(5)))
            if terminated or truncated:
                env.reset()
        return STEPS

    rate = _repeat(step, seconds)
    env.close()
    return rate


def _games(seconds: float, *, threads: int) -> float:
    games, rng = Games(EnvConfig(stage=STAGE), NUM_GAMES, threads=threads, autoreset=True), np.random.default_rng(0)
    for number in range(NUM_GAMES):
        games.seed(number, number)
        games.reset(number)

    def step() -> int:
        for actions in rng.integers(5, size=(STEPS, NUM_GAMES)):
            games.step(actions)
        return STEPS * NUM_GAMES

    rate = _repeat(step, seconds)
    games.close()
    return rate


def _start(cache: Path | None = None) -> float:
    """Seconds from the first import to the first agent step, in a process of its own."""
    environment = os.environ | ({} if cache is None else {FOLDER_VARIABLE: str(cache)})
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
