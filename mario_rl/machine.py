"""What the machine is and has to give: cores that can be kept busy, memory that can be taken without running it dry."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import psutil

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
KEPT_BYTES = 256 << 20  # freed memory that is kept at most
KEPT_BLOCK_BYTES = 32 << 20  # and of which size; glibc allows no more

CPU_INFO = Path("/proc/cpuinfo")
CGROUP_MOUNT = Path("/sys/fs/cgroup")
CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")


def processor_name() -> str:
    """Name the processor as the system does."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """Name what the processor can do, as Linux lists it; nothing where there is no such list."""
    return frozenset((_cpu_info("flags") or _cpu_info("Features")).split())  # as x86 and ARM call it


def is_amd() -> bool:
    """Tell whether AMD made the processor."""
    return _cpu_info("vendor_id") == "AuthenticAMD"


def _cpu_info(name: str) -> str:
    """Read what Linux says of the first processor; empty where it says nothing."""
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else []
    said = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in said if key.strip() == name), "")


def usable_cores() -> int:
    """Count the processors that this process can keep busy: it may run on them, and its CPU quota pays for them.

    A quota of 1.5 processors counts as one: two threads would be stopped for a quarter of the time, each while the
    other waits for it.
    """
    quota = cpu_quota()
    return allowed_cores() if quota is None else max(1, min(allowed_cores(), math.floor(quota)))


def computing_cores() -> int:
    """Count the processors to compute on: those that can be kept busy, or OMP_NUM_THREADS where that is less."""
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(usable_cores(), int(chosen))) if chosen.isdecimal() else usable_cores()


def allowed_cores() -> int:
    """Count the processors that this process may run on, whatever share of their time it gets."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota() -> float | None:
    """How many processors' time the process's control groups leave it; None where nothing limits it."""
    if not CGROUP_MEMBERSHIP.is_file():
        return None
    return min(cgroup_quotas(CGROUP_MEMBERSHIP.read_text(encoding="utf-8"), CGROUP_MOUNT), default=None)


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
    for folder, version in _groups(membership, mount, "memory"):
        if version == 2:
            limit, usage, cache = "memory.max", "memory.current", "inactive_file"
        else:
            limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        room = _room(folder / limit, folder / usage, folder / "memory.stat", cache)
        rooms += [] if room is None else [room]
    return rooms


def cgroup_quotas(membership: str, mount: Path) -> list[float]:
    """List the processors' time under each CPU quota that holds for a process, in processors; see `cgroup_rooms`."""
    quotas = []
    for folder, version in _groups(membership, mount, "cpu"):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            else:
                quota, period = (
                    (folder / name).read_text(encoding="utf-8").strip()
                    for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                )
        except OSError:  # no such group here, or not ours to read
            continue
        if quota not in ("max", "-1"):
            quotas.append(int(quota) / int(period))
    return quotas


def _groups(membership: str, mount: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Name the folders of the groups that a process is in, ancestors included, and the version of each."""
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, version = mount, 2
        elif controller in controllers.split(","):
            root, version = mount / controller, 1
        else:
            continue
        # A limit on any ancestor holds too. In a container the path may be the host's, and only its root is mounted.
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield folder, version


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
