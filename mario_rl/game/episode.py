"""What our wrappers do around the game, compiled: starts, stickiness, progress, rewards, limits, snapshots, frames.

The specification is `mario_rl.envs`, wrapper by wrapper; the tests compare both. `rules`, `thread`, `machine` and
`game` are addresses, see `layout.py`; `number` says which game of the pool it is.
"""

from __future__ import annotations

from mario_rl.game.addresses import AREA_OFFSET, AREA_TYPE, LEVEL, LIVES, WORLD
from mario_rl.game.layout import (
    ACTION_BYTES,
    ACTIONS,
    AGENT_STEPS,
    AREAS,
    ARTICLE,
    ASLEEP,
    AUTORESET,
    BACKWARD,
    BACKWARD_NEEDED,
    BACKWARD_PROBABILITY,
    BACKWARD_WINDOW,
    BEFORE,
    BEFORE_DEATH,
    BEST_X,
    BESTS_SEEN,
    BYTES,
    CLASSIC_RETURN,
    CLEAR,
    CLEAR_BONUS,
    CUT_BY,
    DEATH,
    DEATH_PENALTY,
    DEATHS,
    DONE,
    DOWN_BEFORE,
    FINAL_STACKS,
    FIRST_MOMENT,
    FLAG_BEFORE,
    FRAME_SKIP,
    FRAMES,
    FROM_SNAPSHOT,
    GAME_BYTES,
    GAMES,
    GENERATORS,
    GOES_ON_AFTER_WARP,
    IDLE_STEPS,
    INFO,
    INFO_FLAG_GET,
    INFO_IS_DEAD,
    INFO_IS_DYING,
    INFO_NAMES,
    INFO_TIME,
    INFO_X_POS,
    KEPT_DEATHS,
    LIFE_LAST,
    LIMIT,
    LUMA_TABLE,
    MACHINE_BYTES,
    MACHINES,
    MAX_AREAS,
    MAX_MOMENTS,
    MAX_SKIP,
    MOMENTS,
    NEW_BESTS,
    NEXT_GAME,
    NOOP_FRAMES,
    NOOP_MAX,
    NUM_AREAS,
    NUM_DEATHS,
    NUM_GAMES,
    NUM_MOMENTS,
    NUM_STAGES,
    OBSERVE,
    ON_TRAJECTORY,
    OVER,
    PLAY_FRAME,
    PLAYED,
    POINTS,
    POINTS_OF_STAGE,
    POOL,
    POOL_SIZE,
    REACHED,
    RESET_GAME,
    RESULT_BYTES,
    RESULT_CLOCK,
    RESULT_END,
    RESULT_FROM_SNAPSHOT,
    RESULT_INFO,
    RESULT_LENGTH,
    RESULT_RETURN,
    RESULT_REWARD,
    RESULT_STAGE,
    RESULT_TERMINATED,
    RESULT_TRUNCATED,
    RESULT_X,
    RESULTS,
    REWARD,
    REWARD_CLIP,
    REWARD_SCALE,
    REWARD_UNCLIPPED,
    SCRATCH,
    SCREENS,
    SENT,
    SHAPED,
    SHOW_BUTTONS,
    SHOWS_START,
    SNAPSHOT_PERIOD,
    SNAPSHOTS,
    SPARE,
    SPINS,
    STACK,
    STACKS,
    STAGE,
    STALL,
    STALL_LIMIT,
    START_SCREENS,
    STARTING_AREA,
    STARTS,
    STEP_GAME,
    STEP_LIMIT,
    STICKY,
    STUCK,
    TARGETS,
    TERMINATED,
    TIME_BEFORE,
    TRUNCATED,
    TURN,
    WARP,
    WAS_DOWN,
    WISHED_BYTES,
    WISHED_NOOPS,
    WISHED_STAGE,
    WORK,
    X_BEFORE,
)
from mario_rl.game.mario import (
    DEATH_POINTS,
    MAX_FRAME_PIXELS,
    begin_rewards,
    has_ended,
    read_info,
    reward_frame,
    skip_scenes,
    x_position,
)
from mario_rl.game.observation import article_observation, paint_buttons, plain_observation
from mario_rl.game.tables import SIDE
from mario_rl.nes.layout import CARTRIDGE_RAM, ROWS_KEPT, SCREEN_BYTES, SNAPSHOT_END
from mario_rl.nes.memory import (
    atomic_add,
    atomic_load,
    atomic_replace,
    atomic_store,
    call3,
    call4,
    call5,
    copy,
    draw_double,
    draw_uint32,
    fill,
    helper,
    load8,
    load64,
    load_float64,
    pause,
    store8,
    store64,
    store_float64,
)

