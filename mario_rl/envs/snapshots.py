"""Episodes that begin at snapshots of the emulator: a little before recent deaths, or along a trajectory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from mario_rl.envs.rewards import is_down
from mario_rl.types import BackwardStarts, State

PERIOD_FRAMES = 32  # between two snapshots of an episode: a choice of moments, at 0.07 ms each
RECENT_DEATHS = 16  # whose snapshots are kept, per stage

GAME_FIELDS = (
    "_time_last",
    "_x_position_max",
    "_score_last",
    "_coins_last",
    "_status_last",
    "_completion_rewarded",
)
"""What gym-super-mario-bros keeps outside the emulator from frame to frame, so that load_state leaves it stale."""


@dataclass
class Snapshot:
    """A moment of an episode, one frame before it: the frame itself is played to see it.

    buttons: one joypad byte per frame, what leads there from the stage's start: all that a checkpoint needs of it.
    emulator, game: the state before the last of these frames, of nes-py and of gym-super-mario-bros' GAME_FIELDS; empty
        until it is played to.
    """

    buttons: bytes
    emulator: Any = None
    game: dict[str, Any] = field(default_factory=dict)


class Backward:
    """Where along its stage's trajectory an episode begins, and when that moves back (Salimans & Chen 2018, section 3).

    Points lie PERIOD_FRAMES apart, the last of them at least as far before the trajectory's end. Episodes begin at the
    last one, until `starts.needed` of the last `starts.window` of them were clears; then at the one before, counted
    anew. The first point is the stage's start: once it is reached, all episodes begin as they would without.

    Args:
        starts: the trajectories, and the rule.
    """

    def __init__(self, starts: BackwardStarts) -> None:
        self._starts = starts
        self._points = {
            stage: [Snapshot(buttons[: place * PERIOD_FRAMES + 1]) for place in range(len(buttons) // PERIOD_FRAMES)]
            for stage, buttons in starts.trajectories.items()
        }
        self._moves = dict.fromkeys(self._points, 0)
        self._last: dict[str, deque[bool]] = {stage: deque(maxlen=starts.window) for stage in self._points}
        self._begun: str | None = None  # the stage of an episode in progress that began at a point

    def draw(self, stage: str, generator: np.random.Generator) -> Snapshot | None:
        """Draw whether an episode of a stage begins along its trajectory, and say where; None where it does not."""
        self.ended(cleared=False)  # an episode that was cut short
        point = len(self._points.get(stage, ())) - 1 - self._moves.get(stage, 0)
        if point <= 0 or generator.random() >= self._starts.probability:
            return None
        self._begun = stage
        return self._points[stage][point]

    def ended(self, *, cleared: bool) -> None:
        """Count an episode that ended, if it began at a point and has not been counted yet."""
        if (stage := self._begun) is None:
            return
        self._begun = None
        last = self._last[stage]
        last.append(cleared)
        if sum(last) >= self._starts.needed:
            self._moves[stage] += 1
            last.clear()

    def state(self) -> State:
        """How often each start has moved, and the last episodes from there."""
        self.ended(cleared=False)
        return {stage: [moves, [*self._last[stage]]] for stage, moves in self._moves.items()}

    def restore(self, state: State) -> None:
        """Take over what `state` gave."""
        for stage, (moves, last) in state.items():
            self._moves[stage] = moves
            self._last[stage] = deque(last, maxlen=self._starts.window)


class SnapshotStarts(gym.Wrapper[Any, int, Any, int]):
    """Begin some episodes along a trajectory, others a little before one of the last deaths.

    Each death leaves one snapshot, drawn from the moments between PERIOD_FRAMES and `rewind_frames` before it; an
    episode that begins at a snapshot draws one of the last RECENT_DEATHS of its stage. Deaths count wherever the
    episode they ended began, so the snapshots wander on as the agent learns. One step is one frame of the game.
    Adds to info: `from_snapshot`, bool, of the whole episode. With probability 0 nothing is drawn and nothing kept.

    Args:
        env: a `NoopStart` and a `RecordButtons` around a `StagePool`; what the second has as `buttons_sent` always
            leads here from the stage's start.
        probability: that an episode begins at a snapshot, once there is one of its stage.
        rewind_frames: how long before the death, at most; PERIOD_FRAMES or more.
        backward: trajectories to begin along, which is drawn first; None for none.
    """

    def __init__(
        self,
        env: gym.Env[Any, int],
        *,
        probability: float,
        rewind_frames: int,
        backward: BackwardStarts | None = None,
    ) -> None:
        super().__init__(env)
        self._probability = probability
        self._backward = None if backward is None else Backward(backward)
        self._moments: deque[Snapshot] = deque(maxlen=max(1, rewind_frames // PERIOD_FRAMES))  # of this episode
        self._before_deaths: dict[str, deque[Snapshot]] = {}  # per stage
        self._from_snapshot = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._moments.clear()
        self._was_down = False
        moment = self._draw()
        self._from_snapshot = moment is not None
        if moment is not None:
            observation, info = self._begin_at(moment)
        return observation, info | {"from_snapshot": self._from_snapshot}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._probability > 0 and len(self._buttons) % PERIOD_FRAMES == 0:
            self._moments.append(self._snapshot(bytes([*self._buttons, action])))
        observation, reward, terminated, truncated, info = self.env.step(action)
        down = is_down(info)
        if down and not self._was_down:
            self._keep_one()
        self._was_down = down
        if terminated and self._backward is not None:
            self._backward.ended(cleared=bool(info["flag_get"]))
        return observation, float(reward), terminated, truncated, info | {"from_snapshot": self._from_snapshot}

    def snapshots_state(self) -> State:
        """The snapshots that episodes may begin at, as the buttons that lead there: hexadecimal, per stage."""
        return {stage: [kept.buttons.hex() for kept in moments] for stage, moments in self._before_deaths.items()}

    def restore_snapshots(self, state: State) -> None:
        """Take over what `snapshots_state` gave; each is played to when an episode first begins there."""
        self._before_deaths = {
            stage: deque((Snapshot(bytes.fromhex(buttons)) for buttons in kept), maxlen=RECENT_DEATHS)
            for stage, kept in state.items()
        }

    def backward_state(self) -> State:
        """Where along their trajectories episodes begin; empty where none does."""
        return {} if self._backward is None else self._backward.state()

    def restore_backward(self, state: State) -> None:
        """Take over what `backward_state` gave."""
        if self._backward is not None:
            self._backward.restore(state)

    @property
    def _stage(self) -> str:
        stage: str = self.env.get_wrapper_attr("stage")
        return stage

    @property
    def _buttons(self) -> list[int]:
        buttons: list[int] = self.env.get_wrapper_attr("buttons_sent")
        return buttons

    def _draw(self) -> Snapshot | None:
        """Draw where the episode begins; None for the stage's start."""
        if self._backward is not None and (point := self._backward.draw(self._stage, self.np_random)) is not None:
            return point
        kept = self._before_deaths.get(self._stage)
        if not kept or self.np_random.random() >= self._probability:
            return None
        return kept[int(self.np_random.integers(len(kept)))]

    def _keep_one(self) -> None:
        """Keep a moment before the death that has just come."""
        early = [moment for moment in self._moments if len(self._buttons) - len(moment.buttons) >= PERIOD_FRAMES]
        if early:
            chosen = early[int(self.np_random.integers(len(early)))]
            self._before_deaths.setdefault(self._stage, deque(maxlen=RECENT_DEATHS)).append(chosen)
        self._moments.clear()  # in the whole game play goes on with the next life

    def _snapshot(self, buttons: bytes) -> Snapshot:
        game: Any = self.env.unwrapped
        return Snapshot(buttons, game.dump_state(), {name: getattr(game, name) for name in GAME_FIELDS})

    def _begin_at(self, moment: Snapshot) -> tuple[Any, dict[str, Any]]:
        """Bring the game, just reset, to a moment."""
        if moment.emulator is None:
            self.env.reset(options={"stage": self._stage, "noop_frames": 0})
            for byte in moment.buttons[:-1]:
                self.env.step(byte)
            reached = self._snapshot(moment.buttons)
            moment.emulator, moment.game = reached.emulator, reached.game
        game: Any = self.env.unwrapped
        game.load_state(moment.emulator)
        for name, value in moment.game.items():
            setattr(game, name, value)
        self._buttons[:] = moment.buttons[:-1]
        observation, _, _, _, info = self.env.step(moment.buttons[-1])
        return observation, info
