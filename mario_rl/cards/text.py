"""A card as Markdown, for reading."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mario_rl.cards.card import Card, Claim, Machine
from mario_rl.config import Config, parse_config
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.evaluation.report import summarize
from mario_rl.names import ALGORITHMS
from mario_rl.wording import count_text, duration_text


def card_markdown(card: Card) -> str:
    """Lay a card out for reading."""
    config = parse_config(card.config, card.file)
    stage = ", ".join(config.env.stages)
    actions = config.env.action_set if isinstance(config.env.action_set, str) else "own buttons"
    algorithm = ALGORITHMS[config.agent.target]
    changed = StringIO()
    YAML(typ="safe", pure=True).dump(_changed(card, config), changed)
    return "\n".join(
        [
            f"# {Path(card.file).stem}",
            "",
            f"{algorithm} on {stage} with the action set {actions}: {count_text(card.agent_steps, 'agent step')} in "
            f"{duration_text(card.minutes * 60)}, seed {card.seed}{_before(card)}{_mean(card)}.",
            "",
            *_table(card, config.env.stages),
            "",
            f"Measured {card.date} with the shipped file (float16 weights) in float32 on one thread of "
            f"{_machine(card.evaluated_on)}; sticky and epsilon with seed {card.evaluations[-1].seed}. "
            f"`mario-rl verify {card.file}` repeats it.",
            "",
            f"Trained on {_machine(card.trained_on)}, with "
            + ", ".join(f"{name} {number}" for name, number in card.trained_with.items())
            + ".",
            "",
            "What its config changes from the defaults:",
            "",
            "```yaml",
            changed.getvalue().rstrip(),
            "```",
            "",
        ]
    )


def _table(card: Card, stages: Sequence[str]) -> list[str]:
    """Lay out the evaluations, a row each; of an agent of several stages, a row for each of its stages."""
    head = ["protocol", "cleared", "clear rate", "mean x [pixels]", "x where the others ended"]
    if len(stages) == 1:
        rows = [[f"`{claim.protocol}`", *_cells(claim)] for claim in card.evaluations]
    else:
        head.insert(1, "stage")
        rows = [
            [f"`{claim.protocol}`", stage, *_cells(_on(stage, claim))]
            for claim in card.evaluations
            for stage in dict.fromkeys(stages)
        ]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _on(stage: str, claim: Claim) -> Claim:
    """Take what a claim over several stages says of one of them."""
    played = [row for row in claim.results if row["stage"] == stage]
    return Claim.model_validate(summarize(played, protocol=claim.protocol, seed=claim.seed, stage=stage))


def _cells(claim: Claim) -> list[str]:
    return [f"{claim.clears} of {claim.episodes}", _rate(claim), f"{claim.mean_x:,.0f}", _failures(claim)]


def _changed(card: Card, config: Config) -> dict[str, Any]:
    """What a config changes from the defaults, in the words that it was written in."""
    changed = config.model_dump(mode="json", exclude_defaults=True)
    if "tensorboard" in (card.config.get("logging") or {}) and "trackers" in changed.get("logging", {}):
        logging = changed["logging"]
        del logging["trackers"]
        logging["tensorboard"] = False  # as trackers: [] was written when the card was made
    return changed


def _rate(claim: Claim) -> str:
    if PROTOCOLS[claim.protocol].fixed_episodes is not None:
        return f"{claim.clear_rate:.1%}"
    return f"{claim.clear_rate:.1%} (95 %: {claim.clear_rate_low:.1%} to {claim.clear_rate_high:.1%})"


def _before(card: Card) -> str:
    if not card.initial_agent_steps:
        return ""
    return (
        f"; it began as an agent that had {count_text(card.initial_agent_steps, 'agent step')} in "
        f"{duration_text(card.initial_minutes * 60)} behind it"
    )


def _mean(card: Card) -> str:
    if card.mean_of == 1:
        return ""
    return f"; its weights are the mean of the run's last {card.mean_of} step checkpoints (Izmailov et al. 2018)"


def _failures(claim: Claim) -> str:
    failed = sorted(row["x"] for row in claim.results if row["end"] != "clear")
    return ", ".join(str(x) for x in failed) or "none"


def _machine(machine: Machine) -> str:
    return (
        f"{machine['processor']}, {count_text(int(machine['cores']), 'core')}, {machine['memory']}, {machine['device']}"
    )
