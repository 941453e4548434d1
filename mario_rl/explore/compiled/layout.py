"""What the compiled search is called with and what it leaves: a task, numbers of eight bytes.

A task is one way through the game: it begins at a machine's state, plays so many agent steps of buttons that are given
or drawn, and ends early where the game does.
"""

from __future__ import annotations

from itertools import count

_task = count(0, 8)

# What is to be played.
MACHINE = next(_task)  # address of the machine, at the state to begin at; it is played on
MACHINE_BYTES = next(_task)
WORK = next(_task)  # address of the console's work area
PLAY_FRAME = next(_task)  # address of a compiled function
STAGE = next(_task)  # world byte * 256 + level byte; whoever leaves it is not followed
ACTION_BYTES = next(_task)  # address of a joypad byte per action
NUM_ACTIONS = next(_task)
SCRIPT = next(_task)  # address of actions, a byte each, that are taken first
SCRIPT_STEPS = next(_task)
MOST_STEPS = next(_task)  # agent steps; those after the script are drawn
RANDOM = next(_task)  # state of the generator that draws, not 0
STEPS_BEFORE = next(_task)  # agent steps from the stage's start to the state

# What is known: cells, in ascending order of their keys.
NUM_CELLS = next(_task)
CELLS = next(_task)  # address of a key per cell
CELL_STEPS = next(_task)  # address of a number per cell: agent steps in which it is reached

# What is left.
STEPS = next(_task)  # agent steps taken, with the one in which it ended
TAKEN = next(_task)  # address of an action, a byte, per step
NUM_VISITS = next(_task)
VISITS = next(_task)  # address of key and steps of each visit: each time another cell was entered
MOST_FOUND = next(_task)  # of the following, after which the task ends; 0 to keep none and go on
NUM_FOUND = next(_task)
FOUND = next(_task)  # address of key and steps of each state that is worth keeping
STATES = next(_task)  # address of a machine each
TASK_BYTES = next(_task)

OUT_OF_STEPS, CLEAR, DEATH, ELSEWHERE, FULL = range(5)
"""How a task ends. ELSEWHERE: in another stage, or in a scene that never ends. FULL: MOST_FOUND were found."""

FRAME_SKIP = 4
"""Emulator frames that an action is held for: one agent step, as an agent plays by default."""

GRID = 16
"""Pixels of a cell, across and down: a tile of the game."""

# The key of a cell, from bit 0 on: x and y in cells, area, the maze's counters, power.
X_BITS, Y_BITS, OFFSET_BITS, TYPE_BITS, COUNTER_BITS, POWER_BITS = 12, 6, 8, 2, 4, 2
Y_SHIFT = X_BITS
OFFSET_SHIFT = Y_SHIFT + Y_BITS
TYPE_SHIFT = OFFSET_SHIFT + OFFSET_BITS
PASSED_SHIFT = TYPE_SHIFT + TYPE_BITS
RIGHT_SHIFT = PASSED_SHIFT + COUNTER_BITS
POWER_SHIFT = RIGHT_SHIFT + COUNTER_BITS