CLASSIC_BOUND = 15.0  # what version 7 bounds the reward of a frame to
FRAME_BYTES = SIDE * SIDE


# --- Chance: a game's own NumPy generator. ---


@helper
def _random(rules: int, number: int) -> float:
    """Draw from [0, 1), as Generator.random."""
    place = load64(rules + GENERATORS) + 24 * number
    return draw_double(load64(place + 8), load64(place))


@helper
def _integer(rules: int, number: int, bound: int) -> int:
    """Draw from 0..bound-1, as Generator.integers(bound): Lemire 2019; of one possible number nothing is drawn."""
    if bound <= 1:
        return 0
    place = load64(rules + GENERATORS) + 24 * number
    product = draw_uint32(load64(place + 16), load64(place)) * bound
    if product & 0xFFFFFFFF < bound:
        threshold = (0x100000000 - bound) % bound
        while product & 0xFFFFFFFF < threshold:
            product = draw_uint32(load64(place + 16), load64(place)) * bound
    return product >> 32


# --- Progress, as StageProgress. ---


@helper
def _reached(machine: int) -> int:
    return load8(machine + WORLD) << 8 | load8(machine + LEVEL)


@helper
def _area(machine: int) -> int:
    return load8(machine + AREA_TYPE) << 8 | load8(machine + AREA_OFFSET)


@helper
def _begin_progress(machine: int, game: int) -> None:
    store64(game + REACHED, _reached(machine))
    store64(game + BEST_X, x_position(machine))
    store64(game + NEW_BESTS, 0)
    store64(game + LIFE_LAST, load8(machine + LIVES))
    store64(game + STARTING_AREA, _area(machine))
    store64(game + NUM_AREAS, 1)
    store64(game + AREAS, _area(machine))
    store64(game + AREAS + 8, x_position(machine))


@helper
def _progress(machine: int, game: int) -> None:
    reached, area, x, life = _reached(machine), _area(machine), x_position(machine), load8(machine + LIVES)
    if reached != load64(game + REACHED):
        store64(game + REACHED, reached)
        store64(game + BEST_X, x)
        store64(game + STARTING_AREA, area)
        store64(game + NUM_AREAS, 0)
    elif life != load64(game + LIFE_LAST):
        store64(game + NUM_AREAS, 0)
    store64(game + LIFE_LAST, life)
    areas = load64(game + NUM_AREAS)
    place = game + AREAS
    known = 0
    while known < areas and load64(place) != area:
        place += 16
        known += 1
    if known == areas or x > load64(place + 8):
        if known < MAX_AREAS:
            store64(place, area)
            store64(place + 8, x)
            store64(game + NUM_AREAS, max(areas, known + 1))
        store64(game + NEW_BESTS, load64(game + NEW_BESTS) + 1)
    if area == load64(game + STARTING_AREA):
        store64(game + BEST_X, max(load64(game + BEST_X), x))


# --- Rewards. ---


@helper
def _is_down(game: int) -> bool:
    return load64(game + INFO_IS_DYING) != 0 or load64(game + INFO_IS_DEAD) != 0


@helper
def _remember_info(game: int) -> None:
    """What the next frame is compared with."""
    store64(game + X_BEFORE, load64(game + INFO_X_POS))
    store64(game + TIME_BEFORE, load64(game + INFO_TIME))
    store64(game + FLAG_BEFORE, load64(game + INFO_FLAG_GET))
    store64(game + DOWN_BEFORE, 1 if _is_down(game) else 0)


@helper
def _bounded(reward: float, bound: float) -> float:
    return max(-bound, min(bound, reward))


