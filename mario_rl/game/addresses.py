"""Where Super Mario Bros. keeps what we read: addresses in the console's memory, as gym-super-mario-bros has them."""

from __future__ import annotations

PLAYER_STATE = 0x000E
ENEMY_TYPES = 0x0016  # five enemies
FLOAT_STATE = 0x001D
PLAYER_PAGE = 0x006D
PLAYER_X = 0x0086
Y_VIEWPORT = 0x00B5
Y_PIXEL = 0x03B8
CHANGE_AREA_TIMER = 0x06DE
# Of a maze in three parts (MultiLoopCorrectCntr, MultiLoopPassCntr): how many were passed the right way, and how many.
MAZE_RIGHT, MAZE_PASSED = 0x06D9, 0x06DA
SCREEN_LEFT_PAGE, SCREEN_LEFT_X = 0x071A, 0x071C
# The map that is loaded (AreaType, AreaAddrsLOffset). AreaPointer (0x0750) won't do because the game sets it ahead of
# the change of area, nor AreaNumber (0x0760, info["area"]) because 1-1 keeps it in its bonus room.
AREA_TYPE, AREA_OFFSET = 0x074E, 0x074F
STATUS = 0x0756
LIVES = 0x075A
LEVEL = 0x075C
WORLD = 0x075F
AREA_NUMBER = 0x0760
OPERATION_MODE = 0x0770
PRELEVEL_TIMER = 0x07A0
SCORE, COINS, TIME = 0x07DE, 0x07ED, 0x07F8
