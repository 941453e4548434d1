"""Evaluation: a policy, an environment and a declared protocol to a report of how the episodes went."""

from __future__ import annotations

import itertools
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mario_rl.agents import NetworkPolicy, epsilon_greedy
from mario_rl.agents.loading import load_policy
from mario_rl.config import Config, EnvConfig, Protocol, parse_config
from mario_rl.config.schema import WHOLE_GAME, stages_behind
from mario_rl.devices import one_thread, resolve_device
from mario_rl.envs import GamePool, make_games, num_actions
from mario_rl.errors import CheckpointError
from mario_rl.evaluation.protocols import PROTOCOLS, ProtocolRules, episode_count
from mario_rl.runs.checkpoint import find_checkpoint, load_checkpoint
from mario_rl.seeding import episode_seeds
from mario_rl.types import EpisodeResult, Policy

UNKNOWN_SHARE = 0.01
"""Weight of what follows a cut, in the return of a state before it, up to which it is left aside."""

TWO_SIDED_95 = NormalDist().inv_cdf(0.975)
"""Standard deviations, about 1.96, between which 95 % of a normal distribution lie."""

SIDE_BY_SIDE = 32
"""Episodes played at once: two batches of the network's."""


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
        if self.asked is not None:
            return self.clears / self.asked, (self.clears + self.asked - len(self.episodes)) / self.asked
        if PROTOCOLS[self.protocol].fixed_episodes is not None:
            return self.clear_rate, self.clear_rate
        return wilson_interval(self.clears, len(self.episodes))

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
        low, high = self.clear_rate_interval
        returns = [episode.result.return_ for episode in self.episodes]
        xs = [episode.result.x for episode in self.episodes]
        return {
            "protocol": self.protocol,
            "seed": self.seed,
            "stage": self.stage,
            "complete": self.asked is None,
            "episodes": len(self.episodes),
            "episodes_asked": len(self.episodes) if self.asked is None else self.asked,
            "clears": self.clears,
            "clear_rate": self.clear_rate,
            "clear_rate_low": low,
            "clear_rate_high": high,
            "mean_return": float(np.mean(returns)),
            "median_return": float(np.median(returns)),
            "best_return": float(max(returns)),
            "mean_x": float(np.mean(xs)),
            "median_x": float(np.median(xs)),
            "best_x": int(max(xs)),
            "mean_clock": float(np.mean([episode.result.clock for episode in self.episodes])),
            "mean_length": float(np.mean([episode.result.length for episode in self.episodes])),
            "ends": dict(sorted(Counter(episode.result.end for episode in self.episodes).items())),
            "results": self.rows(),
        }

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