@helper
def _reward(rules: int, game: int, shaped: float) -> float:
    """Add to the classic return; returns the configured reward of the frame."""
    moved = load64(game + INFO_X_POS) - load64(game + X_BEFORE)
    if abs(moved) > MAX_FRAME_PIXELS:
        moved = 0
    ticked = min(load64(game + INFO_TIME) - load64(game + TIME_BEFORE), 0)
    down = _is_down(game)
    classic = float(moved + ticked) + (DEATH_POINTS if down else 0.0)
    store_float64(game + CLASSIC_RETURN, load_float64(game + CLASSIC_RETURN) + _bounded(classic, CLASSIC_BOUND))
    reward = _bounded(shaped if load64(rules + SHAPED) else classic, load_float64(rules + REWARD_CLIP))
    if load64(game + INFO_FLAG_GET) and load64(game + FLAG_BEFORE) == 0:
        reward += load_float64(rules + CLEAR_BONUS)
    if down and load64(game + DOWN_BEFORE) == 0:
        reward -= load_float64(rules + DEATH_PENALTY)
    _remember_info(game)
    return reward * load_float64(rules + REWARD_SCALE)


# --- Snapshots, as SnapshotStarts. ---


@helper
def _snapshot_bytes(rules: int) -> int:
    """A machine, a game, and the byte that is sent next."""
    return load64(rules + MACHINE_BYTES) + GAME_BYTES + 8


@helper
def _keep_moment(rules: int, number: int, machine: int, game: int, byte: int) -> None:
    """Keep this moment of the episode, and only as many as lie within the rewind."""
    most = load64(rules + MAX_MOMENTS)
    first, kept = load64(game + FIRST_MOMENT), load64(game + NUM_MOMENTS)
    if kept == most:
        first, kept = (first + 1) % most, kept - 1
    store64(game + FIRST_MOMENT, first)
    store64(game + NUM_MOMENTS, kept + 1)
    place = load64(rules + MOMENTS) + (number * most + (first + kept) % most) * _snapshot_bytes(rules)
    size = load64(rules + MACHINE_BYTES)
    copy(place, machine, size)
    copy(place + size, game, GAME_BYTES)
    store64(place + size + GAME_BYTES, byte)


@helper
def _keep_one(rules: int, number: int, game: int) -> None:
    """Mario has died: keep one of the moments that are far enough back, and drop the others."""
    most, size = load64(rules + MAX_MOMENTS), _snapshot_bytes(rules)
    first, kept = load64(game + FIRST_MOMENT), load64(game + NUM_MOMENTS)
    moments = load64(rules + MOMENTS) + number * most * size
    early = 0
    while early < kept:
        moment = moments + (first + early) % most * size + load64(rules + MACHINE_BYTES)
        # It is one frame before the moment that the episode would begin at.
        if load64(game + FRAMES) - (load64(moment + FRAMES) + 1) < SNAPSHOT_PERIOD:
            break
        early += 1
    if early:
        chosen = moments + (first + _integer(rules, number, early)) % most * size
        stage = number * load64(rules + NUM_STAGES) + load64(game + STAGE)
        deaths = load64(load64(rules + NUM_DEATHS) + 8 * stage)
        copy(load64(rules + DEATHS) + (stage * KEPT_DEATHS + deaths % KEPT_DEATHS) * size, chosen, size)
        store64(load64(rules + NUM_DEATHS) + 8 * stage, deaths + 1)
    store64(game + NUM_MOMENTS, 0)


@helper
def _start_before_death(rules: int, number: int, stage: int) -> int:
    """Draw whether an episode begins before one of the last deaths on its stage; returns which snapshot's, or 0."""
    place = number * load64(rules + NUM_STAGES) + stage
    snapshots = load_float64(rules + SNAPSHOTS)
    deaths = load64(load64(rules + NUM_DEATHS) + 8 * place) if snapshots > 0 else 0
    if deaths == 0 or _random(rules, number) >= snapshots:
        return 0
    chosen = _integer(rules, number, min(deaths, KEPT_DEATHS))
    oldest = deaths % KEPT_DEATHS if deaths > KEPT_DEATHS else 0
    return load64(rules + DEATHS) + (place * KEPT_DEATHS + (oldest + chosen) % KEPT_DEATHS) * _snapshot_bytes(rules)


