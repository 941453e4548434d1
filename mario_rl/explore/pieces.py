"""Ways through the game as a tree of pieces: what was pressed since the piece before, so that none is stored twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PIECE_BYTES = 120
"""About what a piece takes in memory besides its actions: two Python objects and their places in lists."""

ROOT = 0
"""The piece that all ways begin with: nothing pressed yet."""


class Pieces:
    """A tree of actions; a way is the pieces from the root to one of them.

    Args:
        parents: of each piece, the number of the one before; that of the root is its own.
        actions: of each piece, an action per agent step, a byte each.
    """

    def __init__(self, parents: Sequence[int] = (ROOT,), actions: Sequence[bytes] = (b"",)) -> None:
        self.parents = list(parents)
        self.actions = list(actions)
        self._action_bytes = sum(map(len, self.actions))

    def __len__(self) -> int:
        return len(self.parents)

    @property
    def num_bytes(self) -> int:
        """About what they take in memory."""
        return PIECE_BYTES * len(self) + self._action_bytes

    def add(self, parent: int, actions: bytes) -> int:
        """Go on from a piece; returns the new piece's number."""
        self.parents.append(parent)
        self.actions.append(actions)
        self._action_bytes += len(actions)
        return len(self) - 1

    def way(self, piece: int) -> bytes:
        """All actions from the stage's start to the end of a piece."""
        parts = []
        while piece != ROOT:
            parts.append(self.actions[piece])
            piece = self.parents[piece]
        return b"".join(reversed(parts))

    def keep(self, needed: Iterable[int]) -> dict[int, int]:
        """Forget all pieces that no way to the needed ones has; returns the new numbers by the old ones."""
        kept = {ROOT}
        for one in needed:
            piece = one
            while piece not in kept:
                kept.add(piece)
                piece = self.parents[piece]
        order = sorted(kept)  # a parent is older than what goes on from it
        numbers = {piece: number for number, piece in enumerate(order)}
        self.parents = [numbers[self.parents[piece]] for piece in order]
        self.actions = [self.actions[piece] for piece in order]
        self._action_bytes = sum(map(len, self.actions))
        return numbers
