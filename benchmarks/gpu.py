"""Training on a CUDA device: that it learns what the processor learns, and how fast it is; a few minutes.

    PYTHONPATH=. python benchmarks/gpu.py --rom super-mario-bros.nes

Needs the package's sources and torch, numba, numpy, opencv, gymnasium, pydantic, ruamel.yaml, filelock, platformdirs,
psutil and tqdm; no nes-py. Without a ROM the rows of training are left out. Exit code 1 where a check fails.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from batches import ACTIONS, noise

from mario_rl.agents import NetworkPolicy, QAgent
from mario_rl.agents.compiled import to_blocks
from mario_rl.config import Config, load_config
from mario_rl.devices import one_thread
from mario_rl.machine import usable_cores
from mario_rl.replay import ReplayBuffer
from mario_rl.tensors import draw_shifts
from mario_rl.training import Observer, Progress, resume, train
from mario_rl.types import Steps

REPOSITORY = Path(__file__).parents[1]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
UPDATES = 100  # timed
BATCH_SIZES = (32, 128, 512, 2048)
SAMPLED_PER_STEP = 8
TRAINING_SECONDS = 8.0


def recipe(*overrides: str) -> Config:
    """Read the shipped recipe, with some keys changed."""
    return load_config(REPOSITORY / "configs" / "ddqn_right_only.yaml", overrides)


def agent(config: Config, device: torch.device) -> QAgent:
    """Make an agent with the same first weights on every device."""
    return QAgent(config.agent, config.network, num_actions=ACTIONS, frame_stack=4, seed=0, device=device)


def filled_replay(config: Config, device: torch.device) -> ReplayBuffer:
    """Make a replay of noise whose batches go to the GPU."""
    random = np.random.default_rng(0)
    replay = ReplayBuffer(
        20_000,
        num_envs=8,
        frame_stack=4,
        n_step=config.agent.n_step,
        gamma=config.agent.gamma,
        rng=random,
        device=device,
        learner_device=CUDA,
        priority_exponent=config.replay.priority_exponent,
    )
    frame, nobody = random.integers(256, size=(8, 84, 84), dtype=np.uint8), np.zeros(8, np.bool_)
    for step in range(2_500):
        over = np.full(8, step % 200 == 199)
        replay.add(Steps(np.roll(frame, step, axis=1), random.integers(5, size=8), np.ones(8), over, nobody, frame))
    return replay


def checks() -> Iterator[tuple[str, bool]]:
    """Compare what both devices make of the same, by name of the check."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    observation, shift = noise(8).observation, draw_shifts(8, 4, CPU)
    here = to_blocks(observation, shift, torch.bfloat16)
    there = to_blocks(observation.to(CUDA), shift.to(CUDA), torch.bfloat16)
    yield "blocks are the same, bit for bit in bfloat16", torch.equal(here, there.cpu())

    plain = recipe("agent.random_shift=0", "agent.bfloat16=false")
    one, two = agent(plain, CPU), agent(plain, CUDA)
    apart = []
    for seed in range(10):  # the first few one by one, the others played back
        here, there = (net.learn(noise(32, seed)).td_error for net in (one, two))
        apart.append((here - there.cpu()).abs().max().item())
    yield f"TD errors of ten updates in float32 differ by less than 0.001 ({max(apart):.1e})", max(apart) < 1e-3
    ours, theirs = (
        torch.cat([part.detach().cpu().flatten() for part in net.averaged.parameters()]) for net in (one, two)
    )
    yield "and so do the averaged weights after them", torch.allclose(ours, theirs, atol=1e-3)

    kept = agent(plain, CUDA)
    kept.load_state_dict(two.state_dict())
    before, after = (learner.learn(noise(32, 19)).td_error for learner in (two, kept))
    yield "an agent that was saved and restored learns the same", torch.allclose(before, after, atol=1e-4)
    two.learn(noise(32, 20))
    two.load_state_dict(kept.state_dict())
    before, after = (learner.learn(noise(32, 21)).td_error for learner in (two, kept))
    yield "also where a played-back agent takes another's state over", torch.allclose(before, after, atol=1e-4)

    policies = [NetworkPolicy(net.averaged.to(device), device) for net, device in ((kept, CUDA), (one, CPU))]
    one.load_state_dict(kept.state_dict())
    observations = noise(40, 22).observation.numpy()
    values = [torch.from_numpy(policy.q_values(observations)) for policy in policies]
    yield "what is evaluated has the same values on both", torch.allclose(values[0], values[1], atol=1e-3)

    replays = [filled_replay(plain, device) for device in (CPU, CUDA)]
    same = True
    for _ in range(5):
        batches = [replay.sample(64) for replay in replays]
        same &= all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(*batches, strict=True))
        for replay, batch in zip(replays, batches, strict=True):
            replay.prioritize(batch.slot, torch.linspace(0, 5, 64, device=CUDA))
    yield "frames on the GPU give the same batches as frames in memory", same


