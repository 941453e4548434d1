"""A trained agent: the policy of a checkpoint, and what is known of its training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mario_rl.agents import NetworkPolicy
from mario_rl.agents.loading import load_policy
from mario_rl.config import Config, parse_config
from mario_rl.devices import resolve_device
from mario_rl.envs import num_actions
from mario_rl.errors import CheckpointError, ConfigError
from mario_rl.runs.checkpoint import find_checkpoint, load_checkpoint


class Trained(NamedTuple):
    """A policy from a checkpoint: its config, the file, and how long it was trained, before its run began included.

    initial_agent_steps: of them, those of the agent that the run began with.
    """

    policy: NetworkPolicy
    config: Config
    file: Path
    agent_steps: int
    seconds: float
    initial_agent_steps: int = 0


def load_trained(checkpoint: str | Path, *, stage: str | None = None, device: str = "cpu") -> Trained:
    """Load the policy of a checkpoint file, or of a run directory's best (else latest) checkpoint.

    Args:
        checkpoint: which.
        stage: in place of the one in its config.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: the file cannot be used. UserError: an argument cannot.
    """
    file = find_checkpoint(Path(checkpoint))
    state = load_checkpoint(file)
    config = parse_config(state["config"], str(checkpoint))
    if stage is not None:
        env = {**(state["config"].get("env") or {}), "stage": stage}
        config = parse_config({**state["config"], "env": env}, "--stage")
    where = resolve_device(device)
    actions, frame_stack = num_actions(config.env.action_set), config.env.frame_stack
    try:
        policy = load_policy(
            config.network, state["network"], num_actions=actions, frame_stack=frame_stack, device=where
        )
    except ConfigError as error:  # its body is not here
        raise CheckpointError(f"{file}: {error}") from error
    except ValueError as error:
        raise CheckpointError(
            f"{file}: damaged, its weights are not those of the network in its config ({error})"
        ) from error
    before, seconds_before = state.get("initial_agent_steps", 0), state.get("initial_seconds", 0.0)
    steps, seconds = state["agent_steps"] + before, state["seconds"] + seconds_before
    return Trained(policy, config, file, steps, seconds, before)
