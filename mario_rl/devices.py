"""Where tensors live, and what the software around them is: devices, threads and versions."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from mario_rl.errors import ConfigError

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


def software_versions() -> dict[str, str]:
    """Name everything that decides whether a result repeats bit for bit."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        **{package: version(package) for package in PACKAGES},
    }
