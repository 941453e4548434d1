"""A search as a file, to go on with it: whole or absent, checked as a whole before anything is made of it."""

from __future__ import annotations

import hashlib
import zlib
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mario_rl.config.schema import STAGES
from mario_rl.errors import UserError
from mario_rl.explore.archive import Archive, Numbers
from mario_rl.explore.pieces import Pieces
from mario_rl.explore.search import First, Settings, Tally
from mario_rl.files import json_text, printable, write_atomically, write_bytes
from mario_rl.game.actions import ACTION_SETS
from mario_rl.game.arrays import check_machines
from mario_rl.reading import Refused, parse_json, read_bytes
from mario_rl.types import Pixels

MAGIC = b"mario_rl search 1\n"
"""What every file begins with; the number goes up when old files can no longer be read."""

DIGEST_BYTES = 32  # of SHA-256
MOST_FILE_BYTES = 4 << 30
MOST_CELLS_AT_ONCE = 4_096  # whose states are unpacked to be checked

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
type Count = Annotated[int, Field(ge=0, le=10**15)]
type Seconds = Annotated[float, Field(ge=0, le=1e12)]


class Header(BaseModel):
    """What a file says besides numbers, states and actions, as JSON."""

    model_config = STRICT

    stage: str
    seed: Count
    action_set: str
    most_bytes: Count
    rom: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    rounds: Count
    agent_steps: Count
    seconds: Seconds
    first: tuple[Count, Count, Seconds, Count, Count] | None
    is_full: bool
    kept_pieces: Count
    rounds_along: Count
    rounds_in_vain: Count
    clear_steps: Annotated[int, Field(ge=-1, le=10**7)]  # -1 where there is no clear
    cells: Annotated[int, Field(ge=1, le=10**8)]
    pieces: Annotated[int, Field(ge=1, le=10**9)]