@helper
def _start_on_trajectory(rules: int, number: int, stage: int) -> int:
    """Draw whether an episode begins along the trajectory of its stage; returns which snapshot's, or 0."""
    moves = load64(rules + BACKWARD)
    if moves == 0:
        return 0
    points = load64(rules + POINTS_OF_STAGE) + 16 * stage
    point = load64(points + 8) - 1 - load64(moves + 16 * (number * load64(rules + NUM_STAGES) + stage))
    if point <= 0 or _random(rules, number) >= load_float64(rules + BACKWARD_PROBABILITY):
        return 0  # the first is the stage's start
    return load64(rules + POINTS) + (load64(points) + point) * _snapshot_bytes(rules)


@helper
def _count_on_trajectory(rules: int, number: int, stage: int, cleared: int) -> None:
    """Count an episode that began along a trajectory, and move the next ones' start back if enough were clears.

    Of each game and stage two numbers are kept: how often the start has moved, and what became of the last episodes
    from there, a bit each, the newest in the lowest.
    """
    moves = load64(rules + BACKWARD)
    if moves == 0:
        return
    place = moves + 16 * (number * load64(rules + NUM_STAGES) + stage)
    window = load64(rules + BACKWARD_WINDOW)
    last = (load64(place + 8) << 1) & ((1 << window) - 1) | cleared
    clears = 0
    for episode in range(window):
        clears += (last >> episode) & 1
    if clears >= load64(rules + BACKWARD_NEEDED):
        store64(place, load64(place) + 1)
        last = 0
    store64(place + 8, last)


@helper
def _restore(machine: int, source: int, size: int) -> None:
    """Put a machine back to a snapshot, its controller left as it is."""
    copy(machine, source, SNAPSHOT_END)
    copy(machine + CARTRIDGE_RAM, source + CARTRIDGE_RAM, size - CARTRIDGE_RAM)
    store64(machine + ROWS_KEPT, 0)


# --- One frame. ---


@helper
def _target(rules: int, game: int) -> int:
    """The stage that the episode was begun on, as `stage_target` has it; negative in the whole game."""
    return load64(load64(rules + TARGETS) + 8 * load64(game + STAGE))


@helper
def _has_warped(rules: int, machine: int, game: int) -> bool:
    """Whether an episode that is to be of one stage has come to another."""
    target = _target(rules, game)
    return target >= 0 and _reached(machine) != target >> 8 and load64(rules + GOES_ON_AFTER_WARP) == 0


@helper
def _play(rules: int, thread: int, number: int, machine: int, game: int, byte: int, screen: int) -> bool:
    """Play a frame of the game and all that follows from it outside the episode's rewards; returns whether it ended."""
    work, play = load64(thread + WORK), load64(rules + PLAY_FRAME)
    is_stage = _target(rules, game) >= 0
    store64(game + FRAMES, load64(game + FRAMES) + 1)
    call4(play, machine, work, byte, screen)
    reward_frame(machine, game)
    ended = has_ended(machine, is_stage)
    read_info(machine, game)
    if ended:
        store64(game + OVER, 1)
    elif not skip_scenes(machine, work, play, is_stage, screen):
        store64(game + STUCK, 1)
    return ended


@helper
def _play_remembering(rules: int, thread: int, number: int, machine: int, game: int, byte: int, screen: int) -> bool:
    """Play a frame, with moments kept and a snapshot at a death."""
    snapshots = load_float64(rules + SNAPSHOTS) > 0
    if snapshots and load64(game + FRAMES) % SNAPSHOT_PERIOD == 0:
        _keep_moment(rules, number, machine, game, byte)
    ended = _play(rules, thread, number, machine, game, byte, screen)
    down = _is_down(game)
    if snapshots and down and load64(game + WAS_DOWN) == 0:
        _keep_one(rules, number, game)
    store64(game + WAS_DOWN, 1 if down else 0)
    return ended


@helper
def _replay(rules: int, thread: int, number: int, begin: int, before: int) -> None:
    """Play the last step's frames again, to see them: `begin` is drawn in `before`, the one after in the other screen.

    It plays a copy of the machine as it was before the step, with everything that the game does between frames.
    """
    size = load64(rules + MACHINE_BYTES)
    spare = load64(thread + SPARE)
    source = load64(rules + BEFORE) + number * (size + GAME_BYTES)
    copy(spare, source, size + GAME_BYTES)
    game = load64(rules + GAMES) + number * GAME_BYTES
    sent = load64(rules + BYTES) + number * MAX_SKIP
    played = load64(game + PLAYED)
    for frame in range(played):
        screen = load64(thread + SCREENS) + (frame - begin ^ before) * SCREEN_BYTES if frame >= begin else 0
        _play(rules, thread, number, spare, spare + size, load8(sent + frame), screen)


