"""Where tensors live, and what the software around them is: devices, threads and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import psutil
import torch
from torch import Tensor

from mario_rl.errors import ConfigError
from mario_rl.machine import is_amd, processor_flags, processor_name, usable_cores

PACKAGES = ("mario-rl", "torch", "numpy", "gymnasium", "gym-super-mario-bros", "nes-py", "opencv-python-headless")


def resolve_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda or mps into a device that is there.

    Raises:
        ConfigError: the named device is not on this machine.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present[name]:
        found = ", ".join(kind for kind, there in present.items() if there)
        raise ConfigError(f"device: {name} is not available on this machine; allowed here: auto, {found}")
    return torch.device(name)


def number_of_updates(bfloat16: bool | Literal["auto"], device: torch.device) -> torch.dtype:
    """Turn `agent.bfloat16` into the numbers that updates are computed in: torch.bfloat16 or torch.float32.

    `auto` is bfloat16 on AMD's processors with AVX-512 for it, where an update took 29 ms for 45, and where there are
    matrix units for it: CUDA devices and AMX. On Intel's that have AVX-512 for it but not AMX an update takes 1.4 times
    as long as in float32 (docs/performance.md); of all others nothing is known.
    """
    if bfloat16 != "auto":
        return torch.bfloat16 if bfloat16 else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    flags = processor_flags()
    faster = device.type == "cpu" and ("amx_bf16" in flags or ("avx512_bf16" in flags and is_amd()))
    return torch.bfloat16 if faster else torch.float32


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Take numbers below 1.2e-38 for zero as long as this is entered; threads begun meanwhile do so for good.

    The gradients of a unit that is never active are zero, so Adam's moments of its weights shrink until, some 800
    updates later, they are such numbers, and stay. Of a run in training that is half of the first moments; Intel's
    processors take ten times as long for them, see docs/performance.md. The weights come out the same, bit for bit.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread as long as this is entered.

    Its own threads spin while they wait for each other: two of them took 20 ms for an update on two free cores, and 900
    beside one other busy process. A second core is kept busy by `agents/beside.py`. And sums whose order depends on the
    number of threads come out the same on every machine.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_generators(device: torch.device) -> dict[str, Tensor]:
    """Describe where torch's global generators stand that work on a device draws from: the CPU's and its own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_torch_generators(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put the generators where `torch_generators` found them; those of a device that is not used are left alone."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def software_versions() -> dict[str, str]:
    """Name everything that decides whether a result repeats bit for bit."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        **{package: found for package in PACKAGES if (found := _version(package)) is not None},
    }


def training_versions(bfloat16: bool | Literal["auto"], device: torch.device) -> dict[str, str]:
    """Name everything that decides whether a run repeats bit for bit: its updates' numbers besides."""
    number = number_of_updates(bfloat16, device)
    return {**software_versions(), "updates in": str(number).removeprefix("torch.")}


def _version(package: str) -> str | None:
    """None where it is not installed: not everything needs nes-py."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_machine(device: torch.device) -> dict[str, str]:
    """Name processor, cores, memory and device."""
    return {
        "processor": processor_name(),
        "cores": str(usable_cores()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB of memory",
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }
