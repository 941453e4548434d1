"""`info` as gym-super-mario-bros and our wrappers give it, from the numbers that compiled code has kept."""

from __future__ import annotations

from typing import Any

from mario_rl.game import layout
from mario_rl.game.games import Games, stage_name
from mario_rl.game.rom import WHOLE_GAME

PARTS = ("progress", "time", "score", "coins", "powerup", "completion", "death")
"""Of gym-super-mario-bros' own reward, in its order."""

FLAGS = ("flag_get", "is_dead", "is_dying", "is_game_over", "is_stage_over", "is_world_over")
STATUS_NAMES = {0: "small", 1: "tall"}
OWN_BOUND = 15.0  # what gym-super-mario-bros bounds its reward to


def describe(games: Games, number: int) -> dict[str, Any]:
    """Make the info of a game's last frame: every key that the plain wrappers give, and the same values."""
    row = games.row(number)
    info: dict[str, Any] = {name: int(row[layout.INFO // 8 + place]) for place, name in enumerate(layout.INFO_NAMES)}
    info |= {name: bool(info[name]) for name in FLAGS}
    info["enemy_types"] = tuple(info.pop(f"enemy_{enemy}") for enemy in range(5))
    stage = games.stage_of(number)
    target = None if stage == WHOLE_GAME else tuple(int(part) for part in stage.split("-"))
    below = info["y_pixel"]
    info |= {
        "level": (info["world"] - 1) * 4 + info["stage"] - 1,
        "powerup_level": min(info["status_value"], 2),
        "status": STATUS_NAMES.get(info["status_value"], "fireball"),
        "y_pos": 255 + (255 - below) if info["y_viewport"] < 1 else 255 - below,
        "clear": info["flag_get"],
        "death": info["is_dying"] or info["is_dead"],
        "game": "smb1",
        "game_family": "smb1",
        "lives": info["life"],
        "progress": info["x_pos"],
        "progress_max": info["x_pos_max"],
        "rom_mode": "vanilla",
        "single_stage": target is not None,
        "task_id": "SuperMarioBros-v0" if target is None else f"SuperMarioBros-{stage}-v0",
        "target_stage": None if target is None else target[1],
        "target_world": None if target is None else target[0],
        "timeout": False,
        "world_label": str(info["world"]),
    }
    return info | _rewards(games, number) | _wrappers(games, number)


def _rewards(games: Games, number: int) -> dict[str, Any]:
    """What gym-super-mario-bros says of its own reward."""
    row = games.row(number).view("float64")
    total = float(row[layout.REWARD_UNCLIPPED // 8])
    return {
        "reward_components": {part: float(row[layout.REWARD_PARTS // 8 + place]) for place, part in enumerate(PARTS)},
        "reward_total_unclipped": total,
        "reward_total_clipped": max(-OWN_BOUND, min(OWN_BOUND, total)),
    }


def _wrappers(games: Games, number: int) -> dict[str, Any]:
    """What our wrappers add."""
    row = games.row(number)
    info: dict[str, Any] = {
        "classic_return": float(row.view("float64")[layout.CLASSIC_RETURN // 8]),
        "best_x": int(row[layout.BEST_X // 8]),
        "stage_reached": stage_name(int(row[layout.REACHED // 8])),
        "new_bests": int(row[layout.NEW_BESTS // 8]),
        "from_snapshot": bool(row[layout.FROM_SNAPSHOT // 8]),
    }
    if row[layout.CUT_BY // 8]:
        info["cut_by"] = layout.ENDS[int(row[layout.CUT_BY // 8])]
    if row[layout.OVER // 8]:
        info["episode_result"] = games.result(number)
    return info
