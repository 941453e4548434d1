"""The game as the agent meets it: `make_env` puts it together, the wrappers work on their own as well."""

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
from mario_rl.envs.factory import load_nes_py, make_env, make_game, make_games
from mario_rl.envs.native import MarioEnv
from mario_rl.envs.own import OwnEnv, Reward, require_own
from mario_rl.envs.pool import GamePool
from mario_rl.envs.progress import TrackProgress
from mario_rl.envs.registration import env_id, register_stages
from mario_rl.envs.rewards import ClassicReturn, FrameReward
from mario_rl.envs.snapshots import SnapshotStarts
from mario_rl.envs.stages import StagePool
from mario_rl.envs.vector import MarioVectorEnv
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
from mario_rl.game.actions import ACTION_SETS, action_buttons, action_names, num_actions

__all__ = [
    "make_env",
    "make_game",
    "make_games",
    "load_nes_py",
    "GamePool",
    "OwnEnv",
    "Reward",
    "require_own",
    "MarioEnv",
    "MarioVectorEnv",
    "env_id",
    "ResumableEpisodes",
    "ACTION_SETS",
    "action_buttons",
    "action_names",
    "num_actions",
    "ButtonActions",
    "StagePool",
    "RecordButtons",
    "NoopStart",
    "SnapshotStarts",
    "StickyActions",
    "TrackProgress",
    "ClassicReturn",
    "FrameReward",
    "CopiedScreen",
    "Luma",
    "FrameSkip",
    "ArticleGrayscale",
    "AreaResize",
    "ShowButtons",
    "FrameStack",
    "NormalizeObservation",
    "StallLimit",
    "StepLimit",
    "SummarizeEpisode",
]

register_stages()
