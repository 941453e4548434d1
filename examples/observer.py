"""An observer of one's own: it writes a line to `clears.txt` for every clear, with the time it took.

    mario-rl train observer.yaml            # in this folder
    mario-rl train demo 'training.observers=[observer:Clears]'

It hears how training goes and can't change it. What it keeps, it keeps itself: a new one is made at every resume.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mario_rl
from mario_rl.config import Config


class Clears(mario_rl.Observer):
    """Keeps the clears of training, and says at the end how many there were."""

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        self._file = run_dir / "clears.txt"
        self._clears = 0

    def episode_ended(self, row: Mapping[str, Any]) -> None:
        if row["end"] == "clear":
            self._clears += 1
            self._note(f"{row['agent_steps']}: cleared {row['stage']} in {row['length']} agent steps")

    def ended(self) -> None:
        self._note(f"clears in this sitting: {self._clears}")

    def _note(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
