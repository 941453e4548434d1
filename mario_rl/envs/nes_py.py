"""The game on nes-py and gym-super-mario-bros, wrapper by wrapper: the specification of the compiled game.

The only file that imports those packages, and the only one that touches their private names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import gym_super_mario_bros  # noqa: F401  # registers the stages with Gymnasium
import gymnasium as gym
import numpy as np
from gym_super_mario_bros import smb_env
from numpy.typing import NDArray

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.envs.actions import ButtonActions
from mario_rl.envs.episodes import (
    NoopStart,
    RecordButtons,
    ResumableEpisodes,
    StallLimit,
    StepLimit,
    StickyActions,
    SummarizeEpisode,
)
from mario_rl.envs.own import stacked_infos
from mario_rl.envs.progress import TrackProgress, read_position
from mario_rl.envs.rewards import ClassicReturn, FrameReward
from mario_rl.envs.snapshots import SnapshotStarts
from mario_rl.envs.stages import StagePool
from mario_rl.envs.wrappers import (
    AreaResize,
    ArticleGrayscale,
    CopiedScreen,
    FrameSkip,
    FrameStack,
    Luma,
    NormalizeObservation,
    ShowButtons,
)
from mario_rl.game.actions import action_buttons, action_names
from mario_rl.game.rom import find_rom
from mario_rl.types import BackwardStarts, EpisodeResult, Pixels, State
from mario_rl.workers import Workers, answer

LOOKS_AT_CLOSING = 2

type Wrap = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


def make_game(stage: str, rom: str | None = None, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Make the raw environment of a stage such as "1-1", or of the whole "game": one step a frame, joypad bytes.

    Args:
        stage: which.
        rom: an NES file in place of the one that gym-super-mario-bros ships.
        render_mode: None or "rgb_array".
    """
    name = "SuperMarioBros-v0" if stage == WHOLE_GAME else f"SuperMarioBros-{stage}-v0"
    path = find_rom(rom)
    with patch.object(smb_env, "smb1_rom_path", lambda: str(path)):
        env = gym.make(name, render_mode=render_mode)
    if stage == WHOLE_GAME:
        _end_after_the_last_stage(env.unwrapped)
    return env


def frame_by_frame(game: Any) -> Callable[[int], None]:
    """Return what plays one frame of a raw environment with a joypad byte, without all that `step` does around it."""
    advance: Callable[[int], None] = game._frame_advance
    return advance


def _end_after_the_last_stage(game: Any) -> None:
    """Let the whole game end with 8-4: the package would wait for a next world, frame after frame, without end."""
    is_game_over = game._get_terminated

    def get_terminated() -> bool:
        return is_game_over() or (game._is_world_over and read_position(game.ram).stage == STAGES[-1])

    game._get_terminated = get_terminated


def make_plain_env(
    config: EnvConfig,
    *,
    normalize: bool = False,
    render_mode: str | None = None,
    backward: BackwardStarts | None = None,
) -> ResumableEpisodes:
    """Make the game as the agent meets it, see `mario_rl.envs.make_env`, of plain wrappers around nes-py.

    Where `backward` is given, episodes may begin along its trajectories.
    """
    env: gym.Env[Any, Any] = StagePool(
        config.stages, open_stage=partial(make_game, rom=config.rom, render_mode=render_mode)
    )
    for wrap in _wrappers(config, normalize=normalize, backward=backward):
        env = wrap(env)
    return ResumableEpisodes(env, action_names=action_names(config.action_set))


def _wrappers(config: EnvConfig, *, normalize: bool, backward: BackwardStarts | None) -> list[Wrap]:
    """List the wrappers between the game and the agent, innermost first."""
    article = config.grayscale == "article"
    return [
        # Once per emulator frame.
        RecordButtons,  # sees all that reaches the emulator: no-ops, sticky and skipped frames
        partial(NoopStart, noop_max=config.noop_max),  # inside all that counts: its frames are no part of the episode
        partial(  # inside all that counts too, and outside the no-ops, which would spoil a jump
            SnapshotStarts,
            probability=config.snapshot_probability,
            rewind_frames=config.snapshot_rewind_steps * config.frame_skip,
            backward=backward,
        ),
        partial(StickyActions, probability=config.sticky_probability),  # inside the skip: each frame may stick
        TrackProgress,  # every frame, or a best x between two agent steps would be missed
        ClassicReturn,  # the reported return: before the configured reward, which it doesn't depend on
        partial(FrameReward, config=config),  # inside the skip: bounded per frame, then summed
        CopiedScreen,
        *([] if article else [Luma]),  # plain takes the maximum of grays, the article that of colours
        partial(FrameSkip, num_frames=config.frame_skip),
        # From here on once per agent step.
        ArticleGrayscale if article else AreaResize,
        *([ShowButtons] if config.show_buttons else []),  # outside stickiness: what was asked for
        partial(FrameStack, num_frames=config.frame_stack),
        *([NormalizeObservation] if normalize else []),
        partial(ButtonActions, actions=action_buttons(config.action_set)),
        partial(StallLimit, limit=config.stall_limit),  # outside the skip: limits count agent steps
        partial(StepLimit, limit=config.max_agent_steps),
        SummarizeEpisode,  # outside the limits, so that it sees what they decide
    ]


