"""What an agent is when its run begins, where it goes on from another's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.checkpoint import find_checkpoint
from mario_rl.config import Config
from mario_rl.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from mario_rl.evaluation import Trained

KEY = "training.initial_checkpoint"
MUST_AGREE = {
    "env": ("action_set", "frame_stack", "grayscale", "show_buttons"),
    "network": ("hidden_size", "dueling", "quantiles"),
}
"""What a network's weights depend on: its layers, what its actions are, and what its observations look like."""


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
    for section, keys in MUST_AGREE.items():
        for key in keys:
            if theirs[section][key] != ours[section][key]:
                raise ConfigError(
                    f"{KEY}: {trained.file} has {section}.{key} {theirs[section][key]!r}, this run "
                    f"{ours[section][key]!r}; they must be the same"
                )
    return trained
