"""Actor processes: each plays environments of its own into the shared replay while the learner learns.

Frames and transitions go to the replay, and weights come through `SharedWeights`, both in shared memory. Counters and
epsilon are on a board of shared numbers, each written by one side only. How an episode ended goes through a pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np
import torch

from mario_rl.agents import NetworkPolicy, QAgent
from mario_rl.config import Config
from mario_rl.envs import num_actions
from mario_rl.errors import ActorError
from mario_rl.machine import usable_cores
from mario_rl.networks import build_network
from mario_rl.replay import ReplayBuffer
from mario_rl.schedules import exploration_exponents
from mario_rl.seeding import Streams, restarted
from mario_rl.sharing import SharedArrays
from mario_rl.training.collect import Collector, FinishedEpisode, Played, Waited
from mario_rl.training.interrupts import ENDING
from mario_rl.training.weights import SharedWeights
from mario_rl.types import State

PUBLISH_PERIOD_UPDATES = 4
"""Updates between two publications of the weights, about a millisecond each."""

START_SECONDS = 120.0  # until a process has loaded its libraries from a slow disk
HANG_SECONDS = 10.0  # without a sign of life
CHECK_SECONDS = 0.25  # between two looks at whether the actors live
LOOK_SECONDS = 1.0  # of silence that one look can find: a machine that was asleep has no actors that hang
POLL_SECONDS = 0.0005  # between two looks of whoever waits for the other side
EMULATION_MILLISECONDS = 0.15  # an agent step on the compiled emulator
UPDATE_MILLISECONDS = 1.0  # of one core per transition of the batch
MAX_DEATHS = 3  # of one actor; one more ends the run


@dataclass(frozen=True)
class ActorJob:
    """What an actor process is given.

    index: which of the actors it is. envs: numbers of its environments. seeds: one for each. exploration: seed of what
    it does at random. replay, weights, board: shared. results: where finished episodes, or the reason of its end, go.
    """

    config: Config
    index: int
    envs: range
    seeds: tuple[int, ...]
    exploration: int
    replay: SharedArrays
    weights: SharedWeights
    board: SharedArrays
    results: Connection


def make_board(num_actors: int) -> SharedArrays:
    """Make the numbers that learner and actors tell each other.

    By the learner: `allowed`, agent steps that may be taken in all, of which each environment has the same share;
    `hold`, 1 to keep still; `epsilon`.
    By each actor: agent steps `taken`; `beat`, when it last gave a sign of life, seconds of the monotonic clock;
    `still`, 1 while it keeps still; `waited`, seconds it has.
    """
    return SharedArrays(
        {
            "allowed": ((1,), np.int64),
            "hold": ((1,), np.int64),
            "epsilon": ((1,), np.float64),
            "taken": ((num_actors,), np.int64),
            "beat": ((num_actors,), np.float64),
            "still": ((num_actors,), np.int64),
            "waited": ((num_actors,), np.float64),
        }
    )


def run_actor(job: ActorJob) -> None:
    """Play until the learner ends this process, or has ended itself: what an actor process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # the processes share the cores, the threads of one would fight for them
    try:
        _play_on(job)
    except Exception as error:  # whatever it was, the learner names it and starts anew
        job.results.send(" ".join(f"{type(error).__name__}: {error}".split()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _play_on(job: ActorJob) -> None:
    config, board, index = job.config, job.board.arrays, job.index
    replay = make_replay(config, np.random.default_rng(), job.replay)
    network = build_network(
        config.network, num_actions=num_actions(config.env.action_set), frame_stack=config.env.frame_stack, seed=0
    )
    policy = NetworkPolicy(network, torch.device("cpu"))
    exponents = exploration_exponents(config.training.envs, config.agent.epsilon.spread)
    collector = Collector(
        config.env,
        seeds=job.seeds,
        generator=np.random.default_rng(job.exploration),
        exponents=exponents[job.envs.start : job.envs.stop],
        first_env=job.envs.start,
        num_threads=1,
    )
    collector.start()
    version = job.weights.load(network)
    share = len(job.envs) / config.training.envs
    while True:
        board["beat"][index] = time.monotonic()
        board["still"][index] = 0
        # Looked at after the line above, so that the learner never takes for still who is about to play.
        if board["hold"][0] or board["taken"][index] >= share * board["allowed"][0]:
            board["still"][index] = 1
            time.sleep(POLL_SECONDS)
            board["waited"][index] += time.monotonic() - board["beat"][index]
            continue
        if job.weights.version != version:
            version = job.weights.load(network)
        played = collector.play(policy, replay, epsilon=float(board["epsilon"][0]))
        board["taken"][index] += played.agent_steps
        if played.finished:
            job.results.send(played.finished)


@dataclass
class _Actor:
    """An actor as the learner sees it: the process that is it now, and how often it has died."""

    envs: range
    process: BaseProcess | None = None
    results: Connection | None = None
    beat: float = 0.0  # its last sign of life when the learner last looked
    looked_at: float = 0.0  # seconds of the monotonic clock
    silent: float = 0.0  # seconds that the learner has looked in vain for another
    deaths: int = 0
    last_words: str = ""
    finished: list[FinishedEpisode] = field(default_factory=list)

    def listen(self) -> None:
        """Take what has come through the pipe."""
        try:
            while self.results is not None and self.results.poll():
                said = self.results.recv()
                if isinstance(said, str):
                    self.last_words = said
                else:
                    self.finished += said
        except EOFError:  # it has ended; whoever looks after it will notice
            self.results = None

    def hear(self, beat: float) -> None:
        """Look for a sign of life, other than the last one."""
        now = time.monotonic()
        self.silent = self.silent + min(now - self.looked_at, LOOK_SECONDS) if beat == self.beat else 0.0
        self.beat, self.looked_at = beat, now

    def end(self) -> None:
        """Kill the process: it has nothing to put in order."""
        if self.process is not None:
            self.process.kill()
            self.process.join()


class ActorPool:
    """Plays a run's environments in actor processes; the counterpart of `Collector`, and used like it.

    Args:
        config: of the run.
        num_actors: how many processes share the environments; at most as many as those.
        streams: the run's seeds.
        shared: the arrays of the replay.
        replay: the buffer over them.
        agent: whose weights the actors play with.
        warn: told, in one line, when an actor had to be started anew.
    """

    def __init__(
        self,
        config: Config,
        *,
        num_actors: int,
        streams: Streams,
        shared: SharedArrays,
        replay: ReplayBuffer,
        agent: QAgent,
        warn: Callable[[str], None],
    ) -> None:
        self._config = config
        self._streams = streams
        self._shared_replay = shared
        self._replay = replay
        self._warn = warn
        self._weights = SharedWeights(agent.online)
        self._published_at: int | None = None  # updates
        self._shared_board = make_board(num_actors)
        self._board = self._shared_board.arrays
        bounds = [config.training.envs * actor // num_actors for actor in range(num_actors + 1)]
        self._actors = [_Actor(range(begin, end)) for begin, end in pairwise(bounds)]
        self._starts = 0  # of actor processes, over the whole run: each has seeds of its own
        self._reported = 0  # agent steps
        self._looked_at = -CHECK_SECONDS
        self._learner_waited = 0.0  # seconds

    def start(self) -> None:
        """Nothing yet: the first step starts the actors, when there are weights to play with."""

    def step(self, agent: QAgent, replay: ReplayBuffer, *, epsilon: float) -> Played:
        """Let the actors play as far as the updates made allow, until they have taken agent steps.

        Raises:
            ActorError: one of them died again and again.
        """
        if self._published_at is None or agent.updates >= self._published_at + PUBLISH_PERIOD_UPDATES:
            self._weights.publish(agent.online)
            self._published_at = agent.updates
        self._board["epsilon"][0] = epsilon
        self._board["allowed"][0] = self._allowed(agent.updates)
        began = time.perf_counter()
        while True:
            self._look_after()
            played = self._news()
            if played.agent_steps:
                self._learner_waited += time.perf_counter() - began
                return played
            time.sleep(POLL_SECONDS)

    @contextmanager
    def paused(self) -> Iterator[Played]:
        """Hold the actors still, as long as this is entered; gives what they had played until then.

        Raises:
            ActorError: one of them died again and again.
        """
        held = int(self._board["hold"][0])
        self._board["hold"][0] = 1
        time.sleep(POLL_SECONDS)  # until every processor sees it
        try:
            while not all(self._is_still(index) for index in range(len(self._actors))):
                time.sleep(POLL_SECONDS)
            yield self._news()
        finally:
            self._board["hold"][0] = held

    @property
    def waited(self) -> Waited:
        """How long each side has waited since the first step."""
        return Waited(learner=self._learner_waited, environments=float(self._board["waited"].mean()))

    def state_dict(self) -> State:
        """How far the actors have come and which seeds they have used; the episodes in flight are not kept."""
        return {"agent_steps": self._reported, "starts": self._starts}

    def load_state_dict(self, state: State) -> None:
        """Go on from there with new episodes."""
        self._reported, self._starts = state["agent_steps"], state["starts"]
        shares = np.array([len(actor.envs) for actor in self._actors])
        self._board["taken"][:] = self._reported * shares // shares.sum()
        self._board["taken"][0] += self._reported - self._board["taken"].sum()

    def close(self) -> None:
        """End the processes."""
        for actor in self._actors:
            actor.end()

    def _allowed(self, updates: int) -> int:
        """Agent steps that keep the learner busy and no more, so that the configured number of them makes an update."""
        config = self._config
        learned_from = config.replay.warmup_steps + (updates + 1) * config.agent.steps_per_update
        allowed = learned_from + 2 * config.training.envs
        return allowed if config.training.agent_steps is None else min(allowed, config.training.agent_steps)

    def _news(self) -> Played:
        """Say what has been played since the last time."""
        taken = int(self._board["taken"].sum())
        new, self._reported = taken - self._reported, taken
        finished = []
        for actor in self._actors:
            actor.listen()
            finished += actor.finished
            actor.finished = []
        return Played(new, finished)

    def _is_still(self, index: int) -> bool:
        """Tell whether an actor won't play before it is let go on; one that gives no answer is ended."""
        actor = self._actors[index]
        if actor.process is None or not self._board["beat"][index] or self._board["still"][index]:
            return True
        if reason := self._reason_of_death(index):
            actor.end()
            actor.last_words = reason
            return True
        return False

    def _look_after(self) -> None:
        """Start every actor that is not there, is no more, or gives no sign of life."""
        now = time.monotonic()
        if now - self._looked_at < CHECK_SECONDS:
            return
        self._looked_at = now
        for index, actor in enumerate(self._actors):
            if actor.process is None:
                self._start(index)
                continue
            reason = self._reason_of_death(index)
            if reason is None:
                continue
            actor.end()
            actor.deaths += 1
            if actor.deaths > MAX_DEATHS:
                raise ActorError(f"actor {index} died {actor.deaths} times, the last time: {reason}")
            self._warn(f"actor {index} is started anew (death {actor.deaths} of at most {MAX_DEATHS}): {reason}")
            self._start(index)

    def _reason_of_death(self, index: int) -> str | None:
        actor = self._actors[index]
        assert actor.process is not None
        actor.listen()
        actor.hear(float(self._board["beat"][index]))
        if not actor.process.is_alive():
            code = actor.process.exitcode or 0
            return actor.last_words or (f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
        limit = HANG_SECONDS if actor.beat else START_SECONDS
        return f"no sign of life for {limit:.0f} seconds" if actor.silent > limit else None

    def _start(self, index: int) -> None:
        actor, streams = self._actors[index], self._streams
        for env in actor.envs:
            self._replay.cut(env)  # whoever wrote there won't go on with the episode
        receiving, sending = multiprocessing.Pipe(duplex=False)
        job = ActorJob(
            config=self._config,
            index=index,
            envs=actor.envs,
            seeds=tuple(restarted(streams.environments[env], self._starts) for env in actor.envs),
            exploration=restarted(streams.exploration, self._starts),
            replay=self._shared_replay,
            weights=self._weights,
            board=self._shared_board,
            results=sending,
        )
        self._starts += 1
        self._board["beat"][index] = 0.0
        self._board["still"][index] = 0
        # Spawned, because a forked child could not use PyTorch. Ctrl-C goes to all processes of a terminal: the learner
        # decides what becomes of it, so the actors inherit that they don't hear it.
        process = multiprocessing.get_context("spawn").Process(target=run_actor, args=(job,), name=f"actor {index}")
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        sending.close()
        actor.process, actor.results = process, receiving
        actor.beat, actor.silent, actor.looked_at, actor.last_words = 0.0, 0.0, time.monotonic(), ""


def make_replay(config: Config, rng: np.random.Generator, shared: SharedArrays | None) -> ReplayBuffer:
    """Make a run's replay: in memory of its own, or over arrays that are shared."""
    return ReplayBuffer(
        config.replay.capacity,
        num_envs=config.training.envs,
        frame_stack=config.env.frame_stack,
        n_step=config.agent.n_step,
        gamma=config.agent.gamma,
        rng=rng,
        priority_exponent=config.replay.priority_exponent,
        importance_exponent=config.replay.importance_exponent,
        arrays=None if shared is None else shared.arrays,
    )


def resolve_actors(config: Config, device: torch.device) -> int:
    """Turn `training.actors` into a number of processes.

    `auto`: where the learner computes on the CPU as well, the share of the cores that emulation is of all the work,
    which is none if learning is nearly all of it; else all cores but two. At most as many as there are environments.
    """
    actors, cores = config.training.actors, usable_cores()
    if actors != "auto":
        return actors
    if device.type == "cpu":
        learning = config.agent.batch_size / config.agent.steps_per_update * UPDATE_MILLISECONDS
        wanted = round(cores * EMULATION_MILLISECONDS / (EMULATION_MILLISECONDS + learning))
    else:
        wanted = max(1, cores - 2)
    return min(wanted, config.training.envs)
