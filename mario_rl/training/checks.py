"""What is looked at before a run begins; all that can be told without PyTorch comes first, and at once."""

from __future__ import annotations

import math
import shutil

from mario_rl.config import Config
from mario_rl.config.schema import REWARDS
from mario_rl.errors import ConfigError, UserError
from mario_rl.replay.memory import check_memory, estimate_bytes
from mario_rl.runs.directory import RunDir
from mario_rl.training.initial import find_initial, load_initial
from mario_rl.training.observer import own_observers
from mario_rl.training.trackers import require_trackers

ROOM_BESIDES_REPLAY = 200_000_000  # bytes of checkpoints, metrics and curve


def check_machine(config: Config, run_dir: RunDir) -> None:
    """Refuse a run that can't be carried out here, before anything is allocated or written.

    Raises:
        UserError: the device, the emulator, its ROM, a package, a class that the config names, the memory, the disk
            space or the checkpoint to begin with is not there, or that one does not fit (CheckpointError,
            ConfigError); says which key to change.
    """
    begins = not run_dir.latest.exists()
    if begins:
        find_initial(config)
    if config.replay.device == "cpu":
        check_memory(config.replay.capacity, begun=run_dir.config.is_file())
    _check_disk(config, run_dir)
    from mario_rl.game.rom import load_rom

    load_rom(config.env.rom)
    if config.env.emulator != "native":
        from mario_rl.envs import load_nes_py

        load_nes_py()
    if config.has_demonstrations:
        from mario_rl.training.demonstrations import require_trajectories

        require_trajectories(config)
    require_trackers(config)
    own_observers(config)
    _require_own_classes(config)
    if config.device not in ("auto", "cpu") or config.replay.device != "cpu":  # those are always there
        from mario_rl.devices import resolve_device

        device = resolve_device(config.device).type
        if config.replay.device not in ("cpu", device):
            raise ConfigError(
                f"replay.device: {config.replay.device} is not where the agent learns; allowed here: cpu"
                + (f", {device}" if device == "cuda" else "")
            )
    if begins:
        load_initial(config)


def _require_own_classes(config: Config) -> None:
    """See that the body, the reward and the wrappers that a config names can be used."""
    if config.network.body is not None:
        from mario_rl.agents.networks import build_network

        build_network(config.network, num_actions=1, frame_stack=config.env.frame_stack, seed=config.seed)
    if config.env.reward not in REWARDS or config.env.wrappers:
        from mario_rl.envs import require_own

        require_own(config.env)


def _check_disk(config: Config, run_dir: RunDir) -> None:
    # A new replay is complete before the old one goes; what an earlier sitting left there will be replaced.
    needed = 2 * estimate_bytes(config.replay.capacity) + ROOM_BESIDES_REPLAY
    existing = next(path for path in (run_dir.path, *run_dir.path.absolute().parents) if path.exists())
    kept = sum(file.stat().st_size for file in run_dir.replay_files())
    free = shutil.disk_usage(existing).free
    missing = needed - kept - free
    if missing <= 0:
        return
    if run_dir.config.is_file():  # begun: its replay and its place are what they are
        way_out = (
            f"free {_gigabytes(missing)} GB more there, or move the run directory to a larger disk and resume it there"
        )
    else:
        way_out = "lower replay.capacity or give --run-dir on another disk"
    raise UserError(
        f"{run_dir.path}: saving the replay (replay.capacity {config.replay.capacity}) and the checkpoints of this run "
        f"needs {_gigabytes(needed - kept)} GB of disk, {free / 1e9:.1f} GB is free; {way_out}"
    )


def _gigabytes(count: int) -> str:
    """Round bytes up: as much is enough."""
    return f"{math.ceil(count / 1e8) / 10:.1f}"
