"""N games of Super Mario Bros. side by side: one call takes an agent step in all of them, on several threads.

`mario_rl.envs` has the Gymnasium interfaces; this is what lies below them, and below training and evaluation.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.config import EnvConfig
from mario_rl.errors import GameError, UserError
from mario_rl.game import layout
from mario_rl.game.actions import action_bytes
from mario_rl.game.kernels import KERNELS
from mario_rl.game.rom import Start, load_rom, stage_start, stage_target
from mario_rl.game.tables import SCRATCH_BYTES, SIDE, article_tables
from mario_rl.nes import layout as console
from mario_rl.nes import palette
from mario_rl.nes.cartridge import Cartridge
from mario_rl.nes.console import WorkArea, aligned_zeros, row_bytes, to_rgb
from mario_rl.nes.kernels import KERNELS as CONSOLE
from mario_rl.seeding import generator_state, restore_generator
from mario_rl.types import EpisodeResult, Pixels, State

LEAVE = -1
"""In place of an action: this game is not played in this step."""

type Numbers = NDArray[np.int64]


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
    """

    def __init__(
        self,
        config: EnvConfig,
        num_games: int,
        *,
        threads: int = 1,
        autoreset: bool = False,
        keep_buttons: bool = True,
    ) -> None:
        self.config, self.num_games = config, num_games
        self.cartridge = load_rom(config.rom)
        self.pool = (config.stage,) if isinstance(config.stage, str) else config.stage
        self.stages = tuple(dict.fromkeys(self.pool))  # a stage listed twice is drawn twice as often
        starts = [stage_start(self.cartridge, stage) for stage in self.stages]
        self._arrays = _Arrays(config, num_games, self.cartridge, starts, self.pool, self.stages)
        self._rules = _rules(config, num_games, self.cartridge, self._arrays, len(self.stages), autoreset=autoreset)
        self._rules_address = int(self._rules.ctypes.data)
        self._turn = aligned_zeros((layout.TURN_BYTES // 8,), dtype=np.int64)
        self._turn[layout.NEXT_GAME // 8] = num_games  # no turn has begun
        article = config.grayscale == "article"
        colours = palette.INDICES if article else palette.GRAY
        count = max(1, min(threads, num_games))
        self._owner = _Thread(self.cartridge, colours, self._turn)
        others = [_Thread(self.cartridge, colours, self._turn) for _ in range(count - 1)]
        self._helpers = [_Helper(self._rules, thread) for thread in others]
        self._process = os.getpid()
        weakref.finalize(self, _end_all, list(self._helpers))
        self._painter: _Thread | None = None
        self._step_kernel = KERNELS["step_games"]
        self._num_actions = len(action_bytes(config.action_set))
        stack = (num_games, config.frame_stack, SIDE, SIDE)
        self.observations: Pixels = self._arrays["stacks"].reshape(stack)
        self.final_observations: Pixels = self._arrays["final_stacks"].reshape(stack)
        self._keeps_buttons = keep_buttons and not autoreset
        self._buttons = [bytearray() for _ in range(num_games)]
        self._over = self.numbers(layout.OVER)
        self._over[:] = 1  # until the first reset
        self._generators: list[np.random.Generator] = []
        for number in range(num_games):
            self._generators.append(np.random.default_rng())
            self._connect(number)

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

    def reset(self, number: int, *, stage: str | None = None, noop_frames: int | None = None) -> None:
        """Begin an episode in one game; `observations` has its first.

        Args:
            number: of the game.
            stage: one of the config's; drawn where it is left out.
            noop_frames: frames without input, drawn where they are left out.

        Raises:
            UserError: there is no such stage here, or no such number of frames.
            GameError: the game does not come back from a scene.
        """
        thread = self._owner
        thread.wish(self._stage_number(stage), _noop_frames(noop_frames))
        KERNELS["reset_game"](self._rules_address, thread.address, number)
        thread.wish(-1, -1)
        self._refuse_stuck()
        from_snapshot = self.numbers(layout.FROM_SNAPSHOT)[number]
        noops = int(self.numbers(layout.NOOP_FRAMES)[number])
        self._buttons[number] = bytearray(self.bytes_sent(number) if from_snapshot else noops)

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
        if self._step_kernel(self._rules_address, self._owner.address):
            self._wait_for_helpers()
        self._refuse_stuck()
        if self._keeps_buttons:
            for number in np.flatnonzero(taken != LEAVE):
                self._buttons[number] += self.bytes_sent(int(number))

    def _wait_for_helpers(self) -> None:
        """Wait until the games are done that helpers are playing; only then may anything else happen here."""
        interruption: KeyboardInterrupt | None = None
        while self._turn[layout.DONE // 8] < self.num_games:
            try:
                time.sleep(0)
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
            end=layout.ENDS[int(row[layout.RESULT_END // 8])],  # type: ignore[arg-type]
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

    def infos(self) -> dict[str, Numbers]:
        """What is read from memory for `info`, by name: int64 (N,) each, copies."""
        return self._by_name(self._arrays.games, layout.INFO)

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
            self._painter = _Thread(self.cartridge, palette.INDICES, self._turn)
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
        arrays = state["arrays"]
        for name in self._arrays.saved:
            if name not in arrays:
                raise ValueError(f"the games' state has no {name}")
            here, there = self._arrays[name], arrays[name]
            if there.shape != here.shape or there.dtype != here.dtype:
                raise ValueError(f"the games' {name} is {there.dtype} {there.shape}, not {here.dtype} {here.shape}")
        self._arrays.check(arrays, len(self.stages))
        for generator, text in zip(self._generators, state["generators"], strict=True):
            restore_generator(generator, text)
        for name in self._arrays.saved:
            self._arrays[name][...] = arrays[name]
        self._buttons = [bytearray.fromhex(buttons) for buttons in state["buttons"]]

    def close(self) -> None:
        """End the threads; a second time does nothing."""
        _end_all(self._helpers)
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


class _Arrays:
    """The memory of a pool of games, under the names that a saved state has for it."""

    def __init__(
        self,
        config: EnvConfig,
        num_games: int,
        cartridge: Cartridge,
        starts: Sequence[Start],
        pool: Sequence[str],
        stages: Sequence[str],
    ) -> None:
        machine = row_bytes(cartridge)
        snapshots = config.snapshot_probability > 0
        self.max_moments = max(1, config.snapshot_rewind_steps * config.frame_skip // layout.SNAPSHOT_PERIOD)
        snapshot = machine + layout.GAME_BYTES + 8
        stack = config.frame_stack * SIDE * SIDE
        screens = np.zeros((len(starts), console.SCREEN_BYTES), dtype=np.uint8)
        colours = palette.INDICES if config.grayscale == "article" else palette.GRAY
        for row, start in zip(screens, starts, strict=True):
            row[: start.screen.size] = colours[start.screen].reshape(-1)
        self._by_name: dict[str, NDArray[Any]] = {
            "machines": aligned_zeros((num_games, machine), dtype=np.uint8),
            "games": aligned_zeros((num_games, layout.GAME_BYTES // 8), dtype=np.int64),
            "stacks": aligned_zeros((num_games, stack), dtype=np.uint8),
            "before": aligned_zeros((num_games, machine + layout.GAME_BYTES), dtype=np.uint8),
            "sent": aligned_zeros((num_games, layout.MAX_SKIP), dtype=np.uint8),
            "moments": np.zeros((num_games if snapshots else 0, self.max_moments, snapshot), dtype=np.uint8),
            "deaths": np.zeros(
                (num_games if snapshots else 0, len(stages), layout.KEPT_DEATHS, snapshot), dtype=np.uint8
            ),
            "num_deaths": np.zeros((num_games, len(stages)), dtype=np.int64),
            "results": aligned_zeros((num_games, layout.RESULT_BYTES // 8), dtype=np.int64),
            "final_stacks": np.zeros((num_games, stack), dtype=np.uint8),
            "generators": np.zeros((num_games, 3), dtype=np.int64),
            "actions": np.zeros(num_games, dtype=np.int64),
            "action_bytes": np.array(action_bytes(config.action_set), dtype=np.uint8),
            "starts": np.stack([start.machine for start in starts]),
            "start_screens": screens,
            "targets": np.array([stage_target(stage) for stage in stages], dtype=np.int64),
            "pool": np.array([stages.index(stage) for stage in pool], dtype=np.int64),
            "luma": article_tables(palette.RGB),
        }
        self.saved = ("machines", "games", "results", "stacks", "before", "sent", "moments", "deaths", "num_deaths")

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._by_name[name]

    def address(self, name: str) -> int:
        """Where an array begins."""
        return int(self._by_name[name].ctypes.data)

    @property
    def machines(self) -> Pixels:
        return self._by_name["machines"]

    @property
    def games(self) -> Numbers:
        return self._by_name["games"]

    @property
    def results(self) -> Numbers:
        return self._by_name["results"]

    @property
    def sent(self) -> Pixels:
        return self._by_name["sent"]

    @property
    def generators(self) -> Numbers:
        return self._by_name["generators"]

    def check(self, state: Mapping[str, NDArray[Any]], num_stages: int) -> None:
        """Refuse numbers that would lead compiled code out of its memory."""
        machine = self.machines.shape[1]
        check_machines(state["machines"])
        check_machines(state["before"][:, :machine])
        before = np.ascontiguousarray(state["before"][:, machine:]).view(np.int64)
        games = [state["games"], before]
        for rows in (state["moments"], state["deaths"]):
            flat = rows.reshape(-1, rows.shape[-1])
            check_machines(flat[:, :machine])
            numbers = np.ascontiguousarray(flat[:, machine:]).view(np.int64)
            _check_range(numbers[:, -1], 0, 255, "byte of a snapshot")
            games.append(numbers[:, :-1])
        for numbers in games:
            for place, most, name in (
                (layout.STAGE, num_stages - 1, "stage"),
                (layout.NUM_AREAS, layout.MAX_AREAS, "number of areas"),
                (layout.NUM_MOMENTS, self.max_moments, "number of moments"),
                (layout.FIRST_MOMENT, self.max_moments - 1, "first moment"),
                (layout.PLAYED, layout.MAX_SKIP, "number of frames"),
            ):
                _check_range(numbers[:, place // 8], 0, most, name)
        _check_range(state["num_deaths"], 0, 1 << 62, "number of deaths")


class _Thread:
    """What one thread needs to play games."""

    def __init__(self, cartridge: Cartridge, colours: Pixels, turn: Numbers) -> None:
        self._work = WorkArea(cartridge, colours)
        self._screens = aligned_zeros((2, console.SCREEN_BYTES), dtype=np.uint8)
        self._spare = aligned_zeros((row_bytes(cartridge) + layout.GAME_BYTES,), dtype=np.uint8)
        self._scratch = aligned_zeros((SCRATCH_BYTES // 8 + 8,), dtype=np.int64)
        self._turn = turn
        self._numbers = aligned_zeros((layout.THREAD_BYTES // 8,), dtype=np.int64)
        for place, value in {
            layout.WORK: self._work.address,
            layout.SCREENS: self._screens.ctypes.data,
            layout.SPARE: self._spare.ctypes.data,
            layout.SCRATCH: self._scratch.ctypes.data,
            layout.TURN: turn.ctypes.data,
        }.items():
            self._numbers[place // 8] = value
        self.address = int(self._numbers.ctypes.data)
        self.wish(-1, -1)

    @property
    def screen(self) -> Pixels:
        """uint8 (240, 256): the first of its screens."""
        return self._screens[0, : console.WIDTH * console.HEIGHT].reshape(console.HEIGHT, console.WIDTH)

    @property
    def is_asleep(self) -> bool:
        """Whether it waits to be told of the next turn."""
        return bool(self._numbers[layout.ASLEEP // 8])

    def wish(self, stage: int, noop_frames: int) -> None:
        """Say how the next reset begins; -1 to draw."""
        self._numbers[layout.WISHED_STAGE // 8] = stage
        self._numbers[layout.WISHED_NOOPS // 8] = noop_frames


class _Helper:
    """A thread that plays with the one that steps; between turns that follow each other it does not even sleep."""

    def __init__(self, rules: Numbers, thread: _Thread) -> None:
        self._rules, self._thread = rules, thread  # kept: it may look at them when the games are gone already
        self._ended = False
        self._told = threading.Semaphore(0)
        # A daemon: nobody has to close games before a program ends.
        self._running = threading.Thread(target=self._run, name="game", daemon=True)
        self._running.start()

    def wake(self) -> None:
        """Have it look for a turn, if it sleeps; it looks for a while, so it sees one that is about to begin."""
        if self._thread.is_asleep and KERNELS["wake"](self._thread.address):
            self._told.release()

    def end(self) -> None:
        """Have it return, soon."""
        self._ended = True
        self.wake()

    def _run(self) -> None:
        help_out = KERNELS["help_out"]
        while not self._ended:
            if help_out(self._rules.ctypes.data, self._thread.address) and not self._ended:
                self._told.acquire()


def _end_all(helpers: Sequence[_Helper]) -> None:
    for helper in helpers:
        helper.end()


def _rules(
    config: EnvConfig, num_games: int, cartridge: Cartridge, arrays: _Arrays, num_stages: int, *, autoreset: bool
) -> Numbers:
    """Lay out what all games share."""
    rules = np.zeros(layout.RULES_BYTES // 8, dtype=np.int64)
    whole = {
        layout.NUM_GAMES: num_games,
        layout.MACHINE_BYTES: row_bytes(cartridge),
        layout.STACK: config.frame_stack,
        layout.MAX_MOMENTS: arrays.max_moments,
        layout.NUM_STAGES: num_stages,
        layout.POOL_SIZE: len(arrays["pool"]),
        layout.FRAME_SKIP: config.frame_skip,
        layout.NOOP_MAX: config.noop_max,
        layout.SHAPED: config.reward == "shaped",
        layout.STALL_LIMIT: config.stall_limit or -1,
        layout.STEP_LIMIT: config.max_agent_steps or -1,
        layout.ARTICLE: config.grayscale == "article",
        layout.SHOW_BUTTONS: config.show_buttons,
        layout.AUTORESET: autoreset,
        layout.PLAY_FRAME: CONSOLE.address("play_frame"),
        layout.STEP_GAME: KERNELS.address("step_game"),
        layout.RESET_GAME: KERNELS.address("reset_game"),
        layout.OBSERVE: KERNELS.address("observe"),
        layout.MACHINES: arrays.address("machines"),
        layout.GAMES: arrays.address("games"),
        layout.RESULTS: arrays.address("results"),
        layout.BEFORE: arrays.address("before"),
        layout.BYTES: arrays.address("sent"),
        layout.STACKS: arrays.address("stacks"),
        layout.FINAL_STACKS: arrays.address("final_stacks"),
        layout.GENERATORS: arrays.address("generators"),
        layout.ACTIONS: arrays.address("actions"),
        layout.ACTION_BYTES: arrays.address("action_bytes"),
        layout.MOMENTS: arrays.address("moments"),
        layout.DEATHS: arrays.address("deaths"),
        layout.NUM_DEATHS: arrays.address("num_deaths"),
        layout.STARTS: arrays.address("starts"),
        layout.START_SCREENS: arrays.address("start_screens"),
        layout.TARGETS: arrays.address("targets"),
        layout.POOL: arrays.address("pool"),
        layout.LUMA_TABLE: arrays.address("luma"),
    }
    for place, value in whole.items():
        rules[place // 8] = value
    for place, number in {
        layout.STICKY: config.sticky_probability,
        layout.SNAPSHOTS: config.snapshot_probability,
        layout.REWARD_CLIP: math.inf if config.reward_clip is None else config.reward_clip,
        layout.CLEAR_BONUS: config.clear_bonus,
        layout.DEATH_PENALTY: config.death_penalty,
        layout.REWARD_SCALE: config.reward_scale,
    }.items():
        rules.view(np.float64)[place // 8] = number
    return rules


def stage_name(reached: int) -> str:
    """Name the stage of a world byte and a level byte, such as "1-1"."""
    return f"{(reached >> 8) + 1}-{(reached & 0xFF) + 1}"


def _noop_frames(wanted: int | None) -> int:
    if wanted is None:
        return -1
    if not isinstance(wanted, int) or wanted < 0:
        raise UserError(f"reset option noop_frames: {wanted!r} is not allowed; must be a whole number from 0 up")
    return wanted


def _check_range(values: NDArray[Any], least: int, most: int, name: str) -> None:
    if values.size and (values.min() < least or values.max() > most):
        raise ValueError(f"the games' state has a {name} that is not between {least} and {most}")


def check_machines(rows: Pixels) -> None:
    """Refuse states of the console that would lead compiled code out of its memory: uint8 (..., row bytes)."""
    for place, least, most in (
        (console.PC, 0, 0xFFFF),
        *((register, 0, 0xFF) for register in (console.A, console.X, console.Y, console.STACK, console.STATUS)),
        (console.LINE, 0, 261),
        (console.DOTS_OF_LINE, -1, 340),
        (console.DOTS, 0, 0),
        (console.WORK, 0, 0),
        (console.ADDRESS, 0, 0xFFFF),
        (console.NEXT_ADDRESS, 0, 0xFFFF),
        (console.FINE_X, 0, 7),
        (console.CONTROL, 0, 0xFF),
        (console.MASK, 0, 0xFF),
        (console.SPRITE_ADDRESS, 0, 0xFF),
        (console.NUM_LISTED, 0, 8),
        (console.UNLISTED_LINE, -1, 239),
        (console.CYCLE, 0, 1 << 20),
    ):
        column = np.ascontiguousarray(rows[..., place : place + 8]).view(np.int64)
        _check_range(column, least, most, "number of the console")
    _check_range(rows[..., console.LISTED : console.LISTED + 8], 0, 63, "sprite")
