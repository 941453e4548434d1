"""Observations as the first convolution reads them fastest: blocks of 4 x 4 pixels in place of single ones.

A convolution of 8 x 8 pixels with stride 4 is one of 2 x 2 *blocks* with stride 1, where the 16 pixels of a block, of
every frame, are channels of their own. The same products are summed, in another order; but 64 input channels in place
of 4 keep a processor's vector units busy, and it takes a third of the time (docs/performance.md).
"""

from mario_rl.agents.blocks.tensors import to_blocks

__all__ = ["to_blocks"]
