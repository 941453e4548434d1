"""The compiled function of this package."""

from __future__ import annotations

from mario_rl.compiling import Library

KERNELS = Library(
    "blocks", {"cut_into_blocks": "mario_rl.agents.blocks.cutting"}, packages=("agents/blocks", "nes"), quick=True
)
