"""Where experience comes from: N games that play one agent step while the learner makes its updates."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mario_rl.agents import ActingPolicy
from mario_rl.config import EnvConfig
from mario_rl.envs import make_games
from mario_rl.errors import CheckpointError
from mario_rl.machine import computing_cores
from mario_rl.replay import ReplayBuffer
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import BackwardStarts, EpisodeResult, Pixels, State, Steps
from mario_rl.workers import Workers, answer

LOOKS_AT_CLOSING = 2
"""How long closing waits for a step that is being played; it takes milliseconds where the emulator is well."""


class FinishedEpisode(NamedTuple):
    """An episode that ended, and in which environment."""

    env: int
    result: EpisodeResult


class Played(NamedTuple):
    """What one round gave: agent steps over all environments, episodes that ended."""

    agent_steps: int
    finished: list[FinishedEpisode]


class _Round(NamedTuple):
    """A step that is being played: the frames acted on, uint8 (N, 84, 84), the actions, int64 (N,), and its end."""

    frame: Pixels
    action: NDArray[np.int64]
    playing: Future[None]


class Collector:
    """Plays N environments side by side, an agent step at a time, in a thread of its own.

    `begin` chooses the actions and returns while the games are played; `finish` waits for them and writes what happened
    to the replay. What is done in between can't change the outcome, however long it takes: the actions are chosen, and
    the games share nothing with anybody. So a run is the same, bit for bit, whichever thread is faster.

    Args:
        config: of every environment.
        seeds: one per environment.
        generator: for the exploration of all of them.
        exponents: one per environment; it explores with epsilon to that power.
        should_stop: whether a signal has come, so that games that don't answer are not waited for as long.
        on_opened: called with the number of games that are open, as they are opened.
        backward: trajectories along which episodes may begin; None for none.
    """

    def __init__(
        self,
        config: EnvConfig,
        *,
        seeds: tuple[int, ...],
        generator: np.random.Generator,
        exponents: NDArray[np.float64],
        should_stop: Callable[[], bool] = lambda: False,
        on_opened: Callable[[int], None] = lambda opened: None,
        backward: BackwardStarts | None = None,
    ) -> None:
        self.games = make_games(
            config,
            len(seeds),
            threads=computing_cores(),
            autoreset=True,
            on_opened=on_opened,
            backward=backward,
        )
        self.generator = generator
        self.waited_seconds = 0.0
        """How long `finish` has waited for the games."""
        self._seeds = seeds
        self._trajectories = "" if backward is None else _digest(backward)
        self._exponents = exponents
        self._should_stop = should_stop
        self._thread = Workers(1, "games")
        self._round: _Round | None = None

    def start(self) -> None:
        """Begin the first episode of every environment; after this or `load_state_dict` it can play."""
        for number, seed in enumerate(self._seeds):
            self.games.seed(number, seed)
            self.games.reset(number)

    def begin(self, policy: ActingPolicy, *, epsilon: float) -> None:
        """Choose an action in every environment, and let the games go on with them until `finish`."""
        assert self._round is None, "a step is being played already"
        observations = self.games.observations
        frame = observations[:, -1].copy()  # they are live
        action = policy.act(observations, epsilon=epsilon**self._exponents, generator=self.generator)
        self._round = _Round(frame, action, self._thread.submit(lambda: self.games.step(action)))

    def finish(self, replay: ReplayBuffer) -> Played:
        """Wait until the agent step is played, and store it.

        Raises:
            GameError: a game can't go on. UnansweredError: the games don't answer.
        """
        assert self._round is not None, "no step is being played"
        (frame, action, playing), self._round = self._round, None
        began = time.perf_counter()
        answer(playing, of="the games", should_stop=self._should_stop)
        self.waited_seconds += time.perf_counter() - began
        games = self.games
        terminated, truncated = games.terminated, games.truncated
        replay.add(Steps(frame, action, games.rewards, terminated, truncated, games.final_observations[:, -1]))
        over = np.flatnonzero(terminated | truncated).tolist()
        return Played(games.num_games, [FinishedEpisode(number, games.result(number)) for number in over])

    def state_dict(self) -> State:
        """The games in progress and the exploration generator."""
        return {
            "generator": generator_state(self.generator),
            "games": _to_tensors(self.games.state_dict()),
            "trajectories": self._trajectories,
        }

    def load_state_dict(self, state: State) -> None:
        """Go on with the games where they were.

        Raises:
            CheckpointError: an older version kept the games otherwise, or they began along other trajectories.
            ValueError: the state is of other games.
        """
        if "games" not in state:
            raise CheckpointError(
                "this run's games were kept as actions to be played again, by a version before the compiled emulator; "
                "begin another run from its agent: training.initial_checkpoint=RUN_DIR"
            )
        if state.get("trajectories", "") != self._trajectories:
            raise CheckpointError("training.backward_starts: the files give other trajectories than they gave before")
        restore_generator(self.generator, state["generator"])
        self.games.load_state_dict(_to_arrays(state["games"]))

    def close(self) -> None:
        """Let a step that is being played end, and close the emulators; one that doesn't end keeps them."""
        if self._thread.close(looks=LOOKS_AT_CLOSING):
            self.games.close()


def _digest(backward: BackwardStarts) -> str:
    """Tell trajectories from others: SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for stage, buttons in sorted(backward.trajectories.items()):
        digest.update(f"{stage} {len(buttons)} ".encode() + buttons)
    return digest.hexdigest()


def _to_tensors(state: State) -> State:
    """Checkpoints hold tensors and plain values only."""
    return _mapped(state, lambda leaf: torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf)


def _to_arrays(state: State) -> State:
    return _mapped(state, lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf)


def _mapped(state: State, change: Callable[[Any], Any]) -> State:
    return {key: _mapped(value, change) if isinstance(value, dict) else change(value) for key, value in state.items()}