def _outcome(task: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Do a task; returns its result and what it raised."""
    try:
        return task(), None
    except Exception as failure:
        return None, failure


class PlainGames:
    """N of them, stepped together by threads: a `GamePool`; `mario_rl.envs.make_games` says what its arguments are."""

    def __init__(
        self,
        config: EnvConfig,
        num_games: int,
        *,
        threads: int = 1,
        autoreset: bool = False,
        on_opened: Callable[[int], None] = lambda opened: None,
        backward: BackwardStarts | None = None,
    ) -> None:
        self.num_games, self._autoreset = num_games, autoreset
        # The emulator lets go of the interpreter lock.
        self._threads = Workers(max(1, min(threads, num_games)), "nes-py")
        self._envs: list[ResumableEpisodes] = []
        try:
            for number in range(num_games):
                self._envs.append(make_plain_env(config, backward=backward))
                on_opened(number + 1)
        except BaseException:
            self.close()
            raise
        shape = (num_games, *(self._envs[0].observation_space.shape or ()))
        self.observations: Pixels = np.zeros(shape, dtype=np.uint8)
        self.final_observations: Pixels = np.zeros(shape, dtype=np.uint8)
        self.rewards = np.zeros(num_games)
        self.terminated, self.truncated = np.zeros((2, num_games), dtype=np.bool_)
        self._results: list[EpisodeResult | None] = [None] * num_games
        self._seeds: list[int | None] = [None] * num_games

    def seed(self, number: int, seed: int) -> None:
        self._seeds[number] = seed

    def reset(
        self, number: int, *, stage: str | None = None, noop_frames: int | None = None, opening: bytes | None = None
    ) -> None:
        options = {"stage": stage, "noop_frames": noop_frames, "opening": opening}
        self.observations[number], _ = self._envs[number].reset(seed=self._seeds[number], options=options)
        self._seeds[number] = None

    def step(self, actions: Sequence[int] | NDArray[np.int64]) -> None:
        self._in_threads([partial(self._step, number, action) for number, action in enumerate(actions)])

    def _in_threads[Result](self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Do a task per game; where some fail, the first failure is raised when all are done, so that none plays on."""
        playing = [self._threads.submit(partial(_outcome, task)) for task in tasks]
        outcomes = [answer(future, of="nes-py") for future in playing]
        if failures := [failure for _, failure in outcomes if failure is not None]:
            raise failures[0]
        return [result for result, _ in outcomes]

    def _step(self, number: int, action: int) -> None:
        if action < 0:
            return
        observation, reward, terminated, truncated, info = self._envs[number].step(int(action))
        self.rewards[number], self.terminated[number], self.truncated[number] = reward, terminated, truncated
        self.observations[number] = observation
        if terminated or truncated:
            self.final_observations[number], self._results[number] = observation, info["episode_result"]
            if self._autoreset:
                self.reset(number)

    def infos(self) -> dict[str, NDArray[Any]]:
        return stacked_infos([env.last_info for env in self._envs])

    def result(self, number: int) -> EpisodeResult:
        result = self._results[number]
        if result is None:
            raise RuntimeError(f"no episode has ended yet in game {number}")
        return result

    def buttons(self, number: int) -> bytes:
        return bytes(self._envs[number].buttons_sent)

    def state_dict(self) -> State:
        """The episodes in progress, as the actions that lead there: the emulator is deterministic."""
        return {"episodes": [env.episode_state() for env in self._envs]}

    def load_state_dict(self, state: State) -> None:
        if "episodes" not in state:
            raise ValueError("the games' state is of the native emulator")
        episodes = zip(self._envs, state["episodes"], strict=True)
        self.observations[:] = np.stack(self._in_threads([partial(env.restore_episode, one) for env, one in episodes]))

    def close(self) -> None:
        if self._threads.close(looks=LOOKS_AT_CLOSING):
            for env in self._envs:
                env.close()
