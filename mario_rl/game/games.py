"""N games of Super Mario Bros. side by side: one call takes an agent step in all of them, on several threads.

`mario_rl.envs` has the Gymnasium interfaces; this is what lies below them, and below training and evaluation.
"""

from __future__ import annotations

import ctypes
import os
import time
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.config import EnvConfig
from mario_rl.errors import GameError, UnansweredError, UserError
from mario_rl.game import layout
from mario_rl.game.actions import ALL_BYTES, action_bytes
from mario_rl.game.arrays import Arrays, Numbers, lay_out_rules
from mario_rl.game.kernels import KERNELS
from mario_rl.game.rom import load_rom, stage_start
from mario_rl.game.tables import SIDE
from mario_rl.game.threads import Helper, Thread, end_all
from mario_rl.nes import layout as console
from mario_rl.nes import palette
from mario_rl.nes.console import aligned_zeros, to_rgb
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import BackwardStarts, EpisodeResult, Pixels, State

INFO_NUMBERS = (*layout.INFO_NAMES, "best_x")
INFO_FLOATS = ("classic_return",)
"""What `infos` has of each game."""

LEAVE = -1
"""In place of an action: this game is not played in this step."""

BRIEF_LOOKS, LOOK_SECONDS, PATIENCE_SECONDS = 100_000, 0.001, 600
LONG_LOOKS = round(PATIENCE_SECONDS / LOOK_SECONDS)
"""How long helpers are waited for, which mostly takes microseconds: at first without a pause."""


