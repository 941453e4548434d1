"""What the machine has left to give: the memory that can be taken without running it, or its container, dry."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import psutil

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
KEPT_BYTES = 256 << 20  # freed memory that is kept at most
KEPT_BLOCK_BYTES = 32 << 20  # and of which size; glibc allows no more

CGROUP_MOUNT = Path("/sys/fs/cgroup")
CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Count the processors that this process may run on."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory_bytes() -> int:
    """Measure the memory this process can still take, in bytes, without swapping or being killed.

    The lesser of what the system has available and what the process's control groups leave it; containers are limited
    by the latter, which the system's own figure ignores.
    """
    rooms = [psutil.virtual_memory().available]
    if CGROUP_MEMBERSHIP.is_file():
        rooms += cgroup_rooms(CGROUP_MEMBERSHIP.read_text(encoding="utf-8"), CGROUP_MOUNT)
    return max(min(rooms), 0)


def keep_freed_memory() -> bool:
    """Let this process keep memory it has freed, for its next tensors; returns whether the C library can.

    An update frees some ten tensors of megabytes and asks for them again. glibc hands such blocks back to the system
    and gets new pages, one fault each: 2,000 faults and a quarter of the time of an update, see docs/performance.md.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc: macOS, musl, Windows
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


def cgroup_rooms(membership: str, mount: Path) -> list[int]:
    """List the bytes left under each memory limit that holds for a process; empty where nothing limits it.

    Args:
        membership: the text of /proc/<pid>/cgroup, lines of `hierarchy:controllers:path`.
        mount: where the control groups are mounted: version 2, or version 1 with a folder per controller.
    """
    rooms = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, usage, cache = mount, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root = mount / "memory"
            limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # A limit on any ancestor holds too. In a container the path may be the host's, and only its root is mounted.
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                room = _room(folder / limit, folder / usage, folder / "memory.stat", cache)
                rooms += [] if room is None else [room]
    return rooms


def _room(limit: Path, usage: Path, stat: Path, cache: str) -> int | None:
    """Subtract from the limit what is used and can't be reclaimed; None where there is no limit."""
    try:
        most = limit.read_text(encoding="utf-8").strip()
        if most == "max":
            return None
        used = int(usage.read_text(encoding="utf-8"))
        statistics = dict(line.split() for line in stat.read_text(encoding="utf-8").splitlines())
    except OSError:  # no such group here, or not ours to read
        return None
    return int(most) - used + int(statistics.get(cache, 0))
