"""The doctor: all is well where the tests run, and whatever is broken is found, named and answered with advice."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tomllib
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from mario_rl import envs, machine
from mario_rl.diagnostics import doctor
from mario_rl.diagnostics.doctor import run_checks
from mario_rl.errors import UserError
from mario_rl.training import trackers

NAMES = ["python", "packages", "emulator", "rom", "device", "cores", "tensorboard", "video encoder", "disk", "memory"]


class StandingStill(gym.Env):
    """A game in which Mario takes no input."""

    def reset(self, *, seed=None, options=None):
        return np.zeros((240, 256, 3), np.uint8), {}

    def step(self, action):
        return np.zeros((240, 256, 3), np.uint8), 0.0, False, False, {"x_pos": 40}


class NothingArrives(io.BytesIO):
    """A file that forgets what is written to it."""

    def getvalue(self):
        return b""


def fails(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture
def _machine_at_ease(monkeypatch):
    """Enough disk and memory, whatever else runs here."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9e10, 0, 9e10))
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 8_000_000_000)


@pytest.mark.emulator
@pytest.mark.usefixtures("_machine_at_ease")
def test_where_the_tests_run_all_is_well():
    checks = run_checks()
    assert [check.name for check in checks] == NAMES
    assert [check for check in checks if not check.ok] == []


@pytest.mark.emulator
@pytest.mark.usefixtures("_machine_at_ease")
def test_the_report_says_what_was_found():
    details = {check.name: check.detail for check in run_checks()}
    assert f"torch {torch.__version__.split('+')[0]}" in details["packages"]
    assert "gym-super-mario-bros 9." in details["packages"]
    assert "frames/s" in details["rom"]
    assert details["video encoder"] == "libx264 encodes MP4"
    assert details["cores"].endswith("CPU quota") or "a CPU quota of" in details["cores"]
    assert details["disk"] == "90.0 GB free here"
    assert details["memory"] == "8.0 GB available"


BROKEN = [
    # check, what is put in whose place, what the detail says
    ("python", (doctor, "OLDEST_PYTHON", (99, 0)), "3."),
    ("packages", (doctor, "version", fails(PackageNotFoundError("torch"))), "torch MISSING"),
    ("rom", (envs, "make_game", fails(FileNotFoundError("no ROM"))), "FileNotFoundError: no ROM"),
    ("rom", (envs, "make_game", lambda _: StandingStill()), "x = 40"),
    ("device", (torch, "ones", fails(RuntimeError("CUDA error:\nno kernel"))), "RuntimeError: CUDA error: no kernel"),
    ("cores", (os, "environ", os.environ | {"OMP_NUM_THREADS": "two"}), "OMP_NUM_THREADS 'two' is no number of cores"),
    ("tensorboard", (trackers, "load_tensorboard", fails(UserError("the package tensorboard"))), "package tensorboard"),
    ("video encoder", (io, "BytesIO", NothingArrives), "MP4"),
    ("disk", (doctor, "NEEDED_DISK_BYTES", 1e18), "GB free here"),
    ("memory", (machine, "available_memory_bytes", lambda: 500_000_000), "0.5 GB available"),
]


@pytest.mark.emulator
@pytest.mark.parametrize(("name", "broken", "says"), BROKEN, ids=[f"{name}: {says}" for name, _, says in BROKEN])
@pytest.mark.usefixtures("_machine_at_ease")
def test_what_is_broken_is_found_and_the_rest_is_still_looked_at(name, broken, says, monkeypatch):
    monkeypatch.setattr(*broken)
    checks = {check.name: check for check in run_checks()}
    assert [check.name for check in checks.values() if not check.ok] == [name]
    assert says in checks[name].detail
    assert checks[name].advice
    assert "\n" not in checks[name].detail + checks[name].advice


def test_every_package_that_the_project_asks_for_is_looked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> list[str]:
        return sorted(re.split(r"[<>=\[]", one)[0].strip() for one in requirements)

    assert sorted(doctor.PACKAGES) == names(project["dependencies"])
    extras = [project["optional-dependencies"][name] for name in ("cluster", "hub", "tune", "wandb")]
    assert sorted(doctor.EXTRAS) == names([one for extra in extras for one in extra])


def test_a_package_for_something_special_may_be_missing(monkeypatch):
    found = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "ray" else found(package))
    ok, detail = doctor._packages()
    assert ok
    assert "ray not installed, compare --cluster needs it" in detail


@pytest.mark.emulator
@pytest.mark.usefixtures("_machine_at_ease")
def test_a_package_that_does_not_load_is_a_finding(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # as if its library were missing
    (broken,) = [check for check in run_checks() if not check.ok]
    assert broken.name == "video encoder"
    assert "av" in broken.detail


@pytest.mark.parametrize(("quota", "says"), [(1.5, "a CPU quota of 1.5"), (None, "no CPU quota")])
def test_cores_are_those_that_the_quota_pays_for(quota, says, monkeypatch):
    monkeypatch.setattr(machine, "allowed_cores", lambda: 4)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = 4 if quota is None else 1
    assert doctor._cores() == (True, f"{cores} of 4 to compute on, {says}")


@pytest.mark.parametrize(("flags", "number"), [("fpu avx512_bf16 amx_bf16", "bfloat16"), ("fpu avx2", "float32")])
def test_what_auto_stands_for_is_said(flags, number, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert doctor._device() == (True, f"auto is cpu, with updates in {number} (agent.bfloat16=auto)")
