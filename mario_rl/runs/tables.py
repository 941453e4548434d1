"""The tables of a run: their columns, what each may hold, and rows to CSV and back."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mario_rl.errors import GoneError, StorageError, UserError
from mario_rl.files import printable, write_atomically
from mario_rl.names import PROTOCOL_NAMES
from mario_rl.reading import Refused, read_lines
from mario_rl.types import EpisodeEnd, Floats
from mario_rl.wording import count_text

type Row = Mapping[str, Any]
type Table = dict[str, NDArray[Any]]
"""By column: str where it holds words, else float64 with nan for missing values; all equally long."""

EPISODE_COLUMNS = ("episode", "agent_steps", "seconds", "env", "stage", "return", "x", "length", "clock", "end")
METRIC_COLUMNS = (
    "agent_steps",
    "updates",
    "episodes",
    "seconds",
    "epsilon",
    "loss",
    "mean_q",
    "gradient_norm",
    "steps_per_second",
    "updates_per_second",
    "mean_return",  # this and the next two: over the last RECENT_EPISODES; of fewer as long as `episodes` is less
    "mean_x",
    "clear_rate",
)
RECENT_EPISODES = 100
"""What running means are taken over. Where they are drawn they begin when there are as many."""

EVALUATION_COLUMNS = (
    "agent_steps",
    "seconds",
    "protocol",
    "seed",
    "episode",
    "stage",
    "return",
    "x",
    "length",
    "clock",
    "end",
    "q_first",
    "discounted_return",
    "q_visited",
    "return_visited",
)
YOUNGER_COLUMNS = frozenset({"q_visited", "return_visited"})
"""Columns at the end that tables written before 2026-11-24 lack; they are read as without values."""

MOST_BYTES = 1_000_000_000  # of a table: some ten million episodes
MOST_LINE_BYTES = 64_000
MOST_SHOWN = 40  # characters of a refused value


class Numbers(NamedTuple):
    """A column of numbers.

    allowed: what they are, in words. least, most: of them. whole: without a fraction.
    optional: empty where there is no value yet. rising: none is less than the one in the line before.
    written: to how many digits a fraction is rounded, as for `format`; by default to as many as there are.
    """

    allowed: str
    least: float
    most: float
    whole: bool = False
    optional: bool = False
    rising: bool = False
    written: str = ""

    def allows(self, value: object) -> bool:
        """Whether a plain value is one of them; None is one that is missing."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return value is None and self.optional
        return self.least <= value <= self.most


class Words(NamedTuple):
    """A column of words; allowed: what they are, in words. pattern: what matches the whole of each."""

    allowed: str
    pattern: re.Pattern[str]

    def allows(self, value: object) -> bool:
        """Whether a plain value is one of them."""
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None


def _one_of(words: Sequence[str]) -> Words:
    return Words(f"one of {', '.join(words)}", re.compile("|".join(words)))


STAGE = re.compile(r"[1-9][0-9]{0,2}-[1-9][0-9]{0,2}")
"""A stage by its name; the game's memory can show more of them than the game has, such as the minus world, 36-1."""

ENDS: tuple[EpisodeEnd, ...] = get_args(EpisodeEnd.__value__)

# Wide enough for all that training can write, narrow enough for sums and squares of what is read to be finite.
_COUNT = Numbers("a whole number from 0 to 1e15", 0, 1e15, whole=True)
# Digits that say nothing make a table half as large again.
_MILLISECONDS, _SEVEN_DIGITS = ".3f", ".7g"
_TIME = Numbers("a number from 0 to 1e12", 0, 1e12, written=_MILLISECONDS)
_RATE = Numbers("a number from 0 to 1e100, or nothing", 0, 1e100, optional=True, written=_SEVEN_DIGITS)
_SHARE = Numbers("a number from 0 to 1", 0, 1)
_RETURN = Numbers("a number from -1e12 to 1e12", -1e12, 1e12)
_PIXELS = Numbers("a whole number from 0 to 65535", 0, 0xFFFF, whole=True)
_LEARNED = Numbers("a number from -1e100 to 1e100, or nothing", -1e100, 1e100, optional=True, written=_SEVEN_DIGITS)

