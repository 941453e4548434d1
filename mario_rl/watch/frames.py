"""What somebody who watches is shown: every emulator frame, whoever plays; none of it needs PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from mario_rl.config import EnvConfig
from mario_rl.envs import make_game
from mario_rl.envs.progress import read_position, read_screen_left
from mario_rl.names import Protocol
from mario_rl.types import Pixels

type Hand = Callable[[], int | None]
"""Asked what a person holds down, as a joypad byte; None where nobody is at the pad."""


class Decision(NamedTuple):
    """One agent step.

    step: counted from 0. q_values: of the agent's actions, in order. action: the agent's, None if a person played.
    best: the action of the highest value. buttons: names of what was pressed. byte: the same for the emulator.
    observation: what the network got, uint8 (stack, 84, 84).
    """

    step: int
    q_values: tuple[float, ...]
    action: int | None
    best: int
    buttons: str
    byte: int
    observation: Pixels


class Choice(NamedTuple):
    """What an agent step was chosen by: the values, and the joypad byte of a person; None where the agent played."""

    q_values: tuple[float, ...]
    held: int | None


class Shown(NamedTuple):
    """One emulator frame.

    frame: counted from 0, the screen of the reset. screen: uint8 (240, 256, 3), a copy. byte: what it was sent.
    decision: the agent step it belongs to; None during the frames before the first, and where no agent plays.
    x, score, coins, clock, stage: the game's own. left: the x at the left edge of the screen; None outside the area the
    episode began in.
    """

    frame: int
    screen: Pixels
    byte: int
    decision: Decision | None
    x: int
    score: int
    coins: int
    clock: int
    stage: str
    left: int | None


class Outcome(NamedTuple):
    """How an episode ended. end: as in the tables. x: best x position, pixels."""

    end: str
    x: int


class Course(ABC):
    """An episode as it is shown, frame by frame.

    stage: where. choices: of its agent steps so far. predicted, rewards: at each of them. is_live: whether what was
    shown last was chosen now, and not read from a script. played_by_hand: whether a person had a hand in it.
    protocol, order, opening: of an agent's episode: its source of chance, its number under the seed, and what was
    played before the agent took over.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.protocol: Protocol = "greedy"
        self.order = 0
        self.opening: bytes | None = None
        self.choices: list[Choice] = []
        self.predicted: list[float] = []
        self.rewards: list[float] = []
        self.is_live = False
        self.played_by_hand = False

    @property
    @abstractmethod
    def outcome(self) -> Outcome | None:
        """How it ended; None as long as it has not."""

    @property
    def returns(self) -> list[float]:
        """The discounted return that followed each agent step, as far as it has been played."""
        return []

    @property
    def waits_for_hand(self) -> bool:
        """Whether nothing but a person can play on."""
        return False

    @abstractmethod
    def cut(self) -> None:
        """Leave the rest of the script: what comes now is chosen anew."""

    @abstractmethod
    def play(self, hand: Hand = lambda: None) -> Generator[Shown]:
        """Play to the end, a frame at a time; a person who holds something down leaves the script."""


class Screens:
    """The game that is looked at: joypad bytes in, frames out.

    terminated, info: what it said of the last frame.

    Args:
        config: `stage`, `rom` and `emulator` count.
    """

    def __init__(self, config: EnvConfig) -> None:
        self.game: Any = make_game(config)
        self.terminated = False
        self.info: dict[str, Any] = {}
        self._frame = 0

    def first(self) -> Shown:
        """Reset the game."""
        screen, self.info = self.game.reset()
        self._began = read_position(self.game.unwrapped.ram)
        self._frame = 0
        return self._shown(screen, 0, None, left=read_screen_left(self.game.unwrapped.ram))

    def next(self, byte: int, decision: Decision | None = None) -> Shown:
        """Play a frame."""
        ram = self.game.unwrapped.ram
        left = read_screen_left(ram)  # before the frame, which is drawn with it
        screen, _, self.terminated, _, self.info = self.game.step(byte)
        self._frame += 1
        now = read_position(ram)
        same = (now.stage, now.area) == (self._began.stage, self._began.area)
        return self._shown(screen, byte, decision, left=left if same else None)

    def close(self) -> None:
        """Close the game."""
        self.game.close()

    def _shown(self, screen: Pixels, byte: int, decision: Decision | None, *, left: int | None) -> Shown:
        info = self.info
        return Shown(
            frame=self._frame,
            screen=screen.copy(),  # it is live memory
            byte=byte,
            decision=decision,
            x=int(info.get("x_pos", 0)),
            score=int(info.get("score", 0)),
            coins=int(info.get("coins", 0)),
            clock=int(info.get("time", 0)),
            stage=f"{info.get('world', '?')}-{info.get('stage', '?')}",
            left=left,
        )
