"""How pages, films and tallies say what became of an episode."""

from __future__ import annotations

WORDS = {
    "clear": "CLEARED",
    "death": "DIED",
    "stall": "STALLED",
    "limit": "OUT OF STEPS",
    "warp": "WARPED",
    "broken off": "BROKEN OFF",
}


def caption(end: str, x: int) -> str:
    """Say how an episode ended and how far it came: `DIED at x 1,250`.

    Args:
        end: as in the tables, or `broken off` by a choice of a viewer.
        x: best x position, pixels.
    """
    return f"{WORDS[end]} at x {x:,}"