class Saved(BaseModel):
    """What is read from a file: enough to make a `Search` of."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    settings: Settings
    rom: str
    archive: Archive
    tally: Tally


def save_search(path: Path, settings: Settings, rom: str, archive: Archive, tally: Tally) -> None:
    """Write a search between two rounds.

    Raises:
        StorageError: the disk refused; what was there before is untouched.
    """
    tree = archive.tree
    header = Header(
        stage=settings.stage,
        seed=settings.seed,
        action_set=settings.action_set,
        most_bytes=settings.most_bytes,
        rom=rom,
        rounds=tally.rounds,
        agent_steps=tally.agent_steps,
        seconds=tally.seconds,
        first=tally.first,
        is_full=tally.is_full,
        kept_pieces=tally.kept_pieces,
        rounds_along=tally.rounds_along,
        rounds_in_vain=tally.rounds_in_vain,
        clear_steps=-1 if tally.clear is None else len(tally.clear),
        cells=len(archive),
        pieces=len(tree),
    )
    numbers = [
        *(column for column in (archive.keys, archive.seen, archive.steps, archive.pieces)),
        np.array([len(state) for state in archive.states], dtype=np.int64),
        np.array(tree.parents, dtype=np.int64),
        np.array([len(actions) for actions in tree.actions], dtype=np.int64),
    ]
    content = b"".join(
        [
            json_text(header.model_dump()).encode() + b"\n",
            *(column.tobytes() for column in numbers),
            *archive.states,
            *tree.actions,
            tally.clear or b"",
        ]
    )
    write_atomically(path, lambda partial: write_bytes(partial, MAGIC + hashlib.sha256(content).digest() + content))


def load_search(path: Path, machine_bytes: int) -> Saved:
    """Read a search and check all of it; nothing in the file is run.

    Args:
        path: of the file.
        machine_bytes: `row_bytes` of the cartridge.

    Raises:
        UserError: there is none, it is something else, or it is damaged.
    """
    try:
        content = read_bytes(path, most_bytes=MOST_FILE_BYTES)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file, so no search was begun there") from error
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from error
    except Refused as error:
        raise UserError(f"{path}: refused ({error})") from error
    if content[: len(MAGIC)] != MAGIC:
        raise UserError(f"{path}: not a search that this mario_rl reads")
    begin = len(MAGIC) + DIGEST_BYTES
    if hashlib.sha256(content[begin:]).digest() != content[len(MAGIC) : begin]:
        raise UserError(f"{path}: cut short or damaged, its checksum differs")
    try:
        return _read(content[begin:], machine_bytes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: refused ({printable(where, 60)}: {printable(first['msg'], 200)})") from error
    except (ValueError, zlib.error) as error:
        raise UserError(f"{path}: refused ({printable(str(error), 200)})") from error


def _read(content: bytes, machine_bytes: int) -> Saved:
    """Take a file's content apart.

    Raises:
        ValueError: something in it can't be.
    """
    end = content.index(b"\n")
    header = Header.model_validate(_tuples(parse_json(content[:end].decode(), most_values=100, most_depth=3)))
    if header.stage not in STAGES or header.action_set not in ACTION_SETS:
        raise ValueError("a stage or an action set that there is not")
    reader = _Reader(content, end + 1)
    keys, seen, steps, pieces, state_bytes = (reader.numbers(header.cells) for _ in range(5))
    parents, action_bytes = reader.numbers(header.pieces), reader.numbers(header.pieces)
    states, actions = reader.blocks(state_bytes), reader.blocks(action_bytes)
    clear = reader.take(header.clear_steps) if header.clear_steps >= 0 else None
    reader.must_be_over()
    _require(bool((seen >= 0).all() and (steps >= 0).all()), "a negative count")
    _require(bool(((pieces >= 0) & (pieces < header.pieces)).all()), "a cell without its pieces")
    older = (parents >= 0) & (parents < np.maximum(np.arange(header.pieces), 1))
    _require(bool(older.all()), "a piece without those before it")
    _require(len(set(keys.tolist())) == header.cells, "a cell twice")
    num_actions = len(ACTION_SETS[header.action_set])
    pressed = max(map(max, filter(None, [*actions, clear])), default=0)
    _require(pressed < num_actions, "an action that there is not")
    _check_states(states, machine_bytes)
    archive = Archive.restored(np.stack([keys, seen, steps, pieces]), states, Pieces(parents.tolist(), actions))
    first = None if header.first is None else First(*header.first)
    tally = Tally(
        header.rounds,
        header.agent_steps,
        header.seconds,
        clear,
        first,
        header.is_full,
        header.kept_pieces,
        header.rounds_along,
        header.rounds_in_vain,
    )
    settings = Settings(header.stage, header.seed, header.action_set, header.most_bytes)
    return Saved(settings=settings, rom=header.rom, archive=archive, tally=tally)


class _Reader:
    """Reads a content from front to back."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = memoryview(content), place

    def take(self, size: int) -> bytes:
        _require(0 <= size <= len(self._content) - self._place, "less in it than it says")
        part = self._content[self._place : self._place + size].tobytes()
        self._place += size
        return part

    def numbers(self, count: int) -> Numbers:
        return np.frombuffer(self.take(8 * count), dtype=np.int64)

    def blocks(self, sizes: Numbers) -> list[bytes]:
        _require(bool((sizes >= 0).all()), "a negative size")
        whole = self.take(sum(sizes.tolist()))
        return [whole[begin:end] for begin, end in pairwise(accumulate(sizes.tolist(), initial=0))]

    def must_be_over(self) -> None:
        _require(self._place == len(self._content), "more in it than it says")


def _check_states(states: list[bytes], machine_bytes: int) -> None:
    for begin in range(0, len(states), MOST_CELLS_AT_ONCE):
        check_machines(np.stack([_unpacked(one, machine_bytes) for one in states[begin : begin + MOST_CELLS_AT_ONCE]]))


def _unpacked(state: bytes, machine_bytes: int) -> Pixels:
    unpacker = zlib.decompressobj()
    machine = unpacker.decompress(state, machine_bytes + 1)  # no more, whatever it says
    _require(len(machine) == machine_bytes and unpacker.eof, "a state of another size")
    return np.frombuffer(machine, dtype=np.uint8)


def _tuples(tree: Any) -> Any:
    """JSON has no tuples."""
    if isinstance(tree, dict) and isinstance(tree.get("first"), list):
        return {**tree, "first": tuple(tree["first"])}
    return tree


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
