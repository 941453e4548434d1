"""Trajectories to learn from: read, checked, and played by the rules of training, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mario_rl.config import Config, EnvConfig
from mario_rl.config.schema import ACTION_SETS, WHOLE_GAME
from mario_rl.envs import make_games
from mario_rl.errors import ConfigError, UserError
from mario_rl.game.actions import action_bytes, button_names
from mario_rl.shipped import find_trajectory
from mario_rl.trajectories import Trajectory, read_trajectory, replay, require_rom
from mario_rl.types import BackwardStarts, Pixels, Steps

DEMONSTRATIONS, BACKWARD = "replay.demonstrations", "training.backward_starts"
MOST_SHIFTS = 16  # frames later that agent steps are tried to begin at, where none is exact
CUT_BY = {"stall": "env.stall_limit", "limit": "env.max_agent_steps"}


class Held(NamedTuple):
    """A trajectory as an agent would play it: joypad bytes before its first step, and the actions from there on."""

    opening: bytes
    actions: list[int]


class Shown(NamedTuple):
    """What came of it: all agent steps, how they ended ("unfinished" where the game had not), the best x in pixels."""

    steps: Steps
    end: str
    x: int


def load_demonstrations(config: Config) -> list[Steps]:
    """Play the trajectories of `replay.demonstrations` as the agent would: all agent steps of each.

    Raises:
        ConfigError: one can't be used; a line that names it and says what is wrong.
    """
    return [_demonstrate(name, config.env) for name in config.replay.demonstrations]


def load_backward(config: Config) -> BackwardStarts | None:
    """Read the trajectories of `training.backward_starts`, and see that they play; None where there are none.

    Raises:
        ConfigError: one can't be used, or two are of one stage.
    """
    training, trajectories = config.training, dict[str, bytes]()
    for name in training.backward_starts:
        trajectory = _read(BACKWARD, name, config.env)
        if trajectory.stage in trajectories:
            raise ConfigError(f"{BACKWARD}: {name}: a second trajectory of {trajectory.stage}; give one for each stage")
        trajectories[trajectory.stage] = trajectory.buttons
    if not trajectories:
        return None
    return BackwardStarts(
        trajectories, training.backward_probability, training.backward_threshold, training.backward_window
    )


def require_trajectories(config: Config) -> None:
    """See that the trajectories that a config names can be learned from.

    Raises:
        ConfigError: one can't be; a line that names it and says what is wrong.
    """
    load_demonstrations(config)
    load_backward(config)


def exact_actions(buttons: bytes, actions: Sequence[int], frame_skip: int) -> Held | None:
    """Find the agent steps that a trajectory is made of: the same byte, an action's, for `frame_skip` frames each.

    Frames without input at its beginning, such as those of a no-op start, are no part of it, as far as the steps can
    begin after them. The last step may be cut short by the end of the episode.

    Args:
        buttons: the joypad byte of every frame.
        actions: that of every action.
        frame_skip: frames that an action is held for.

    Returns:
        None where it was made otherwise.
    """
    for opening in _openings(buttons, frame_skip):
        blocks = _blocks(buttons, opening, frame_skip)
        if all(block[0] in actions and len(set(block)) == 1 for block in blocks):
            return Held(buttons[:opening], [actions.index(block[0]) for block in blocks])
    return None


def nearest_actions(buttons: bytes, actions: Sequence[int], frame_skip: int) -> Iterator[Held]:
    """Hold, in each agent step, the action that differs from what was pressed in the fewest buttons, over all frames.

    One proposal for each frame that the first step could begin at; args as `exact_actions`. Of actions as near as each
    other it is the first of the set.
    """
    openings = _openings(buttons, frame_skip)
    later = [openings[0] + shift for shift in range(1, min(frame_skip, MOST_SHIFTS))]
    for opening in [*openings[:MOST_SHIFTS], *later]:
        chosen = [
            min(range(len(actions)), key=lambda action: _differences(block, actions[action]))
            for block in _blocks(buttons, opening, frame_skip)
        ]
        yield Held(buttons[:opening], chosen)


def _openings(buttons: bytes, frame_skip: int) -> list[int]:
    """List how many frames without input may come before the first step, most of them first: each way to cut."""
    idle = len(buttons) - len(buttons.lstrip(b"\0"))
    return [*range(idle, max(idle - frame_skip, -1), -1)]


def _blocks(buttons: bytes, opening: int, frame_skip: int) -> list[bytes]:
    return [buttons[frame : frame + frame_skip] for frame in range(opening, len(buttons), frame_skip)]


def _differences(block: bytes, action: int) -> int:
    return sum((byte ^ action).bit_count() for byte in block)


def _demonstrate(name: str, env: EnvConfig) -> Steps:
    """Play a demonstration; returns its agent steps, the last of which clears the stage."""
    trajectory = _read(DEMONSTRATIONS, name, env)
    actions = action_bytes(env.action_set)
    held = exact_actions(trajectory.buttons, actions, env.frame_skip)
    if held is not None:
        shown = _play(held, trajectory.stage, env)
        if shown.end == "clear":
            return shown.steps
        raise ConfigError(f"{DEMONSTRATIONS}: {name}: {_why_not(shown, env)}")
    _require_actions(name, trajectory.buttons, env)
    tried = []
    for nearest in nearest_actions(trajectory.buttons, actions, env.frame_skip):
        shown = _play(nearest, trajectory.stage, env)
        if shown.end == "clear":
            return shown.steps
        tried.append(shown)
    furthest = max(tried, key=lambda shown: shown.x)
    shorter = next(
        skip for skip in range(env.frame_skip - 1, 0, -1) if exact_actions(trajectory.buttons, actions, skip)
    )
    raise ConfigError(
        f"{DEMONSTRATIONS}: {name}: was not made of agent steps of env.frame_skip {env.frame_skip} frames, and with "
        f"the nearest action for each {_why_not(furthest, env)}; env.frame_skip={shorter} would play it as it is"
    )


def _read(key: str, name: str, env: EnvConfig) -> Trajectory:
    """Read a trajectory that clears one of the stages that are played.

    Raises:
        ConfigError: it does not, or it can't be read or played on this ROM.
    """
    path = Path(name)
    path = path if path.exists() else find_trajectory(path) or path
    try:
        trajectory = read_trajectory(path)
    except UserError as error:
        raise ConfigError(f"{key}: {error}") from error
    try:
        require_rom(trajectory, env.rom)
    except UserError as error:
        raise ConfigError(f"{key}: {name}: {error}") from error
    if trajectory.stage not in env.stages:
        raise ConfigError(
            f"{key}: {name}: a trajectory of {trajectory.stage}, which is not in env.stage ({', '.join(env.stages)})"
        )
    elsewhere = trajectory.stage not in (WHOLE_GAME, trajectory.ending.stage)  # by a warp zone
    if trajectory.ending.end != "clear" or elsewhere:
        raise ConfigError(f"{key}: {name}: it {trajectory.ending}; it must clear its stage")
    ending = replay(trajectory, emulator=env.emulator, rom=env.rom)
    if ending != trajectory.ending:
        raise ConfigError(f"{key}: {name}: it {ending}, and its file says that it {trajectory.ending}")
    return trajectory


def _require_actions(name: str, buttons: bytes, env: EnvConfig) -> None:
    """Refuse a trajectory that presses what no action does; frames without input before it begins don't count.

    Raises:
        ConfigError: says what is pressed, and which action set has it.
    """
    pressed = list(dict.fromkeys(buttons.lstrip(b"\0")))
    others = [byte for byte in pressed if byte not in action_bytes(env.action_set)]
    if not others:
        return
    fitting = next((one for one in ACTION_SETS if set(pressed) <= set(action_bytes(one))), None)
    would_do = fitting or f"[{', '.join(map(_as_list, pressed))}]"
    raise ConfigError(
        f"{DEMONSTRATIONS}: {name}: presses {_names(others)}, which is no action of env.action_set "
        f"{env.action_set if isinstance(env.action_set, str) else 'as it is given'}; env.action_set={would_do} would do"
    )


def _names(pressed: Iterable[int]) -> str:
    return ", ".join(map(button_names, pressed))


def _as_list(byte: int) -> str:
    """Write a joypad byte as an action of a list."""
    return f"[{button_names(byte).replace('+', ', ')}]"


def _play(held: Held, stage: str, env: EnvConfig) -> Shown:
    """Play actions by the rules of training, but for chance, as far as the episode goes."""
    undisturbed = env.model_copy(update={"sticky_probability": 0.0, "snapshot_probability": 0.0})
    games = make_games(undisturbed, 1)
    rows: list[tuple[Pixels, int, float, bool, bool, Pixels]] = []
    end = "unfinished"
    try:
        games.seed(0, 0)
        games.reset(0, stage=stage, opening=held.opening)
        for action in held.actions:
            frame = games.observations[0, -1].copy()
            games.step([action])
            ends = bool(games.terminated[0]), bool(games.truncated[0])
            last = games.final_observations if any(ends) else games.observations
            rows.append((frame, action, float(games.rewards[0]), *ends, last[0, -1].copy()))
            if any(ends):
                end = games.result(0).end
                break
        reached = int(games.infos()["best_x"][0])
    finally:
        games.close()
    return Shown(Steps(*map(np.array, zip(*rows, strict=True))), end, reached)


def _why_not(shown: Shown, env: EnvConfig) -> str:
    """Say how an episode ended that should have cleared its stage."""
    if shown.end in CUT_BY:
        limit = env.stall_limit if shown.end == "stall" else env.max_agent_steps
        return f"it is cut short at x {shown.x:,} by {CUT_BY[shown.end]} {limit}"
    return f"it {'dies' if shown.end == 'death' else 'ends'} at x {shown.x:,} and no longer clears the stage"
