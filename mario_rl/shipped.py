"""What the package brings, found by name from any folder: configs, studies, searches, agents and trajectories."""

from __future__ import annotations

from pathlib import Path

from mario_rl.reading import Refused, parse_json, read_text

INSTALLED = Path(__file__).parent / "data"
"""Where they are in an installed package; in a checkout they are beside it."""

MOST_CARD_BYTES = 32_000_000


def _folder(in_checkout: str, installed: str) -> Path:
    return INSTALLED / installed if INSTALLED.is_dir() else Path(__file__).parents[1] / in_checkout


CONFIGS = _folder("configs", "configs")
AGENTS = _folder("checkpoints/pretrained", "agents")
TRAJECTORIES = Path(__file__).parent / "trajectories" / "stages"
"""Ways that clear stages, one each, found by `mario-rl explore`."""


def config_names() -> list[str]:
    """Name the configs: `ddqn_right_only`, `article/dqn_simple`."""
    paths = (path.relative_to(CONFIGS).with_suffix("") for path in CONFIGS.rglob("*.yaml"))
    return sorted(path.as_posix() for path in paths if path.parts[0] not in ("studies", "searches"))


def study_names() -> list[str]:
    """Name the studies: `smoke`."""
    return sorted(path.stem for path in (CONFIGS / "studies").glob("*.yaml"))


def search_names() -> list[str]:
    """Name the searches for settings: `quick`."""
    return sorted(path.stem for path in (CONFIGS / "searches").glob("*.yaml"))


def agent_names() -> list[str]:
    """Name the agents: `ddqn_simple_1-1_seed_0`."""
    return sorted(path.stem for path in AGENTS.glob("*.pt"))


def trajectory_names() -> list[str]:
    """Name the stages that a trajectory is shipped of: `1-1`."""
    return sorted(path.stem for path in TRAJECTORIES.glob("*.json"))


def find_config(given: Path, *, name: str | None = None) -> Path:
    """Name the file that a path or a config's name stands for: what is there, else what is shipped, else itself.

    Args:
        given: the path.
        name: where that is another than the path.
    """
    return _find(given, name or given.as_posix(), config_names(), CONFIGS)


def find_study(given: Path) -> Path:
    """Name the file that a path or the name of a study stands for, as `find_config`."""
    return _find(given, given.as_posix(), study_names(), CONFIGS / "studies")


def find_search(given: Path) -> Path:
    """Name the file that a path or the name of a search, else of a config, else of a study stands for."""
    found = _find(given, given.as_posix(), search_names(), CONFIGS / "searches")
    return (
        found
        if found != given
        else next((one for one in (find_config(given), find_study(given)) if one != given), given)
    )


def find_agent(given: Path) -> Path | None:
    """Name the file of the shipped agent that a name stands for; None where there is none of that name.

    A name without its seed, `ddqn_right_only_1-1`, stands for the best of its seeds: the one that cleared the largest
    share of the episodes on its card.
    """
    name, names = given.as_posix(), agent_names()
    if name in names:
        return AGENTS / f"{name}.pt"
    seeds = [AGENTS / f"{one}.pt" for one in names if one.startswith(f"{name}_seed_")]
    return max(seeds, key=clear_rate, default=None)


def find_trajectory(given: Path) -> Path | None:
    """Name the file of the shipped trajectory that a stage's name, `1-1`, stands for; None where there is none."""
    name = given.as_posix()
    return TRAJECTORIES / f"{name}.json" if name in trajectory_names() else None


def best_agent() -> Path | None:
    """Name the agent that cleared the largest share of the episodes on its card; None where no agent is shipped."""
    return max((AGENTS / f"{name}.pt" for name in agent_names()), key=clear_rate, default=None)


def clear_rate(agent: Path) -> float:
    """Tell what share of the episodes on its card a shipped agent cleared, all protocols; 0 where it can't be read."""
    counts = results(agent).values()
    return sum(clears for clears, _ in counts) / max(1, sum(episodes for _, episodes in counts))


def results(agent: Path) -> dict[str, tuple[int, int]]:
    """Read clears and episodes from a shipped agent's card, by protocol; none where it can't be read.

    `mario-rl verify` says whether they are so; this is to choose and to list.
    """
    try:
        card = parse_json(read_text(agent.with_suffix(".json"), most_bytes=MOST_CARD_BYTES))
        return {one["protocol"]: (int(one["clears"]), int(one["episodes"])) for one in card["evaluations"]}
    except (OSError, Refused, KeyError, TypeError, ValueError):
        return {}


def _find(given: Path, name: str, names: list[str], folder: Path) -> Path:
    return folder / f"{name}.yaml" if name in names and not given.exists() else given
