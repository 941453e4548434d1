"""One way through the game from a state on: random buttons, each held for a while, and which cells it passes.

`task` and `machine` are addresses, see `layout.py`. What ends an episode is `mario_rl.game`'s to say.
"""

from __future__ import annotations

from mario_rl.explore.compiled.layout import (
    ACTION_BYTES,
    CELL_STEPS,
    CELLS,
    CLEAR,
    DEATH,
    ELSEWHERE,
    FOUND,
    FRAME_SKIP,
    FULL,
    GRID,
    MACHINE,
    MACHINE_BYTES,
    MOST_FOUND,
    MOST_STEPS,
    NUM_ACTIONS,
    NUM_CELLS,
    NUM_FOUND,
    NUM_VISITS,
    OFFSET_SHIFT,
    OUT_OF_STEPS,
    PASSED_SHIFT,
    PLAY_FRAME,
    POWER_SHIFT,
    RANDOM,
    RIGHT_SHIFT,
    SCRIPT,
    SCRIPT_STEPS,
    STAGE,
    STATES,
    STEPS,
    STEPS_BEFORE,
    TAKEN,
    TYPE_SHIFT,
    VISITS,
    WORK,
    Y_SHIFT,
)
from mario_rl.game.addresses import (
    AREA_OFFSET,
    AREA_TYPE,
    LEVEL,
    MAZE_PASSED,
    MAZE_RIGHT,
    STATUS,
    WORLD,
    Y_PIXEL,
    Y_VIEWPORT,
)
from mario_rl.game.mario import has_ended, is_stage_over, is_world_over, skip_scenes, x_position
from mario_rl.nes.memory import call4, copy, helper, load8, load64, store8, store64

LONGEST_BITS = 6
"""An action is held for up to 2 ** (LONGEST_BITS - 1) agent steps: 2.1 seconds, as long as a climb or a long run."""


@helper
def _draw(task: int, bound: int) -> int:
    """Draw from 0..bound-1: xorshift64 (Marsaglia 2003), its upper bits."""
    state = load64(task + RANDOM)
    state ^= state << 13
    state ^= (state >> 7) & 0x01FFFFFFFFFFFFFF
    state ^= state << 17
    store64(task + RANDOM, state)
    return ((state >> 33) & 0x7FFFFFFF) % bound


@helper
def _cell(machine: int) -> int:
    x = x_position(machine) // GRID
    y = ((load8(machine + Y_VIEWPORT) & 3) * 256 + load8(machine + Y_PIXEL)) // GRID
    area = load8(machine + AREA_OFFSET) << OFFSET_SHIFT | (load8(machine + AREA_TYPE) & 3) << TYPE_SHIFT
    passed, right = load8(machine + MAZE_PASSED) & 15, load8(machine + MAZE_RIGHT) & 15
    maze = passed << PASSED_SHIFT | right << RIGHT_SHIFT
    return x | y << Y_SHIFT | area | maze | min(load8(machine + STATUS), 2) << POWER_SHIFT


@helper
def _known_steps(task: int, key: int) -> int:
    """In how many agent steps a cell is reached as far as is known; -1 where it is not known at all."""
    cells = load64(task + CELLS)
    low, high = 0, load64(task + NUM_CELLS)
    while low < high:
        middle = (low + high) // 2
        if load64(cells + 8 * middle) < key:
            low = middle + 1
        else:
            high = middle
    if low < load64(task + NUM_CELLS) and load64(cells + 8 * low) == key:
        return load64(load64(task + CELL_STEPS) + 8 * low)
    return -1


@helper
def _was_found(task: int, key: int) -> bool:
    """Whether this task has found a state of that cell already, which it then reached sooner."""
    place = load64(task + FOUND)
    end = place + 16 * load64(task + NUM_FOUND)
    while place < end and load64(place) != key:
        place += 16
    return place < end


@helper
def _visit(task: int, key: int, steps: int) -> None:
    """Note that a cell was entered, and keep the state where the cell is new or reached sooner than ever before."""
    visits = load64(task + NUM_VISITS)
    visit = load64(task + VISITS) + 16 * visits
    store64(visit, key)
    store64(visit + 8, steps)
    store64(task + NUM_VISITS, visits + 1)
    if load64(task + MOST_FOUND) == 0:
        return
    known, total = _known_steps(task, key), load64(task + STEPS_BEFORE) + steps
    if 0 <= known <= total or _was_found(task, key):
        return
    found, size = load64(task + NUM_FOUND), load64(task + MACHINE_BYTES)
    place = load64(task + FOUND) + 16 * found
    store64(place, key)
    store64(place + 8, steps)
    copy(load64(task + STATES) + found * size, load64(task + MACHINE), size)
    store64(task + NUM_FOUND, found + 1)


@helper
def _step(task: int, byte: int) -> int:
    """Take one agent step; returns how the game ended in it, OUT_OF_STEPS where it did not."""
    machine, work, play = load64(task + MACHINE), load64(task + WORK), load64(task + PLAY_FRAME)
    for _ in range(FRAME_SKIP):
        call4(play, machine, work, byte, 0)
        if has_ended(machine, True):
            return CLEAR if is_world_over(machine) or is_stage_over(machine) else DEATH
        if not skip_scenes(machine, work, play, True, 0):
            return ELSEWHERE
        if load8(machine + WORLD) << 8 | load8(machine + LEVEL) != load64(task + STAGE):
            return ELSEWHERE
    return OUT_OF_STEPS


def key_of(machine: int) -> int:
    """The key of the cell that a machine is in."""
    return _cell(machine)


def play_on(task: int) -> int:
    """Play a task; returns how it ended."""
    for place in (NUM_VISITS, NUM_FOUND):
        store64(task + place, 0)
    machine, script, taken = load64(task + MACHINE), load64(task + SCRIPT), load64(task + TAKEN)
    cell = _cell(machine)
    steps, action, left = 0, 0, 0
    end = OUT_OF_STEPS
    while end == OUT_OF_STEPS and steps < load64(task + MOST_STEPS):
        if steps < load64(task + SCRIPT_STEPS):
            action = load8(script + steps)
        elif left == 0:
            action = _draw(task, load64(task + NUM_ACTIONS))
            left = _draw(task, 1 << _draw(task, LONGEST_BITS))
        else:
            left -= 1
        store8(taken + steps, action)
        end = _step(task, load8(load64(task + ACTION_BYTES) + action))
        steps += 1
        if end == OUT_OF_STEPS:
            now = _cell(machine)
            if now != cell:
                cell = now
                _visit(task, now, steps)
                if 0 < load64(task + MOST_FOUND) == load64(task + NUM_FOUND):
                    end = FULL
    store64(task + STEPS, steps)
    return end
