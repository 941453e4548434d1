"""The Q-network: a stack of frames to one value per action, or to quantiles of each action's return."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mario_rl.config import NetworkConfig
from mario_rl.pixels import BLOCK

CONVOLUTION_FEATURES = 64 * 7 * 7  # what an 84 x 84 frame leaves after the three convolutions


class QNetwork(nn.Module):
    """The network of Mnih et al. 2015, which is the article's: 1,684,128 + 513 per action parameters by default.

    Three convolutions (32 of 8x8 stride 4, 64 of 4x4 stride 2, 64 of 3x3 stride 1), a hidden layer, one value per
    action, ReLU between. With `dueling`, state value and action advantages have a hidden layer
    each and Q = V + A - mean(A) (Wang et al. 2016, equation 9). With `quantiles` > 1, each value is the mean of that
    many quantiles of the return (Dabney et al. 2018, QR-DQN). With `dropout`, hidden units are dropped in train mode.

    Initialisation is PyTorch's own for every layer: weights and biases uniform in +-1/sqrt(fan_in), drawn from the
    global generator (see `build_network` for a seeded one).
    """

    def __init__(
        self,
        num_actions: int,
        *,
        frame_stack: int = 4,
        hidden_size: int = 512,
        dueling: bool = False,
        quantiles: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_actions = num_actions
        self.num_quantiles = quantiles
        self.features = nn.Sequential(
            nn.Conv2d(frame_stack, 32, kernel_size=8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
        )

        def head(outputs: int) -> nn.Sequential:
            hidden = [nn.Linear(CONVOLUTION_FEATURES, hidden_size), nn.ReLU()]
            return nn.Sequential(*hidden, *([nn.Dropout(dropout)] if dropout else []), nn.Linear(hidden_size, outputs))

        self.action_head = head(num_actions * quantiles)
        self.value_head = head(quantiles) if dueling else None

    def forward(self, observation: Tensor) -> Tensor:
        """Value each action: float32 (B, frame_stack, 84, 84) in [0, 1] to float32 or bfloat16 (B, actions)."""
        return self.quantiles(observation).mean(dim=2)

    def quantiles(self, observation: Tensor) -> Tensor:
        """The quantiles (2i - 1) / 2N of each action's return, i = 1..N: (B, actions, N); for N = 1, its value."""
        features = self.features(observation)
        action_BAN: Tensor = self.action_head(features).unflatten(1, (self.num_actions, self.num_quantiles))
        if self.value_head is None:
            return action_BAN
        value_BN: Tensor = self.value_head(features)
        return value_BN.unsqueeze(1) + action_BAN - action_BAN.mean(dim=1, keepdim=True)

    def over_blocks(self) -> QNetwork:
        """Make a network that does the same to blocks, (B, 16 * stack, 21, 21), see `mario_rl.agents.compiled`.

        Faster, and the same but for the last digits, since the sums of the first convolution have another order. Its
        weights are this one's at the moment, in an order of its own: `weights_over_blocks`.
        """
        network = copy.deepcopy(self)
        first = network.features[0]
        assert isinstance(first, nn.Conv2d)
        side = first.kernel_size[0] // BLOCK
        with torch.random.fork_rng(devices=[]):
            other = nn.Conv2d(first.in_channels * BLOCK * BLOCK, first.out_channels, kernel_size=side)
        other.weight = nn.Parameter(weights_over_blocks(first.weight.detach()))
        other.bias = first.bias
        network.features[0] = other
        return network


def weights_over_blocks(weight: Tensor) -> Tensor:
    """Put the first convolution's weights (out, stack, 8, 8) in the order of blocks: (out, 16 * stack, 2, 2)."""
    out, frames, side, _ = weight.shape
    split = weight.reshape(out, frames, side // BLOCK, BLOCK, side // BLOCK, BLOCK)
    return split.permute(0, 1, 3, 5, 2, 4).reshape(out, frames * BLOCK * BLOCK, side // BLOCK, side // BLOCK)


def weights_over_pixels(weight: Tensor) -> Tensor:
    """Undo `weights_over_blocks`, also for a gradient."""
    out, channels, blocks, _ = weight.shape
    split = weight.reshape(out, channels // BLOCK**2, BLOCK, BLOCK, blocks, blocks)
    return split.permute(0, 1, 4, 2, 5, 3).reshape(out, channels // BLOCK**2, blocks * BLOCK, blocks * BLOCK)


def build_network(config: NetworkConfig, *, num_actions: int, frame_stack: int, seed: int) -> QNetwork:
    """Make a network whose initial weights depend on `seed` alone; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return QNetwork(
            num_actions,
            frame_stack=frame_stack,
            hidden_size=config.hidden_size,
            dueling=config.dueling,
            quantiles=config.quantiles,
            dropout=config.dropout,
        )
