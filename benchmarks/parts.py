"""What each part of the recipe is worth: the recipe, and the recipe with one thing changed, several seeds each.

    python benchmarks/parts.py DIR [--seeds 0 1 2] [--updates 6000] [--jobs 2] [ARM ...]
    python benchmarks/minutes.py DIR/*/*

Each run has one processor thread. What is in DIR already is kept, and a run that was cut off is gone on with, so it can
be stopped at any time. With `--device cuda` as many runs as `--jobs` says share a GPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
CONFIG = REPOSITORY / "configs" / "ddqn_right_only.yaml"

ARMS: dict[str, list[str]] = {
    "recipe": [],
    "no_layer_norm": ["network.layer_norm=false"],
    "mnih_channels": ["network.channels=[32, 64, 64]"],
    "batch_32": ["agent.batch_size=32", "agent.steps_per_update=8", "agent.learning_rate=2.5e-4"],
    "batch_64": ["agent.batch_size=64", "agent.steps_per_update=16", "agent.learning_rate=3.5e-4"],
    "eight_games": ["training.envs=8"],
    "step_per_update_8": ["agent.steps_per_update=8"],
    "step_per_update_128": ["agent.steps_per_update=128", "training.envs=64"],
    "uniform_replay": ["replay.priority_exponent=0"],
    "small_replay": ["replay.capacity=50000"],
    "no_quantiles": ["network.quantiles=1"],
    "not_dueling": ["network.dueling=false"],
    "no_advantage_learning": ["agent.advantage_learning=0"],
    "one_step": ["agent.n_step=1"],
    "three_step": ["agent.n_step=3"],
    "gamma_090": ["agent.gamma=0.9", "env.reward_scale=0.1"],
    "gamma_099": ["agent.gamma=0.99", "env.reward_scale=0.01"],
    "shifts": ["agent.random_shift=4"],
    "no_spread": ["agent.epsilon.spread=0"],
    "spread_3": ["agent.epsilon.spread=3"],
    "no_sticky_actions": ["env.sticky_probability=0"],
    "no_buttons": ["env.show_buttons=false"],
    "learning_rate_half": ["agent.learning_rate=2.5e-4"],
    "learning_rate_double": ["agent.learning_rate=1e-3"],
    "slow_target": ["agent.soft_update=0.002"],
    "fast_target": ["agent.soft_update=0.02"],
    "dqn": ["agent.target=target"],
    "no_target_network": ["agent.target=none"],
}
"""What is changed in the recipe, one thing each; a batch and what has to go with it count as one."""

LENGTH = "training.agent_steps"
TRAIN = """
import sys
from mario_rl.config import load_config
from mario_rl.training import resume, train

directory, config, *overrides = sys.argv[1:]
try:
    resume(directory)
except Exception:
    train(load_config(config, overrides), directory)
"""


def command(directory: Path, seed: int, arm: str, updates: int, device: str, rom: str | None) -> list[str]:
    """Say how a run is trained: for so many updates, without evaluations."""
    changes = ARMS[arm]
    per_update = next((int(one.split("=")[1]) for one in changes if one.startswith("agent.steps_per_update=")), None)
    overrides = [
        *changes,
        f"seed={seed}",
        f"device={device}",
        f"replay.device={device}",
        f"{LENGTH}={updates * (per_update or steps_per_update())}",
        "agent.learning_rate_end=null",
        "evaluation.every_steps=null",
        "logging.trackers=[]",
        "logging.curve_every_seconds=100000",
        "training.checkpoint_every_steps=1000000000",
        *([] if rom is None else [f"env.rom={rom}"]),
    ]
    return [sys.executable, "-c", TRAIN, str(directory), str(CONFIG), *overrides]


def steps_per_update() -> int:
    """Read the recipe's."""
    from mario_rl.config import load_config

    return load_config(CONFIG).agent.steps_per_update


def main() -> int:
    """Train what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("arms", nargs="*", metavar="ARM", help=f"Of {', '.join(ARMS)}; all.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=6_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rom")
    options = parser.parse_args()
    if unknown := sorted(set(options.arms) - set(ARMS)):
        parser.error(f"{', '.join(unknown)}: no such arm; one of {', '.join(ARMS)}")
    waiting = [(seed, arm) for seed in options.seeds for arm in options.arms or ARMS]
    running: list[subprocess.Popen[bytes]] = []
    failed = 0
    while waiting or running:
        failed += sum(one.poll() not in (None, 0) for one in running)
        running = [one for one in running if one.poll() is None]
        if waiting and len(running) < options.jobs:
            seed, arm = waiting.pop(0)
            directory = options.directory / arm / f"seed_{seed}"
            directory.parent.mkdir(parents=True, exist_ok=True)
            sys.stdout.write(f"{time.strftime('%H:%M:%S')} {arm}, seed {seed}\n")
            sys.stdout.flush()
            run = command(directory, seed, arm, options.updates, options.device, options.rom)
            running.append(subprocess.Popen(run, env=os.environ | {"OMP_NUM_THREADS": "1"}))
        time.sleep(0.2)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
