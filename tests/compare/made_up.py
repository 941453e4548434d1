"""Made-up runs: run directories with the numbers of a study that nobody has made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mario_rl.config import Config, parse_config, render_config
from mario_rl.config.study import FinalConfig
from mario_rl.evaluation.finals import asked_finals
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, METRIC_COLUMNS, write_table

TARGETS, ACTION_SETS = ("none", "target", "double"), ("right_only", "simple", "complex")
SPEED = {"none": 0.6, "target": 0.8, "double": 1.0, "right_only": 1.0, "simple": 0.8, "complex": 0.6}
FLAG = 3161


def make_study(
    folder: Path,
    *,
    targets: Sequence[str] = TARGETS,
    action_sets: Sequence[str] = ACTION_SETS,
    seeds: Sequence[int] = (0, 1, 2),
    done: bool = True,
    episodes: int = 400,
    env: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write a study of runs that learn at the speed of their target times that of their action set.

    env: settings of the game that are others than the defaults.
    """
    for target in targets:
        for action_set in action_sets:
            for seed in seeds:
                speed = SPEED[target] * SPEED[action_set] * (0.9 + 0.1 * seed)
                place = RunDir(folder / "runs" / f"{target}-{action_set}" / f"seed_{seed}")
                make_run(place, target, action_set, seed, speed=speed, done=done, episodes=episodes, env=env)
    return folder


def make_run(
    place: RunDir,
    target: str,
    action_set: str,
    seed: int,
    *,
    speed: float,
    done: bool = True,
    episodes: int = 400,
    followed: float = 5.0,
    env: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write one run whose x grows from 400 by `speed` times 2,400, and which clears where it passes 3,000.

    Predicted values begin at 5, those of DQN grow; `followed` is the return that follows.
    """
    rng = np.random.default_rng([seed, len(target), len(action_set)])
    tree = {"env": {"action_set": action_set, **env}, "agent": {"target": target}, "seed": seed, "device": "cpu"}
    tree["evaluation"] = {"every_steps": 5_000}
    place.checkpoints.mkdir(parents=True)
    place.config.write_text(render_config(parse_config(tree, "made up")))
    progress = np.arange(1, episodes + 1) / episodes
    x = np.clip(400 + 2400 * speed * np.sqrt(progress) + rng.normal(0, 300, episodes), 0, FLAG)
    ends = np.where(x > 3000, "clear", "death")
    steps = np.cumsum(np.maximum(x / 10, 20)).astype(int)
    write_table(
        place.episodes,
        EPISODE_COLUMNS,
        [
            dict(zip(EPISODE_COLUMNS, (n, at, at / 90, 0, "1-1", one - 60, int(one), 200, 300, end), strict=True))
            for n, (one, at, end) in enumerate(zip(x.tolist(), steps.tolist(), ends.tolist(), strict=True), start=1)
        ],
    )
    write_table(place.metrics, METRIC_COLUMNS, [])
    write_table(
        place.evaluation,
        EVALUATION_COLUMNS,
        [
            evaluated(
                at, "epsilon", n, 2500 * speed, q=5 + over * (target != "double") * at / 60_000, followed=followed
            )
            for at in range(5_000, int(steps[-1]), 5_000)
            for n, over in enumerate((3.0, 4.0))
        ],
    )
    if done:
        finals = FinalConfig(episodes=20)
        make_finals(place, finals, int(steps[-1]), clear_rate=max(0.0, speed - 0.3))
        record = {
            "machine": {"processor": "Made-up 9000", "cores": "2", "memory": "16 GB of memory", "device": "cpu"},
            "versions": {"python": "3.13.0", "torch": "2.15.0"},
            "threads": 1,
            "agent_steps": int(steps[-1]),
            "updates": int(steps[-1]) // 4,
            "seconds": float(steps[-1]) / 90,
            "best": {"agent_steps": int(steps[-20]), "clear_rate": 0.0, "mean_x": 900.0},
        }
        place.record.write_text(json.dumps(record))


def make_finals(place: RunDir, asked: FinalConfig, agent_steps: int = 100, *, clear_rate: float = 0.0) -> None:
    """Write the evaluations at the end of a run on one stage that a study asks for."""
    rows = [
        evaluated(agent_steps, protocol, n, FLAG if n < made.episodes * clear_rate else 1200) | {"seed": made.seed}
        for protocol, made in asked_finals(Config(), asked).items()
        for n in range(made.episodes)
    ]
    write_table(place.final, EVALUATION_COLUMNS, rows)


def evaluated(
    agent_steps: int, protocol: str, number: int, x: float, q: float = 5.0, followed: float = 4.0
) -> dict[str, object]:
    """One row of an evaluation."""
    end = "clear" if x >= 3000 else "death"
    played = ("1-1", x - 60, int(x), 200, 300, end)
    values = (agent_steps, agent_steps / 90, protocol, 1, number, *played, q, followed, q, followed)
    return dict(zip(EVALUATION_COLUMNS, values, strict=True))
