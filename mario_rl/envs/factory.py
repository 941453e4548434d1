"""From a config to environments, on either emulator. Both give the same, so nobody else needs to know which it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from mario_rl.config import EnvConfig
from mario_rl.envs.episodes import ResumableEpisodes
from mario_rl.envs.frames import FrameByFrame
from mario_rl.envs.native import MarioEnv, metadata_of
from mario_rl.envs.own import OwnEnv, OwnGames, has_own, without_own
from mario_rl.envs.pool import GamePool
from mario_rl.envs.wrappers import CopiedScreen
from mario_rl.errors import UserError
from mario_rl.game.actions import num_actions
from mario_rl.game.games import Games
from mario_rl.types import BackwardStarts


def make_env(
    config: EnvConfig, *, normalize: bool = False, render_mode: str | None = None
) -> MarioEnv | ResumableEpisodes | OwnEnv:
    """Make the game as the agent meets it, with the reward and the wrappers that the config names.

    Observation: uint8 (frame_stack, 84, 84), oldest frame first; float32 in [0, 1] if `normalize`.
    Action: Discrete(n), n the size of the action set.
    Info, at every step: the game's own, `classic_return` (float, so far), `best_x` (int) and `from_snapshot` (bool); at
    an episode's last step `episode_result`, an `EpisodeResult`.
    Reset options: `noop_frames` and `stage`, which are drawn where they are left out; `opening`, joypad bytes that are
    played before the episode begins, in place of the frames without input.

    Raises:
        UserError: the ROM can't be played. ConfigError: a reward or wrapper of one's own can't be used.
        ValueError: there is no such render mode.
    """
    if has_own(config):
        return OwnEnv(make_env(without_own(config), render_mode=render_mode), config, normalize=normalize)
    if config.emulator == "native":
        return MarioEnv(config, normalize=normalize, render_mode=render_mode)
    metadata_of(config, render_mode)  # refuses one that there is not
    env: ResumableEpisodes = load_nes_py().make_plain_env(config, normalize=normalize, render_mode=render_mode)
    return env


def make_game(config: EnvConfig) -> gym.Env[Any, Any]:
    """Make one stage, or the whole game, frame by frame, see `FrameByFrame`: `unwrapped.ram` is the memory.

    Raises:
        UserError: the ROM can't be played.
    """
    if config.emulator == "native":
        return FrameByFrame(config)
    return CopiedScreen(load_nes_py().make_game(config.stages[0], config.rom))


def make_games(
    config: EnvConfig,
    num_games: int,
    *,
    threads: int = 1,
    autoreset: bool = False,
    on_opened: Callable[[int], None] = lambda opened: None,
    backward: BackwardStarts | None = None,
) -> GamePool:
    """Make N games that are stepped together, see `GamePool`.

    Args:
        config: of all games.
        num_games: N.
        threads: how many play them.
        autoreset: whether the next episode begins within the step that ends one.
        on_opened: called with the number of games that are open, as nes-py opens them, which takes a third of a second
            each; what it raises ends it. The native emulator opens all in one moment.
        backward: trajectories along which episodes may begin; None for none.

    Raises:
        UserError: the ROM can't be played. ConfigError: a reward or wrapper of one's own can't be used.
    """
    if has_own(config):
        below = make_games(without_own(config), num_games, threads=threads, on_opened=on_opened, backward=backward)
        try:
            return OwnGames(below, config, num_actions(config.action_set), autoreset=autoreset)
        except BaseException:
            below.close()
            raise
    if config.emulator == "native":
        return Games(config, num_games, threads=threads, autoreset=autoreset, backward=backward)
    games: GamePool = load_nes_py().PlainGames(
        config, num_games, threads=threads, autoreset=autoreset, on_opened=on_opened, backward=backward
    )
    return games


def load_nes_py() -> Any:
    """Import the games on nes-py, only where they are asked for: they need packages that nothing else does.

    Raises:
        UserError: one of those is not installed, or does not load here.
    """
    try:
        from mario_rl.envs import nes_py
    except ImportError as error:
        raise UserError(
            f"env.emulator: nes_py needs the packages nes-py and gym-super-mario-bros ({error}); "
            "pip install nes-py gym-super-mario-bros, or env.emulator=native, which gives the same"
        ) from error
    return nes_py
