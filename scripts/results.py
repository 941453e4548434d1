"""Writes the table of shipped agents, from their cards and their runs' episodes, into docs/results.md.

python scripts/results.py
"""

import re
from pathlib import Path

import click

from mario_rl.cards import Card, Claim, load_card
from mario_rl.config import Protocol, parse_config
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.names import ALGORITHMS
from mario_rl.runs.directory import RunDir
from mario_rl.runs.packed import unpacked
from mario_rl.runs.tables import read_episodes

REPOSITORY = Path(__file__).resolve().parents[1]
AGENTS = REPOSITORY / "checkpoints" / "pretrained"
RUNS = REPOSITORY / "docs" / "results" / "runs.zip"
DOCUMENTS = (REPOSITORY / "docs" / "results.md",)
BEGIN, END = "<!-- agents: written by scripts/results.py -->", "<!-- end of agents -->"

PROTOCOL_ORDER: tuple[Protocol, ...] = ("noop", "greedy", "sticky", "epsilon")
HEAD = (
    "| agent | seed | training [agent steps] | first clear in training | `noop`, 31 starts | `greedy` | `sticky` "
    "| `epsilon` |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def agents_table(agents: Path, runs: Path) -> str:
    """Lay out a row per shipped agent, as a Markdown table.

    Args:
        agents: folder of `NAME.pt`, each with its card.
        runs: folder with `NAME/episodes.csv`, the training episodes of the run each came from.

    Raises:
        CheckpointError: an agent has no card of its own. UserError: its run's episodes can't be read.
    """
    rows = [_row(path.stem, load_card(path), RunDir(runs / path.stem)) for path in sorted(agents.glob("*.pt"))]
    return "\n".join([*HEAD, *rows])


def with_table(text: str, table: str) -> str:
    """Put the table between the two marks of a document.

    Raises:
        ValueError: the document does not have both marks once.
    """
    replaced, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table}\n{END}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{BEGIN} ... {END} is there {count} times, not once")
    return replaced


def _row(name: str, card: Card, run: RunDir) -> str:
    config = parse_config(card.config, card.file)
    claims = {claim.protocol: _claim(claim) for claim in card.evaluations}
    what = f"{ALGORITHMS[config.agent.target]}, {config.env.action_set} on {config.env.stage} (`{name}`)"
    what += ", with starts from snapshots" if config.env.snapshot_probability else ""
    before = f"{card.initial_agent_steps:,} + " if card.initial_agent_steps else ""
    trained = f"{before}{card.agent_steps:,}"
    # a run that goes on with an agent which cleared the stage says nothing of how long a first clear takes
    initial = config.training.initial_checkpoint
    first_clear = "went on with an earlier agent" if initial else _first_clear(run)
    cells = [what, str(card.seed), trained, first_clear, *(claims[one] for one in PROTOCOL_ORDER)]
    return f"| {' | '.join(cells)} |"


def _claim(claim: Claim) -> str:
    if PROTOCOLS[claim.protocol].fixed_episodes == 1:
        return "clears" if claim.clears else f"ends at x {claim.mean_x:,.0f}"
    share = f"{claim.clears} of {claim.episodes}"
    if PROTOCOLS[claim.protocol].fixed_episodes is not None:
        return share
    return f"{share} ({claim.clear_rate_low:.0%} to {claim.clear_rate_high:.0%})"


def _first_clear(run: RunDir) -> str:
    episodes = read_episodes(run.episodes)
    cleared = (episodes["end"] == "clear").nonzero()[0]
    if not cleared.size:
        return "none"
    first = cleared[0]
    return f"{int(episodes['agent_steps'][first]):,} agent steps, {episodes['seconds'][first] / 60:.0f} min"


if __name__ == "__main__":
    with unpacked(RUNS) as runs:
        table = agents_table(AGENTS, runs)
    for document in DOCUMENTS:
        document.write_text(with_table(document.read_text(encoding="utf-8"), table), encoding="utf-8")
        click.echo(f"written: {document.relative_to(REPOSITORY)}")
