"""What an agent is when its run begins, where it goes on from another's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.config import Config, Section
from mario_rl.config.schema import EnvConfig, NetworkConfig
from mario_rl.errors import CheckpointError, ConfigError
from mario_rl.runs.checkpoint import find_checkpoint

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained

KEY = "training.initial_checkpoint"
MAY_DIFFER = {
    "env": {
        "stage",
        "rom",
        "emulator",
        "reward",
        "reward_clip",
        "clear_bonus",
        "death_penalty",
        "reward_scale",
        "frame_skip",
        "noop_max",
        "sticky_probability",
        "snapshot_probability",
        "snapshot_rewind_steps",
        "stall_limit",
        "max_agent_steps",
    },
    "network": {"dropout"},
}
"""What a network's weights don't depend on: which game is played, how it is rewarded and how it is disturbed."""


def must_agree() -> list[str]:
    """List the keys that a network's weights depend on: its layers, what its actions are, what its observations show.

    All keys of both sections but those that may differ, so that a key that is new in the schema can't be forgotten.
    """
    sections: dict[str, type[Section]] = {"env": EnvConfig, "network": NetworkConfig}
    return [
        f"{name}.{key}"
        for name, section in sections.items()
        for key in section.model_fields
        if key not in MAY_DIFFER[name]
    ]


def find_initial(config: Config) -> Path | None:
    """Name the file that `training.initial_checkpoint` stands for; None where it names none.

    Raises:
        CheckpointError: there is none.
    """
    if config.training.initial_checkpoint is None:
        return None
    try:
        return find_checkpoint(Path(config.training.initial_checkpoint))
    except CheckpointError as error:
        raise CheckpointError(f"{KEY}: {error}") from error


def load_initial(config: Config) -> Trained | None:
    """Load the agent that `training.initial_checkpoint` names; None where it names none.

    Raises:
        CheckpointError: there is none, or it can't be read. ConfigError: its network is not one for this run.
    """
    file = find_initial(config)
    if file is None:
        return None
    from mario_rl.evaluation import load_trained  # it needs torch, and what is refused before does not

    try:
        trained = load_trained(file)
    except CheckpointError as error:
        raise CheckpointError(f"{KEY}: {error}") from error
    theirs, ours = trained.config.model_dump(), config.model_dump()
    for dotted in must_agree():
        section, key = dotted.split(".")
        if theirs[section][key] != ours[section][key]:
            raise ConfigError(
                f"{KEY}: {trained.file} has {dotted} {theirs[section][key]!r}, this run {ours[section][key]!r}; they "
                "must be the same"
            )
    return trained
