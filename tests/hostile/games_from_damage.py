"""Games put where a damaged checkpoint says they are, and played on: `python games_from_damage.py BEGIN END`.

A process of its own, since what can go wrong is that compiled code leaves its memory, which ends the process. Prints
how many states were refused, how many led to a game that can't go on, and how many were played on.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import Any

import numpy as np

from mario_rl.config import EnvConfig
from mario_rl.errors import GameError
from mario_rl.game.games import Games
from mario_rl.types import State

CONFIG = EnvConfig(snapshot_probability=0.3, snapshot_rewind_steps=30)
STEPS = 100  # agent steps that are played after each


def played(steps: int) -> Games:
    """Two games that have snapshots and deaths behind them."""
    games = Games(CONFIG, 2, autoreset=True)
    for number in range(games.num_games):
        games.seed(number, number)
        games.reset(number)
    generator = np.random.default_rng(0)
    for _ in range(steps):
        games.step(generator.integers(0, 5, games.num_games))
    return games


def damage(state: State, chance: random.Random) -> State:
    """Change one to twenty bytes or numbers of one array."""
    arrays: dict[str, np.ndarray[Any, Any]] = {name: array.copy() for name, array in state["arrays"].items()}
    flat = arrays[chance.choice([name for name, array in arrays.items() if array.size])].reshape(-1)
    for _ in range(chance.choice([1, 1, 3, 20])):
        number = chance.choice([-1, 0, 255, 1 << 16, 1 << 31, 1 << 62, -(1 << 62), chance.getrandbits(62)])
        place = chance.randrange(flat.size)
        if flat.dtype != np.uint8:
            flat[place] = number
        elif chance.random() < 0.5:
            flat[place] = number & 0xFF
        else:
            begin = place // 8 * 8
            stretch = flat[begin : begin + 8]
            stretch[:] = np.frombuffer(number.to_bytes(8, "little", signed=True), np.uint8)[: stretch.size]
    return {**state, "arrays": arrays}


def attempt(games: Games, state: State, seed: int) -> str:
    """Damage the state and go on from it; returns what became of that."""
    try:
        games.load_state_dict(damage(state, random.Random(seed)))
    except ValueError:
        return "refused"
    generator = np.random.default_rng(seed)
    try:
        for _ in range(STEPS):
            games.step(generator.integers(0, 5, games.num_games))
    except GameError:
        return "can't go on"
    return "played on"


def main() -> None:
    """Try the seeds from BEGIN to END."""
    begin, end = map(int, sys.argv[1:])
    games = played(300)
    state = games.state_dict()
    counts = Counter(attempt(games, state, seed) for seed in range(begin, end))
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in sorted(counts.items())) + "\n")


if __name__ == "__main__":
    main()
