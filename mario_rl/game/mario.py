"""Super Mario Bros. around the console: what gym-super-mario-bros reads from memory, writes to it, and skips.

Addresses and meanings are its own (`smb_env.py`, version 9.1). `machine` and `game` are the addresses of a game's two
rows, see `layout.py`.
"""

from __future__ import annotations

from mario_rl.game.addresses import (
    AREA_NUMBER,
    CHANGE_AREA_TIMER,
    COINS,
    ENEMY_TYPES,
    FLOAT_STATE,
    LEVEL,
    LIVES,
    OPERATION_MODE,
    PLAYER_PAGE,
    PLAYER_STATE,
    PLAYER_X,
    PRELEVEL_TIMER,
    SCORE,
    SCREEN_LEFT_X,
    STATUS,
    TIME,
    WORLD,
    Y_PIXEL,
    Y_VIEWPORT,
)
from mario_rl.game.layout import (
    COINS_LAST,
    COMPLETED,
    INFO_AREA,
    INFO_COINS,
    INFO_ENEMIES,
    INFO_FLAG_GET,
    INFO_IS_DEAD,
    INFO_IS_DYING,
    INFO_IS_GAME_OVER,
    INFO_IS_STAGE_OVER,
    INFO_IS_WORLD_OVER,
    INFO_LEFT_X_POS,
    INFO_LIFE,
    INFO_PLAYER_STATE,
    INFO_SCORE,
    INFO_STAGE,
    INFO_STATUS_VALUE,
    INFO_TIME,
    INFO_WORLD,
    INFO_X_POS,
    INFO_X_POS_MAX,
    INFO_Y_PIXEL,
    INFO_Y_VIEWPORT,
    POWERUP_LAST,
    REWARD_PARTS,
    REWARD_UNCLIPPED,
    SCORE_LAST,
    STUCK_FRAMES,
    TIME_LAST,
    X_MAX,
)
from mario_rl.nes.memory import call4, helper, load8, load64, store8, store64, store_float64

DYING, DEAD, NORMAL = 0x0B, 0x06, 0x08  # player states
BOWSER, FLAGPOLE = 0x2D, 0x31
ON_THE_FLAGPOLE = 3
END_OF_WORLD = 2
NO_LIVES = 0xFF
START_BUTTON = 8

MAX_FRAME_PIXELS = 5  # a longer move in one frame earns nothing
DEATH_POINTS, CLEAR_POINTS, COIN_POINTS, POWERUP_POINTS, SCORE_UNIT = -25.0, 50.0, 5.0, 5.0, 100.0


@helper
def read_digits(machine: int, address: int, count: int) -> int:
    """Read a number of decimal digits, a byte each; a byte above 9 counts as the digits it is written with."""
    value = 0
    for place in range(count):
        digit = load8(machine + address + place)
        value = value * (10 if digit < 10 else 100 if digit < 100 else 1000) + digit
    return value


@helper
def x_position(machine: int) -> int:
    """Mario's distance from the left end of the area, pixels."""
    return load8(machine + PLAYER_PAGE) * 256 + load8(machine + PLAYER_X)


@helper
def is_dying(machine: int) -> bool:
    """Whether Mario is in his dying animation, or below the screen."""
    return load8(machine + PLAYER_STATE) == DYING or load8(machine + Y_VIEWPORT) > 1


@helper
def is_dead(machine: int) -> bool:
    """Whether the game counts Mario as dead."""
    return load8(machine + PLAYER_STATE) == DEAD


@helper
def is_world_over(machine: int) -> bool:
    """Whether the axe was reached, and the scene at the end of a world plays."""
    return load8(machine + OPERATION_MODE) == END_OF_WORLD


@helper
def is_stage_over(machine: int) -> bool:
    """Whether Mario slides down the flagpole; a vine sets the same state."""
    for place in range(5):
        enemy = load8(machine + ENEMY_TYPES + place)
        if enemy in (BOWSER, FLAGPOLE):
            return load8(machine + FLOAT_STATE) == ON_THE_FLAGPOLE
    return False


