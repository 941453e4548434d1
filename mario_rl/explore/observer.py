"""Who hears how a search goes, and what there is to hear; importing it costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from mario_rl.explore.archive import Area
    from mario_rl.explore.directory import ExploreDir


class Standing(NamedTuple):
    """Where a search stands.

    doing: what goes on. best: x by area, pixels, areas in the order in which they were found. num_bytes: of the
    archive. steps_per_second: since this sitting began. clear_steps: agent steps of the clear, if there is one.
    share: how much of the limit is used up, 0 to 1.
    """

    doing: Literal["searching", "shortening"]
    cells: int
    best: dict[Area, int]
    num_bytes: int
    agent_steps: int
    steps_per_second: float
    seconds: float
    clear_steps: int | None
    share: float


class ExploreObserver:
    """Hears how a search goes; this one listens to nothing."""

    def begun(self, directory: ExploreDir, standing: Standing) -> None:
        """A sitting begins."""

    def progressed(self, standing: Standing) -> None:
        """A round is over, or something was tried."""

    def said(self, message: str) -> None:
        """Something is worth a line."""
