"""Where the numbers of a run go besides its tables, `logging.trackers`: TensorBoard's files, Weights & Biases."""

from __future__ import annotations

import os
import secrets
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mario_rl.config import Config, flat_values
from mario_rl.errors import UserError
from mario_rl.files import write_atomically
from mario_rl.runs.directory import RunDir
from mario_rl.runs.tables import METRIC_COLUMNS, RECENT_EPISODES, Row
from mario_rl.training.observer import Observer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from mario_rl.evaluation import EvaluationReport

MAX_REASON = 300  # characters of what a library says
RUNNING_MEANS = frozenset({"mean_return", "mean_x", "clear_rate"})
PROJECT = "mario_rl"  # where WANDB_PROJECT names no other
LOGIN_SECONDS = 60  # that Weights & Biases may wait for a key to be typed
MOST_ID_BYTES = 64


class Tracker(Observer):
    """Sends on what the tables have, as numbers under names such as `episode/x`, at the agent steps of their row.

    It never ends a run: where it fails, as on a full disk or without a network, that is said once and it stays silent.

    Args:
        warn: told, in one line, if it fails.
    """

    name = "a tracker"

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn, self._failed = warn, False

    def open(self, config: Config, run_dir: RunDir, agent_steps: int) -> None:
        """Begin, or go on after `agent_steps`."""
        raise NotImplementedError

    def send(self, numbers: Mapping[str, float], agent_steps: int) -> None:
        """Send numbers by name."""
        raise NotImplementedError

    def close(self) -> None:
        """End."""
        raise NotImplementedError

    def started(self, config: Config, run_dir: Path, agent_steps: int) -> None:
        with self._may_fail():
            self.open(config, RunDir(run_dir), agent_steps)

    def episode_ended(self, row: Row) -> None:
        self._send("episode", row, ("return", "x", "length"))

    def measured(self, row: Row) -> None:
        full = row["episodes"] >= RECENT_EPISODES  # before that it would seem to rise or fall
        self._send("training", row, [name for name in METRIC_COLUMNS[1:] if full or name not in RUNNING_MEANS])

    def evaluated(self, report: EvaluationReport, agent_steps: int, *, best: bool) -> None:
        row = {
            "agent_steps": agent_steps,
            "clear_rate": report.clear_rate,
            "mean_x": report.mean_x,
            "mean_return": report.summary()["mean_return"],
        }
        self._send(f"evaluation/{report.protocol}", row, ("clear_rate", "mean_x", "mean_return"))

    def ended(self) -> None:
        with self._may_fail():
            self.close()

    def _send(self, group: str, row: Row, names: list[str] | tuple[str, ...]) -> None:
        if not self._failed:
            with self._may_fail():
                numbers = {f"{group}/{name}": float(row[name]) for name in names if row[name] is not None}
                self.send(numbers, row["agent_steps"])

    @contextmanager
    def _may_fail(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._failed:
                reason = textwrap.shorten(f"{type(error).__name__}: {error}", MAX_REASON, placeholder=" ...")
                self._warn(f"{self.name} can't be written, training goes on without ({reason})")
            self._failed = True


class TensorBoard(Tracker):
    """Writes event files into the run directory; a resumed run's hide what lies past its checkpoint."""

    name = "TensorBoard's files"
    _writer: SummaryWriter | None = None

    def open(self, config: Config, run_dir: RunDir, agent_steps: int) -> None:
        # Events from the purge step on are hidden; those of the checkpoint's own step stay.
        self._writer = load_tensorboard()(str(run_dir.tensorboard), purge_step=agent_steps + 1)

    def send(self, numbers: Mapping[str, float], agent_steps: int) -> None:
        if self._writer is not None:
            for name, value in numbers.items():
                self._writer.add_scalar(name, value, agent_steps)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Wandb(Tracker):
    """Sends everything to Weights & Biases, or into the run directory where WANDB_MODE=offline says so.

    A run directory is one run there: its id is kept in `wandb_id.txt`, so that a resumed run goes on with it. Numbers
    past the checkpoint, from before a kill, stay there beside those that come again. WANDB_PROJECT, WANDB_ENTITY,
    WANDB_API_KEY and what else the package reads from the environment count as always.
    """

    name = "Weights & Biases"
    _run: Any = None

    def open(self, config: Config, run_dir: RunDir, agent_steps: int) -> None:
        wandb = load_wandb()
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=_run_id(run_dir.wandb_id),
            resume="allow",
            name=run_dir.path.absolute().name,
            dir=str(run_dir.path),
            config=flat_values(config),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False, login_timeout=LOGIN_SECONDS
            ),
        )
        self._run.define_metric("agent_steps")
        self._run.define_metric("*", step_metric="agent_steps")

    def send(self, numbers: Mapping[str, float], agent_steps: int) -> None:
        if self._run is not None:
            self._run.log({"agent_steps": agent_steps, **numbers})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": Wandb}


def make_trackers(config: Config, warn: Callable[[str], None]) -> list[tuple[str, Observer]]:
    """Make the trackers that `logging.trackers` names, by their names."""
    return [(name, TRACKERS[name](warn)) for name in config.logging.trackers]


def require_trackers(config: Config) -> None:
    """See that the packages of the trackers are there.

    Raises:
        UserError: one is not; says what to install.
    """
    for name in config.logging.trackers:
        LOADERS[name]()


def load_tensorboard() -> type[SummaryWriter]:
    """Import what writes TensorBoard's event files; slow, so only for those who asked for it.

    Raises:
        UserError: it is not installed, or does not load here.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except Exception as error:  # what it needs itself fails in ways of its own
        raise _not_loaded("tensorboard", "tensorboard", error) from error
    return SummaryWriter


def load_wandb() -> Any:
    """Import the client of Weights & Biases.

    Raises:
        UserError: it is not installed, or does not load here.
    """
    try:
        import wandb
    except Exception as error:
        raise _not_loaded("wandb", '"mario-rl[wandb]"', error) from error
    return wandb


LOADERS: dict[str, Callable[[], Any]] = {"tensorboard": lambda: load_tensorboard(), "wandb": lambda: load_wandb()}


def _not_loaded(package: str, install: str, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(
        f"logging.trackers: the package {package} is not installed or does not load ({reason}); pip install {install}, "
        f"or leave {package} out of logging.trackers"
    )


def _run_id(path: Path) -> str:
    """Read the id of a run, or make one and keep it."""
    with_id = path.read_bytes()[:MOST_ID_BYTES] if path.is_file() else b""
    if (text := with_id.decode("ascii", "replace").strip()).isalnum() and text.isascii():
        return text
    made = secrets.token_hex(8)  # a name and no result, so it comes from no seed
    write_atomically(path, lambda partial: partial.write_text(f"{made}\n", encoding="utf-8"))
    return made
