"""The update on a CUDA device: that it is the one that the processor makes, and how fast it is by batch size.

    PYTHONPATH=. python benchmarks/gpu.py

Needs no more than the package's sources, and torch, numba, numpy, pydantic, ruamel.yaml, filelock, platformdirs and
psutil; no emulator and no ROM: the observations are noise. Exit code 1 where a check fails.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from mario_rl.agents import QAgent
from mario_rl.agents.compiled import to_blocks
from mario_rl.config import Config, load_config
from mario_rl.tensors import draw_shifts
from mario_rl.types import Batch

REPOSITORY = Path(__file__).parents[1]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ACTIONS = 5
UPDATES = 60  # timed
BATCH_SIZES = (32, 128, 512, 2048)


def recipe(*overrides: str) -> Config:
    """Read the shipped recipe, with some keys changed."""
    return load_config(REPOSITORY / "configs" / "ddqn_right_only.yaml", overrides)


def noise(size: int, seed: int = 0) -> Batch:
    """Make a batch of random transitions."""
    random = np.random.default_rng(seed)
    pixels = [random.integers(256, size=(size, 4, 84, 84), dtype=np.uint8) for _ in range(2)]
    return Batch(
        observation=torch.from_numpy(pixels[0]),
        action=torch.from_numpy(random.integers(ACTIONS, size=size)),
        n_step_return=torch.ones(size),
        next_observation=torch.from_numpy(pixels[1]),
        terminated=torch.zeros(size, dtype=torch.bool),
        discount=torch.full((size,), 0.5),
        weight=torch.ones(size),
        slot=torch.zeros((size, 2), dtype=torch.int64),
    )


def agent(config: Config, device: torch.device) -> QAgent:
    """Make an agent with the same first weights on every device."""
    return QAgent(config.agent, config.network, num_actions=ACTIONS, frame_stack=4, seed=0, device=device)


def checks() -> dict[str, bool]:
    """Compare what both devices make of the same, by name of the check."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    observation, shift = noise(8).observation, draw_shifts(8, 4, CPU)
    here = to_blocks(observation, shift, torch.bfloat16)
    there = to_blocks(observation.to(CUDA), shift.to(CUDA), torch.bfloat16)
    plain = recipe("agent.random_shift=0", "agent.bfloat16=false")
    one, two = agent(plain, CPU), agent(plain, CUDA)
    close = []
    for seed in range(5):
        ours, theirs = one.learn(noise(32, seed)), two.learn(noise(32, seed))
        close.append(torch.allclose(ours.td_error, theirs.td_error.cpu(), atol=1e-3))
    kept = agent(plain, CUDA)
    kept.load_state_dict(two.state_dict())
    before, after = (one.learn(noise(32, 9)).td_error for one in (two, kept))
    return {
        "blocks are the same, bit for bit in bfloat16": torch.equal(here, there.cpu()),
        "TD errors of five updates in float32 differ by less than 0.001": all(close),
        "an agent that was saved and restored learns the same": torch.allclose(before, after, atol=1e-4),
    }


def milliseconds(learner: QAgent, batches: list[Batch]) -> float:
    """Time an update, over many of them."""
    for batch in batches * 5:
        learner.learn(batch)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for number in range(UPDATES):
        learner.learn(batches[number % len(batches)])
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / UPDATES * 1e3


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Check and measure; returns the exit code."""
    if not torch.cuda.is_available():
        say("no CUDA device here")
        return 1
    say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    results = checks()
    for name, holds in results.items():
        say(f"{'ok' if holds else 'FAILS':<6}{name}")
    say("| batch | update, batch in the processor's memory | in the device's | transitions/s |")
    say("| --- | --- | --- | --- |")
    for size in BATCH_SIZES:
        learner = agent(recipe(), CUDA)
        batches = [noise(size, seed) for seed in range(2)]
        there = [Batch(*(part.to(CUDA) for part in batch)) for batch in batches]
        ours, theirs = milliseconds(learner, batches), milliseconds(learner, there)
        say(f"| {size:,} | {ours:.1f} ms | {theirs:.1f} ms | {size / ours * 1e3:,.0f}, {size / theirs * 1e3:,.0f} |")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
