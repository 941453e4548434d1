"""What an update does to pixels and weights, compiled: observations cut into blocks, weights moved by their gradients."""

from mario_rl.blocks.moved import Moved, Numbers, move, move_by_pytorch
from mario_rl.blocks.tensors import to_blocks

__all__ = ["Moved", "Numbers", "move", "move_by_pytorch", "to_blocks"]
