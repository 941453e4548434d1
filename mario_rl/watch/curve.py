"""The curves of the run that is watched, as the page draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mario_rl.errors import UserError
from mario_rl.report.means import mean_window, running_mean
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import RECENT_EPISODES, read_episodes, read_evaluations, read_metrics
from mario_rl.types import Floats

MOST_POINTS = 400


def read_curve(place: Path | None) -> dict[str, Any]:
    """Read the curves of a run, as far as it has come; empty lists where there is no run.

    `of` is how many episodes `mean_x` is the mean of, at every point.
    """
    if place is None:
        return {"mean_x": [], "of": RECENT_EPISODES, "evaluations": []}
    run = RunDir(place if place.is_dir() else place.parent.parent)
    try:
        of, at, mean_x = _mean_x(run)
        evaluated = read_evaluations(run.evaluation)
    except UserError:
        of, at, mean_x, evaluated = RECENT_EPISODES, np.array([]), np.array([]), {"agent_steps": np.array([])}
    every = max(1, len(at) // MOST_POINTS)
    shown = [[float(steps), float(x)] for steps, x in zip(at[::every], mean_x[::every], strict=True) if np.isfinite(x)]
    moments = np.unique(evaluated["agent_steps"])
    evaluations = [[float(one), float(np.mean(evaluated["x"][evaluated["agent_steps"] == one]))] for one in moments]
    return {"mean_x": shown, "of": of, "evaluations": evaluations}


def _mean_x(run: RunDir) -> tuple[int, Floats, Floats]:
    """Read the running mean of x: over how many episodes, agent steps, means.

    Raises:
        UserError: a table can't be read.
    """
    metrics = read_metrics(run.metrics)
    full = metrics["episodes"] >= RECENT_EPISODES
    if full.any():
        return RECENT_EPISODES, metrics["agent_steps"][full], metrics["mean_x"][full]
    episodes = read_episodes(run.episodes)  # a short table
    of = mean_window(len(episodes["x"]))
    return of, episodes["agent_steps"], running_mean(episodes["x"], of)