# --- The observation. ---


def observe(rules: int, thread: int, before: int, last: int, output: int) -> int:
    """Make the agent's frame of the last two that were played: uint8 (84, 84) at `output`; returns 0."""
    if load64(rules + ARTICLE):
        article_observation(before, last, load64(rules + LUMA_TABLE), load64(thread + SCRATCH), output)
    else:
        plain_observation(before, last, load64(thread + SCRATCH), output)
    return 0


@helper
def _push(rules: int, thread: int, number: int, before: int, last: int, byte: int) -> None:
    """Make a frame and put it at the end of the game's stack."""
    stack = load64(rules + STACK)
    place = load64(rules + STACKS) + number * stack * FRAME_BYTES
    copy(place, place + FRAME_BYTES, (stack - 1) * FRAME_BYTES)
    newest = place + (stack - 1) * FRAME_BYTES
    call5(load64(rules + OBSERVE), rules, thread, before, last, newest)
    if load64(rules + SHOW_BUTTONS):
        paint_buttons(newest, byte)


# --- Episodes. ---


@helper
def _begin_at_start(rules: int, number: int, machine: int, game: int, stage: int) -> None:
    """Put a game at the start of a stage."""
    size = load64(rules + MACHINE_BYTES)
    _restore(machine, load64(rules + STARTS) + stage * size, size)
    fill(game, 0, GAME_BYTES)
    store64(game + STAGE, stage)
    begin_rewards(machine, game)
    read_info(machine, game)


@helper
def _chosen_stage(rules: int, thread: int, number: int) -> int:
    wished = load64(thread + WISHED_STAGE)
    if wished >= 0:
        return wished
    drawn = _integer(rules, number, load64(rules + POOL_SIZE))
    return load64(load64(rules + POOL) + 8 * drawn)


def reset_game(rules: int, thread: int, number: int) -> int:
    """Begin an episode; returns 0. The stack has its first frame, and the info is there."""
    size = load64(rules + MACHINE_BYTES)
    machine = load64(rules + MACHINES) + number * size
    game = load64(rules + GAMES) + number * GAME_BYTES
    before = load64(rules + BEFORE) + number * (size + GAME_BYTES)
    screen = load64(thread + SCREENS)
    stage = _chosen_stage(rules, thread, number)
    _begin_at_start(rules, number, machine, game, stage)
    wished = load64(thread + WISHED_NOOPS)
    noops = wished if wished >= 0 else _integer(rules, number, load64(rules + NOOP_MAX) + 1)
    opening = load64(thread + WISHED_BYTES)
    byte = 0
    ended = False
    for frame in range(noops):
        if frame == noops - 1:
            copy(before, machine, size)
            copy(before + size, game, GAME_BYTES)
        byte = load8(opening + frame) if opening else 0
        # One that ends the episode is not seen.
        ended = _play(rules, thread, number, machine, game, byte, screen if frame == noops - 1 else 0)
        if ended:
            break
    if ended:
        stage = _chosen_stage(rules, thread, number)
        _begin_at_start(rules, number, machine, game, stage)
        noops = 0
        byte = 0
    store64(game + NOOP_FRAMES, noops)
    # One of the snapshots, as SnapshotStarts; then the frame that leads to it is played to see it.
    begun_at = ON_TRAJECTORY
    moment = _start_on_trajectory(rules, number, stage)
    if moment == 0:
        begun_at = BEFORE_DEATH
        moment = _start_before_death(rules, number, stage)
    if moment:
        _restore(machine, moment, size)
        copy(game, moment + size, GAME_BYTES)
        byte = load64(moment + size + GAME_BYTES)
        copy(before, machine, size)
        copy(before + size, game, GAME_BYTES)
        _play(rules, thread, number, machine, game, byte, screen)
        noops = 1  # frames that are seen
        store64(game + FROM_SNAPSHOT, begun_at)
        store64(game + NOOP_FRAMES, 0)
    else:
        store64(game + FROM_SNAPSHOT, 0)
    _begin_episode(rules, number, machine, game, noops, byte)
    stack = load64(rules + STACK)
    fill(load64(rules + STACKS) + number * stack * FRAME_BYTES, 0, stack * FRAME_BYTES)
    seen = screen if noops else load64(rules + START_SCREENS) + stage * SCREEN_BYTES
    _push(rules, thread, number, seen, seen, 0)
    return 0