class Games:
    """N games of one config, each with a generator of its own.

    observations: uint8 (N, frame_stack, 84, 84), oldest frame first; live, the next step changes them.
    final_observations: the same, of the episode that ended last in each game.

    Args:
        config: of all games.
        num_games: how many.
        threads: how many play them; each takes whichever game is next.
        autoreset: whether the next episode begins within the step that ends one.
        keep_buttons: whether `buttons` is kept; only without autoreset.
        goes_on_after_warp: whether an episode of one stage does, in the stage that a warp zone leads to.
        backward: trajectories along which episodes may begin; None for none.
    """

    def __init__(
        self,
        config: EnvConfig,
        num_games: int,
        *,
        threads: int = 1,
        autoreset: bool = False,
        keep_buttons: bool = True,
        goes_on_after_warp: bool = False,
        backward: BackwardStarts | None = None,
    ) -> None:
        self.config, self.num_games = config, num_games
        self.cartridge = load_rom(config.rom)
        self.pool = config.stages
        self.stages = tuple(dict.fromkeys(self.pool))  # a stage listed twice is drawn twice as often
        starts = [stage_start(self.cartridge, stage) for stage in self.stages]
        points = [] if backward is None else self._points(backward)
        self._arrays = Arrays(config, num_games, self.cartridge, starts, self.pool, self.stages, points)
        self._rules = lay_out_rules(
            config,
            num_games,
            self.cartridge,
            self._arrays,
            len(self.stages),
            autoreset=autoreset,
            goes_on_after_warp=goes_on_after_warp,
            backward=backward,
        )
        self._rules_address = int(self._rules.ctypes.data)
        self._turn = aligned_zeros((layout.TURN_BYTES // 8,), dtype=np.int64)
        self._turn[layout.NEXT_GAME // 8] = num_games  # no turn has begun
        article = config.grayscale == "article"
        colours = palette.INDICES if article else palette.GRAY
        count = max(1, min(threads, num_games))
        self._owner = Thread(self.cartridge, colours, self._turn)
        others = [Thread(self.cartridge, colours, self._turn) for _ in range(count - 1)]
        self._helpers = [Helper(self._rules, thread) for thread in others]
        self._process = os.getpid()
        weakref.finalize(self, end_all, list(self._helpers))
        self._painter: Thread | None = None
        self._step_kernel = KERNELS["step_games"]
        self._num_actions = len(action_bytes(config.action_set))
        stack = (num_games, config.frame_stack, SIDE, SIDE)
        self.observations: Pixels = self._arrays["stacks"].reshape(stack)
        self.final_observations: Pixels = self._arrays["final_stacks"].reshape(stack)
        self._autoreset = autoreset
        self._keeps_buttons = keep_buttons and not autoreset
        self._buttons = [bytearray() for _ in range(num_games)]
        self._over = self.numbers(layout.OVER)
        self._over[:] = 1  # until the first reset
        self._generators: list[np.random.Generator] = []
        for number in range(num_games):
            self._generators.append(np.random.default_rng())
            self._connect(number)

    def _points(self, backward: BackwardStarts) -> list[Pixels]:
        """Take the snapshots that episodes of each stage may begin at, see `snapshots_along`."""
        points = []
        for number, stage in enumerate(self.stages):
            points.append(snapshots_along(self.config, stage, backward.trajectories.get(stage, b"")))
            points[-1][:, -layout.GAME_BYTES - 8 + layout.STAGE : -8].view(np.int64)[:, 0] = number
        return points

    # --- Chance. ---

    def generator(self, number: int) -> np.random.Generator:
        """Return a game's generator, which everything random in it draws from."""
        return self._generators[number]

    def set_generator(self, number: int, generator: np.random.Generator) -> None:
        """Give a game another generator."""
        self._generators[number] = generator
        self._connect(number)

    def seed(self, number: int, seed: int) -> None:
        """Begin a game's generator anew, as Gymnasium's `reset(seed=...)` does."""
        self.set_generator(number, np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed))))

    def _connect(self, number: int) -> None:
        """Tell the compiled code where a game's generator is."""
        interface = self._generators[number].bit_generator.ctypes
        self._arrays.generators[number] = (
            interface.state_address,
            ctypes.cast(interface.next_double, ctypes.c_void_p).value or 0,
            ctypes.cast(interface.next_uint32, ctypes.c_void_p).value or 0,
        )

    # --- Play. ---

    def reset(
        self, number: int, *, stage: str | None = None, noop_frames: int | None = None, opening: bytes | None = None
    ) -> None:
        """Begin an episode in one game; `observations` has its first.

        Args:
            number: of the game.
            stage: one of the config's; drawn where it is left out.
            noop_frames: frames without input, drawn where they are left out.
            opening: joypad bytes to play instead, one per frame, such as the beginning of a trajectory. Should one of
                them end the episode, it begins at the stage's start.

        Raises:
            UserError: there is no such stage here, no such number of frames, or both are given and an opening.
            GameError: the game does not come back from a scene.
        """
        thread = self._owner
        begun_with = opening_bytes(noop_frames, opening)
        drawn = begun_with is None
        played = np.array(bytearray(begun_with or b""), dtype=np.uint8)
        address = 0 if drawn else int(played.ctypes.data)
        thread.wish(self._stage_number(stage), -1 if drawn else len(played), address)
        try:
            KERNELS["reset_game"](self._rules_address, thread.address, number)
        finally:  # where Ctrl-C comes meanwhile, too
            thread.wish(-1, -1, 0)
        self._refuse_stuck()
        from_snapshot = self.numbers(layout.FROM_SNAPSHOT)[number]
        frames = int(self.numbers(layout.NOOP_FRAMES)[number])  # none if they ended the episode
        begun = bytes(frames) if drawn else played[:frames].tobytes()
        self._buttons[number] = bytearray(self.bytes_sent(number) if from_snapshot else begun)

    def step(self, actions: Sequence[int] | Numbers) -> None:
        """Take an agent step in every game whose action is not `LEAVE`.

        Raises:
            ValueError: an action is not one of the set.
            gymnasium.error.ResetNeeded: it would be played in a game that has no episode in progress.
            GameError: a game does not come back from a scene.
        """
        taken = self._arrays["actions"]
        taken[:] = actions
        if taken.max() >= self._num_actions or taken.min() < LEAVE:
            wrong = next(int(action) for action in taken if not LEAVE <= action < self._num_actions)
            raise ValueError(f"action {wrong} is not one of 0 to {self._num_actions - 1}")
        if self._over.any():
            self._refuse_over(taken)
        if self._helpers and self._process != os.getpid():  # a forked child has no threads but its own
            self.close()
        for helper in self._helpers:
            helper.wake()
        left = self.num_games
        try:
            left = self._step_kernel(self._rules_address, self._owner.address)
        finally:  # where Ctrl-C comes meanwhile, too: helpers may be playing still
            if left:
                self._wait_for_helpers()
        self._refuse_stuck()
        if self._keeps_buttons:
            for number in np.flatnonzero(taken != LEAVE):
                self._buttons[number] += self.bytes_sent(int(number))

    def _wait_for_helpers(self) -> None:
        """Wait until the games are done that helpers are playing; only then may anything else happen here.

        Raises:
            UnansweredError: they never are.
        """
        interruption: KeyboardInterrupt | None = None
        looks = 0
        while self._turn[layout.DONE // 8] < self.num_games:
            looks += 1
            if looks > BRIEF_LOOKS + LONG_LOOKS:
                raise UnansweredError(f"no answer from the threads that play the games for {PATIENCE_SECONDS} s")
            try:
                time.sleep(0 if looks <= BRIEF_LOOKS else LOOK_SECONDS)
            except KeyboardInterrupt as error:
                interruption = error
        if interruption is not None:
            raise interruption

    def _refuse_over(self, taken: Numbers) -> None:
        over = np.flatnonzero((self._over != 0) & (taken != LEAVE)).tolist()
        if over:
            from gymnasium.error import ResetNeeded  # here, because nothing else of the game needs that package

            raise ResetNeeded(f"call reset before step: no episode is in progress in game {over[0]}")

    def _refuse_stuck(self) -> None:
        if self.numbers(layout.STUCK).any():
            number = int(self.numbers(layout.STUCK).argmax())
            raise GameError(
                f"game {number} does not come back from a scene: {layout.STUCK_FRAMES:,} frames were waited"
            )

    # --- What the last step gave. ---

    @property
    def rewards(self) -> NDArray[np.float64]:
        """float64 (N,), of the last step."""
        return self._results(layout.RESULT_REWARD).view(np.float64).copy()

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """Bool (N,): the game itself ended the episode in the last step."""
        return self._results(layout.RESULT_TERMINATED) != 0

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Bool (N,): the episode was cut short in the last step."""
        return self._results(layout.RESULT_TRUNCATED) != 0

    def result(self, number: int) -> EpisodeResult:
        """How the episode that ended last in a game went.

        Raises:
            RuntimeError: none has ended yet.
        """
        row = self._arrays.results[number]
        if not row[layout.RESULT_LENGTH // 8]:
            raise RuntimeError(f"no episode has ended yet in game {number}")
        reached = int(row[layout.RESULT_STAGE // 8])
        return EpisodeResult(
            stage=stage_name(reached),
            return_=float(row.view(np.float64)[layout.RESULT_RETURN // 8]),
            x=int(row[layout.RESULT_X // 8]),
            length=int(row[layout.RESULT_LENGTH // 8]),
            clock=int(row[layout.RESULT_CLOCK // 8]),
            end=layout.ENDS[int(row[layout.RESULT_END // 8])],  # type: ignore[arg-type]  # ended: not ""
            from_snapshot=bool(row[layout.RESULT_FROM_SNAPSHOT // 8]),
        )

    def numbers(self, place: int) -> Numbers:
        """int64 (N,), one number of each game, see `layout.py`; live."""
        column: Numbers = self._arrays.games[:, place // 8]
        return column

    def row(self, number: int) -> Numbers:
        """int64 (GAME_BYTES / 8,), all numbers of a game; live."""
        numbers: Numbers = self._arrays.games[number]
        return numbers

    def floats(self, place: int) -> NDArray[np.float64]:
        """float64 (N,), the same of those that are float64."""
        return self._arrays.games[:, place // 8].view(np.float64)

    def infos(self) -> dict[str, NDArray[Any]]:
        """What is known of the last frame, by name: int64 (N,) of INFO_NUMBERS, float64 (N,) of INFO_FLOATS; copies."""
        return {
            **self._by_name(self._arrays.games, layout.INFO),
            "best_x": self.numbers(layout.BEST_X).copy(),
            "classic_return": self.floats(layout.CLASSIC_RETURN).copy(),
        }

    def final_infos(self) -> dict[str, Numbers]:
        """The same of the last frame of the episode that ended last in each game."""
        return self._by_name(self._arrays.results, layout.RESULT_INFO)

    def stage_of(self, number: int) -> str:
        """The stage a game's episode is played on, as the config names it."""
        return self.stages[int(self.numbers(layout.STAGE)[number])]

    def ram(self, number: int) -> Pixels:
        """uint8 (2048,), the console's memory; live."""
        return self._arrays.machines[number, : console.NAME_TABLES]

    def buttons(self, number: int) -> bytes:
        """The joypad byte of every frame since `reset`, no-op and sticky ones included, where they are kept.

        An episode from a snapshot has those since the snapshot.
        """
        return bytes(self._buttons[number])

    def bytes_sent(self, number: int) -> bytes:
        """The joypad byte of every frame of the last step, sticky ones included."""
        played = int(self.numbers(layout.PLAYED)[number])
        return self._arrays.sent[number, :played].tobytes()

    def screen(self, number: int) -> Pixels:
        """uint8 (240, 256, 3): the game's screen now, RGB; draws it, for the sake of whoever looks."""
        if self._painter is None:
            self._painter = Thread(self.cartridge, palette.INDICES, self._turn)
        if not KERNELS["draw_game"](self._rules_address, self._painter.address, number):
            stage = int(self.numbers(layout.STAGE)[number])
            return to_rgb(stage_start(self.cartridge, self.stages[stage]).screen)
        return to_rgb(self._painter.screen)

    # --- Saved and restored. ---

    def state_dict(self) -> State:
        """All that the games need to go on: arrays, and the generators as text."""
        return {
            "arrays": {name: self._arrays[name].copy() for name in self._arrays.saved},
            "generators": [generator_state(generator) for generator in self._generators],
            "buttons": [bytes(buttons).hex() for buttons in self._buttons],
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from a state of games of the same config and number.

        Raises:
            ValueError: it is another config's, or not a state of games at all; nothing is changed.
        """
        if missing := [key for key in ("arrays", "generators", "buttons") if key not in state]:
            raise ValueError(f"the games' state has no {missing[0]}")
        arrays = state["arrays"]
        for name in self._arrays.saved:
            if name not in arrays:
                raise ValueError(f"the games' state has no {name}")
            here, there = self._arrays[name], arrays[name]
            if there.shape != here.shape or there.dtype != here.dtype:
                raise ValueError(f"the games' {name} is {there.dtype} {there.shape}, not {here.dtype} {here.shape}")
        self._arrays.check(arrays, len(self.stages))
        if self._autoreset and arrays["games"][:, layout.OVER // 8].any():
            raise ValueError("the games' state has an episode that is over, where the next had begun")
        buttons = [bytearray.fromhex(text) for text in state["buttons"]]
        if not len(buttons) == len(state["generators"]) == self.num_games:
            raise ValueError(f"the games' state is not of as many games as here, {self.num_games}")
        for text in state["generators"]:
            restore_generator(np.random.default_rng(), text)  # tried first
        for generator, text in zip(self._generators, state["generators"], strict=True):
            restore_generator(generator, text)
        for name in self._arrays.saved:
            self._arrays[name][...] = arrays[name]
        self._buttons = buttons

    def close(self) -> None:
        """End the threads; a second time does nothing."""
        end_all(self._helpers)
        self._helpers = []

    def _stage_number(self, stage: str | None) -> int:
        if stage is None:
            return -1
        if stage not in self.stages:
            raise UserError(f"reset option stage: {stage!r} is not allowed; must be one of {', '.join(self.stages)}")
        return self.stages.index(stage)

    def _results(self, place: int) -> Numbers:
        column: Numbers = self._arrays.results[:, place // 8]
        return column

    def _by_name(self, rows: Numbers, place: int) -> dict[str, Numbers]:
        begin = place // 8
        block = rows[:, begin : begin + len(layout.INFO_NAMES)].copy()
        return {name: block[:, column] for column, name in enumerate(layout.INFO_NAMES)}


def snapshots_along(config: EnvConfig, stage: str, buttons: bytes) -> Pixels:
    """Play a trajectory from a stage's start, and take a snapshot every SNAPSHOT_PERIOD frames.

    The first is of the start, the last at least as far before the end.

    Args:
        config: of the games that are to begin there.
        stage: which.
        buttons: the joypad byte of every frame.

    Returns:
        uint8 (len(buttons) // SNAPSHOT_PERIOD, bytes of a snapshot): a machine, a game, and the byte sent next.
    """
    settings = {
        "stage": stage,
        "action_set": ALL_BYTES,
        "frame_skip": 1,
        "frame_stack": 1,
        "sticky_probability": 0.0,
        "snapshot_probability": 0.0,
        "stall_limit": None,
        "max_agent_steps": None,
    }
    games = Games(config.model_copy(update=settings), 1)
    games.reset(0, noop_frames=0)
    count = len(buttons) // layout.SNAPSHOT_PERIOD
    snapshots = []
    for frame, byte in enumerate(buttons[: count * layout.SNAPSHOT_PERIOD]):
        if frame % layout.SNAPSHOT_PERIOD == 0:
            machine, game = games._arrays.machines[0], games._arrays.games[0].view(np.uint8)
            snapshots.append(np.concatenate([machine, game, np.array([byte], np.int64).view(np.uint8)]))
        games.step([byte])
    return np.array(snapshots, np.uint8).reshape(count, games._arrays.snapshot_bytes)


def stage_name(reached: int) -> str:
    """Name the stage of a world byte and a level byte, such as "1-1"."""
    return f"{(reached >> 8) + 1}-{(reached & 0xFF) + 1}"


def opening_bytes(noop_frames: int | None, opening: bytes | None) -> bytes | None:
    """Say what is played before an episode counts: a joypad byte per frame; None where the number is to be drawn.

    Raises:
        UserError: a reset option is not allowed, or both are given.
    """
    if opening is not None:
        if noop_frames is not None:
            raise UserError("reset options noop_frames and opening: give one of them")
        if not isinstance(opening, bytes):
            raise UserError("reset option opening: must be bytes, one joypad byte per frame")
        return opening
    if noop_frames is None:
        return None
    if not isinstance(noop_frames, int) or noop_frames < 0:
        raise UserError(f"reset option noop_frames: {noop_frames!r} is not allowed; must be a whole number from 0 up")
    return bytes(noop_frames)
