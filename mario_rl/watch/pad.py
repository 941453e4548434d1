"""An episode without any agent: what was recorded is played, and a person who takes the pad plays on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import closing

from mario_rl.config import EnvConfig
from mario_rl.trajectories import Ends
from mario_rl.watch.frames import Course, Hand, Outcome, Screens, Shown


class PadEpisode(Course):
    """A stage played by the joypad byte of every frame: all eight buttons count, and no limit but the game's own.

    Args:
        config: `stage`, `rom` and `emulator` count.
        script: bytes that are played first, as long as nobody takes the pad.
    """

    def __init__(self, config: EnvConfig, script: bytes = b"") -> None:
        assert isinstance(config.stage, str)
        super().__init__(config.stage)
        self._config = config
        self._script = deque(script)
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self._outcome

    @property
    def waits_for_hand(self) -> bool:
        return not self._script and self._outcome is None

    def cut(self) -> None:
        self._script.clear()

    def play(self, hand: Hand = lambda: None) -> Generator[Shown]:
        with closing(Screens(self._config)) as screens:
            yield screens.first()
            ends = Ends(screens.game)
            while self._outcome is None:
                shown = screens.next(self._byte(hand()))
                ends.update(screens.terminated, screens.info)
                if screens.terminated:
                    self._outcome = Outcome(ends.ending.end, ends.ending.x)
                yield shown

    def _byte(self, held: int | None) -> int:
        if held is not None:
            self.cut()
            self.played_by_hand = True
        elif self._script:
            return self._script.popleft()
        self.is_live = True
        return held or 0