@helper
def is_busy(machine: int) -> bool:
    """Whether Mario can't be moved: pipes, vines, walks of his own, black screens."""
    state = load8(machine + PLAYER_STATE)
    return state <= 0x07 and state != DEAD


@helper
def has_ended(machine: int, is_stage: bool) -> bool:
    """A stage ends with a death or the flag, the whole game with the last life or the end of 8-4."""
    world_over = is_world_over(machine)
    if is_stage:
        return is_dying(machine) or is_dead(machine) or world_over or is_stage_over(machine)
    if load8(machine + LIVES) == NO_LIVES:
        return True
    return world_over and load8(machine + WORLD) == 7 and load8(machine + LEVEL) == 3


@helper
def begin_rewards(machine: int, game: int) -> None:
    """Forget the episode before: what comes is compared with what is in memory now."""
    store64(game + TIME_LAST, read_digits(machine, TIME, 3))
    store64(game + X_MAX, x_position(machine))
    store64(game + SCORE_LAST, read_digits(machine, SCORE, 6))
    store64(game + COINS_LAST, read_digits(machine, COINS, 2))
    store64(game + POWERUP_LAST, min(load8(machine + STATUS), 2))
    store64(game + COMPLETED, 0)
    for part in range(7):
        store_float64(game + REWARD_PARTS + 8 * part, 0.0)
    store_float64(game + REWARD_UNCLIPPED, 0.0)


@helper
def _keep_part(game: int, part: int, points: float) -> float:
    store_float64(game + REWARD_PARTS + 8 * part, points)
    return points


@helper
def reward_frame(machine: int, game: int) -> float:
    """Work out the points of a frame as gym-super-mario-bros 9 does, before it bounds them; keeps the parts."""
    x, x_max = x_position(machine), load64(game + X_MAX)
    progress = max(x - x_max, 0)
    store64(game + X_MAX, max(x, x_max))
    time = read_digits(machine, TIME, 3)
    ticked = min(time - load64(game + TIME_LAST), 0)
    store64(game + TIME_LAST, time)
    score = read_digits(machine, SCORE, 6)
    scored = max(score - load64(game + SCORE_LAST), 0)
    store64(game + SCORE_LAST, score)
    coins = read_digits(machine, COINS, 2)
    collected = coins - load64(game + COINS_LAST)
    if collected < -50:  # the hundredth
        collected += 100
    store64(game + COINS_LAST, coins)
    powerup = min(load8(machine + STATUS), 2)
    grown = powerup - load64(game + POWERUP_LAST)
    store64(game + POWERUP_LAST, powerup)
    cleared = load64(game + COMPLETED) == 0 and (is_world_over(machine) or is_stage_over(machine))
    if cleared:
        store64(game + COMPLETED, 1)
    ended = is_dying(machine) or is_dead(machine)
    total = 0.0
    total += _keep_part(game, 0, float(progress) if progress <= MAX_FRAME_PIXELS else 0.0)
    total += _keep_part(game, 1, float(ticked))
    total += _keep_part(game, 2, scored / SCORE_UNIT)
    total += _keep_part(game, 3, max(collected, 0) * COIN_POINTS)
    total += _keep_part(game, 4, grown * POWERUP_POINTS)
    total += _keep_part(game, 5, CLEAR_POINTS if cleared else 0.0)
    total += _keep_part(game, 6, DEATH_POINTS if ended else 0.0)
    store_float64(game + REWARD_UNCLIPPED, total)
    return total


