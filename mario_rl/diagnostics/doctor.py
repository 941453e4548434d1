"""Whether this machine has what a run needs: one check each, with what to do where it fails.

What may be broken is imported inside the check that looks at it: a package that doesn't load is a finding, not the end.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

OLDEST_PYTHON = (3, 13)
PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "llvmlite",
    "gymnasium",
    "gym-super-mario-bros",
    "nes-py",
    "opencv-python-headless",
    "scipy",
    "matplotlib",
    "tensorboard",
    "av",
    "pydantic",
    "ruamel.yaml",
    "click",
    "tqdm",
    "filelock",
    "platformdirs",
    "psutil",
    "jinja2",
    "starlette",
    "uvicorn",
    "websockets",
)
"""What pyproject.toml asks for."""

EXTRAS = {
    "ray": "compare --cluster",
    "optuna": "tune",
    "huggingface_hub": "push and pull",
    "wandb": "logging.trackers: [wandb]",
}
"""What it asks for only where something else is wanted."""

REINSTALL = "install again: make install, or pip install -e ."

PLAYED_FRAMES = 300
RIGHT = 0x80  # the joypad byte
START_X = 40  # pixels

NEEDED_DISK_BYTES = 5e9  # the replay of a default run takes 0.7 GB on disk, twice while it is written, and runs add up
NEEDED_MEMORY_BYTES = 2e9  # the default replay of 100,000 frames, PyTorch and eight emulators
GB = 1e9


class Check(NamedTuple):
    """One line of the report.

    name: what was looked at. ok: whether a run can do with it. detail: what was found. advice: what to do where not ok.
    """

    name: str
    ok: bool
    detail: str
    advice: str


def run_checks() -> list[Check]:
    """Look at everything a run needs here; a check that breaks is reported as not ok, nothing is raised."""
    checks: dict[str, tuple[Callable[[], tuple[bool, str]], str]] = {
        "python": (_python, "use Python 3.13 or newer: remove .venv and run make install"),
        "packages": (_packages, REINSTALL),
        "emulator": (_emulator, "the compiled emulator needs numba and a folder for its machine code; " + REINSTALL),
        "rom": (_rom, "the game comes with gym-super-mario-bros, or name a file by MARIO_RL_ROM; " + REINSTALL),
        "device": (_device, "PyTorch can't compute here; " + REINSTALL),
        "cores": (_cores, "set OMP_NUM_THREADS to the number of cores to compute on, or not at all"),
        "tensorboard": (_tensorboard, "pip install tensorboard, or train with logging.trackers=[]"),
        "video encoder": (_video_encoder, "the encoder comes with the package av; " + REINSTALL),
        "disk": (_disk, f"free {NEEDED_DISK_BYTES / GB:.0f} GB, or choose another disk with --run-dir"),
        "memory": (_memory, "close other programs, or choose a smaller replay.capacity (7.06 kB a frame)"),
    }
    return [_run(name, check, advice) for name, (check, advice) in checks.items()]


def _run(name: str, check: Callable[[], tuple[bool, str]], advice: str) -> Check:
    try:
        ok, detail = check()
    except Exception as error:  # whatever is broken here is the finding
        ok, detail = False, " ".join(f"{type(error).__name__}: {error}".split())
    return Check(name, ok, detail, advice)


def _python() -> tuple[bool, str]:
    return sys.version_info >= OLDEST_PYTHON, f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _packages() -> tuple[bool, str]:
    found = {name: _version(name) for name in PACKAGES}
    extras = {name: _version(name) or f"not installed, {use} needs it" for name, use in EXTRAS.items()}
    shown = [f"{name} {there or 'MISSING'}" for name, there in found.items()]
    return None not in found.values(), ", ".join(shown + [f"{name} {there}" for name, there in extras.items()])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _emulator() -> tuple[bool, str]:
    """Load the compiled emulator, or compile it."""
    from mario_rl.game.kernels import KERNELS
    from mario_rl.nes.kernels import KERNELS as CONSOLE

    began = time.perf_counter()
    kernels = [library.address(kernel) for library in (CONSOLE, KERNELS) for kernel in library]
    kept = CONSOLE.kept_in
    where = f"kept in {kept}" if kept else "not kept: every start compiles it, name a folder by MARIO_RL_CACHE"
    return all(kernels), f"loaded in {time.perf_counter() - began:.1f} s; {where}"


def _rom() -> tuple[bool, str]:
    """Hold right on 1-1: Mario must have moved, so the ROM is there, runs and takes input."""
    from mario_rl import envs
    from mario_rl.config import EnvConfig
    from mario_rl.game.rom import find_rom, load_rom

    sha256 = load_rom(None).sha256
    env = envs.make_game(EnvConfig())
    try:
        env.reset()
        x, started = START_X, time.perf_counter()
        for _ in range(PLAYED_FRAMES):
            _, _, terminated, truncated, info = env.step(RIGHT)
            x = max(x, int(info["x_pos"]))
            if terminated or truncated:
                env.reset()
        speed = PLAYED_FRAMES / (time.perf_counter() - started)
    finally:
        env.close()
    return x > START_X, (
        f"{find_rom(None).name}, SHA-256 {sha256}; 1-1 plays at {speed:,.0f} frames/s, all shown; holding right "
        f"reaches x = {x}"
    )


def _device() -> tuple[bool, str]:
    """Compute something on the device that `auto` would choose."""
    import torch

    from mario_rl.devices import resolve_device, training_versions

    device = resolve_device("auto")
    name = f"cuda ({torch.cuda.get_device_name()})" if device.type == "cuda" else device.type
    number = training_versions("auto", device)["updates in"]
    result = torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)
    return bool((result == 8).all()), f"auto is {name}, with updates in {number} (agent.bfloat16=auto)"


def _cores() -> tuple[bool, str]:
    """A number of cores that can't be read would be passed over."""
    from mario_rl.machine import allowed_cores, computing_cores, cpu_quota

    chosen, quota = os.environ.get("OMP_NUM_THREADS"), cpu_quota()
    paid = "no CPU quota" if quota is None else f"a CPU quota of {quota:.1f}"
    understood = chosen is None or (chosen.isdecimal() and int(chosen) > 0)
    passed_over = "" if understood else f", OMP_NUM_THREADS {chosen!r} is no number of cores"
    return understood, f"{computing_cores()} of {allowed_cores()} to compute on, {paid}{passed_over}"


def _tensorboard() -> tuple[bool, str]:
    """Import what a run needs that writes event files."""
    from mario_rl.training.trackers import load_tensorboard

    load_tensorboard()
    return True, "event files can be written"


def _video_encoder() -> tuple[bool, str]:
    """Encode two black frames to memory."""
    import av
    import numpy as np

    screen = np.zeros((240, 256, 3), np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = 256, 240, "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(screen, format="rgb24")))
        container.mux(stream.encode())
    return b"ftyp" in file.getvalue(), "libx264 encodes MP4"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(Path.cwd()).free
    return free >= NEEDED_DISK_BYTES, f"{free / GB:,.1f} GB free here"


def _memory() -> tuple[bool, str]:
    from mario_rl.machine import available_memory_bytes

    available = available_memory_bytes()
    return available >= NEEDED_MEMORY_BYTES, f"{available / GB:,.1f} GB available"