def milliseconds(learner: QAgent, replay: ReplayBuffer, size: int) -> float:
    """Time sampling, an update and the ranking, over many of them."""

    def update() -> None:
        batch = replay.sample(size)
        replay.prioritize(batch.slot, learner.learn(batch).td_error)

    for _ in range(10):
        update()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(UPDATES):
        update()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / UPDATES * 1e3


def updates_by_batch() -> None:
    """Print the table of updates."""
    say("| batch | one by one, frames in memory | played back, frames in memory | played back, frames on the GPU |")
    say("| --- | --- | --- | --- |")
    for size in BATCH_SIZES:
        config, figures = recipe(), []
        for recorded, place in ((False, CPU), (True, CPU), (True, CUDA)):
            learner = agent(config, CUDA)
            if not recorded:
                learner.play_back = False
            took = milliseconds(learner, filled_replay(config, place), size)
            figures.append(f"{took:.2f} ms, {size / took * 1e3:,.0f} transitions/s")
        say(f"| {size:,} | " + " | ".join(figures) + " |")


class Clock(Observer):
    """Notes the time and the agent steps once updates are played back, and at the end."""

    def __init__(self) -> None:
        self.first: tuple[float, Progress] | None = None
        self.last: tuple[float, Progress] | None = None

    def progressed(self, progress: Progress) -> None:
        """Look at the clock."""
        now = time.perf_counter(), progress
        if self.first is None and progress.updates >= 20:
            self.first = now
        self.last = now


def training(rom: str) -> Iterator[tuple[str, bool]]:
    """Print the table of training runs; then check that one can be gone on with."""
    say(f"\nTraining, {SAMPLED_PER_STEP} sampled transitions per agent step, {usable_cores()} cores:\n")
    say("| games | batch | agent steps per update | frames | agent steps/s | waits for the games |")
    say("| --- | --- | --- | --- | --- | --- |")
    for envs, batch, place in (
        (64, 256, "cpu"),
        (64, 256, "cuda"),
        (128, 512, "cuda"),
        (256, 512, "cuda"),
        (256, 1024, "cpu"),
        (256, 1024, "cuda"),
    ):
        period = batch // SAMPLED_PER_STEP
        config = recipe(
            f"env.rom={rom}",
            "device=cuda",
            f"training.envs={envs}",
            f"agent.batch_size={batch}",
            f"agent.steps_per_update={period}",
            f"replay.device={place}",
            "replay.warmup_steps=5000",
            "agent.epsilon.start=0.1",
            "training.agent_steps=null",
            f"training.minutes={TRAINING_SECONDS / 60}",
            "evaluation.every_steps=null",
            "logging.tensorboard=false",
            "logging.curve_every_seconds=1000000",
            "training.checkpoint_every_steps=1000000000",
        )
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            train(config, Path(folder) / "run", observer=clock)
            assert clock.first is not None
            assert clock.last is not None
            (began, first), (ended, last) = clock.first, clock.last
            rate = (last.agent_steps - first.agent_steps) / (ended - began)
            waited = (last.waited_seconds - first.waited_seconds) / (ended - began)
            say(f"| {envs} | {batch:,} | {period} | {place} | {rate:,.0f} | {waited:.0%} |")
            if (envs, place) == (64, "cuda"):
                result = resume(Path(folder) / "run", [f"training.minutes={(TRAINING_SECONDS + 2) / 60}"])
                yield (
                    "a run is gone on with",
                    result.progress is not None and result.progress.agent_steps > last.agent_steps,
                )


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Check and measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rom", help="an NES file of the game, for the rows of training")
    rom = parser.parse_args().rom
    if not torch.cuda.is_available():
        say("no CUDA device here")
        return 1
    say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    failed = 0
    with one_thread():
        for name, holds in checks():
            say(f"{'ok' if holds else 'FAILS':<6}{name}")
            failed += not holds
        say("")
        updates_by_batch()
    if rom is not None:
        for name, holds in training(rom):
            say(f"{'ok' if holds else 'FAILS':<6}{name}")
            failed += not holds
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
