"""A run read back, also while it is in training: its config and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mario_rl.config import Config, load_run_config
from mario_rl.config.schema import WHOLE_GAME, stages_behind
from mario_rl.errors import UserError
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import Table, read_episodes, read_evaluations, read_metrics


@dataclass(frozen=True)
class Run:
    """What a run directory says; every table has a column `minutes` as well.

    evaluations: one row each: agent_steps, seconds, protocol, episodes, clears, clear_rate, the means of return and x,
        and of the stages cleared, which are 0 but in the whole game.
    """

    name: str
    config: Config | None
    episodes: Table
    metrics: Table
    evaluations: Table

    @property
    def on_first_stage(self) -> bool:
        """Whether every episode was played on 1-1."""
        return set(self.episodes["stage"]) == {"1-1"}


def load_run(path: Path) -> Run:
    """Read a run directory's tables, also while it is in training.

    Raises:
        UserError: not a run directory, or a file in it can't be read.
    """
    place = RunDir(path)
    if not place.episodes.is_file():
        raise UserError(f"{path}: not a run directory, it has no {place.episodes.name}")
    config = load_run_config(place.config) if place.config.is_file() else None
    whole_game = config is not None and config.env.stage == WHOLE_GAME
    return Run(
        name="/".join(path.resolve().parts[-2:]),  # the config's name and the time it was started, as `train` has them
        config=config,
        episodes=_with_minutes(read_episodes(place.episodes)),
        metrics=_with_minutes(read_metrics(place.metrics)),
        evaluations=_with_minutes(_mean_evaluations(read_evaluations(place.evaluation), whole_game=whole_game)),
    )


def _with_minutes(table: Table) -> Table:
    return table | {"minutes": table["seconds"] / 60}


def _mean_evaluations(table: Table, *, whole_game: bool) -> Table:
    """Reduce the rows of each evaluation, which share their agent steps and seconds, to one."""
    _, first, which = np.unique(
        np.stack([table["agent_steps"], table["seconds"]]), axis=1, return_index=True, return_inverse=True
    )
    episodes = np.bincount(which, minlength=len(first))
    clears = np.bincount(which, weights=table["end"] == "clear", minlength=len(first))
    means = {name: np.bincount(which, weights=table[name], minlength=len(first)) / episodes for name in ("return", "x")}
    ahead = np.array([stages_behind(stage) if whole_game else 0 for stage in table["stage"]], dtype=np.float64)
    means["stages_cleared"] = np.bincount(which, weights=ahead, minlength=len(first)) / episodes
    moments = {name: table[name][first] for name in ("agent_steps", "seconds", "protocol")}
    return moments | means | {"clears": clears, "episodes": episodes, "clear_rate": clears / episodes}