COLUMNS: dict[str, Numbers | Words] = {
    "agent_steps": _COUNT._replace(rising=True),
    "updates": _COUNT._replace(rising=True),
    "episodes": _COUNT._replace(rising=True),
    "seconds": _TIME,  # not rising: a row may be some moments younger than the checkpoint its run goes on from
    "episode": _COUNT,
    "env": _COUNT,
    "seed": _COUNT._replace(allowed="a whole number from 0 on", most=sys.float_info.max),
    "protocol": _one_of(PROTOCOL_NAMES),
    "stage": Words("a stage such as 1-1", STAGE),
    "return": _RETURN,
    "x": _PIXELS,
    "length": _COUNT,
    "clock": _COUNT,
    "end": _one_of(ENDS),
    "epsilon": _SHARE,
    "loss": _LEARNED,
    "mean_q": _LEARNED,
    "gradient_norm": _LEARNED,
    "steps_per_second": _RATE,
    "updates_per_second": _RATE,
    "mean_return": _RETURN._replace(allowed=f"{_RETURN.allowed}, or nothing", optional=True, written=_SEVEN_DIGITS),
    "mean_x": Numbers("a number from 0 to 65535, or nothing", 0, 0xFFFF, optional=True),
    "clear_rate": Numbers(f"{_SHARE.allowed}, or nothing", 0, 1, optional=True),
    "q_first": _LEARNED,
    "discounted_return": _LEARNED,
    "q_visited": _LEARNED,
    "return_visited": _LEARNED,
}
"""What each column of any table may hold."""


def read_episodes(path: Path) -> Table:
    """Read the episodes of training, `episodes.csv` or `snapshots.csv`, as `read_table` does."""
    return read_table(path, EPISODE_COLUMNS)


def read_metrics(path: Path) -> Table:
    """Read how training stood from interval to interval, `metrics.csv`, as `read_table` does."""
    return read_table(path, METRIC_COLUMNS)


def read_evaluations(path: Path) -> Table:
    """Read the episodes of evaluations, `evaluation.csv` or `final.csv`, as `read_table` does."""
    return read_table(path, EVALUATION_COLUMNS)


def read_table(path: Path, columns: Sequence[str]) -> Table:
    """Read a table that `RunMetrics` wrote, also while it is being written.

    A missing or empty file is a table without rows; a last line without its line end is torn and left out.

    Returns:
        One array per column, all equally long: str for words, else float64 with nan for missing values. All of them are
        in the range that COLUMNS has for them.

    Raises:
        UserError: the file has other columns, is larger than a table can be, or has a line that can't be read; the
            message names line, column, value and what is allowed.
    """
    return _together(path, columns, [_parse(block, columns) for block in _blocks(path, columns)])


