"""What a run may be gone on with: which keys may change, and what it means that other software runs it now."""

from __future__ import annotations

from mario_rl.config import Config, flat_values
from mario_rl.errors import ConfigError
from mario_rl.training.observer import Observer

RESUMABLE_SECTIONS = ("logging", "evaluation")
RESUMABLE = (
    "only stop conditions (training.agent_steps, episodes, minutes, clear_rate), training.observers, logging.* and "
    "evaluation.*"
)
RESUMABLE_KEYS = (
    "training.agent_steps",
    "training.episodes",
    "training.minutes",
    "training.clear_rate",
    "training.observers",
)


def refuse_changes(begun: Config, wanted: Config) -> None:
    """Refuse a config that differs from the run's own in more than may change.

    Raises:
        ConfigError: it does; names the first such key.
    """
    before, after = flat_values(begun), flat_values(wanted)
    for key in sorted(before.keys() | after.keys()):
        may_change = key in RESUMABLE_KEYS or key.split(".")[0] in RESUMABLE_SECTIONS
        if not may_change and before.get(key) != after.get(key):
            raise ConfigError(
                f"{key}: {after.get(key)!r} is not allowed on --resume, the run was begun with {before.get(key)!r}; "
                f"{RESUMABLE} may change"
            )


def warn_of_versions(begun: dict[str, str], config: Config, observer: Observer) -> None:
    """Say which versions are others than those that a run was saved with, so that it can't go on bit for bit."""
    from mario_rl.devices import one_thread, resolve_device, training_versions

    with one_thread():  # as a run has it
        now = training_versions(config.agent.bfloat16, resolve_device(config.device))
    changed = [f"{name} {then} -> {now.get(name)}" for name, then in begun.items() if now.get(name) != then]
    if changed:
        observer.warned(f"resuming with other versions, so not bit for bit: {', '.join(changed)}")
