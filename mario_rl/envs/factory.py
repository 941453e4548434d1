"""From a config to an environment, on either emulator."""

from __future__ import annotations

from mario_rl.config import EnvConfig
from mario_rl.envs.episodes import ResumableEpisodes
from mario_rl.envs.native import MarioEnv


def make_env(config: EnvConfig, *, normalize: bool = False, render_mode: str | None = None) -> MarioEnv | ResumableEpisodes:
    """Make the game as the agent meets it, on the emulator that `env.emulator` names; both give the same.

    Observation: uint8 (frame_stack, 84, 84), oldest frame first; float32 in [0, 1] if `normalize`.
    Action: Discrete(n), n the size of the action set.
    Info, at every step: the game's own, `classic_return` (float, so far), `best_x` (int) and `from_snapshot` (bool); at
    an episode's last step `episode_result`, an `EpisodeResult`.
    Reset options: `noop_frames` and `stage`, which are drawn where they are left out.

    Raises:
        UserError: the ROM can't be played.
    """
    if config.emulator == "native":
        return MarioEnv(config, normalize=normalize, render_mode=render_mode)
    from mario_rl.envs.nes_py import make_plain_env  # only where it is asked for: it needs nes-py

    return make_plain_env(config, normalize=normalize)
