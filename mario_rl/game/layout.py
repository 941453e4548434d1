"""Where everything lies in the state of one game, and in what the games and the threads that play them share.

A game is a machine (`mario_rl.nes.layout`) and a row of numbers of eight bytes, int64 or float64: what
gym-super-mario-bros, the rewards and the limits remember from frame to frame. Both together are all that a snapshot of
an episode needs.
"""

from __future__ import annotations

from itertools import count

from mario_rl.nes.layout import CACHE_LINES

MAX_AREAS = 32  # of one stage and life, of which the best x is remembered
MAX_SKIP = 256  # frames that one action is held for
KEPT_DEATHS = 16  # per stage, whose snapshots episodes may begin at
BEFORE_DEATH, ON_TRAJECTORY = 1, 2
SNAPSHOT_PERIOD = 32  # frames between two of an episode's moments, one of which is kept when Mario dies

_game = count(0, 8)


def _numbers(how_many: int) -> int:
    """Give so many numbers of a game a place; returns the first one's."""
    places = [next(_game) for _ in range(how_many)]
    return places[0]


# What gym-super-mario-bros remembers (smb_env.py).
TIME_LAST = _numbers(1)
X_MAX = _numbers(1)
SCORE_LAST = _numbers(1)
COINS_LAST = _numbers(1)
POWERUP_LAST = _numbers(1)
COMPLETED = _numbers(1)
OVER = _numbers(1)  # the episode has ended: a step now is an error
REWARD_PARTS = _numbers(7)  # float64: progress, time, score, coins, powerup, completion, death
REWARD_UNCLIPPED = _numbers(1)  # float64

# The episode.
STAGE = _numbers(1)  # which one of the pool
FRAMES = _numbers(1)  # since the stage's start
AGENT_STEPS = _numbers(1)
FROM_SNAPSHOT = _numbers(1)  # 0, BEFORE_DEATH or ON_TRAJECTORY: where it began
NOOP_FRAMES = _numbers(1)  # that it began with
SENT = _numbers(1)  # the byte sent last, before stickiness
WAS_DOWN = _numbers(1)

# Progress, see StageProgress.
REACHED = _numbers(1)  # the stage Mario is in: world byte * 256 + level byte
BEST_X = _numbers(1)
NEW_BESTS = _numbers(1)
LIFE_LAST = _numbers(1)
STARTING_AREA = _numbers(1)  # area type * 256 + area offset
NUM_AREAS = _numbers(1)
AREAS = _numbers(2 * MAX_AREAS)  # area and best x of each

# Rewards.
X_BEFORE = _numbers(1)
TIME_BEFORE = _numbers(1)
FLAG_BEFORE = _numbers(1)
DOWN_BEFORE = _numbers(1)
CLASSIC_RETURN = _numbers(1)  # float64

# Limits.
IDLE_STEPS = _numbers(1)
BESTS_SEEN = _numbers(1)

# Snapshots of this episode, the newest of MOMENTS.
NUM_MOMENTS = _numbers(1)
FIRST_MOMENT = _numbers(1)

# The last agent step, or the reset.
REWARD = _numbers(1)  # float64
TERMINATED = _numbers(1)
TRUNCATED = _numbers(1)
CUT_BY = _numbers(1)  # 0, or one of the ends below
PLAYED = _numbers(1)  # frames played: bytes in BYTES
SHOWS_START = _numbers(1)  # nothing was played yet: the screen is the stage's first
STUCK = _numbers(1)  # the game did not come back from a scene

# What is read from memory for `info`, as it was before scenes were skipped; one after another.
INFO_AREA = _numbers(1)
INFO_COINS = _numbers(1)
INFO_ENEMIES = _numbers(5)
INFO_FLAG_GET = _numbers(1)
INFO_IS_DEAD = _numbers(1)
INFO_IS_DYING = _numbers(1)
INFO_IS_GAME_OVER = _numbers(1)
INFO_IS_STAGE_OVER = _numbers(1)
INFO_IS_WORLD_OVER = _numbers(1)
INFO_LEFT_X_POS = _numbers(1)
INFO_LIFE = _numbers(1)
INFO_PLAYER_STATE = _numbers(1)
INFO_SCORE = _numbers(1)
INFO_STAGE = _numbers(1)
INFO_STATUS_VALUE = _numbers(1)
INFO_TIME = _numbers(1)
INFO_WORLD = _numbers(1)
INFO_X_POS = _numbers(1)
INFO_X_POS_MAX = _numbers(1)
INFO_Y_PIXEL = _numbers(1)
INFO_Y_VIEWPORT = _numbers(1)

INFO_NAMES = (
    "area",
    "coins",
    "enemy_0",
    "enemy_1",
    "enemy_2",
    "enemy_3",
    "enemy_4",
    "flag_get",
    "is_dead",
    "is_dying",
    "is_game_over",
    "is_stage_over",
    "is_world_over",
    "left_x_pos",
    "life",
    "player_state",
    "score",
    "stage",
    "status_value",
    "time",
    "world",
    "x_pos",
    "x_pos_max",
    "y_pixel",
    "y_viewport",
)
"""The same by name, from INFO on."""
INFO = INFO_AREA

