"""What the replay costs: measured as the growth of a real process, and refused where the machine has not got it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mario_rl.errors import UserError
from mario_rl.replay import ReplayBuffer, memory
from mario_rl.replay.memory import check_memory, estimate_bytes

FILL_AND_SAMPLE = """
import json, sys
from pathlib import Path
import numpy as np
import psutil
from mario_rl.replay import ReplayBuffer
from mario_rl.types import Steps

def status(*names: str) -> int:
    # The sum of these lines of /proc/self/status, in bytes; on other systems all that is resident.
    file = Path("/proc/self/status")
    if not file.exists():
        return psutil.Process().memory_info().rss
    kilobytes = dict(line.split(":") for line in file.read_text().splitlines())
    return sum(int(kilobytes[name].split()[0]) * 1024 for name in names)

def resident() -> int:
    # Not the pages of libraries, which a busy machine takes back when it likes, nor less for what it swapped out.
    return status("RssAnon", "VmSwap")

def highest() -> int:
    return status("VmHWM")

capacity, file = int(sys.argv[1]), Path(sys.argv[2])
generator = np.random.default_rng(0)
frames = generator.integers(1, 256, size=(16, 1, 84, 84), dtype=np.uint8)
before = resident()
buffer = ReplayBuffer(capacity, num_envs=1, frame_stack=4, n_step=1, gamma=0.9, rng=generator)
allocated = resident() - before
for step in range(capacity):
    over = np.array([step % 250 == 249])
    buffer.add(Steps(frames[step % 16], np.array([step % 5]), np.ones(1), over, over & False, frames[(step + 1) % 16]))
filled = resident() - before
for _ in range(200):
    batch = buffer.sample(32)
sampled, peak = resident() - before, highest()
buffer.save(file)
buffer.load(file)
print(json.dumps({
    "len": len(buffer),
    "allocated": allocated,
    "filled": filled,
    "sampled": sampled,
    "save_and_load": highest() - peak,
}))
"""


@pytest.fixture(scope="module", params=[10_000, 30_000])
def capacity(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def measured(capacity: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """By how many bytes a process of its own has grown, at each point."""
    command = [sys.executable, "-c", FILL_AND_SAMPLE, str(capacity), str(tmp_path_factory.mktemp("memory") / "r.npz")]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_full_buffer_costs_at_most_7200_bytes_a_slot_and_batches_a_few_megabytes(capacity, measured):
    filled, sampled = measured["filled"], measured["sampled"]
    print(f"{capacity} transitions of 84x84x4: {filled / 1e6:.1f} MB, {sampled / 1e6:.1f} MB with batches of 32")  # noqa: T201
    assert measured["len"] == capacity  # exactly full, and the last episode has ended
    assert capacity * 84 * 84 < filled <= 7_200 * capacity
    assert sampled - filled < 8_000_000  # two batches at a time are 3.6 MB
    if capacity == 30_000:
        assert sampled <= 220_000_000
    assert measured["save_and_load"] < 20_000_000  # a copy would be 70 MB or more


def test_the_pages_of_a_buffer_are_taken_as_it_fills(capacity, measured):
    assert measured["allocated"] < 6_000_000  # of 71 MB, and of 212 MB
    assert measured["filled"] > capacity * 84 * 84


@pytest.mark.parametrize("slots", [10_000, 30_000, 1_000_000])
def test_the_estimate_is_at_most_7200_bytes_a_slot(slots):
    assert estimate_bytes(slots) == slots * (84 * 84 + 8)
    assert estimate_bytes(slots) <= 7_200 * slots


@pytest.mark.parametrize(("capacity", "num_envs", "slots"), [(60, 1, 60), (60, 4, 60), (62, 4, 60)])
def test_what_is_allocated_is_what_was_estimated_for_the_slots_each_environment_gets(capacity, num_envs, slots):
    buffer = ReplayBuffer(capacity, num_envs=num_envs, frame_stack=4, n_step=1, gamma=0.9, rng=np.random.default_rng(0))
    assert buffer.nbytes == estimate_bytes(slots)


def test_a_buffer_larger_than_the_machine_is_refused_in_one_line_before_it_is_allocated(monkeypatch):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 8_000_000_000)
    with pytest.raises(UserError) as refused:
        ReplayBuffer(10**9, num_envs=1, frame_stack=4, n_step=1, gamma=0.9, rng=np.random.default_rng(0))
    assert str(refused.value) == (
        "replay.capacity 1000000000 needs 7064.00 GB of memory and 8.00 GB is available; at most 1019252 would fit"
    )  # 0.9 * 8e9 / 7064 = 1,019,252.5
    check_memory(1_019_252)
    with pytest.raises(UserError):
        check_memory(1_019_253)


def test_this_machine_does_not_hold_a_billion_slots():
    with pytest.raises(UserError, match=r"^replay\.capacity 1000000000 needs 7064\.00 GB .* at most \d+ would fit$"):
        check_memory(10**9)


def test_smaller_frames_fit_more_of_them(monkeypatch):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: 1_000)
    check_memory(75, (2, 2))  # 75 * 12 bytes = 900, the 90 % that may be used
    with pytest.raises(UserError, match="at most 75 would fit"):
        check_memory(76, (2, 2))
