"""The file of a trajectory: JSON that says where it was played, what was pressed, who made it and where it ends."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mario_rl import __version__
from mario_rl.config.schema import STAGES, WHOLE_GAME
from mario_rl.errors import UserError
from mario_rl.files import json_text, printable, write_atomically, write_bytes
from mario_rl.names import Protocol
from mario_rl.reading import Refused, parse_json, read_text
from mario_rl.trajectories.coding import MOST_FRAMES, decode_buttons, encode_buttons

FORMAT, VERSION = "mario_rl trajectory", 1
"""What every file says of itself; the version goes up when older programs can't read it any more."""

MOST_BYTES = 3 * MOST_FRAMES + 100_000
CHECKSUM = "sha256"

type Maker = Literal["agent", "human", "search", "several"]
"""Who pressed the buttons. several: more than one of them, such as a human who took the pad from an agent."""

type Emulator = Literal["native", "nes_py"]


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be text on one line")
    return text


def _known_stage(stage: str) -> str:
    if stage not in (*STAGES, WHOLE_GAME):
        raise ValueError(f"must be a stage from 1-1 to 8-4, or {WHOLE_GAME}")
    return stage


type Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(_one_line)]
type Stage = Annotated[str, AfterValidator(_known_stage)]
type Count = Annotated[int, Field(ge=0, le=10**15)]
type Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
type Moment = Annotated[str, StringConstraints(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def now() -> str:
    """The time as a file has it: `2026-11-27T14:50:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Made(BaseModel):
    """How a trajectory came to be.

    by: who pressed the buttons. name: of the agent, or whatever else tells who or what it was.
    protocol, seed, episode: of an agent's evaluation, which has the same episode under that number, from 0; seed also
        of a search. date: when, UTC. version: of mario_rl.
    """

    model_config = STRICT

    by: Maker
    name: Text = ""
    protocol: Protocol | None = None
    seed: Count | None = None
    episode: Count | None = None
    date: Moment = Field(default_factory=now)
    version: Text = __version__

    def __str__(self) -> str:
        """One line for a person: `an agent (ddqn_simple_1-1_seed_0), protocol noop, seed 0, episode 3, 2026-11-27`."""
        who = "several" if self.by == "several" else f"{'an' if self.by == 'agent' else 'a'} {self.by}"
        told = [f"{who} ({self.name})" if self.name else who]
        told += [
            f"{key} {value}" for key in ("protocol", "seed", "episode") if (value := getattr(self, key)) is not None
        ]
        return ", ".join([*told, self.date.partition("T")[0]])


class Ending(BaseModel):
    """Where a trajectory ends.

    end: clear or death where the game ended the episode; unfinished where the buttons end before it does.
    x: best x in the starting area of the stage reached, pixels, as `EpisodeResult` has it. frames: emulator frames
    from the reset to the end. stage: the one reached, another than the first in the whole game and beyond a warp zone.
    """

    model_config = STRICT

    end: Literal["clear", "death", "unfinished"]
    x: Annotated[int, Field(ge=0, le=0xFFFF)]
    frames: Annotated[int, Field(ge=0, le=MOST_FRAMES)]
    stage: Stage

    def __str__(self) -> str:
        """One line for a person."""
        words = {"clear": "clears", "death": "dies in", "unfinished": "ends unfinished in"}
        return f"{words[self.end]} {self.stage} at x {self.x:,} after {self.frames:,} frames"


class Trajectory(BaseModel):
    """An episode as what was pressed in it, from the moment on in which a reset of the stage leaves the game.

    stage: such as "1-1", or "game". rom: SHA-256 of the ROM, hexadecimal. emulator: that it was made on; both play it
    the same. made: how. ending: where it ends. buttons: one joypad byte per emulator frame, those before the first
    agent step included (no-op frames).
    """

    model_config = STRICT

    stage: Stage
    rom: Sha256
    emulator: Emulator
    made: Made
    ending: Ending
    buttons: bytes = Field(repr=False)


def trajectory_text(trajectory: Trajectory) -> str:
    """Write a trajectory as the text of its file."""
    tree = _plain(trajectory)
    return json_text(tree | {CHECKSUM: _checksum(tree)}, indent=1) + "\n"


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write the file of a trajectory, a few kB.

    Args:
        path: its name should end in `.json`, by which commands know it.
        trajectory: what to write.

    Raises:
        StorageError: the disk refused; what was there before is untouched.
    """
    content = trajectory_text(trajectory).encode()
    write_atomically(path, lambda partial: write_bytes(partial, content))


def read_trajectory(path: Path) -> Trajectory:
    """Read the file of a trajectory; nothing in it is run, and no more than 3.1 MB of it are read.

    Raises:
        UserError: there is none, it is something else, of another version, or it was cut or changed.
    """
    try:
        tree = parse_json(read_text(path, most_bytes=MOST_BYTES), most_values=100, most_depth=4)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    except Refused as error:
        raise UserError(f"{path}: not a trajectory, or not a whole one ({error})") from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise UserError(f'{path}: not a trajectory; its file says "format": "{FORMAT}"')
    if tree.get("version") != VERSION:
        found = printable(repr(tree.get("version")), 20)
        raise UserError(f"{path}: a trajectory of format version {found}; this mario_rl reads version {VERSION}")
    return _checked(tree, path)


def _plain(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as plain values, always in the same order: what the checksum is of."""
    fields = trajectory.model_dump(exclude={"buttons"})
    return {"format": FORMAT, "version": VERSION, **fields, "buttons": encode_buttons(trajectory.buttons)}


def _checksum(tree: dict[str, Any]) -> str:
    return hashlib.sha256(json_text(tree).encode()).hexdigest()


def _checked(tree: dict[str, Any], path: Path) -> Trajectory:
    """Make a trajectory of what a file says, if all of it is there and as it was written.

    Raises:
        UserError: it is not; names the file.
    """
    fields = {key: value for key, value in tree.items() if key not in ("format", "version", CHECKSUM)}
    try:
        if not isinstance(fields.get("buttons"), str):
            raise Refused("buttons: must be text such as 82*12 83*8")
        fields["buttons"] = decode_buttons(fields["buttons"])
        trajectory = Trajectory.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]), 60)
        raise UserError(f"{path}: a damaged trajectory ({where}: {printable(first['msg'], 200)})") from error
    except ValueError as error:
        raise UserError(f"{path}: a damaged trajectory ({error})") from error
    if tree.get(CHECKSUM) != _checksum(_plain(trajectory)):
        raise UserError(f"{path}: a damaged trajectory; it was changed after it was written, its checksum differs")
    if len(trajectory.buttons) != trajectory.ending.frames:
        raise UserError(
            f"{path}: a damaged trajectory; it has buttons for {len(trajectory.buttons):,} frames, and ends after "
            f"{trajectory.ending.frames:,}"
        )
    return trajectory
