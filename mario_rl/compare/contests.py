"""Targets against each other: their arms, pair by pair with the same settings, and what the runs of both sides say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mario_rl.compare.runs import Arm, value_label
from mario_rl.compare.statistics import Estimate, permutation_p_value, probability_of_improvement, share_needed
from mario_rl.names import ALGORITHMS
from mario_rl.types import Floats

ARTICLE_CLAIM = 0.2  # DQN at episode 10,000 is where DDQN is at episode 2,000
BETTER_FIRST = (("double", "target"), ("double", "none"), ("target", "none"))
"""Each two targets, that which the literature holds for better first."""


@dataclass(frozen=True)
class Contest:
    """One target against another, over pairs of arms (ours, other) that differ in the target alone."""

    pairs: tuple[tuple[Arm, Arm], ...]

    @cached_property
    def each(self) -> tuple[Contest, ...]:
        """The same question pair by pair."""
        return tuple(Contest((pair,)) for pair in self.pairs)

    @property
    def ours(self) -> Arm:
        """Our arm, of the first pair."""
        return self.pairs[0][0]

    @property
    def other(self) -> Arm:
        """The arm it is compared with, of the first pair."""
        return self.pairs[0][1]

    @property
    def targets(self) -> tuple[str, str]:
        """`agent.target` of either side."""
        return self.ours.target, self.other.target

    @property
    def names(self) -> tuple[str, str]:
        """What both sides are called, to read: their targets, or the arms where those have the same."""
        if self.ours.target == self.other.target:
            return self.ours.label, self.other.label
        return ALGORITHMS[self.ours.target], ALGORITHMS[self.other.target]

    @property
    def of_the_article(self) -> bool:
        """Whether these are the article's agents; its "DDQN" takes its target from a target network, as DQN does."""
        return self.targets == ("target", "none")

    @property
    def setting(self) -> str:
        """What both sides have in common, to read."""
        return setting_label(self.ours) if len(self.pairs) == 1 else "all together"

    @property
    def label(self) -> str:
        """Who is compared with whom, to read."""
        return f"{' against '.join(self.names)}, {self.setting}"

    @cached_property
    def improvement(self) -> Estimate:
        """How likely a run of ours ends with the higher mean x, over all pairs."""
        return probability_of_improvement(*self._scores)

    @cached_property
    def p_value(self) -> float:
        """How often sides that are alike would differ in mean x as clearly as these; nan with one run on any side."""
        return permutation_p_value(*self._scores)

    @cached_property
    def agent_steps_needed(self) -> Estimate:
        """Share of the other's agent steps that ours need to reach what the other ends with, in the first pair."""
        return share_needed(self.ours.runs, self.other.runs, "agent_steps")

    @cached_property
    def episodes_needed(self) -> Estimate:
        """Share of the other's episodes that ours need to reach what the other ends with, in the first pair."""
        return share_needed(self.ours.runs, self.other.runs, "episode")

    @property
    def _scores(self) -> list[tuple[Floats, Floats]]:
        return [(ours.scores("x"), other.scores("x")) for ours, other in self.pairs]


def contests(arms: Sequence[Arm]) -> list[Contest]:
    """Let each two targets meet that have arms with the same settings: Double DQN and DQN first."""
    found = [
        tuple(
            (ours, other)
            for ours in arms
            for other in arms
            if (ours.target, other.target) == targets and ours.setting == other.setting
        )
        for targets in BETTER_FIRST
    ]
    return [Contest(pairs) for pairs in found if pairs]


def asks_the_article(between: Sequence[Contest]) -> bool:
    """Whether a study lets the article's two agents meet, and so says something on its claim."""
    return any(contest.of_the_article for contest in between)


def setting_label(arm: Arm) -> str:
    """What an arm holds besides its target, to read."""
    parts = (value_label(key, value) for key, value in arm.values.items() if key != "agent.target")
    return ", ".join(parts) or "all runs"
