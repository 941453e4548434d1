"""The names under which Gymnasium knows the game: one id per stage, and one for the whole of it."""

from __future__ import annotations

import gymnasium as gym

from mario_rl.config.schema import STAGES, WHOLE_GAME

ENTRY_POINT = "mario_rl.envs.native:MarioEnv"
VECTOR_ENTRY_POINT = "mario_rl.envs.vector:MarioVectorEnv"


def env_id(stage: str) -> str:
    """Name a stage such as "1-1", or the whole "game", for `gymnasium.make` and `gymnasium.make_vec`."""
    return "mario_rl/SuperMarioBros-v0" if stage == WHOLE_GAME else f"mario_rl/SuperMarioBros-{stage}-v0"


def register_stages() -> None:
    """Tell Gymnasium the ids; a second time does nothing.

    What is made takes keys of `env.*` besides: `gymnasium.make(env_id("1-1"), action_set="simple")`. Its episodes are
    limited by the config, `stall_limit` and `max_agent_steps`, so by no `max_episode_steps` of Gymnasium's.
    """
    for stage in (*STAGES, WHOLE_GAME):
        if env_id(stage) not in gym.registry:
            gym.register(
                id=env_id(stage),
                entry_point=ENTRY_POINT,
                vector_entry_point=VECTOR_ENTRY_POINT,
                kwargs={"stage": stage},
            )
