"""The tables of a run: their columns, and rows to CSV and back."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.errors import GoneError, StorageError, UserError
from mario_rl.files import write_atomically
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
TEXT_COLUMNS = frozenset({"protocol", "stage", "end"})
"""Columns of words; all others hold numbers, or nothing where there is no value yet."""

YOUNGER_COLUMNS = frozenset({"q_visited", "return_visited"})
"""Columns at the end that tables written before 2026-11-24 lack; they are read as without values."""


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
        One array per column, all equally long: str for TEXT_COLUMNS, else float64 with nan for missing values.

    Raises:
        UserError: the file has other columns or a line that can't be read.
    """
    rows = _read_rows(path, columns)
    return {name: _read_column(path, name, [row[index] for row in rows]) for index, name in enumerate(columns)}


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a whole table, which `read_table` reads, in one step; what else a row has is left out.

    Raises:
        StorageError: the disk refused; what was there before is intact.
    """
    content = _csv_bytes([columns, *([row[name] for name in columns] for row in rows)])
    write_atomically(path, lambda partial: partial.write_bytes(content))


class TableWriter:
    """One CSV file: a header, then rows as they come.

    Args:
        path: of the file; rows that are there already are kept as far as `resume_at`.
        columns: in the order of the header.
        resume_at: agent steps; rows past them are dropped, and a torn last line is.

    Raises:
        UserError: what is there is another table. StorageError: the disk refused a write.
    """

    def __init__(self, path: Path, columns: Sequence[str], resume_at: int) -> None:
        self._path = path
        self._columns = columns
        kept = _rows_until(path, columns, resume_at)
        self.last_step = int(float(kept[-1][columns.index("agent_steps")])) if kept else 0
        write_atomically(path, lambda partial: partial.write_bytes(_csv_bytes([columns, *kept])))
        # Unbuffered: what a failed write leaves behind can't fail once more on closing.
        self._file = path.open("ab", buffering=0)

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
        return [row[name] for name in self._columns]


def _csv_bytes(rows: Iterable[Sequence[Any]]) -> bytes:
    """Render lines: floats with all the digits that reading them back needs, None as nothing."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _rows_until(path: Path, columns: Sequence[str], agent_steps: int) -> list[list[str]]:
    rows = _read_rows(path, columns)
    steps = _read_column(path, "agent_steps", [row[columns.index("agent_steps")] for row in rows])
    return [row for row, row_steps in zip(rows, steps, strict=True) if row_steps <= agent_steps]


def _read_rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Split the complete lines after the header into fields."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read as a table ({error})") from error
    header, *rows = csv.reader(text.split("\n")[:-1] or [",".join(columns)])  # after the last line end: torn
    younger = columns[len(header) :]
    if header != list(columns[: len(header)]) or not YOUNGER_COLUMNS.issuperset(younger):
        raise UserError(f"{path}: not the expected table; its first line must be {','.join(columns)}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}: line {number} has {count_text(len(row), 'field')}; must have {len(header)}")
    return [row + [""] * len(younger) for row in rows]


def _read_column(path: Path, name: str, fields: Sequence[str]) -> NDArray[Any]:
    if name in TEXT_COLUMNS:
        return np.array(fields, dtype=np.str_)
    try:
        return np.array([field or "nan" for field in fields], dtype=np.float64)
    except ValueError as error:
        raise UserError(f"{path}: column {name} must hold numbers ({error})") from error
