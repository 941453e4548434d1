"""The memory of N games: what compiled functions read and write, what all games share, and what may be restored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.config import EnvConfig
from mario_rl.game import layout
from mario_rl.game.actions import action_bytes
from mario_rl.game.kernels import KERNELS
from mario_rl.game.rom import Start, stage_target
from mario_rl.game.tables import SIDE, article_tables
from mario_rl.nes import layout as console
from mario_rl.nes import palette
from mario_rl.nes.cartridge import Cartridge
from mario_rl.nes.console import aligned_zeros, row_bytes
from mario_rl.nes.kernels import KERNELS as CONSOLE
from mario_rl.types import BackwardStarts, Pixels

type Numbers = NDArray[np.int64]


class Arrays:
    """The memory of a pool of games, under the names that a saved state has for it.

    Args:
        config: of all games.
        num_games: N.
        cartridge: that they play.
        starts: the start of each stage.
        pool: the stages that episodes draw from.
        stages: the same, each once.
        points: of each stage, snapshots along a trajectory, uint8 (n, bytes); none where no episode begins there.
    """

    def __init__(
        self,
        config: EnvConfig,
        num_games: int,
        cartridge: Cartridge,
        starts: Sequence[Start],
        pool: Sequence[str],
        stages: Sequence[str],
        points: Sequence[Pixels] = (),
    ) -> None:
        machine = row_bytes(cartridge)
        snapshots = config.snapshot_probability > 0
        self.max_moments = max(1, config.snapshot_rewind_steps * config.frame_skip // layout.SNAPSHOT_PERIOD)
        self.snapshot_bytes = snapshot = machine + layout.GAME_BYTES + 8
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
        if points:
            counts = np.array([len(one) for one in points], dtype=np.int64)
            self._by_name |= {
                "points": np.concatenate(points),
                "points_of_stage": np.stack([counts.cumsum() - counts, counts], axis=1),
                "backward": np.zeros((num_games, len(stages), 2), dtype=np.int64),
            }
        self.saved: tuple[str, ...] = (
            "machines",
            "games",
            "results",
            "stacks",
            "before",
            "sent",
            "moments",
            "deaths",
            "num_deaths",
        )
        if points:
            self.saved += ("backward",)

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
        if "backward" in self.saved:
            most = int(self._by_name["points_of_stage"][:, 1].max())
            _check_range(state["backward"][..., 0], 0, most, "number of moves back")


def lay_out_rules(
    config: EnvConfig,
    num_games: int,
    cartridge: Cartridge,
    arrays: Arrays,
    num_stages: int,
    *,
    autoreset: bool,
    goes_on_after_warp: bool,
    backward: BackwardStarts | None = None,
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
        layout.GOES_ON_AFTER_WARP: goes_on_after_warp,
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
    if backward is not None:
        whole |= {
            layout.POINTS: arrays.address("points"),
            layout.POINTS_OF_STAGE: arrays.address("points_of_stage"),
            layout.BACKWARD: arrays.address("backward"),
            layout.BACKWARD_WINDOW: backward.window,
            layout.BACKWARD_NEEDED: backward.needed,
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
        layout.BACKWARD_PROBABILITY: 0.0 if backward is None else backward.probability,
    }.items():
        rules.view(np.float64)[place // 8] = number
    return rules


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
    places = console.LINE, console.DOTS_OF_LINE
    line, dots = (np.ascontiguousarray(rows[..., place : place + 8]).view(np.int64) for place in places)
    _check_range(dots[line != 0], 0, 340, "number of dots")  # of the first line alone one may be missing
    _check_range(rows[..., console.LISTED : console.LISTED + 8], 0, 63, "sprite")
