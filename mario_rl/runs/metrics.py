"""What training writes as it goes: the tables of its run, and the same numbers for TensorBoard."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from mario_rl.errors import UserError
from mario_rl.runs.directory import RunDir, Whereabouts
from mario_rl.runs.tables import (
    EPISODE_COLUMNS,
    EVALUATION_COLUMNS,
    METRIC_COLUMNS,
    RECENT_EPISODES,
    Row,
    TableWriter,
)

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MAX_REASON = 300  # characters of what a library says
RUNNING_MEANS = frozenset({"mean_return", "mean_x", "clear_rate"})


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
        whereabouts: looked at before each write; None to write wherever the path leads.
        warn: told, once, if TensorBoard fails: its files go no further then, the tables do.

    Raises:
        UserError: a table to go on with is not one of ours, or damaged; all are as they were then.
        StorageError: the disk refused a write, here or in any method.
        GoneError: the directory or a table is not there any more, in any method but `close`.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        tensorboard: bool,
        snapshots: bool = False,
        resume_at: int = 0,
        evaluated_at: int = 0,
        whereabouts: Whereabouts | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._warn, self._whereabouts = warn, whereabouts
        self._episodes = TableWriter(run_dir.episodes, EPISODE_COLUMNS, resume_at)
        self._snapshots = TableWriter(run_dir.snapshot_episodes, EPISODE_COLUMNS, resume_at) if snapshots else None
        self._metrics = TableWriter(run_dir.metrics, METRIC_COLUMNS, resume_at)
        self._evaluation = TableWriter(run_dir.evaluation, EVALUATION_COLUMNS, evaluated_at)
        for table in self._tables():  # none is touched before all are seen to be right
            table.begin()
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
        self._append(self._episodes, [row])
        self._show("episode", row, ("return", "x", "length"))

    def snapshot_episode(self, row: Row) -> None:
        """Write a finished training episode that began at a snapshot.

        Raises:
            ValueError: the row's keys are not exactly EPISODE_COLUMNS.
        """
        assert self._snapshots is not None, "RunMetrics was made without snapshots"
        self._append(self._snapshots, [row])

    def interval(self, row: Row) -> None:
        """Write how training stands; None where there is no value yet.

        Raises:
            ValueError: the row's keys are not exactly METRIC_COLUMNS.
        """
        self._append(self._metrics, [row])
        self.last_interval = row["agent_steps"]
        full = row["episodes"] >= RECENT_EPISODES  # before that it would seem to rise or fall
        self._show("training", row, [name for name in METRIC_COLUMNS[1:] if full or name not in RUNNING_MEANS])

    def evaluation(self, rows: Iterable[Row]) -> None:
        """Write the episodes of one evaluation; TensorBoard gets their means, per protocol.

        Raises:
            ValueError: a row's keys are not exactly EVALUATION_COLUMNS; nothing has been written then.
        """
        rows = list(rows)
        self._append(self._evaluation, rows)
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
        for table in self._tables():
            table.close()
        if self._board is not None:
            with self._tensorboard_may_fail():
                self._board.close()
            self._board = None

    def _tables(self) -> list[TableWriter]:
        tables = (self._episodes, self._snapshots, self._metrics, self._evaluation)
        return [table for table in tables if table is not None]

    def _append(self, table: TableWriter, rows: list[Row]) -> None:
        if self._whereabouts is not None:
            self._whereabouts.require()
        table.append(rows)

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
