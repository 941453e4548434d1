"""Metrics: the columns of a run directory, and rows to CSV and TensorBoard."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mario_rl.errors import StorageError, UserError
from mario_rl.files import write_atomically
from mario_rl.runs.directory import RunDir
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

type Row = Mapping[str, Any]

MAX_REASON = 300  # characters of what a library says

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

RUNNING_MEANS = frozenset({"mean_return", "mean_x", "clear_rate"})
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


class RunMetrics:
    """Writes the tables of a run, and the same numbers for TensorBoard if asked to.

    Each call is one write that goes to the operating system at once, so a kill leaves at most one torn last line.

    Args:
        run_dir: where the tables are; made if it is missing.
        tensorboard: whether to write TensorBoard event files as well.
        snapshots: whether there may be episodes from snapshots, which have a table of their own.
        resume_at: agent steps of the checkpoint a run goes on from, 0 where there is none yet: rows past them are
            dropped and torn last lines too, and TensorBoard hides its events past them.
        evaluated_at: the same for evaluations: agent steps of the last one that checkpoint knows of.
        warn: told, once, if TensorBoard fails: its files go no further then, the tables do.

    Raises:
        UserError: a table to go on with is not one of ours.
        StorageError: the disk refused a write, here or in any method.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        tensorboard: bool,
        snapshots: bool = False,
        resume_at: int = 0,
        evaluated_at: int = 0,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._warn = warn
        self._episodes = _TableWriter(run_dir.episodes, EPISODE_COLUMNS, resume_at)
        self._snapshots = _TableWriter(run_dir.snapshot_episodes, EPISODE_COLUMNS, resume_at) if snapshots else None
        self._metrics = _TableWriter(run_dir.metrics, METRIC_COLUMNS, resume_at)
        self._evaluation = _TableWriter(run_dir.evaluation, EVALUATION_COLUMNS, evaluated_at)
        self._board: SummaryWriter | None = None
        if tensorboard:
            writer = load_tensorboard()
            with self._tensorboard_may_fail():
                # Events from the purge step on are hidden; those of the checkpoint's own step stay.
                self._board = writer(str(run_dir.tensorboard), purge_step=resume_at + 1)
        self.last_interval = self._metrics.last_step
        """Agent steps of the last row of metrics, 0 where there is none."""

    def episode(self, row: Row) -> None:
        """Write a finished training episode.

        Raises:
            ValueError: the row's keys are not exactly EPISODE_COLUMNS.
        """
        self._episodes.append([row])
        self._show("episode", row, ("return", "x", "length"))

    def snapshot_episode(self, row: Row) -> None:
        """Write a finished training episode that began at a snapshot.

        Raises:
            ValueError: the row's keys are not exactly EPISODE_COLUMNS.
        """
        assert self._snapshots is not None, "RunMetrics was made without snapshots"
        self._snapshots.append([row])

    def interval(self, row: Row) -> None:
        """Write how training stands; None where there is no value yet.

        Raises:
            ValueError: the row's keys are not exactly METRIC_COLUMNS.
        """
        self._metrics.append([row])
        self.last_interval = row["agent_steps"]
        full = row["episodes"] >= RECENT_EPISODES  # before that it would seem to rise or fall
        self._show("training", row, [name for name in METRIC_COLUMNS[1:] if full or name not in RUNNING_MEANS])

    def evaluation(self, rows: Iterable[Row]) -> None:
        """Write the episodes of one evaluation; TensorBoard gets their means, per protocol.

        Raises:
            ValueError: a row's keys are not exactly EVALUATION_COLUMNS; nothing has been written then.
        """
        rows = list(rows)
        self._evaluation.append(rows)
        for protocol in dict.fromkeys(row["protocol"] for row in rows):
            chosen = [row for row in rows if row["protocol"] == protocol]
            summary = {
                "agent_steps": chosen[-1]["agent_steps"],
                "clear_rate": float(np.mean([row["end"] == "clear" for row in chosen])),
                "mean_x": float(np.mean([row["x"] for row in chosen])),
                "mean_return": float(np.mean([row["return"] for row in chosen])),
            }
            self._show(f"evaluation/{protocol}", summary, ("clear_rate", "mean_x", "mean_return"))

    def close(self) -> None:
        """Close all files; a second time does nothing."""
        for table in (self._episodes, self._snapshots, self._metrics, self._evaluation):
            if table is not None:
                table.close()
        if self._board is not None:
            with self._tensorboard_may_fail():
                self._board.close()
            self._board = None

    def _show(self, group: str, row: Row, names: Iterable[str]) -> None:
        if self._board is None:
            return
        with self._tensorboard_may_fail():
            for name in names:
                if row[name] is not None:
                    self._board.add_scalar(f"{group}/{name}", row[name], row["agent_steps"])

    @contextmanager
    def _tensorboard_may_fail(self) -> Iterator[None]:
        """Go on without TensorBoard where it fails, as on a full disk or with a folder's name that is no UTF-8."""
        try:
            yield
        except Exception as error:
            self._board = None
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", MAX_REASON, placeholder=" ...")
            self._warn(f"TensorBoard's files can't be written, training goes on without them ({reason})")


def read_table(path: Path, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
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


class _TableWriter:
    """One CSV file: a header, then rows as they come."""

    def __init__(self, path: Path, columns: Sequence[str], resume_at: int) -> None:
        self._path = path
        self._columns = columns
        kept = _rows_until(path, columns, resume_at)
        self.last_step = int(float(kept[-1][columns.index("agent_steps")])) if kept else 0
        write_atomically(path, lambda partial: partial.write_bytes(_csv_bytes([columns, *kept])))
        # Unbuffered: what a failed write leaves behind can't fail once more on closing.
        self._file = path.open("ab", buffering=0)

    def append(self, rows: Iterable[Row]) -> None:
        data = _csv_bytes([self._in_order(row) for row in rows])
        try:
            complete = self._file.write(data) == len(data)
        except OSError as error:
            raise StorageError(f"{self._path}: could not be written ({error.strerror})") from error
        if not complete:
            raise StorageError(f"{self._path}: could not be written (the disk took only a part)")

    def close(self) -> None:
        self._file.close()

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


def load_tensorboard() -> type[SummaryWriter]:
    """Import what writes TensorBoard's event files; slow, so only for those who asked for it.

    Raises:
        UserError: it is not installed, or does not load here.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception as error:  # what it needs itself fails in ways of its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"logging.tensorboard: the package tensorboard is not installed or does not load ({reason}); "
            "pip install tensorboard, or train with logging.tensorboard=false"
        ) from error
    return SummaryWriter
