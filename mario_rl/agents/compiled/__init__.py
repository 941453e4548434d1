"""What an update does to pixels and weights, compiled.

Observations become *blocks*. A convolution of 8 x 8 pixels with stride 4 is one of 2 x 2 blocks of 4 x 4 pixels with
stride 1, where the 16 pixels of a block, of every frame, are channels of their own. The same products are summed, in
another order; but 64 input channels in place of 4 keep a processor's vector units busy, and it takes a third of the
time. Weights are moved by their gradients in one pass through memory. docs/performance.md has the figures.
"""

from mario_rl.agents.compiled.blocks import to_blocks
from mario_rl.agents.compiled.layout import Moved, Numbers
from mario_rl.agents.compiled.moved import move, move_by_pytorch
from mario_rl.agents.compiled.normalized import NormalizedReLU

__all__ = ["Moved", "NormalizedReLU", "Numbers", "move", "move_by_pytorch", "to_blocks"]
