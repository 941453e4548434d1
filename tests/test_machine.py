"""Cores and memory: the lesser of what the system has and what the control groups leave."""

import platform
import subprocess
import sys

import psutil
import pytest

from mario_rl import machine
from mario_rl.machine import available_memory_bytes, cgroup_quotas, cgroup_rooms, cpu_quota, usable_cores


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def test_version_2_leaves_the_limit_less_what_is_used_and_not_reclaimable(tmp_path):
    group(tmp_path / "job", memory_max=1000, memory_current=700, memory_stat="anon 400\ninactive_file 250\nslab 50")
    assert cgroup_rooms("0::/job\n", tmp_path) == [550]


def test_version_2_without_a_limit_leaves_the_system_to_decide(tmp_path):
    group(tmp_path / "job", memory_max="max", memory_current=700, memory_stat="inactive_file 250")
    assert cgroup_rooms("0::/job\n", tmp_path) == []


def test_a_limit_on_a_parent_group_holds_too(tmp_path):
    group(tmp_path / "pod" / "job", memory_max=1000, memory_current=100, memory_stat="inactive_file 0")
    group(tmp_path / "pod", memory_max=500, memory_current=300, memory_stat="inactive_file 0")
    assert cgroup_rooms("0::/pod/job\n", tmp_path) == [900, 200]


def test_version_1_reads_the_memory_controller(tmp_path):
    group(
        tmp_path / "memory" / "docker",
        memory_limit_in_bytes=1000,
        memory_usage_in_bytes=600,
        memory_stat="inactive_file 1\ntotal_inactive_file 100",
    )
    assert cgroup_rooms("5:cpu,cpuacct:/docker\n4:memory:/docker\n1:name=systemd:/docker\n", tmp_path) == [500]


def test_inside_a_container_the_mounted_root_holds_when_the_path_is_the_hosts(tmp_path):
    group(
        tmp_path / "memory", memory_limit_in_bytes=900, memory_usage_in_bytes=200, memory_stat="total_inactive_file 0"
    )
    assert cgroup_rooms("4:memory:/docker/0123abcd\n", tmp_path) == [700]


def test_no_control_groups_means_no_limit(tmp_path):
    assert cgroup_rooms("0::/\n", tmp_path) == []


@pytest.fixture
def system_with_900_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 900}))
    monkeypatch.setattr(machine, "CGROUP_MOUNT", tmp_path)
    monkeypatch.setattr(machine, "CGROUP_MEMBERSHIP", tmp_path / "membership")
    return tmp_path


@pytest.mark.parametrize(("limit", "used", "available"), [(1000, 300, 700), (5000, 0, 900), (1000, 1200, 0)])
def test_the_lesser_of_system_and_group_is_available_and_never_less_than_nothing(
    limit, used, available, system_with_900_bytes
):
    (system_with_900_bytes / "membership").write_text("0::/\n")
    group(system_with_900_bytes, memory_max=limit, memory_current=used, memory_stat="inactive_file 0")
    assert available_memory_bytes() == available


def test_without_a_membership_file_the_system_alone_decides(system_with_900_bytes):
    assert available_memory_bytes() == 900


def test_this_machine_has_some_memory_left_and_no_more_than_it_was_built_with():
    assert 0 < available_memory_bytes() <= psutil.virtual_memory().total


def test_version_2_has_quota_and_period_in_one_file(tmp_path):
    group(tmp_path / "job", cpu_max="150000 100000")
    assert cgroup_quotas("0::/job\n", tmp_path) == [1.5]


@pytest.mark.parametrize("quota", ["max 100000", None], ids=["no limit", "no such file"])
def test_version_2_without_a_quota_leaves_the_processors_to_decide(tmp_path, quota):
    group(tmp_path / "job", **({} if quota is None else {"cpu_max": quota}))
    assert cgroup_quotas("0::/job\n", tmp_path) == []


def test_a_quota_on_a_parent_group_holds_too(tmp_path):
    group(tmp_path / "pod" / "job", cpu_max="max 100000")
    group(tmp_path / "pod", cpu_max="200000 50000")
    assert cgroup_quotas("0::/pod/job\n", tmp_path) == [4.0]


def test_version_1_reads_the_cpu_controller(tmp_path):
    group(tmp_path / "cpu" / "docker", cpu_cfs_quota_us=50_000, cpu_cfs_period_us=100_000)
    group(tmp_path / "cpu", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100_000)
    assert cgroup_quotas("5:cpu,cpuacct:/docker\n4:memory:/docker\n1:name=systemd:/docker\n", tmp_path) == [0.5]


def test_inside_a_container_the_quota_of_the_mounted_root_holds_when_the_path_is_the_hosts(tmp_path):
    group(tmp_path, cpu_max="100000 100000")
    assert cgroup_quotas("0::/docker/0123abcd\n", tmp_path) == [1.0]


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("100000 100000", 1), ("250000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)],
)
def test_cores_are_those_allowed_and_no_more_than_the_quota_pays_for_whole(quota, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "allowed_cores", lambda: 8)
    monkeypatch.setattr(machine, "CGROUP_MOUNT", tmp_path)
    monkeypatch.setattr(machine, "CGROUP_MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text("0::/job\n")
    group(tmp_path / "job", cpu_max=quota)
    assert usable_cores() == cores


def test_without_control_groups_there_is_no_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CGROUP_MEMBERSHIP", tmp_path / "membership")
    assert cpu_quota() is None
    assert usable_cores() == machine.allowed_cores()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep or return memory as they like")
def test_memory_that_was_freed_is_taken_again_without_page_faults():
    """In a process of its own: the choice is for good."""
    faults = """
import resource
from mario_rl.machine import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(keep_freed_memory())
faults()
print(faults())
"""
    kept, count = subprocess.run(
        [sys.executable, "-c", faults], capture_output=True, text=True, check=True
    ).stdout.split()
    assert kept == "True"
    assert int(count) < 100  # a page each would be 20 x 4,096
