"""Writes tables into the documents: the shipped agents into docs/results.md, the 32 stages into docs/stages.md.

python scripts/results.py

They come from the agents' cards, their runs' episodes and the table that the search wrote.
"""

import csv
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from mario_rl.cards import Card, Claim, load_card
from mario_rl.config import Protocol, parse_config
from mario_rl.config.schema import STAGES
from mario_rl.evaluation.protocols import PROTOCOLS
from mario_rl.names import ALGORITHMS
from mario_rl.runs.directory import RunDir
from mario_rl.runs.packed import unpacked
from mario_rl.runs.tables import read_episodes

REPOSITORY = Path(__file__).resolve().parents[1]
AGENTS = REPOSITORY / "checkpoints" / "pretrained"
RUNS = REPOSITORY / "docs" / "results" / "runs.zip"
SEARCHES = REPOSITORY / "docs" / "explore" / "stages.zip"

PROTOCOL_ORDER: tuple[Protocol, ...] = ("noop", "greedy", "sticky", "epsilon")
STAGE_PROTOCOLS: tuple[Protocol, ...] = ("noop", "sticky", "epsilon")
AGENTS_HEAD = (
    "| agent | seed | training [agent steps] | first clear in training | `noop`, 31 starts | `greedy` | `sticky` "
    "| `epsilon` |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
STAGES_HEAD = (
    "| stage | search [minutes] | its way [s] | agent | trained [agent steps] | `noop` | `sticky` | `epsilon` |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)

type Row = Mapping[str, str]


class Document(NamedTuple):
    """A document with a table between two marks, named after what is in it, and how the table is made."""

    path: Path
    name: str
    table: Callable[[], str]

    def text(self) -> str:
        """Give the document as it should be.

        Raises:
            ValueError: it does not have both marks once.
        """
        return with_table(self.path.read_text(encoding="utf-8"), self.name, self.table())


def agents_table(agents: Path, runs: Path) -> str:
    """Lay out a row per shipped agent of 1-1, as a Markdown table; the other stages' have one of their own.

    Args:
        agents: folder of `NAME.pt`, each with its card.
        runs: folder with `NAME/episodes.csv`, the training episodes of the run each came from.

    Raises:
        CheckpointError: an agent has no card of its own. UserError: its run's episodes can't be read.
    """
    cards = {path.stem: load_card(path) for path in sorted(agents.glob("*.pt"))}
    rows = [_row(name, card, RunDir(runs / name)) for name, card in cards.items() if _stages(card) == ("1-1",)]
    return "\n".join([*AGENTS_HEAD, *rows])


def stages_table(searches: Sequence[Row], agents: Path) -> str:
    """Lay out a row for each of the 32 stages: what the search did there, and the agent that clears it most often.

    That is under noop; of equal ones, under all protocols together.

    Args:
        searches: rows of `stages.csv`, as `mario-rl explore --all` writes it.
        agents: folder of `NAME.pt`, each with its card.

    Raises:
        CheckpointError: an agent has no card of its own.
    """
    found = {row["stage"]: row for row in searches}
    cards = [load_card(path) for path in sorted(agents.glob("*.pt"))]
    rows = []
    for stage in STAGES:
        able = [card for card in cards if _episodes(card, stage, "noop")]
        best = max(able, key=lambda card: (_clears(card, stage)[0], sum(_clears(card, stage))), default=None)
        cells = [stage, *_search_cells(found.get(stage)), *_agent_cells(best, stage)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*STAGES_HEAD, *rows])


def with_table(text: str, name: str, table: str) -> str:
    """Put a table between the two marks that a document has for it.

    Raises:
        ValueError: the document does not have both marks once.
    """
    begin, end = marks(name)
    replaced, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{begin} ... {end} is there {count} times, not once")
    return replaced


def marks(name: str) -> tuple[str, str]:
    """Give the marks around a table: the line before and the line after it."""
    return f"<!-- {name}: written by scripts/results.py -->", f"<!-- end of {name} -->"


def read_searches(path: Path) -> list[Row]:
    """Read the `stages.csv` of a search of all stages out of an archive."""
    with zipfile.ZipFile(path) as archive:
        return list(csv.DictReader(archive.read("stages.csv").decode().splitlines()))


def _search_cells(search: Row | None) -> list[str]:
    if search is None:
        return [""] * 2
    if search["end"] != "clear":
        return [f"not cleared in {float(search['minutes']):.2f}", ""]
    return [f"{float(search['minutes']):.2f}", f"{float(search['clear_seconds']):.1f}"]


def _agent_cells(card: Card | None, stage: str) -> list[str]:
    if card is None:
        return [""] * 5
    config = parse_config(card.config, card.file)
    claims = []
    for protocol in STAGE_PROTOCOLS:
        episodes = _episodes(card, stage, protocol)
        claims.append(f"{sum(row['end'] == 'clear' for row in episodes)} of {len(episodes)}")
    agent = re.sub(r"_seed_\d+$", "", Path(card.file).stem)  # which is a name for it too, and leaves room for the rest
    name = f"`{agent}`{', with demonstrations' if config.has_demonstrations else ''}"
    return [name, _trained(card), *claims]


def _stages(card: Card) -> tuple[str, ...]:
    return parse_config(card.config, card.file).env.stages


def _clears(card: Card, stage: str) -> list[int]:
    return [sum(row["end"] == "clear" for row in _episodes(card, stage, one)) for one in STAGE_PROTOCOLS]


def _episodes(card: Card, stage: str, protocol: Protocol) -> list[Mapping[str, object]]:
    """List the evaluated episodes of a stage under a protocol; none where the card has none."""
    claims = [claim for claim in card.evaluations if claim.protocol == protocol]
    return [row for claim in claims for row in claim.results if row["stage"] == stage]


def _row(name: str, card: Card, run: RunDir) -> str:
    config = parse_config(card.config, card.file)
    claims = {claim.protocol: _claim(claim) for claim in card.evaluations}
    what = f"{ALGORITHMS[config.agent.target]}, {config.env.action_set} on {config.env.stage} (`{name}`)"
    what += ", with starts from snapshots" if config.env.snapshot_probability else ""
    # a run that goes on with an agent which cleared the stage says nothing of how long a first clear takes
    initial = config.training.initial_checkpoint
    first_clear = "went on with an earlier agent" if initial else _first_clear(run)
    cells = [what, str(card.seed), _trained(card), first_clear, *(claims[one] for one in PROTOCOL_ORDER)]
    return f"| {' | '.join(cells)} |"


def _trained(card: Card) -> str:
    before = f"{card.initial_agent_steps:,} + " if card.initial_agent_steps else ""
    return f"{before}{card.agent_steps:,}"


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


def _agents_table() -> str:
    with unpacked(RUNS) as runs:
        return agents_table(AGENTS, runs)


DOCUMENTS = (
    Document(REPOSITORY / "docs" / "results.md", "agents", _agents_table),
    Document(REPOSITORY / "docs" / "stages.md", "stages", lambda: stages_table(read_searches(SEARCHES), AGENTS)),
)

if __name__ == "__main__":
    for document in DOCUMENTS:
        document.path.write_text(document.text(), encoding="utf-8")
        click.echo(f"written: {document.path.relative_to(REPOSITORY)}")
