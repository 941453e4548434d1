"""Experience replay: steps of all environments go in together, batches of n-step transitions come out.

Each frame is stored once. A slot of the ring holds the newest frame of an observation and what was done on seeing it;
the older frames of the stack are the slots before it, and the next observation is a later slot's stack. A truncated
episode leaves one slot more, its *tail*: the last frame shown, which is bootstrapped from but not acted on.

Each environment has a ring of its own. Its slots are numbered from 0 in the order they were written, and number i lies
at i % slots. What can be sampled is then one range per ring, [first, complete), without the tails in it: from `first`
on every stack is whole, and before `complete` all that the n-step return needs is there.

Each demonstration has a ring as well, behind those of the environments and just as long as it is. It is written once,
when the replay is made, so nothing of it is ever overwritten (Hester et al. 2018, DQfD).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mario_rl.errors import CheckpointError, UserError
from mario_rl.files import room_for, write_atomically
from mario_rl.replay.archive import Flawed, ReplayArchive
from mario_rl.replay.frames import make_frames
from mario_rl.replay.memory import check_memory, estimate_bytes
from mario_rl.replay.priorities import Priorities
from mario_rl.replay.rings import Ring, RingPositions, check_ring, check_written
from mario_rl.types import Batch, Pixels, Steps
from mario_rl.wording import count_text

# Shape suffixes: B = batch, E = environments, N = steps of the return, S = frames of a stack.

CPU = torch.device("cpu")

FORMAT = "mario_rl replay 1"
"""What every replay file says of itself; the number goes up when old files can no longer be read."""

MAX_ACTIONS = 256
"""An action is kept in a byte."""

FILE_BLOCK_SLOTS = 1024
"""Slots per array of a replay file: loading needs the memory of one such block (7 MB) besides the buffer's own."""

