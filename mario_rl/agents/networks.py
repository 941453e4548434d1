"""The Q-network: a stack of frames to one value per action, or to quantiles of each action's return."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mario_rl.agents.compiled import NormalizedReLU
from mario_rl.config import NetworkConfig
from mario_rl.errors import ConfigError
from mario_rl.extensions import blamed, find_class
from mario_rl.pixels import BLOCK
from mario_rl.tensors import random_shift, tensor_to_unit

SIDE = 84  # pixels of a frame
SIDE_LEFT = 7  # of it after the three convolutions
CHANNELS = (32, 64, 64)
BODY_KEY = "network.body"

type MakeBody = Callable[[int], tuple[nn.Module, int]]
"""From the frames in an observation to a body and the number of its features."""


class QNetwork(nn.Module):
    """The network of Mnih et al. 2015, which is the article's: 1,684,128 + 513 per action parameters by default.

    Three convolutions (32 of 8x8 stride 4, 64 of 4x4 stride 2, 64 of 3x3 stride 1; as many as `channels` says), a
    hidden layer, one value per action, ReLU between. With `layer_norm`, what each convolution makes of an observation
    is normalised before its ReLU (Ba et al. 2016, section 6.7: over channels and pixels; then scaled and moved per
    channel, as learned). With `dueling`, state value and action advantages have a hidden layer
    each and Q = V + A - mean(A) (Wang et al. 2016, equation 9). With `quantiles` > 1, each value is the mean of that
    many quantiles of the return (Dabney et al. 2018, QR-DQN). With `dropout`, hidden units are dropped in train mode.
    With `make_body`, what it makes stands in place of the convolutions; what follows stays.

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
        channels: tuple[int, int, int] = CHANNELS,
        layer_norm: bool = False,
        make_body: MakeBody | None = None,
    ) -> None:
        super().__init__()
        self.num_actions = num_actions
        self.num_quantiles = quantiles
        self.takes_pixels = make_body is not None
        """Whether the network that computes updates gets pixels as well, and not blocks."""
        if make_body is None:
            self.features: nn.Module = _convolutions(frame_stack, channels, layer_norm=layer_norm)
            num_features = channels[-1] * SIDE_LEFT**2
        else:
            self.features, num_features = make_body(frame_stack)

        def head(outputs: int) -> nn.Sequential:
            hidden = [nn.Linear(num_features, hidden_size), nn.ReLU()]
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

        With a body of one's own it is a plain copy, and takes pixels: nothing is known of that body's sums.
        """
        network = copy.deepcopy(self)
        if self.takes_pixels:
            return network
        assert isinstance(network.features, nn.Sequential)
        first = network.features[0]
        assert isinstance(first, nn.Conv2d)
        side = first.kernel_size[0] // BLOCK
        with torch.random.fork_rng(devices=[]):
            other = nn.Conv2d(first.in_channels * BLOCK * BLOCK, first.out_channels, kernel_size=side)
        other.weight = nn.Parameter(weights_over_blocks(first.weight.detach()))
        other.bias = first.bias
        network.features[0] = other
        for place, layer in enumerate(network.features):
            if isinstance(layer, nn.GroupNorm):  # with its ReLU in one go
                network.features[place], network.features[place + 1] = NormalizedReLU(layer), nn.Identity()
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


def to_pixels(observation: Tensor, shift_2B: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Shift observations and scale them to 0..1: what `to_blocks` does, for a network that takes pixels.

    Args:
        observation: uint8 (B, stack, 84, 84).
        shift_2B: what `draw_shifts` drew; the border is repeated outwards. None for no shift.
        dtype: float32 or bfloat16.

    Returns:
        (B, stack, 84, 84).
    """
    return tensor_to_unit(observation if shift_2B is None else random_shift(observation, shift_2B), dtype)


def build_network(config: NetworkConfig, *, num_actions: int, frame_stack: int, seed: int) -> QNetwork:
    """Make a network whose initial weights depend on `seed` alone; the global generator is left as it was.

    Raises:
        ConfigError: `network.body` names no class, or one that makes no body, see `own_body`.
    """
    name = config.body
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return QNetwork(
            num_actions,
            frame_stack=frame_stack,
            hidden_size=config.hidden_size,
            dueling=config.dueling,
            quantiles=config.quantiles,
            dropout=config.dropout,
            channels=config.channels,
            layer_norm=config.layer_norm,
            make_body=None if name is None else lambda frames: own_body(name, frames),
        )


def own_body(name: str, frame_stack: int) -> tuple[nn.Module, int]:
    """Make a body of somebody's own, and see that it can learn; returns it and the number of its features.

    It is made with the number of frames, and turns float (B, frame_stack, 84, 84) in [0, 1] to float (B, F). Each
    observation must be dealt with by itself, as what is valued together is left to chance; so all that changes in it is
    its parameters, by their gradients.

    Args:
        name: `package.module:Name` of a `torch.nn.Module`.
        frame_stack: frames in an observation.

    Raises:
        ConfigError: it can't be imported, made or called; its features have another shape; it has parameters that are
            not float32 or have no gradient, or numbers that change when it is called.
    """
    body_class = find_class(name, nn.Module, key=BODY_KEY, base_name="torch.nn.Module")
    with blamed(BODY_KEY, name, f"{name.rpartition(':')[2]}({frame_stack})", kind=ConfigError):
        body = body_class(frame_stack)
    own = f"{BODY_KEY}: {name}"
    parameters = dict(body.named_parameters())
    if any(one.dtype != torch.float32 or not one.requires_grad for one in parameters.values()):
        raise ConfigError(f"{own}: all parameters must be float32 and learn; what stays as it is, is a buffer")
    before = {key: value.clone() for key, value in body.named_buffers()}
    with blamed(BODY_KEY, name, f"forward of (2, {frame_stack}, {SIDE}, {SIDE})", kind=ConfigError):
        features = body(torch.full((2, frame_stack, SIDE, SIDE), 0.5))
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) != 2 or features.dtype != torch.float32:
        given = f"{tuple(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
        raise ConfigError(f"{own}: gives {given} for 2 observations; must be float32 (2, features), as of nn.Flatten()")
    for key, value in body.named_buffers():
        if key not in before or not torch.equal(value, before[key]):
            raise ConfigError(
                f"{own}: {key} changes when it is called, as BatchNorm's does; only parameters may, so use "
                "nn.GroupNorm or nn.LayerNorm"
            )
    with blamed(BODY_KEY, name, "its backward pass", kind=ConfigError):
        learned = list(body.parameters())  # made in forward, maybe, as those of nn.LazyLinear
        gradients = torch.autograd.grad(features.sum(), learned, allow_unused=True) if learned else ()
    for (key, _), gradient in zip(body.named_parameters(), gradients, strict=True):
        if gradient is None:
            raise ConfigError(f"{own}: {key} is not used in forward, so it can't learn; leave it out")
    return body, features.shape[1]


def _convolutions(frame_stack: int, channels: tuple[int, int, int], *, layer_norm: bool) -> nn.Sequential:
    """Make the body of Mnih et al. 2015: (B, frame_stack, 84, 84) to (B, channels[2] * 49)."""
    layers: list[nn.Module] = []
    before = frame_stack
    for number, side, stride in zip(channels, (8, 4, 3), (4, 2, 1), strict=True):
        layers.append(nn.Conv2d(before, number, kernel_size=side, stride=stride))
        if layer_norm:
            layers.append(nn.GroupNorm(1, number))  # one group: PyTorch's layer norm of pictures
        layers.append(nn.ReLU())
        before = number
    return nn.Sequential(*layers, nn.Flatten())
