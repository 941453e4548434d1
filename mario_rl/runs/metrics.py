"""What training writes as it goes: the tables of its run."""

from __future__ import annotations

from collections.abc import Iterable

from mario_rl.runs.directory import RunDir, Whereabouts
from mario_rl.runs.tables import EPISODE_COLUMNS, EVALUATION_COLUMNS, METRIC_COLUMNS, Row, TableWriter


class RunMetrics:
    """Writes the tables of a run.

    Each call is one write that goes to the operating system at once, so a kill leaves at most one torn last line.

    Args:
        run_dir: where the tables are; made if it is missing.
        snapshots: whether there may be episodes from snapshots, which have a table of their own.
        resume_at: agent steps of the checkpoint a run goes on from, 0 where there is none yet: rows past them are
            dropped, and torn last lines too.
        evaluated_at: the same for evaluations: agent steps of the last one that checkpoint knows of.
        whereabouts: looked at before each write; None to write wherever the path leads.

    Raises:
        UserError: a table to go on with is not one of ours, or damaged; all are as they were then.
        StorageError: the disk refused a write, here or in any method.
        GoneError: the directory or a table is not there any more, in any method but `close`.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        snapshots: bool = False,
        resume_at: int = 0,
        evaluated_at: int = 0,
        whereabouts: Whereabouts | None = None,
    ) -> None:
        self._whereabouts = whereabouts
        self._episodes = TableWriter(run_dir.episodes, EPISODE_COLUMNS, resume_at)
        self._snapshots = TableWriter(run_dir.snapshot_episodes, EPISODE_COLUMNS, resume_at) if snapshots else None
        self._metrics = TableWriter(run_dir.metrics, METRIC_COLUMNS, resume_at)
        self._evaluation = TableWriter(run_dir.evaluation, EVALUATION_COLUMNS, evaluated_at)
        for table in self._tables():  # none is touched before all are seen to be right
            table.begin()
        self.last_interval = self._metrics.last_step
        """Agent steps of the last row of metrics, 0 where there is none."""

    def episode(self, row: Row) -> None:
        """Write a finished training episode.

        Raises:
            ValueError: the row's keys are not exactly EPISODE_COLUMNS.
        """
        self._append(self._episodes, [row])

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

    def evaluation(self, rows: Iterable[Row]) -> None:
        """Write the episodes of one evaluation.

        Raises:
            ValueError: a row's keys are not exactly EVALUATION_COLUMNS; nothing has been written then.
        """
        self._append(self._evaluation, list(rows))

    def close(self) -> None:
        """Close all files; a second time does nothing."""
        for table in self._tables():
            table.close()

    def _tables(self) -> list[TableWriter]:
        tables = (self._episodes, self._snapshots, self._metrics, self._evaluation)
        return [table for table in tables if table is not None]

    def _append(self, table: TableWriter, rows: list[Row]) -> None:
        if self._whereabouts is not None:
            self._whereabouts.require()
        table.append(rows)
