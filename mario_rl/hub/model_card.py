"""The model card: the front page of a repository, with the card's numbers in the form that the Hub indexes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mario_rl.cards import Card, Claim
from mario_rl.cards.text import card_markdown
from mario_rl.config import parse_config
from mario_rl.hub.contents import FILM
from mario_rl.names import ALGORITHMS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

LIBRARY = "mario_rl"


def model_card(card: Card, repo: str, *, with_film: bool, license_name: str) -> str:
    """Write the model card of a shipped agent.

    Its metadata follow https://huggingface.co/docs/hub/model-cards: under `model-index` stand, for each protocol, the
    clear rate and the mean return (classic reward) of the agent's card.

    Args:
        card: of the agent.
        repo: where it goes, USER/NAME.
        with_film: whether there will be a film.
        license_name: as the Hub writes it, such as `mit`.
    """
    from huggingface_hub import ModelCardData

    config = parse_config(card.config, card.file)
    algorithm = ALGORITHMS[config.agent.target]
    data = ModelCardData(
        license=license_name,
        library_name=LIBRARY,
        pipeline_tag="reinforcement-learning",
        tags=[
            "reinforcement-learning",
            "deep-reinforcement-learning",
            LIBRARY,
            "super-mario-bros",
            algorithm.lower().replace(" ", "-"),
        ],
        model_name=Path(card.file).stem,
        eval_results=[result for claim in card.evaluations for result in _results(claim)],
    )
    film = f"A film of it: [{FILM}]({FILM}).\n\n" if with_film else ""
    title, _, text = card_markdown(card).partition("\n\n")
    return (
        f"---\n{data.to_yaml()}\n---\n\n{title}\n\n"
        "An agent that plays NES Super Mario Bros., trained and measured with mario_rl. To use it, with "
        "`mario-rl[hub]` installed:\n\n"
        f"```\nmario-rl pull {repo}\nmario-rl watch {card.file}\nmario-rl verify {card.file}\n```\n\n"
        f"{film}{text}"
    )


def _results(claim: Claim) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    def result(kind: str, value: float, name: str) -> EvalResult:
        return EvalResult(
            task_type="reinforcement-learning",
            task_name="Reinforcement learning",
            dataset_type=f"SuperMarioBros-{claim.stage}",
            dataset_name=f"Super Mario Bros. {claim.stage}, protocol {claim.protocol}",
            dataset_config=claim.protocol,
            metric_type=kind,
            metric_value=round(value, 4),
            metric_name=name,
        )

    return [
        result("clear_rate", claim.clear_rate, f"clear rate ({claim.clears} of {claim.episodes} episodes)"),
        result("mean_reward", claim.mean_return, "mean return (classic reward)"),
    ]