UNREADABLE = (OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and zipfile raise on a file that is damaged or something else."""


class ReplayBuffer:
    """Rings of single frames, one per environment, sampled as stacked n-step transitions.

    Args:
        capacity: frame slots over all environments; each gets capacity // num_envs, and the oldest are overwritten.
        num_envs: environments that write side by side.
        num_actions: what an action must be below; at most 256.
        frame_shape: height and width of a frame, pixels.
        frame_stack: frames in one observation, at most 256.
        n_step: rewards summed before the bootstrap.
        gamma: discount per agent step.
        rng: draws the batches; its state is the caller's to save.
        device: where the frames lie, and the observations of batches; None for the machine's memory.
        learner_device: where batches go.
        priority_exponent: alpha of prioritised replay, see `Priorities`; 0 draws uniformly.
        importance_exponent: its beta.
        demonstrations: whole episodes to keep for ever, besides `capacity`: all agent steps of one in order, the last
            of them terminated.
        demonstration_bonus: what is added to their priorities.

    Raises:
        UserError: the capacity is too small to ever sample from, or too large for the machine's memory.
    """

    def __init__(
        self,
        capacity: int,
        *,
        num_envs: int,
        num_actions: int = MAX_ACTIONS,
        frame_shape: tuple[int, int] = (84, 84),
        frame_stack: int,
        n_step: int,
        gamma: float,
        rng: np.random.Generator,
        device: torch.device | None = None,
        learner_device: torch.device | None = None,
        priority_exponent: float = 0.0,
        importance_exponent: float = 0.5,
        demonstrations: Sequence[Steps] = (),
        demonstration_bonus: float = 0.0,
    ) -> None:
        # From here up a ring that is full never runs empty: `first` stays below `complete`.
        smallest = num_envs * (frame_stack + n_step)
        if capacity < smallest:
            raise UserError(
                f"replay.capacity {capacity} must be at least {smallest} for {count_text(num_envs, 'environment')}, "
                f"{count_text(frame_stack, 'stacked frame')} and {n_step}-step returns"
            )
        if device is None or device.type == "cpu":
            demonstrated = sum(len(steps.action) for steps in demonstrations)
            check_memory(capacity, frame_shape, besides=demonstrated)
        self.rng = rng
        self._capacity = capacity
        self._num_envs = num_envs
        self._num_actions = num_actions
        sizes = [capacity // num_envs] * num_envs + [len(steps.action) for steps in demonstrations]
        self._sizes = np.array(sizes, np.int64)  # slots of each ring
        self._begins = self._sizes.cumsum() - self._sizes  # the row of its first
        self.frame_stack = frame_stack
        self._n_step = n_step
        self._discounts = gamma ** np.arange(n_step + 1, dtype=np.float64)
        self._priorities: Priorities | None = None
        if priority_exponent:
            bonus = np.zeros(len(sizes), np.float32)
            bonus[num_envs:] = demonstration_bonus
            self._priorities = Priorities(
                self._sizes,
                bonus=bonus,
                exponent=priority_exponent,
                importance_exponent=importance_exponent,
            )
        self._age_S = np.arange(frame_stack - 1, -1, -1)  # oldest frame first
        self._all_envs = np.arange(num_envs)

        # Slot i of ring e is row begins[e] + i % sizes[e].
        rows = int(self._sizes.sum())
        self._frame_shape = frame_shape
        self._frames = make_frames(rows, frame_shape, device=device or CPU, learner_device=learner_device or CPU)
        self._actions = np.zeros(rows, np.uint8)
        self._rewards = np.zeros(rows, np.float32)
        self._terminated = np.zeros(rows, np.bool_)
        self._is_tail = np.zeros(rows, np.bool_)
        self._earlier = np.zeros(rows, np.uint8)  # frames of the episode before this one, up to stack - 1

        self._unranked: deque[tuple[NDArray[np.int64], Tensor, torch.cuda.Event]] = deque()  # on their way from a GPU

        # Of each ring: slots written so far, the range that can be sampled, the tails from `first` on, and what
        # `earlier` is to be for the next slot. Rows of one array, so that they are saved and restored as one.
        self._positions = np.zeros((5, len(sizes)), np.int64)
        self._written: NDArray[np.int64] = self._positions[0]
        self._first: NDArray[np.int64] = self._positions[1]
        self._complete: NDArray[np.int64] = self._positions[2]
        self._tails: NDArray[np.int64] = self._positions[3]
        self._next_earlier: NDArray[np.int64] = self._positions[4]

        self._demonstrated = ""  # what the demonstrations are, for a file to agree with
        if demonstrations:
            self._demonstrated = self._keep(demonstrations)

    def __len__(self) -> int:
        """Count the transitions that can be sampled now."""
        return int((self._complete - self._first - self._tails).sum())

    @property
    def nbytes(self) -> int:
        """The memory allocated for the slots, in bytes."""
        frames = len(self._actions) * self._frame_shape[0] * self._frame_shape[1]
        return frames + sum(column.nbytes for column in self._columns().values())

    def add(self, steps: Steps, envs: NDArray[np.int64] | None = None) -> None:
        """Store the next agent step of environments; the first one after an episode's end begins a new episode.

        Args:
            steps: of E environments; copied. Actions must be below 256.
            envs: int64 (E,), which ones, each once; None for all in order.
        """
        self._rank_all()
        self._add(steps, self._all_envs if envs is None else envs)

    def _add(self, steps: Steps, env_E: NDArray[np.int64]) -> None:
        cut_E = steps.truncated & ~steps.terminated
        self._append(
            env_E, steps.frame, action=steps.action, reward=steps.reward, terminated=steps.terminated, is_tail=False
        )
        if cut_E.any():
            self._append(env_E[cut_E], steps.last_frame[cut_E], action=0, reward=0.0, terminated=False, is_tail=True)
        over_E = steps.terminated | cut_E
        reached_E = np.maximum(self._complete[env_E], self._written[env_E] - self._n_step)
        self._complete[env_E] = np.where(over_E, self._written[env_E], reached_E)
        self._next_earlier[env_E[over_E]] = 0

    def _keep(self, demonstrations: Sequence[Steps]) -> str:
        """Write each demonstration into its ring; returns what tells them from others, SHA-256 in hexadecimal."""
        digest = hashlib.sha256()
        for ring, steps in enumerate(demonstrations, start=self._num_envs):
            if not steps.terminated[-1]:
                raise ValueError("a demonstration must be an episode that the game ended")
            for number in range(len(steps.action)):
                self._add(Steps._make(part[number : number + 1] for part in steps), np.array([ring]))
            for part in (steps.frame, steps.action, steps.reward):
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def cut(self) -> None:
        """End the episodes that environments will not go on with, as cut short: what was seen last bootstraps.

        Those frames were acted on, but what followed is not known: they become tails. Nothing to do between episodes.
        """
        last_E = self._rows(np.arange(len(self._sizes)), self._written - 1)
        open_E = (self._written > 0) & ~(self._terminated[last_E] | self._is_tail[last_E])
        self._is_tail[last_E[open_E]] = True
        self._tails += open_E
        self._complete[:] = self._written
        self._next_earlier[:] = 0

    def sample(self, batch_size: int) -> Batch:
        """Draw transitions, uniformly or by priority, with replacement, from all that can be sampled.

        The return sums m rewards: n_step of them, or as many as the episode had left. `next_observation` is what was
        seen after those: at a truncation the episode's last frames, and zeros where `terminated`.

        Returns:
            CPU tensors, but for the observations, uint8 (batch_size, frame_stack, height, width), on `device`.

        Raises:
            ValueError: there is nothing to sample yet.
        """
        if len(self) == 0:
            raise ValueError("the replay holds no whole transition to sample yet")
        return self._gather(*self._draw_starts(batch_size))

    def prioritize(self, slot: Tensor, td_error: Tensor) -> None:
        """Rank what a batch came from by its TD errors, float32 (B,); nothing to do where sampling is uniform.

        Nobody waits for a GPU: what it finds counts from the batch after the next one on, or when steps are added.

        Args:
            slot: the batch's, int64 (B, 2).
            td_error: of each of its transitions, on any device.
        """
        if self._priorities is None:
            return
        if td_error.device.type != "cuda":
            self._rank(slot.numpy(), td_error.cpu())
            return
        here = torch.empty(td_error.shape, dtype=td_error.dtype, pin_memory=True)
        here.copy_(td_error, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        copied.record()
        self._unranked.append((slot.numpy(), here, copied))
        if len(self._unranked) > 1:
            self._rank_next()

    def save(self, path: Path) -> None:
        """Write the filled slots and the write positions to `path` (.npz), whole or not at all; copies nothing.

        The generator's state is not in the file.

        Raises:
            StorageError: the disk refused; the previous file is untouched.
        """
        self._rank_all()
        write_atomically(path, self._write)

    def load(self, path: Path) -> None:
        """Take over a saved buffer: given the same generator state it samples the same, bit for bit.

        What is in the file is checked as a whole: sizes before anything is read, checksums (CRC-32 of every array) and
        whether the rings are such as this buffer could have written, see `replay.rings`.

        Raises:
            CheckpointError: there is no such file, it is cut short, damaged or not a replay, or it is of a buffer
                configured otherwise. A damaged file leaves this buffer empty.
        """
        if not path.is_file():
            raise CheckpointError(f"{path}: no such replay file")
        try:
            with path.open("rb") as file, ReplayArchive(file) as archive:
                for key, needed in self._header().items():
                    if (found := archive.value(key)) != needed:
                        raise CheckpointError(f"{path}: {_disagreement(key, found, needed)}")
                self._read(archive)
        except CheckpointError:
            raise
        except Flawed as error:
            raise CheckpointError(f"{path}: damaged, {error}") from error
        except UNREADABLE as error:
            raise CheckpointError(f"{path}: cut short, damaged or not a replay at all") from error

    def _append(
        self,
        env_E: NDArray[np.int64],
        frame_E: Pixels,
        *,
        action: NDArray[np.int64] | int,
        reward: NDArray[np.float64] | float,
        terminated: NDArray[np.bool_] | bool,
        is_tail: bool,
    ) -> None:
        """Write one slot of each of E rings over the oldest, and move `first` past the stacks that this cuts."""
        number_E, first_E = self._written[env_E], self._first[env_E]
        oldest_E = np.maximum(number_E + 1 - self._sizes[env_E], 0)
        while True:  # at most as often as a stack has frames
            row_E = self._rows(env_E, first_E)
            cut_E = self._earlier[row_E] > first_E - oldest_E
            if not cut_E.any():
                break
            self._tails[env_E] -= cut_E & self._is_tail[row_E]
            first_E = first_E + cut_E
        self._first[env_E] = first_E

        row_E, earlier_E = self._rows(env_E, number_E), self._next_earlier[env_E]
        self._frames.write(row_E, frame_E)
        self._actions[row_E] = action
        self._rewards[row_E] = reward
        self._terminated[row_E] = terminated
        self._is_tail[row_E] = is_tail
        self._earlier[row_E] = earlier_E
        self._tails[env_E] += is_tail
        self._written[env_E] = number_E + 1
        self._next_earlier[env_E] = np.minimum(earlier_E + 1, self.frame_stack - 1)

    def _draw_starts(self, batch_size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Draw environments, slot numbers and their weights in the loss."""
        if self._priorities is None:
            return *self._draw_uniformly(batch_size), np.ones(batch_size, np.float32)
        self._priorities.follow(self._first, self._complete, self._is_tail)
        return self._priorities.draw(self.rng, batch_size)

    def _draw_uniformly(self, batch_size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw from all ranges laid end to end, tails drawn again."""
        sizes = self._complete - self._first
        ends = sizes.cumsum()
        offsets = self._first - (ends - sizes)  # from the place in the line of all ranges to the slot number
        place_B = self.rng.integers(ends[-1], size=batch_size)
        while True:
            env_B = ends.searchsorted(place_B, side="right")
            start_B = place_B + offsets[env_B]
            refused_B = self._is_tail[self._rows(env_B, start_B)]
            if not refused_B.any():
                return env_B, start_B
            place_B[refused_B] = self.rng.integers(ends[-1], size=np.count_nonzero(refused_B))

    def _gather(self, env_B: NDArray[np.int64], start_B: NDArray[np.int64], weight_B: NDArray[np.float32]) -> Batch:
        row_BN = self._rows(env_B[:, None], start_B[:, None] + np.arange(self._n_step))
        counts_BN, terminated_B = _steps_that_count(self._terminated[row_BN], self._is_tail[row_BN])
        reward_BN = np.where(counts_BN, self._rewards[row_BN], 0.0)
        return_B = (reward_BN * self._discounts[:-1]).sum(axis=1)
        steps_B = counts_BN.sum(axis=1)
        # What lies behind a terminal step belongs to another episode, or to none.
        next_observation = self._stacks(env_B, start_B + steps_B, terminated_B)
        return Batch(
            observation=self._stacks(env_B, start_B),
            action=torch.from_numpy(self._actions[row_BN[:, 0]].astype(np.int64)),
            n_step_return=torch.from_numpy(return_B.astype(np.float32)),
            next_observation=next_observation,
            terminated=torch.from_numpy(terminated_B),
            discount=torch.from_numpy(self._discounts[steps_B].astype(np.float32)),
            weight=torch.from_numpy(weight_B),
            slot=torch.from_numpy(np.stack([env_B, start_B], axis=1)),
            demonstration=torch.from_numpy(env_B >= self._num_envs),
        )

    def _rows(self, env: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Locate slots of environments' rings in the arrays; the two broadcast."""
        return self._begins[env] + number % self._sizes[env]

    def _stacks(
        self, env_B: NDArray[np.int64], newest_B: NDArray[np.int64], hidden_B: NDArray[np.bool_] | None = None
    ) -> Tensor:
        """Rebuild the stacks that end at slots `newest_B`, with zeros before the first frame of their episode.

        Where hidden, all of it is zeros.
        """
        row_BS = self._rows(env_B[:, None], newest_B[:, None] - self._age_S)
        hidden_BS = self._age_S > self._earlier[row_BS[:, -1:]]
        return self._frames.stacks(row_BS, hidden_BS if hidden_B is None else hidden_BS | hidden_B[:, None])

    def _rank(self, slot: NDArray[np.int64], td_error: Tensor) -> None:
        assert self._priorities is not None
        env_B, start_B = slot.T
        self._priorities.update(env_B, start_B, td_error.numpy())

    def _rank_next(self) -> None:
        slot, td_error, copied = self._unranked.popleft()
        copied.synchronize()
        self._rank(slot, td_error)

    def _rank_all(self) -> None:
        while self._unranked:
            self._rank_next()

    def _columns(self) -> dict[str, NDArray[np.generic]]:
        """What a slot holds besides its frame."""
        return {
            "actions": self._actions,
            "rewards": self._rewards,
            "terminated": self._terminated,
            "is_tail": self._is_tail,
            "earlier": self._earlier,
        }

    def _header(self) -> dict[str, int | str]:
        """What a file must agree with to be loaded into this buffer."""
        height, width = self._frame_shape
        ranked: dict[str, int | str] = {} if self._priorities is None else {"prioritized": 1}
        if self._demonstrated:
            ranked["demonstrations"] = self._demonstrated
        return ranked | {
            "format": FORMAT,
            "capacity": self._capacity,
            "num_envs": self._num_envs,
            "frame_stack": self.frame_stack,
            "n_step": self._n_step,
            "frame_height": height,
            "frame_width": width,
        }

    def _blocks(self) -> Iterator[tuple[str, slice]]:
        """Name the stretches that filled slots are cut into for a file: what their names end in, and their rows."""
        for env_index, written in enumerate(self._written):
            filled = min(int(written), int(self._sizes[env_index]))
            for begin in range(0, filled, FILE_BLOCK_SLOTS):
                ring = int(self._begins[env_index])
                rows = slice(ring + begin, ring + min(begin + FILE_BLOCK_SLOTS, filled))
                yield f"{env_index}_{begin}", rows

    def _write(self, path: Path) -> None:
        header = {key: np.array(value) for key, value in self._header().items()}
        filled = int(np.minimum(self._written, self._sizes).sum())
        # A file, since np.savez would add a suffix to a path.
        with room_for(estimate_bytes(filled, self._frame_shape)), path.open("wb") as file:
            ranks = {} if self._priorities is None else self._priorities.arrays()
            slots: dict[str, NDArray[np.generic]] = {}
            for name, rows in self._blocks():
                slots[f"frames_{name}"] = self._frames.read(rows)
                slots |= {f"{column}_{name}": values[rows] for column, values in self._columns().items()}
            np.savez(file, allow_pickle=False, **header, **ranks, positions=self._positions, **slots)

    def _read(self, archive: ReplayArchive) -> None:
        try:
            archive.read_into("positions", self._positions)
            check_written(self._written)
            for name, rows in self._blocks():
                self._frames.load(rows, archive.read(f"frames_{name}", (rows.stop - rows.start, *self._frame_shape)))
                for column, values in self._columns().items():
                    archive.read_into(f"{column}_{name}", values[rows])
            for name, array in ({} if self._priorities is None else self._priorities.arrays()).items():
                archive.read_into(name, array)
            self._check()
        except BaseException:
            self._positions[...] = 0
            raise

    def _check(self) -> None:
        """Refuse what no buffer like this one has written.

        Raises:
            Flawed: says what can't be.
        """
        for env_index, positions in enumerate(self._positions.T.tolist()):
            begin = int(self._begins[env_index])
            ring = slice(begin, begin + int(self._sizes[env_index]))
            columns = {name: values[ring] for name, values in self._columns().items()}
            check_ring(
                Ring(**columns),  # type: ignore[arg-type]  # by name
                RingPositions(*positions),
                frame_stack=self.frame_stack,
                n_step=self._n_step,
                num_actions=self._num_actions,
            )
        if self._priorities is not None:
            self._priorities.check(self._first, self._complete)


def _disagreement(key: str, found: int | str, needed: int | str) -> str:
    """Say that a file's header is another than the buffer's."""
    if key == "demonstrations":
        return "a replay with other demonstrations than the files of replay.demonstrations give now"
    return f"a replay with {key} {found}, but this run needs {needed}"


def _steps_that_count(
    terminated_BN: NDArray[np.bool_], tail_BN: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which of N slots in a row are steps of the first one's episode, and whether the last such step ended it.

    Slots past an end are of another episode, or stale. Returns bool (B, N) and (B,).
    """
    ended_BN = np.logical_or.accumulate(terminated_BN | tail_BN, axis=1)
    counts_BN = ~tail_BN
    counts_BN[:, 1:] &= ~ended_BN[:, :-1]
    return counts_BN, (terminated_BN & counts_BN).any(axis=1)
