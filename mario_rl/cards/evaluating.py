"""One evaluation of a card: made when an agent is shipped, repeated when its card is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.cards.card import Claim, claim_of
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.names import Protocol

if TYPE_CHECKING:
    from mario_rl.evaluation import EvaluatedEpisode


def play(
    file: Path,
    protocol: Protocol,
    episodes: int,
    seed: int,
    should_stop: Callable[[], bool],
    on_episode: Callable[[EvaluatedEpisode, int], None] | None,
) -> Claim:
    """Play the episodes of a protocol with an agent's file, as its card has them.

    Raises:
        CheckpointError: the file can't be used, or its values are not finite numbers.
        EvaluationInterrupted: `should_stop` said so.
    """
    from mario_rl.evaluation import evaluate

    count = None if PROTOCOLS[protocol].fixed_episodes is not None else episodes
    report = evaluate(
        file,
        protocol=protocol,
        episodes=count,
        seed=seed,
        device="cpu",
        should_stop=should_stop,
        on_episode=on_episode,
    )
    return claim_of(report, file)


def versions() -> dict[str, str]:
    """Name the software that an evaluation's numbers depend on, which is made on one thread."""
    from mario_rl.devices import one_thread, software_versions

    with one_thread():
        return software_versions()