@helper
def read_info(machine: int, game: int) -> None:
    """Keep what `info` says of this frame, under the numbers INFO_...."""
    world_over, stage_over = is_world_over(machine), is_stage_over(machine)
    enemies = machine + ENEMY_TYPES
    left_x = (load8(machine + PLAYER_X) - load8(machine + SCREEN_LEFT_X)) & 0xFF
    store64(game + INFO_AREA, load8(machine + AREA_NUMBER) + 1)
    store64(game + INFO_COINS, read_digits(machine, COINS, 2))
    for enemy in range(5):
        store64(game + INFO_ENEMIES + 8 * enemy, load8(enemies + enemy))
    store64(game + INFO_FLAG_GET, 1 if world_over or stage_over else 0)
    store64(game + INFO_IS_DEAD, 1 if is_dead(machine) else 0)
    store64(game + INFO_IS_DYING, 1 if is_dying(machine) else 0)
    store64(game + INFO_IS_GAME_OVER, 1 if load8(machine + LIVES) == NO_LIVES else 0)
    store64(game + INFO_IS_STAGE_OVER, 1 if stage_over else 0)
    store64(game + INFO_IS_WORLD_OVER, 1 if world_over else 0)
    store64(game + INFO_LEFT_X_POS, left_x)
    store64(game + INFO_LIFE, load8(machine + LIVES))
    store64(game + INFO_PLAYER_STATE, load8(machine + PLAYER_STATE))
    store64(game + INFO_SCORE, read_digits(machine, SCORE, 6))
    store64(game + INFO_STAGE, load8(machine + LEVEL) + 1)
    store64(game + INFO_STATUS_VALUE, load8(machine + STATUS))
    store64(game + INFO_TIME, read_digits(machine, TIME, 3))
    store64(game + INFO_WORLD, load8(machine + WORLD) + 1)
    store64(game + INFO_X_POS, x_position(machine))
    store64(game + INFO_X_POS_MAX, load64(game + X_MAX))
    store64(game + INFO_Y_PIXEL, load8(machine + Y_PIXEL))
    store64(game + INFO_Y_VIEWPORT, load8(machine + Y_VIEWPORT))


@helper
def skip_scenes(machine: int, work: int, play: int, is_stage: bool, screen: int) -> bool:
    """Cut short a death and play on until Mario can be moved, as after each frame that does not end the episode.

    Args:
        machine: whose.
        work: the console's work area.
        play: address of `play_frame`.
        is_stage: not the whole game, where the end of a world is skipped as well.
        screen: where to draw what is played; 0 not to.

    Returns:
        Whether it came to an end.
    """
    if is_dying(machine):
        store8(machine + PLAYER_STATE, DEAD)
        call4(play, machine, work, 0, screen)
    frames = 0
    if not is_stage and is_world_over(machine):
        time = read_digits(machine, TIME, 3)
        while read_digits(machine, TIME, 3) == time and frames < STUCK_FRAMES:
            call4(play, machine, work, 0, screen)
            frames += 1
    timer = load8(machine + CHANGE_AREA_TIMER)
    if 1 < timer < 255:
        store8(machine + CHANGE_AREA_TIMER, 1)
    while (is_busy(machine) or is_world_over(machine)) and frames < STUCK_FRAMES:
        store8(machine + PRELEVEL_TIMER, 0)
        call4(play, machine, work, 0, screen)
        frames += 1
    return frames < STUCK_FRAMES


def begin_stage(machine: int, work: int, play: int, target: int, screen: int) -> int:
    """Press start until a stage is played, from a machine just reset.

    Args:
        machine: whose.
        work: the console's work area.
        play: address of `play_frame`.
        target: world, stage and area, each counted from 0, in a byte each; -1 for the whole game.
        screen: where the last frame is drawn.

    Returns:
        1, or 0 where no stage ever began: this is another game.
    """
    frames = 2
    call4(play, machine, work, START_BUTTON, 0)
    call4(play, machine, work, 0, screen)
    while read_digits(machine, TIME, 3) == 0 and frames < STUCK_FRAMES:
        call4(play, machine, work, START_BUTTON, 0)
        if target >= 0:
            store8(machine + WORLD, target >> 16)
            store8(machine + LEVEL, target >> 8 & 0xFF)
            store8(machine + AREA_NUMBER, target & 0xFF)
        call4(play, machine, work, 0, screen)
        store8(machine + PRELEVEL_TIMER, 0)
        frames += 2
    time = read_digits(machine, TIME, 3)
    while read_digits(machine, TIME, 3) >= time and frames < STUCK_FRAMES:
        time = read_digits(machine, TIME, 3)
        call4(play, machine, work, START_BUTTON, 0)
        call4(play, machine, work, 0, screen)
        frames += 2
    return int(frames < STUCK_FRAMES)
