"""A network body of one's own: frames to features. What follows, one value per action, stays as it is.

    mario-rl train network.yaml             # in this folder
    mario-rl train ddqn_right_only network.body=network:Impala

It is the residual body of IMPALA (Espeholt et al. 2018, arXiv:1802.01561, figure 3) with 16, 32 and 32 channels: 15
convolutions in place of three, and features that mean Mario's surroundings rather than single pixels.
"""

from torch import Tensor, nn


class Residual(nn.Module):
    """Add to its input what two convolutions make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, side, side) to the same."""
        return features + self.change(features)


class Impala(nn.Module):
    """Three blocks that each halve the sides, then one feature per channel and place.

    Args:
        frame_stack: frames in an observation; all that a body is made with.
    """

    def __init__(self, frame_stack: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_before = frame_stack
        for channels in (16, 32, 32):
            layers += [
                nn.Conv2d(channels_before, channels, kernel_size=3, padding=1),
                nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
                Residual(channels),
                Residual(channels),
            ]
            channels_before = channels
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Flatten())

    def forward(self, observation: Tensor) -> Tensor:
        """Float (B, frame_stack, 84, 84) in [0, 1] to float (B, 3872)."""
        return self.layers(observation)
