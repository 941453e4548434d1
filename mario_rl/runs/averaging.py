"""The mean of several checkpoints of a run: one agent out of the last part of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mario_rl.errors import CheckpointError
from mario_rl.runs.checkpoint import load_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.wording import count_text

if TYPE_CHECKING:
    from mario_rl.types import State


def load_mean(run: RunDir, count: int) -> State:
    """Load the newest step checkpoints of a run as one, whose weights are the mean of theirs.

    Stochastic weight averaging (Izmailov et al. 2018, algorithm 1) after training: the weights of a run circle around
    better ones, and their mean lies nearer to those. `agent.averaging` does so while training, over fewer updates.

    Args:
        run: which.
        count: of step checkpoints, 1 or more; a run keeps `training.keep_checkpoints` of them.

    Returns:
        The newest one's state, with the mean as its `network`, in the dtypes that it had, and `count` as its `mean_of`.
        What is no floating-point number, such as a count that a body of one's own keeps, is the newest one's.

    Raises:
        CheckpointError: the run has fewer, one can't be used, or they are not of one network.
    """
    import torch

    files = run.step_checkpoints()[-count:]
    if len(files) < count:
        raise CheckpointError(
            f"{run.path}: has {count_text(len(files), 'step checkpoint')}, {count} are needed for a mean of {count}; "
            f"a run that is to have as many needs training.keep_checkpoints={count}"
        )
    state = load_checkpoint(files[-1])
    newest = state["network"]
    mean = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in newest.items()}
    for file in files:
        network = load_checkpoint(file)["network"]
        if {name: tensor.shape for name, tensor in network.items()} != {
            name: tensor.shape for name, tensor in mean.items()
        }:
            raise CheckpointError(f"{file}: its network is not that of {files[-1].name}")
        for name, tensor in network.items():
            mean[name] += tensor.double() / count
    network = {
        name: mean[name].to(tensor.dtype) if tensor.is_floating_point() else tensor for name, tensor in newest.items()
    }
    return state | {"network": network, "mean_of": count}