def wilson_interval(clears: int, episodes: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a clear rate, 0..1."""
    share, width = clears / episodes, TWO_SIDED_95**2 / episodes
    centre = (share + width / 2) / (1 + width)
    half = math.sqrt(share * (1 - share) * width + width**2 / 4) / (1 + width)
    return (centre - half if clears else 0.0), (centre + half if clears < episodes else 1.0)


class Trained(NamedTuple):
    """A policy from a checkpoint: its config, the file, and how long it was trained, before its run began included.

    initial_agent_steps: of them, those of the agent that the run began with.
    """

    policy: NetworkPolicy
    config: Config
    file: Path
    agent_steps: int
    seconds: float
    initial_agent_steps: int = 0


class EvaluationInterrupted(Exception):
    """The caller asked to stop before the last episode ended.

    report: on the episodes that had ended by then; None where none had.
    """

    def __init__(self, report: EvaluationReport | None = None) -> None:
        super().__init__("interrupted before the last episode ended")
        self.report = report


@one_thread()
def evaluate(
    checkpoint: str | Path,
    *,
    episodes: int | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    stage: str | None = None,
    device: str = "cpu",
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> EvaluationReport:
    """Play a checkpoint's greedy policy under a protocol, whatever no-ops and stickiness it was trained with.

    Args:
        checkpoint: a checkpoint file or a run directory (its best checkpoint, else its latest).
        episodes: how many, per stage, for sticky and epsilon; None for the number its config names.
        protocol: None for the one its config names.
        seed: of the sticky actions and random actions.
        stage: None for the stage, or each of the stages, it was trained on.
        device: auto, cpu, cuda or mps. On one machine and thread count the CPU gives the same report every time.
        should_stop: asked between two agent steps.
        on_episode: called after each episode with it and the number of episodes in all.

    Raises:
        CheckpointError: the file cannot be used. UserError: an argument cannot.
        EvaluationInterrupted: `should_stop` said so.
    """
    trained = load_trained(checkpoint, stage=stage, device=device)
    return evaluate_policy(
        trained.policy,
        trained.config,
        protocol=protocol or trained.config.evaluation.protocol,
        episodes=episodes,
        seed=seed,
        should_stop=should_stop,
        on_episode=on_episode,
    )


def load_trained(checkpoint: str | Path, *, stage: str | None = None, device: str = "cpu") -> Trained:
    """Load the policy of a checkpoint file, or of a run directory's best (else latest) checkpoint.

    Args:
        checkpoint: which.
        stage: in place of the one in its config.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: the file cannot be used. UserError: an argument cannot.
    """
    file = find_checkpoint(Path(checkpoint))
    state = load_checkpoint(file)
    config = parse_config(state["config"], str(checkpoint))
    if stage is not None:
        config = parse_config({**state["config"], "env": {**state["config"]["env"], "stage": stage}}, "--stage")
    where = resolve_device(device)
    actions, frame_stack = num_actions(config.env.action_set), config.env.frame_stack
    try:
        policy = load_policy(
            config.network, state["network"], num_actions=actions, frame_stack=frame_stack, device=where
        )
    except (RuntimeError, TypeError) as error:  # torch names every tensor, over many lines
        raise CheckpointError(f"{file}: damaged, its weights are not those of the network in its config") from error
    before, seconds_before = state.get("initial_agent_steps", 0), state.get("initial_seconds", 0.0)
    steps, seconds = state["agent_steps"] + before, state["seconds"] + seconds_before
    return Trained(policy, config, file, steps, seconds, before)


def evaluate_policy(
    policy: Policy,
    config: Config,
    *,
    protocol: Protocol,
    seed: int,
    episodes: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_episode: Callable[[EvaluatedEpisode, int], None] | None = None,
) -> EvaluationReport:
    """Play a policy greedily on the stage, or each of the stages, of a config.

    Episodes are played side by side, each from a seed of its own, so that one does not depend on how many there are.

    Raises:
        UserError: the protocol has a fixed number of episodes and `episodes` is another.
        EvaluationInterrupted: `should_stop` said so.
    """
    rules = PROTOCOLS[protocol]
    count = episode_count(protocol, episodes, default=config.evaluation.episodes)
    stages = (config.env.stage,) if isinstance(config.env.stage, str) else config.env.stage
    starts = [
        _Start(stage, place * count + index, episode_seed, index if protocol == "noop" else 0)
        for place, stage in enumerate(stages)
        for index, episode_seed in enumerate(episode_seeds(seed, count))
    ]
    played: list[EvaluatedEpisode] = []
    for stage in stages:
        env = protocol_env(config.env, stage, rules)
        todo = [start for start in starts if start.stage == stage]
        games = make_games(env, min(len(todo), SIDE_BY_SIDE))
        try:
            for episode in _play_all(policy, games, todo, rules.epsilon, config.agent.gamma, should_stop):
                played.append(episode)
                if on_episode is not None:
                    on_episode(episode, len(starts))
        except EvaluationInterrupted:
            report = EvaluationReport(protocol, seed, _in_order(played), asked=len(starts))
            raise EvaluationInterrupted(report if played else None) from None
        finally:
            games.close()
    return EvaluationReport(protocol, seed, _in_order(played))


def _in_order(episodes: list[EvaluatedEpisode]) -> tuple[EvaluatedEpisode, ...]:
    return tuple(sorted(episodes, key=lambda episode: episode.number))


class _Start(NamedTuple):
    """How an episode begins."""

    stage: str
    number: int
    seed: int
    noop_frames: int


class _InProgress:
    """An episode that is being played, and its own chance of a random action."""

    def __init__(self, start: _Start, epsilon: float) -> None:
        self.start = start
        self.q_visited: list[float] = []
        self.rewards: list[float] = []
        self._epsilon, self._generator = epsilon, np.random.default_rng(start.seed)

    def choose(self, q_values: NDArray[np.float32]) -> int:
        """Choose an action by its values, float32 (actions,)."""
        self.q_visited.append(float(q_values.max()))
        return int(epsilon_greedy(q_values[np.newaxis], self._epsilon, self._generator)[0])


def _play_all(
    policy: Policy,
    games: GamePool,
    starts: Sequence[_Start],
    epsilon: float,
    gamma: float,
    should_stop: Callable[[], bool],
) -> Iterator[EvaluatedEpisode]:
    """Play every episode to its end, as many at once as there are games; where one ends the next begins."""
    waiting = deque(starts)
    playing: dict[int, _InProgress] = {}

    def begin(game: int) -> None:
        if waiting:
            start = waiting.popleft()
            games.seed(game, start.seed)
            games.reset(game, noop_frames=start.noop_frames)
            playing[game] = _InProgress(start, epsilon)

    for game in range(games.num_games):
        begin(game)
    while playing:
        if should_stop():
            raise EvaluationInterrupted
        busy = sorted(playing)
        values = policy.q_values(games.observations[busy])
        actions = np.full(games.num_games, -1, dtype=np.int64)
        actions[busy] = [playing[game].choose(row) for game, row in zip(busy, values, strict=True)]
        games.step(actions)
        rewards, terminated, truncated = games.rewards, games.terminated, games.truncated
        for game in busy:
            playing[game].rewards.append(float(rewards[game]))
            if terminated[game] or truncated[game]:
                episode = playing.pop(game)
                cut = bool(truncated[game]) and not terminated[game]
                yield _evaluated(episode, games.result(game), games.buttons(game), gamma, truncated=cut)
                begin(game)


def _evaluated(
    episode: _InProgress, result: EpisodeResult, buttons: bytes, gamma: float, *, truncated: bool
) -> EvaluatedEpisode:
    returns = discounted_returns(episode.rewards, gamma)
    return EvaluatedEpisode(
        episode.start.stage,
        episode.start.number,
        result,
        episode.q_visited[0],
        returns[0],
        tuple(buttons),
        *visited_means(episode.q_visited, returns, gamma, truncated=truncated),
    )


def discounted_returns(rewards: Sequence[float], gamma: float) -> list[float]:
    """Sum the rewards from each step of an episode to its end, each a factor `gamma` less than the one before."""
    sums = itertools.accumulate(reversed(rewards), lambda later, reward: reward + gamma * later)
    return list(sums)[::-1]


def visited_means(
    q_visited: Sequence[float], returns: Sequence[float], gamma: float, *, truncated: bool
) -> tuple[float | None, float | None]:
    """Average what was predicted over the states of an episode, and what really followed from those same states.

    Their difference is the overestimation of van Hasselt et al. 2016, figure 3. After a cut nobody knows what would
    have followed: of a truncated episode the last states, for which that would have counted for more than 1 %, are left
    out, in both means.

    Args:
        q_visited: the highest value at each state, in order.
        returns: the discounted return from each.
        gamma: discount per agent step.
        truncated: whether the episode was cut short.

    Returns:
        The two means; None where no state is left.
    """
    count = len(returns)
    if truncated:
        count = sum(gamma ** (len(returns) - step) <= UNKNOWN_SHARE for step in range(len(returns)))
    if count == 0:
        return None, None
    return float(np.mean(q_visited[:count])), float(np.mean(returns[:count]))


def protocol_env(config: EnvConfig, stage: str, rules: ProtocolRules) -> EnvConfig:
    """Replace a training environment's sources of chance by those of a protocol, on one stage."""
    replaced = {
        "stage": stage,
        "noop_max": 0,
        "sticky_probability": rules.sticky_probability,
        "snapshot_probability": 0.0,
    }
    return config.model_copy(update=replaced)


def _merit(episode: EvaluatedEpisode) -> tuple[bool, int, int, float]:
    result = episode.result
    return result.end == "clear", _stages_cleared(episode), result.x, result.return_


def _stages_cleared(episode: EvaluatedEpisode) -> int:
    """Count the stages behind the one reached, warps included; of an episode on one stage, 0: its end says it all."""
    return stages_behind(episode.result.stage) if episode.stage == WHOLE_GAME else 0