def empty_table(columns: Sequence[str]) -> Table:
    """Make a table without rows."""
    return {name: _empty(name) for name in columns}


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a whole table, which `read_table` reads, in one step; what else a row has is left out.

    Raises:
        StorageError: the disk refused; what was there before is intact.
    """
    content = _csv_bytes([columns, *(_fields(row, columns) for row in rows)])
    write_atomically(path, lambda partial: partial.write_bytes(content))


class TableWriter:
    """One CSV file: a header, then rows as they come, once `begin` was called; until then nothing is changed.

    Args:
        path: of the file; rows that are there already are kept as far as `resume_at`.
        columns: in the order of the header.
        resume_at: agent steps; rows past them are dropped, and a torn last line is.

    Raises:
        UserError: what is there is another table, or damaged in what is kept of it.
    """

    def __init__(self, path: Path, columns: Sequence[str], resume_at: int) -> None:
        self._path = path
        self._columns = columns
        self._kept, self.last_step = _lines_until(path, columns, resume_at)

    def begin(self) -> None:
        """Drop what is not kept, and take rows from now on.

        Raises:
            StorageError: the disk refused; what was there before is intact.
        """
        content = "".join(f"{line}\n" for line in [",".join(self._columns), *self._kept]).encode()
        write_atomically(self._path, lambda partial: partial.write_bytes(content))
        self._kept = []
        # Unbuffered: what a failed write leaves behind can't fail once more on closing.
        self._file = self._path.open("ab", buffering=0)

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows, in one write to the operating system.

        Raises:
            GoneError: the file was deleted, moved or replaced meanwhile. StorageError: the disk refused a write.
        """
        data = _csv_bytes([self._in_order(row) for row in rows])
        self._require_file()
        try:
            complete = self._file.write(data) == len(data)
        except OSError as error:
            raise StorageError(f"{self._path}: could not be written ({error.strerror})") from error
        if not complete:
            raise StorageError(f"{self._path}: could not be written (the disk took only a part)")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _require_file(self) -> None:
        try:
            there = os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if not there:
            raise GoneError(
                f"{self._path}: deleted, moved or replaced while training wrote to it, which has ended; the run can be "
                "resumed, its other tables are whole"
            )

    def _in_order(self, row: Row) -> list[Any]:
        missing, unknown = set(self._columns) - row.keys(), row.keys() - set(self._columns)
        if missing or unknown:
            raise ValueError(f"row of {self._path.name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
        return _fields(row, self._columns)


def _csv_bytes(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _fields(row: Row, columns: Sequence[str]) -> list[Any]:
    return [_field(COLUMNS.get(name), row[name]) for name in columns]


def _field(kind: Numbers | Words | None, value: Any) -> Any:
    """Render a value as its column has it; what is no number as nothing."""
    if not isinstance(value, float | np.floating):
        return value
    if not math.isfinite(value):
        return None
    return float(format(value, kind.written)) if isinstance(kind, Numbers) and kind.written else value


class _Block(NamedTuple):
    """Complete lines of a table. first: the number of the first of them in the file, the header's being 1."""

    path: Path
    header: Sequence[str]
    first: int
    lines: list[str]


def _blocks(path: Path, columns: Sequence[str]) -> Iterator[_Block]:
    """Read the lines after the header, block by block."""
    header: list[str] | None = None
    first = 2
    try:
        for lines in read_lines(path, most_bytes=MOST_BYTES, most_line_bytes=MOST_LINE_BYTES):
            if header is None:
                header = lines.pop(0).split(",")
                if header != list(columns[: len(header)]) or not YOUNGER_COLUMNS.issuperset(columns[len(header) :]):
                    raise UserError(f"{path}: not the expected table; its first line must be {','.join(columns)}")
            if lines:
                yield _Block(path, header, first, lines)
            first += len(lines)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path}: can't be read as a table ({error.strerror})") from error
    except Refused as error:
        raise UserError(f"{path}: can't be read as a table ({error})") from error


def _parse(block: _Block, columns: Sequence[str]) -> Table:
    """Turn lines into columns, each number in its range; columns that the table lacks are without values."""
    rows = [line.split(",") for line in block.lines]  # nothing that is allowed holds a comma or a quote
    width = len(block.header)
    if set(map(len, rows)) - {width}:
        index = next(index for index, row in enumerate(rows) if len(row) != width)
        fields = count_text(len(rows[index]), "field")
        raise UserError(f"{block.path}: line {block.first + index} has {fields}; must have {width}")
    by_name = dict(zip(block.header, zip(*rows, strict=True), strict=False))  # without rows there are no fields
    nothing = [""] * len(rows)
    return {name: _read_column(block, name, by_name.get(name, nothing)) for name in columns}


def _read_column(block: _Block, name: str, fields: Sequence[str]) -> NDArray[Any]:
    kind = COLUMNS[name]
    if isinstance(kind, Words):
        for word in set(fields):
            if not kind.allows(word):
                raise _refusal(block, name, fields, fields.index(word))
        return np.array(fields, dtype=np.str_)
    values = _as_numbers(fields)
    good = (values >= kind.least) & (values <= kind.most)
    if kind.whole:
        good &= values == np.floor(values)
    for index in np.flatnonzero(~good).tolist():
        if fields[index] or not kind.optional:
            raise _refusal(block, name, fields, index)
    return values


def _as_numbers(fields: Sequence[str]) -> Floats:
    """Read numbers, nan where there is none."""
    try:
        return np.array([field or "nan" for field in fields], dtype=np.float64)
    except ValueError:
        return np.array([_as_number(field) for field in fields], dtype=np.float64)


def _as_number(field: str) -> float:
    try:
        return float(field)
    except ValueError:
        return math.nan


def _refusal(block: _Block, name: str, fields: Sequence[str], index: int) -> UserError:
    value = printable(fields[index], MOST_SHOWN)
    return UserError(
        f"{block.path}: line {block.first + index}, column {name}: {value!r} is not allowed; "
        f"must be {COLUMNS[name].allowed}"
    )


def _together(path: Path, columns: Sequence[str], parts: Sequence[Table]) -> Table:
    """Join the parts of a table, and see that what must not fall does not."""
    table = {name: np.concatenate([_empty(name), *(part[name] for part in parts)]) for name in columns}
    for name, values in table.items():
        kind = COLUMNS[name]
        if isinstance(kind, Numbers) and kind.rising and (falls := np.flatnonzero(np.diff(values) < 0)).size:
            before, after = values[falls[0] : falls[0] + 2]
            raise UserError(
                f"{path}: line {falls[0] + 3}, column {name}: {after:.0f} is not allowed; "
                f"must be at least {before:.0f}, which is in the line before"
            )
    return table


def _empty(name: str) -> NDArray[Any]:
    return np.array([], dtype=np.str_ if isinstance(COLUMNS[name], Words) else np.float64)


def _lines_until(path: Path, columns: Sequence[str], agent_steps: int) -> tuple[list[str], int]:
    """Keep the lines up to some agent steps, each with all columns; returns the agent steps of the last, too."""
    kept, last = list[str](), 0
    blocks = list(_blocks(path, columns))
    by_block = [_parse(block, ["agent_steps"]) for block in blocks]
    _together(path, ["agent_steps"], by_block)  # so what is kept is all there is up to there
    for block, steps in zip(blocks, by_block, strict=True):
        count = int(np.searchsorted(steps["agent_steps"], agent_steps, side="right"))
        part = block._replace(lines=block.lines[:count])
        _parse(part, columns)
        kept += [line + "," * (len(columns) - len(block.header)) for line in part.lines]
        last = int(steps["agent_steps"][count - 1]) if count else last
    return kept, last