@helper
def _begin_episode(rules: int, number: int, machine: int, game: int, seen: int, byte: int) -> None:
    """Set everything that counts from the episode's beginning."""
    _begin_progress(machine, game)
    _remember_info(game)
    store_float64(game + CLASSIC_RETURN, 0.0)
    for place in (OVER, AGENT_STEPS, SENT, WAS_DOWN, IDLE_STEPS, BESTS_SEEN, NUM_MOMENTS, FIRST_MOMENT):
        store64(game + place, 0)
    for place in (REWARD, TERMINATED, TRUNCATED, CUT_BY):
        store64(game + place, 0)
    store64(game + PLAYED, 1 if seen else 0)
    store64(game + SHOWS_START, 0 if seen else 1)
    store8(load64(rules + BYTES) + number * MAX_SKIP, byte)


def step_game(rules: int, thread: int, number: int) -> int:
    """Take one agent step; returns 0. Where it ends the episode and rules say so, the next one begins."""
    size = load64(rules + MACHINE_BYTES)
    machine = load64(rules + MACHINES) + number * size
    game = load64(rules + GAMES) + number * GAME_BYTES
    before = load64(rules + BEFORE) + number * (size + GAME_BYTES)
    copy(before, machine, size)
    copy(before + size, game, GAME_BYTES)
    asked = load8(load64(rules + ACTION_BYTES) + load64(load64(rules + ACTIONS) + 8 * number))
    skip, sticky = load64(rules + FRAME_SKIP), load_float64(rules + STICKY)
    sent, screens = load64(rules + BYTES) + number * MAX_SKIP, load64(thread + SCREENS)
    total = 0.0
    ended, warped = False, False
    played = 0
    while played < skip and not ended:
        if sticky == 0 or _random(rules, number) >= sticky:
            store64(game + SENT, asked)
        byte = load64(game + SENT)
        store8(sent + played, byte)
        screen = screens + (played & 1) * SCREEN_BYTES if played >= skip - 2 else 0
        ended = _play_remembering(rules, thread, number, machine, game, byte, screen)
        warped = not ended and _has_warped(rules, machine, game)
        if warped:
            ended = True
        else:
            _progress(machine, game)
        total += _reward(rules, game, load_float64(game + REWARD_UNCLIPPED))
        played += 1
    store64(game + PLAYED, played)
    store64(game + SHOWS_START, 0)
    if ended and played < skip:  # the frames to be seen were not among those drawn
        _replay(rules, thread, number, max(played - 2, 0), max(played - 2, 0) & 1)
    last = screens + (played - 1 & 1) * SCREEN_BYTES
    other = screens + (played & 1) * SCREEN_BYTES if played > 1 else last
    _push(rules, thread, number, other, last, asked)
    store_float64(game + REWARD, total)
    store64(game + TERMINATED, 1 if ended else 0)
    _limit(rules, game, ended)
    if warped:
        store64(game + CUT_BY, WARP)
    if ended or load64(game + TRUNCATED):
        _end_episode(rules, thread, number, game)
    result = load64(rules + RESULTS) + number * RESULT_BYTES
    store_float64(result + RESULT_REWARD, total)
    store64(result + RESULT_TERMINATED, load64(game + TERMINATED))
    store64(result + RESULT_TRUNCATED, load64(game + TRUNCATED))
    if load64(rules + AUTORESET) and (ended or load64(game + TRUNCATED)):
        call3(load64(rules + RESET_GAME), rules, thread, number)
    return 0


