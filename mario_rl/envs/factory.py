"""From a config to an environment: the order of the wrappers, and the only import of the game."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gym_super_mario_bros  # noqa: F401  (importing it registers the stages with Gymnasium)
import gymnasium as gym

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.envs.actions import ButtonActions, action_buttons, action_names
from mario_rl.envs.episodes import (
    NoopStart,
    RecordButtons,
    ResumableEpisodes,
    StallLimit,
    StepLimit,
    StickyActions,
    SummarizeEpisode,
)
from mario_rl.envs.lean import LeanFrameSkip, LeanGame
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

type Wrap = Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]]


def make_game(stage: str) -> gym.Env[Any, Any]:
    """Make the raw environment of a stage such as "1-1", or of the whole "game": one step a frame, joypad bytes."""
    if stage != WHOLE_GAME:
        return gym.make(f"SuperMarioBros-{stage}-v0")
    env = gym.make("SuperMarioBros-v0")
    _end_after_the_last_stage(env.unwrapped)
    return env


def _end_after_the_last_stage(game: Any) -> None:
    """Let the whole game end with 8-4: the package would wait for a next world, frame after frame, without end."""
    is_game_over = game._get_terminated

    def get_terminated() -> bool:
        return is_game_over() or (game._is_world_over and read_position(game.ram).stage == STAGES[-1])

    game._get_terminated = get_terminated


def make_env(config: EnvConfig, *, normalize: bool = False, lean: bool = True) -> ResumableEpisodes:
    """Make the game as the agent meets it.

    With `lean`, frames nobody sees are not drawn up, see `mario_rl.envs.lean`; without, each step is a plain wrapper of
    its own. Both give the same, but for `DIAGNOSTICS` in info.

    Observation: uint8 (frame_stack, 84, 84), oldest frame first; float32 in [0, 1] if `normalize`.
    Action: Discrete(n), n the size of the action set.
    Info, at every step: the game's own, `classic_return` (float, so far), `best_x` (int) and `from_snapshot` (bool); at
    an episode's last step `episode_result`, an `EpisodeResult`.
    Reset options: `noop_frames` and `stage`, which are drawn where they are left out.
    """
    stages = (config.stage,) if isinstance(config.stage, str) else config.stage
    env: gym.Env[Any, Any] = StagePool(stages, open_stage=_opener(config) if lean else make_game)
    for wrap in _wrappers(config, normalize=normalize, lean=lean):
        env = wrap(env)
    return ResumableEpisodes(env, action_names=action_names(config.action_set))


def _opener(config: EnvConfig) -> Callable[[str], LeanGame]:
    return lambda stage: LeanGame(make_game(stage), shaped=config.reward == "shaped")


def _wrappers(config: EnvConfig, *, normalize: bool, lean: bool) -> list[Wrap]:
    """List the wrappers between the game and the agent, innermost first."""
    article = config.grayscale == "article"
    # Plain takes the maximum of grays, the article that of colours.
    plain_skip: list[Wrap] = [
        CopiedScreen,
        *([] if article else [Luma]),
        partial(FrameSkip, num_frames=config.frame_skip),
    ]
    lean_skip: list[Wrap] = [partial(LeanFrameSkip, num_frames=config.frame_skip, gray=not article)]
    return [
        # Once per emulator frame.
        RecordButtons,  # sees all that reaches the emulator: no-ops, sticky and skipped frames
        partial(NoopStart, noop_max=config.noop_max),  # inside all that counts: its frames are no part of the episode
        partial(  # inside all that counts too, and outside the no-ops, which would spoil a jump
            SnapshotStarts,
            probability=config.snapshot_probability,
            rewind_frames=config.snapshot_rewind_steps * config.frame_skip,
        ),
        partial(StickyActions, probability=config.sticky_probability),  # inside the skip: each frame may stick
        TrackProgress,  # every frame, or a best x between two agent steps would be missed
        ClassicReturn,  # the reported return: before the configured reward, which it doesn't depend on
        partial(FrameReward, config=config),  # inside the skip: bounded per frame, then summed
        *(lean_skip if lean else plain_skip),
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
