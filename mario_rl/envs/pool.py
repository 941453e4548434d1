"""What training and evaluation need of N games that are stepped together, whichever emulator plays them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mario_rl.types import EpisodeResult, Pixels, State


class GamePool(Protocol):
    """N games; `mario_rl.game.games.Games` says more of each."""

    num_games: int
    observations: Pixels
    final_observations: Pixels

    @property
    def rewards(self) -> NDArray[np.float64]:
        """float64 (N,), of the last step."""
        ...

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Bool (N,)."""
        ...

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Bool (N,)."""
        ...

    def seed(self, number: int, seed: int) -> None:
        """Begin a game's generator anew."""
        ...

    def reset(
        self, number: int, *, stage: str | None = None, noop_frames: int | None = None, opening: bytes | None = None
    ) -> None:
        """Begin an episode in one game."""
        ...

    def step(self, actions: Sequence[int] | NDArray[np.int64]) -> None:
        """Take an agent step in every game whose action is not -1; ResetNeeded where it has no episode in progress."""
        ...

    def infos(self) -> Mapping[str, NDArray[Any]]:
        """What is known of each game's last frame: int64 or float64 (N,), by name."""
        ...

    def result(self, number: int) -> EpisodeResult:
        """How the episode that ended last in a game went; RuntimeError where none has."""
        ...

    def buttons(self, number: int) -> bytes:
        """The joypad byte of every frame since the last reset; of episodes begun by hand only, not by autoreset."""
        ...

    def state_dict(self) -> State:
        """All that is needed to go on: arrays and plain values."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from there; ValueError where it is another pool's."""
        ...

    def close(self) -> None:
        """End what it runs in."""
        ...
