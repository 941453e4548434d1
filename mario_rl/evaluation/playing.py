"""Playing an evaluation: a policy, an environment and a declared protocol to a report of how the episodes went."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mario_rl.agents import epsilon_greedy
from mario_rl.config import Config, Protocol
from mario_rl.envs import GamePool, make_games
from mario_rl.evaluation.protocols import PROTOCOLS, episode_count, protocol_env
from mario_rl.evaluation.report import EvaluatedEpisode, EvaluationInterrupted, EvaluationReport
from mario_rl.evaluation.statistics import discounted_returns, visited_means
from mario_rl.evaluation.trained import load_trained
from mario_rl.seeding import episode_seeds
from mario_rl.types import EpisodeResult, Policy

SIDE_BY_SIDE = 32
"""Episodes played at once: two batches of the network's."""


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
        device: auto, cpu, cuda or mps. On one machine the CPU gives the same report every time.
        should_stop: asked between two agent steps, and between two games that are begun.
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
    starts = [
        _Start(stage, place * count + index, episode_seed, index if protocol == "noop" else 0)
        for place, stage in enumerate(config.env.stages)
        for index, episode_seed in enumerate(episode_seeds(seed, count))
    ]
    played: list[EvaluatedEpisode] = []

    def look() -> None:
        if should_stop():
            raise EvaluationInterrupted

    for stage in dict.fromkeys(config.env.stages):  # a stage may stand there more than once
        env = protocol_env(config.env, stage, rules)
        todo = [start for start in starts if start.stage == stage]
        try:
            with closing(make_games(env, min(len(todo), SIDE_BY_SIDE), on_opened=lambda _: look())) as games:
                for episode in _play_all(policy, games, todo, rules.epsilon, config.agent.gamma, look):
                    played.append(episode)
                    if on_episode is not None:
                        on_episode(episode, len(starts))
        except EvaluationInterrupted:
            report = EvaluationReport(protocol, seed, _in_order(played), asked=len(starts))
            raise EvaluationInterrupted(report if played else None) from None
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
    look: Callable[[], None],
) -> Iterator[EvaluatedEpisode]:
    """Play every episode to its end, as many at once as there are games; where one ends the next begins.

    `look` is called before whatever takes time, and ends it by what it raises.
    """
    waiting = deque(starts)
    playing: dict[int, _InProgress] = {}

    def begin(game: int) -> None:
        if waiting:
            look()
            start = waiting.popleft()
            games.seed(game, start.seed)
            games.reset(game, noop_frames=start.noop_frames)
            playing[game] = _InProgress(start, epsilon)

    for game in range(games.num_games):
        begin(game)
    while playing:
        look()
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
