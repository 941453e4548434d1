"""`benchmark` and `doctor`: how fast this machine is, and what it lacks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import click

from mario_rl.cli.shared import (
    FAILED,
    INTERRUPTED,
    OK,
    complain,
    exit_code,
    find_the_checkpoint,
    require_output,
    require_stage,
)
from mario_rl.errors import MeasurementInterrupted
from mario_rl.files import json_text, staged
from mario_rl.runs.directory import RunDir
from mario_rl.streams import SCREEN
from mario_rl.wording import count_text


class Measured(Protocol):
    """What a benchmark returns."""

    def as_dict(self) -> dict[str, Any]:
        """Its figures, as they are written."""
        ...


@click.command()
@click.argument("config_file", type=click.Path(path_type=Path), metavar="[CONFIG]", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--emulator", is_flag=True, help="The emulator beside nes-py, on the same work; needs no CONFIG.")
@click.option(
    "--agent",
    type=click.Path(path_type=Path),
    metavar="AGENT|CHECKPOINT|RUN_DIR",
    help="With --emulator: also time a noop evaluation of this agent.",
)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=3.0, show_default=True, help="Per part and repeat.")
@click.option(
    "--agent-steps",
    type=click.IntRange(min=100),
    default=2_000,
    show_default=True,
    help="Of each training run that is measured.",
)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="The median counts.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("benchmark.json"),
    show_default=True,
    metavar="FILE.json",
    help="The figures; the same as a Markdown table goes beside it, with the ending .md.",
)
def benchmark(
    config_file: Path | None,
    overrides: tuple[str, ...],
    emulator: bool,
    agent: Path | None,
    seconds: float,
    agent_steps: int,
    repeats: int,
    output: Path,
) -> int:
    """Measure how fast this machine emulates, samples, learns and trains, with the settings of a config.

    Parts are measured in turn, all of them `--repeats` times. The training runs are short, real and thrown away.

    \b
    Examples:
      mario-rl benchmark ddqn_right_only
      mario-rl benchmark ddqn_right_only agent.batch_size=64 agent.bfloat16=false
      mario-rl benchmark --emulator --repeats 5 --agent ddqn_right_only_1-1
    """
    if emulator:
        return _benchmark_emulator(agent, seconds=seconds, repeats=repeats, output=output)
    if config_file is None:
        raise click.UsageError("Missing argument 'CONFIG'; --emulator needs none.")
    from mario_rl.config import load_config
    from mario_rl.training import check_machine

    require_output("--output", output, ".json")
    config = load_config(config_file, overrides)
    check_machine(config, RunDir(Path(tempfile.gettempdir())))
    from mario_rl.diagnostics.benchmark import markdown, run_benchmark

    measure = partial(run_benchmark, config, seconds=seconds, agent_steps=agent_steps, repeats=repeats)
    return _measure(measure, markdown, output)


def _measure[Report: Measured](measure: Callable[..., Report], as_text: Callable[[Report], str], output: Path) -> int:
    """Measure with a bar until it is done or a signal comes, and write what was measured by then."""
    from mario_rl.cli.terminal import CountingBar
    from mario_rl.training import Interrupts

    with Interrupts() as interrupts, closing(CountingBar("measuring", "measurement")) as bar:
        try:
            report = measure(should_stop=lambda: interrupts.received is not None, on_measured=bar)
        except MeasurementInterrupted:
            return complain("interrupted before anything was measured", exit_code(interrupts))
        bar.close()
        _write_figures(output, report.as_dict(), as_text(report))
    return exit_code(interrupts)


def _write_figures(output: Path, figures: dict[str, Any], text: str) -> None:
    """Write the figures of a benchmark and their table, both or neither; print the table whatever happens."""
    table, words = output.with_suffix(".md"), text
    try:
        with staged(output, table) as (figures_file, text_file):
            figures_file.write_text(json_text(figures, indent=2) + "\n", encoding="utf-8")
            text_file.write_text(text, encoding="utf-8")
        words += f"\nfigures: {output}\ntable:   {table}"
    finally:
        click.echo(words)


def _benchmark_emulator(agent: Path | None, *, seconds: float, repeats: int, output: Path) -> int:
    require_output("--output", output, ".json")
    if agent is not None:
        agent = find_the_checkpoint(agent)

    from mario_rl.diagnostics.emulator_benchmark import emulator_markdown, measure_emulator
    from mario_rl.evaluation import evaluate, load_trained

    if agent is not None:
        load_trained(agent)  # what is wrong with it is said before anything is measured

    def evaluation() -> float:
        assert agent is not None
        began = time.perf_counter()
        evaluate(agent, protocol="noop")
        return time.perf_counter() - began

    measure = partial(
        measure_emulator, seconds=seconds, repeats=repeats, evaluation=None if agent is None else evaluation
    )
    return _measure(measure, emulator_markdown, output)


@click.command()
@click.option("--parity", is_flag=True, help="Play on both emulators and find the frame where they part.")
@click.option("--stage", default="1-1", show_default=True, metavar="STAGE", help="With --parity: such as 1-2, or game.")
@click.option("--frames", type=click.IntRange(min=1), default=5_000, show_default=True, help="With --parity: how many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="With --parity: of the buttons.")
@click.option("--rom", type=click.Path(path_type=Path), metavar="FILE.nes", help="With --parity: another ROM.")
@click.option("--opcode", metavar="LDA", help="Print what the 6502's operation becomes, opcode by opcode (LLVM).")
def doctor(parity: bool, stage: str, frames: int, seed: int, rom: Path | None, opcode: str | None) -> int:
    """Check what a run needs here: versions, emulator, ROM, device, cores, packages, disk and memory.

    \b
    Examples:
      mario-rl doctor
      mario-rl doctor --parity --stage 4-4 --frames 20000
      mario-rl doctor --opcode ADC
    """
    if opcode is not None:
        from mario_rl.nes.cpu import opcode_text

        click.echo(opcode_text(opcode))
        return OK
    if parity:
        return _parity(stage, frames, seed, rom)
    from mario_rl.diagnostics.doctor import run_checks

    checks = run_checks()
    for check in checks:
        click.echo(f"{'ok' if check.ok else 'NOT OK':<8}{check.name:<16}{check.detail}")
        if not check.ok:
            click.echo(f"{'':<24}{check.advice}")
    return OK if all(check.ok for check in checks) else FAILED


def _parity(stage: str, frames: int, seed: int, rom: Path | None) -> int:
    require_stage(stage)
    from tqdm import tqdm

    from mario_rl.diagnostics.parity import compare_emulators

    with tqdm(file=SCREEN, total=frames, unit="frame", desc="comparing", leave=False) as bar:
        try:
            comparison = compare_emulators(
                stage, frames=frames, seed=seed, rom=None if rom is None else str(rom), on_frame=bar.update
            )
        except KeyboardInterrupt:
            bar.close()
            return complain(f"interrupted: the first {bar.n:,} frames are the same on both", INTERRUPTED)
    if comparison.parting is None:
        seen = ", ".join(f"{count} {end}" for end, count in sorted(comparison.ends.items())) or "no end"
        click.echo(
            f"{stage}: {count_text(frames, 'frame')}, seed {seed}: memory, pixels, rewards and info are the same on "
            f"both ({seen})"
        )
        return OK
    click.echo(f"{stage}, seed {seed}: the emulators part in {comparison.parting}")
    return FAILED