@helper
def _limit(rules: int, game: int, ended: bool) -> None:
    """Count the step, and cut the episode short where a limit is reached on a step that does not end it anyway."""
    bests = load64(game + NEW_BESTS)
    idle = load64(game + IDLE_STEPS) + 1 if bests == load64(game + BESTS_SEEN) else 0
    steps = load64(game + AGENT_STEPS) + 1
    store64(game + BESTS_SEEN, bests)
    store64(game + IDLE_STEPS, idle)
    store64(game + AGENT_STEPS, steps)
    cut_by = 0
    if not ended:
        if idle == load64(rules + STALL_LIMIT):
            cut_by = STALL
        elif steps == load64(rules + STEP_LIMIT):
            cut_by = LIMIT
    store64(game + CUT_BY, cut_by)
    store64(game + TRUNCATED, 1 if cut_by else 0)


@helper
def _end_episode(rules: int, thread: int, number: int, game: int) -> None:
    """Keep the result and the last observation."""
    result = load64(rules + RESULTS) + number * RESULT_BYTES
    end = load64(game + CUT_BY)
    if end == 0:
        end = CLEAR if load64(game + INFO_FLAG_GET) else DEATH
    if load64(game + FROM_SNAPSHOT) == ON_TRAJECTORY:
        _count_on_trajectory(rules, number, load64(game + STAGE), 1 if end == CLEAR else 0)
    store64(game + OVER, 1)
    store64(result + RESULT_STAGE, load64(game + REACHED))
    store64(result + RESULT_RETURN, load64(game + CLASSIC_RETURN))  # its bits
    store64(result + RESULT_X, load64(game + BEST_X))
    store64(result + RESULT_LENGTH, load64(game + AGENT_STEPS))
    store64(result + RESULT_CLOCK, load64(game + INFO_TIME))
    store64(result + RESULT_END, end)
    store64(result + RESULT_FROM_SNAPSHOT, load64(game + FROM_SNAPSHOT))
    copy(result + RESULT_INFO, game + INFO, 8 * len(INFO_NAMES))
    size = load64(rules + STACK) * FRAME_BYTES
    copy(load64(rules + FINAL_STACKS) + number * size, load64(rules + STACKS) + number * size, size)


@helper
def _take_turn(rules: int, thread: int) -> None:
    """Take a step in one game after another, those that other threads have not taken, until all are taken."""
    games, turn = load64(rules + NUM_GAMES), load64(thread + TURN)
    while True:
        number = atomic_add(turn + NEXT_GAME, 1)
        if number >= games:
            return
        if load64(load64(rules + ACTIONS) + 8 * number) >= 0:
            call3(load64(rules + STEP_GAME), rules, thread, number)
        atomic_add(turn + DONE, 1)


def step_games(rules: int, thread: int) -> int:
    """Take a step in all games, together with the helpers that are awake; returns how many games to wait for.

    0 in most cases: the helpers finish about when this thread does, and are waited for here for a while. A helper that
    has no processor just now does not count, unless it is in the middle of a game.
    """
    turn, games = load64(thread + TURN), load64(rules + NUM_GAMES)
    atomic_store(turn + DONE, 0)
    atomic_store(turn + NEXT_GAME, 0)  # from here on the turn has begun: all that it needs is there
    _take_turn(rules, thread)
    for _ in range(SPINS):
        if atomic_load(turn + DONE) == games:
            return 0
        pause()
    return games - atomic_load(turn + DONE)


def wake(thread: int) -> int:
    """Returns whether a thread was asleep, and is not any more; whoever gets a 1 has to tell it."""
    return 1 if atomic_replace(thread + ASLEEP, 1, 0) else 0


def help_out(rules: int, thread: int) -> int:
    """Take part in every turn, until there is none for a while; returns whether to wait for being told of the next."""
    turn, games = load64(thread + TURN), load64(rules + NUM_GAMES)
    spins = 0
    while spins < SPINS:
        if atomic_load(turn + NEXT_GAME) < games:
            _take_turn(rules, thread)
            spins = 0
        spins += 1
        pause()
    # A turn that begins before this is seen goes on without this thread.
    atomic_replace(thread + ASLEEP, 0, 1)
    return 1


def draw_game(rules: int, thread: int, number: int) -> int:
    """Draw the last frame that was played: where, or 0 for the stage's first screen.

    What was played is played again; drawn as the thread's work area draws.
    """
    game = load64(rules + GAMES) + number * GAME_BYTES
    if load64(game + SHOWS_START):
        return 0
    last = load64(game + PLAYED) - 1
    _replay(rules, thread, number, last, 0)
    return load64(thread + SCREENS)