GAME_BYTES = -(-_numbers(1) // CACHE_LINES) * CACHE_LINES

# What is left of an episode that has ended, whatever has begun since; in an array of its own.
_result = count(0, 8)
RESULT_STAGE = next(_result)  # as REACHED
RESULT_RETURN = next(_result)  # float64
RESULT_X = next(_result)
RESULT_LENGTH = next(_result)
RESULT_CLOCK = next(_result)
RESULT_END = next(_result)
RESULT_FROM_SNAPSHOT = next(_result)
RESULT_REWARD = next(_result)  # float64, of the last step taken, ended or not
RESULT_TERMINATED = next(_result)
RESULT_TRUNCATED = next(_result)
RESULT_INFO = next(_result)  # as INFO, of the episode's last frame
for _ in INFO_NAMES[1:]:
    next(_result)
RESULT_BYTES = -(-next(_result) // CACHE_LINES) * CACHE_LINES

ENDS = ("", "clear", "death", "stall", "limit", "warp")
CLEAR, DEATH, STALL, LIMIT, WARP = 1, 2, 3, 4, 5

# What all games of a pool share: numbers of eight bytes.
_rules = count(0, 8)
NUM_GAMES = next(_rules)
MACHINES = next(_rules)  # address of a row of MACHINE_BYTES per game
MACHINE_BYTES = next(_rules)
GAMES = next(_rules)  # address of a row of GAME_BYTES per game
RESULTS = next(_rules)  # address of a row of RESULT_BYTES per game
BEFORE = next(_rules)  # address of a row of MACHINE_BYTES + GAME_BYTES per game: as it was before the last step
BYTES = next(_rules)  # address of MAX_SKIP bytes per game: what the last step sent, frame by frame
STACKS = next(_rules)  # address of STACK x 84 x 84 bytes per game
FINAL_STACKS = next(_rules)  # the same: the last observation of an episode that ended
STACK = next(_rules)  # frames in an observation
GENERATORS = next(_rules)  # address of three numbers per game: a generator's state, its next double, its next uint32
ACTIONS = next(_rules)  # address of a number per game: the action to take; negative to leave the game as it is
ACTION_BYTES = next(_rules)  # address of a byte per action
MOMENTS = next(_rules)  # address of MAX_MOMENTS rows per game: machine, game, and the byte that is sent next
MAX_MOMENTS = next(_rules)
DEATHS = next(_rules)  # address of KEPT_DEATHS rows per game and stage
NUM_DEATHS = next(_rules)  # address of a number per game and stage: how many there have been
POINTS = next(_rules)  # address of rows like those, along trajectories, SNAPSHOT_PERIOD frames apart
POINTS_OF_STAGE = next(_rules)  # address of two numbers per stage: the first of its points, how many it has
BACKWARD = next(_rules)  # address of two numbers per game and stage, 0 for none: see _count_on_trajectory
BACKWARD_PROBABILITY = next(_rules)  # float64
BACKWARD_WINDOW = next(_rules)
BACKWARD_NEEDED = next(_rules)
STARTS = next(_rules)  # address of a row of MACHINE_BYTES per stage
START_SCREENS = next(_rules)  # address of a screen per stage, drawn like all that is observed
TARGETS = next(_rules)  # address of a number per stage, see stage_target: negative for the whole game
NUM_STAGES = next(_rules)
POOL = next(_rules)  # address of POOL_SIZE numbers: the stages that an episode draws from
POOL_SIZE = next(_rules)
FRAME_SKIP = next(_rules)
NOOP_MAX = next(_rules)
STICKY = next(_rules)  # float64, probability per frame
SNAPSHOTS = next(_rules)  # float64, probability per episode
SHAPED = next(_rules)
REWARD_CLIP = next(_rules)  # float64, infinite for none
CLEAR_BONUS = next(_rules)  # float64
DEATH_PENALTY = next(_rules)  # float64
REWARD_SCALE = next(_rules)  # float64
STALL_LIMIT = next(_rules)  # -1 for none
STEP_LIMIT = next(_rules)  # -1 for none
ARTICLE = next(_rules)  # whether observations are the article's
SHOW_BUTTONS = next(_rules)
GOES_ON_AFTER_WARP = next(_rules)  # whether an episode of one stage does
AUTORESET = next(_rules)  # whether the next episode begins in the step in which one ends
LUMA_TABLE = next(_rules)  # address, see article_tables
PLAY_FRAME = next(_rules)  # addresses of compiled functions
STEP_GAME = next(_rules)
RESET_GAME = next(_rules)
OBSERVE = next(_rules)
RULES_BYTES = next(_rules)

# What one thread needs for itself.
_thread = count(0, 8)
WORK = next(_thread)  # address of the console's work area
SCREENS = next(_thread)  # address of two screens
SPARE = next(_thread)  # address of a row of MACHINE_BYTES + GAME_BYTES
SCRATCH = next(_thread)  # address, see observation.py
TURN = next(_thread)  # address of what follows, shared by all threads
ASLEEP = next(_thread)  # whether it waits to be woken
WISHED_STAGE = next(_thread)  # for a reset: which stage, -1 to draw one
WISHED_NOOPS = next(_thread)  # for a reset: how many frames are played first, -1 to draw
WISHED_BYTES = next(_thread)  # for a reset: address of a joypad byte for each of them, 0 for no input
THREAD_BYTES = -(-next(_thread) // CACHE_LINES) * CACHE_LINES

# A turn: one step of all games. Numbers that several threads write, or wait for, each in a cache line of its own.
_turn = count(0, CACHE_LINES)
NEXT_GAME = next(_turn)  # the next that nobody has taken
DONE = next(_turn)  # how many have been played
TURN_BYTES = next(_turn)

SPINS = 4_000  # looks for the next turn, some 100 microseconds, before a thread goes to sleep

STUCK_FRAMES = 36_000  # ten minutes: no scene of the game takes so long
