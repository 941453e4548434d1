"""The report of an evaluation: its episodes, and what they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mario_rl.config import Protocol
from mario_rl.config.schema import WHOLE_GAME, stages_behind
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.evaluation.statistics import wilson_interval
from mario_rl.types import EpisodeResult


class EvaluatedEpisode(NamedTuple):
    """One evaluated episode.

    stage: where it was started. number: counted from 0 over the evaluation. result: how it went.
    q_first: the highest value at the first observation.
    discounted_return: of the rewards the agent is trained on, from the first step: what q_first estimates.
    buttons: the joypad byte of every emulator frame, enough to play the episode again.
    q_visited, return_visited: as `visited_means` has them.
    """

    stage: str
    number: int
    result: EpisodeResult
    q_first: float
    discounted_return: float
    buttons: tuple[int, ...]
    q_visited: float | None = None
    return_visited: float | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """The episodes of one evaluation and what they add up to.

    asked: how many episodes there were to be, where the evaluation was cut short; None where all were played. Episodes
    are played side by side, so those that had ended by then are the short ones rather than the first ones.
    """

    protocol: Protocol
    seed: int
    episodes: tuple[EvaluatedEpisode, ...]
    asked: int | None = None

    @property
    def stage(self) -> str:
        """The stage played, or the stages in the order of play, joined by commas."""
        return ",".join(dict.fromkeys(episode.stage for episode in self.episodes))

    @property
    def clears(self) -> int:
        """Episodes that ended at the flag."""
        return sum(episode.result.end == "clear" for episode in self.episodes)

    @property
    def clear_rate(self) -> float:
        """Share of episodes that ended at the flag, 0..1."""
        return self.clears / len(self.episodes)

    @property
    def clear_rate_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval; under greedy and noop every start there is was played, so it is the rate itself.

        Of an evaluation that was cut short: what the rate of all episodes can still be, whatever the others would do.
        """
        return _interval(self.protocol, self.clears, len(self.episodes), self.asked)

    @property
    def mean_x(self) -> float:
        """Mean over the episodes of the best x in the stage's starting area, pixels."""
        return float(np.mean([episode.result.x for episode in self.episodes]))

    @property
    def merit(self) -> tuple[float, float, float]:
        """What reports are ranked by: clear rate, then (in the whole game) stages cleared, then x, both means."""
        ahead = float(np.mean([_stages_cleared(episode) for episode in self.episodes]))
        return self.clear_rate, ahead, self.mean_x

    @property
    def best(self) -> EvaluatedEpisode:
        """A clear before none, then (in the whole game) the stage reached, the most x, the highest return."""
        return max(self.episodes, key=_merit)

    @property
    def worst(self) -> EvaluatedEpisode:
        """The last in that order."""
        return min(self.episodes, key=_merit)

    def summary(self) -> dict[str, Any]:
        """The report as plain values, as `--json` writes it."""
        return summarize(self.rows(), protocol=self.protocol, seed=self.seed, stage=self.stage, asked=self.asked)

    def rows(self) -> list[dict[str, Any]]:
        """One row per episode, under the names of evaluation.csv."""
        return [
            {
                "protocol": self.protocol,
                "seed": self.seed,
                "episode": episode.number,
                "stage": episode.result.stage,
                "return": episode.result.return_,
                "x": episode.result.x,
                "length": episode.result.length,
                "clock": episode.result.clock,
                "end": episode.result.end,
                "q_first": episode.q_first,
                "discounted_return": episode.discounted_return,
                "q_visited": episode.q_visited,
                "return_visited": episode.return_visited,
            }
            for episode in self.episodes
        ]


def summarize(
    rows: Sequence[Mapping[str, Any]], *, protocol: Protocol, seed: int, stage: str, asked: int | None = None
) -> dict[str, Any]:
    """Add up the rows of an evaluation, at least one, as `EvaluationReport.rows` has them; plain values.

    Args:
        rows: what each episode came to.
        protocol: of the evaluation.
        seed: of the evaluation.
        stage: what `EvaluationReport.stage` says.
        asked: as `EvaluationReport` has it.
    """
    ends = Counter(row["end"] for row in rows)
    episodes, clears = len(rows), ends["clear"]
    low, high = _interval(protocol, clears, episodes, asked)
    returns, xs = [row["return"] for row in rows], [row["x"] for row in rows]
    return {
        "protocol": protocol,
        "seed": seed,
        "stage": stage,
        "complete": asked is None,
        "episodes": episodes,
        "episodes_asked": episodes if asked is None else asked,
        "clears": clears,
        "clear_rate": clears / episodes,
        "clear_rate_low": low,
        "clear_rate_high": high,
        "mean_return": float(np.mean(returns)),
        "median_return": float(np.median(returns)),
        "best_return": float(max(returns)),
        "mean_x": float(np.mean(xs)),
        "median_x": float(np.median(xs)),
        "best_x": int(max(xs)),
        "mean_clock": float(np.mean([row["clock"] for row in rows])),
        "mean_length": float(np.mean([row["length"] for row in rows])),
        "ends": dict(sorted(ends.items())),
        "results": list(rows),
    }


def _interval(protocol: Protocol, clears: int, episodes: int, asked: int | None) -> tuple[float, float]:
    """Say what `EvaluationReport.clear_rate_interval` does."""
    if asked is not None:
        return clears / asked, (clears + asked - episodes) / asked
    if PROTOCOLS[protocol].fixed_episodes is not None:
        return clears / episodes, clears / episodes
    return wilson_interval(clears, episodes)


class EvaluationInterrupted(Exception):
    """The caller asked to stop before the last episode ended.

    report: on the episodes that had ended by then; None where none had.
    """

    def __init__(self, report: EvaluationReport | None = None) -> None:
        super().__init__("interrupted before the last episode ended")
        self.report = report


def _merit(episode: EvaluatedEpisode) -> tuple[bool, int, int, float]:
    result = episode.result
    return result.end == "clear", _stages_cleared(episode), result.x, result.return_


def _stages_cleared(episode: EvaluatedEpisode) -> int:
    """Count the stages behind the one reached, warps included; of an episode on one stage, 0: its end says it all."""
    return stages_behind(episode.result.stage) if episode.stage == WHOLE_GAME else 0
