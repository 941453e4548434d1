"""Shipped agents: the file, its card, and the check that finds a claim that does not hold."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mario_rl.cards import Verdict, evaluating, load_card, ship, shipping, verify, verifying
from mario_rl.cards.checking import find_flaws
from mario_rl.cards.facts import read_facts
from mario_rl.cards.text import card_markdown
from mario_rl.cards.verifying import changed_episodes
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.errors import CheckpointError, StorageError
from mario_rl.evaluation import EvaluationInterrupted, evaluate
from mario_rl.evaluation.report import summarize
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import train

pytestmark = pytest.mark.emulator

TINY_RUN = """\
env: {stall_limit: 10, noop_max: 0, max_agent_steps: 40}
network: {hidden_size: 8}
replay: {capacity: 200, warmup_steps: 32}
training: {agent_steps: 60, envs: 2}
evaluation: {every_steps: null}
logging: {trackers: []}
device: cpu
"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("cards")
    (place / "tiny.yaml").write_text(TINY_RUN)
    train(load_config(place / "tiny.yaml"), place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def shipped_once(run_dir, tmp_path_factory) -> Path:
    """An agent shipped with a card of 1 + 31 + 3 + 3 episodes."""
    output = tmp_path_factory.mktemp("shipped") / "agent.pt"
    assert main(["ship", str(run_dir), str(output), "--episodes", "3", "--seed", "5"]) == 0
    return output


@pytest.fixture
def shipped(shipped_once, tmp_path) -> Path:
    """A copy of it, to be spoiled."""
    for suffix in (".pt", ".json", ".md"):
        shutil.copy(shipped_once.with_suffix(suffix), tmp_path)
    return tmp_path / "agent.pt"


def edit(card: Path, change) -> None:
    content = json.loads(card.read_text())
    change(content)
    card.write_text(json.dumps(content))


def test_a_shipped_agent_is_the_runs_network_alone_in_float16(run_dir, shipped):
    before, after = load_checkpoint(RunDir(run_dir).latest), load_checkpoint(shipped)
    assert "training" not in after
    assert {tensor.dtype for tensor in after["network"].values()} == {torch.float16}
    for name, tensor in before["network"].items():
        assert torch.equal(after["network"][name], tensor.half())
    assert shipped.stat().st_size < RunDir(run_dir).latest.stat().st_size / 4


def test_an_agent_may_have_any_name(run_dir, tmp_path):
    output = tmp_path / os.fsdecode(b"caf\xe9$x_$.pt")
    ship(run_dir, output, episodes=1)
    assert load_card(output).file == r"caf\xe9$x_$.pt"
    assert output.with_suffix(".md").read_text(encoding="utf-8").startswith("# caf\\xe9$x_$\n")


def test_the_card_says_what_was_trained_and_what_it_does(shipped):
    card = load_card(shipped)
    assert (card.file, card.seed, card.agent_steps) == ("agent.pt", 0, 60)
    assert card.config["network"]["hidden_size"] == 8
    assert [(claim.protocol, claim.episodes) for claim in card.evaluations] == [
        ("greedy", 1),
        ("noop", 31),
        ("sticky", 3),
        ("epsilon", 3),
    ]
    assert card.evaluations[2].seed == 5
    text = shipped.with_suffix(".md").read_text()
    assert "Double DQN on 1-1 with the action set right_only: 60 agent steps" in text
    assert "| `noop` | 0 of 31 | 0.0% |" in text
    assert "hidden_size: 8" in text


def test_an_honest_card_is_verified_episode_by_episode(shipped, capsys):
    assert main(["verify", str(shipped), "--protocol", "greedy", "--protocol", "sticky"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["holds", "greedy:"], ["holds", "sticky:"]]
    assert all("every episode the same" in line for line in lines[1:])


@pytest.mark.parametrize("actors", [0, 1])
def test_what_was_written_when_there_were_actors_is_shipped_and_verified_all_the_same(
    run_dir, shipped, tmp_path, actors, capsys
):
    """The checkpoint of a run, an agent's file and its card, each with a key that is gone."""

    def add(content):
        content["config"]["training"]["actors"] = actors
        return content

    latest = tmp_path / "latest.pt"
    save_checkpoint(latest, add(load_checkpoint(RunDir(run_dir).latest)))
    ship(latest, tmp_path / "again.pt", episodes=1)
    assert "actors" not in load_card(tmp_path / "again.pt").config["training"]

    save_checkpoint(shipped, add(load_checkpoint(shipped)))
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    edit(shipped.with_suffix(".json"), lambda content: add(content).update(sha256=digest))
    assert load_card(shipped).config["training"]["actors"] == actors
    assert main(["verify", str(shipped), "--protocol", "greedy"]) == 0
    assert "every episode the same" in capsys.readouterr().out
    assert [episode.result for episode in evaluate(shipped, protocol="greedy").episodes]


def forge(shipped: Path, protocol: int, change) -> None:
    """Change the episodes of an evaluation, and all that adds up to, without a contradiction."""

    def lie(content):
        claim = content["evaluations"][protocol]
        change(claim["results"])
        claim |= summarize(claim["results"], protocol=claim["protocol"], seed=claim["seed"], stage=claim["stage"])

    edit(shipped.with_suffix(".json"), lie)
    shipped.with_suffix(".md").write_text(card_markdown(load_card(shipped)))


def test_a_claim_that_is_not_so_fails_with_exit_code_1(shipped, capsys):
    forge(shipped, 0, lambda rows: rows[0].update(end="clear", x=3161))
    assert main(["verify", str(shipped), "--protocol", "greedy"]) == 1
    _, line = capsys.readouterr().out.splitlines()
    assert "FAILS  greedy: cleared 0 of 1, the card says 1; 1 episode went otherwise" in line


def test_with_other_versions_it_is_the_rate_that_counts_and_the_word_is_another(shipped, capsys):
    edit(shipped.with_suffix(".json"), lambda content: content["versions"].update(torch="1.0"))
    forge(shipped, 0, lambda rows: rows[0].update(x=rows[0]["x"] + 1))
    (verdict,) = verify(shipped, protocols=["greedy"])
    assert isinstance(verdict, Verdict)
    assert (verdict.changed, verdict.comparable, verdict.holds, verdict.exact) == (1, False, True, False)
    assert main(["verify", str(shipped), "--protocol", "greedy", "--protocol", "sticky"]) == 0
    _, greedy, sticky = capsys.readouterr().out.splitlines()
    assert greedy.startswith("  near   greedy: ")
    assert "not exact, only the clear rate is compared: other versions or another platform than the card's" in greedy
    assert sticky.startswith("  holds  sticky: ")
    assert sticky.endswith("every episode the same")


@pytest.mark.parametrize(("clears", "holds"), [(31, True), (28, True), (27, False)])
def test_elsewhere_a_claim_of_31_in_31_has_room_for_three_failures(shipped, clears, holds):
    # Wilson's 95 % interval of 31 of 31 begins at 0.890: 27.6 of 31.
    noop = load_card(shipped).evaluations[1]
    claim, repeated = (noop.model_copy(update={"clears": number}) for number in (31, clears))
    assert Verdict(claim, repeated, changed=2, comparable=False).holds == holds


def test_an_episode_has_changed_where_it_differs_in_anything_the_card_says():
    on_the_card = [{"x": 10, "end": "death"}, {"x": 20, "end": "clear"}]
    assert changed_episodes(on_the_card, [dict(row, younger_column=1.5) for row in on_the_card]) == 0
    assert changed_episodes(on_the_card, [{"x": 10, "end": "stall"}, {"x": 20, "end": "clear"}]) == 1
    assert changed_episodes(on_the_card, [{"x": 10}, {"x": 21, "end": "clear"}]) == 2


def test_another_agent_under_the_same_card_is_refused(shipped):
    content = bytearray(shipped.read_bytes())
    content[len(content) // 2] ^= 1
    shipped.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"agent\.pt: not the file that agent\.json describes"):
        load_card(shipped)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda card: card.unlink(), "no such card"),
        (lambda card: card.write_text("{"), "can't be read as a card"),
        (lambda card: card.write_bytes(b"\xff\xfe"), "can't be read as a card"),
        (lambda card: card.write_text("[]"), "not a card this version reads"),
        (lambda card: edit(card, lambda content: content.pop("sha256")), "not a card this version reads (sha256:"),
        (lambda card: edit(card, lambda content: content.update(format="2")), "not a card this version reads (format:"),
        (lambda card: card.write_text("9" * 10_000), "can't be read as a card"),
        (lambda card: card.write_text("[" * 100_000), "can't be read as a card (nested more than 32 deep)"),
        (lambda card: card.write_text('{"seed": 1, "seed": 0}'), "the key 'seed' stands twice"),
        (lambda card: card.write_text(card.read_text().replace('"x":', '"x":1e400,"y":')), "not a finite number"),
        (lambda card: edit(card, lambda content: content.update({"\x1b" * 500: 1})), "Extra inputs are not permitted"),
        (
            lambda card: edit(card, lambda content: content.update(seed="1\n2")),
            "(seed: Input should be a valid integer)",
        ),
        (lambda card: edit(card, lambda content: content.update(date="27.11.2026")), "(date: String should match"),
        (
            lambda card: edit(card, lambda content: content["evaluations"][1]["results"][3].update(x=65536)),
            "(evaluations.1.results.3: x: 65536 is not allowed; must be a whole number from 0 to 65535)",
        ),
        (
            lambda card: edit(card, lambda content: content["evaluations"][1]["results"][3].update(end="victory")),
            "(evaluations.1.results.3: end: 'victory' is not allowed; must be one of clear, death, stall, limit, warp)",
        ),
        (
            lambda card: edit(card, lambda content: content["evaluations"][1]["results"][3].pop("clock")),
            "(evaluations.1.results.3: clock is missing)",
        ),
        (lambda card: card.write_text(" " * 32_000_001), "larger than 32,000,000 bytes"),
    ],
)
def test_a_card_that_cant_be_read_is_one_line_and_exit_code_2(shipped, damage, message, capsys):
    damage(shipped.with_suffix(".json"))
    capsys.readouterr()
    assert main(["verify", str(shipped)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert line.isprintable()
    assert len(line) < 500


def test_only_what_is_on_the_card_can_be_verified(shipped):
    edit(shipped.with_suffix(".json"), lambda content: content["evaluations"].pop())
    with pytest.raises(CheckpointError, match="no evaluation under epsilon, only greedy, noop, sticky"):
        list(verify(shipped, protocols=["epsilon"]))


def test_threads_are_as_they_were_afterwards(shipped):
    torch.set_num_threads(2)
    list(verify(shipped, protocols=["greedy"]))
    assert torch.get_num_threads() == 2


def test_nothing_is_shipped_over_a_folder(run_dir, tmp_path, capsys):
    (tmp_path / "agent.json").mkdir()
    assert main(["ship", str(run_dir), str(tmp_path / "agent.pt")]) == 2
    assert "agent.json: can't be written" in capsys.readouterr().err
    assert not (tmp_path / "agent.pt").exists()


@pytest.fixture
def other(run_dir, tmp_path) -> Path:
    """Another agent than the shipped one."""
    state = load_checkpoint(RunDir(run_dir).latest)
    state["network"] = {name: tensor + 1 for name, tensor in state["network"].items()}
    state["agent_steps"] = 61
    save_checkpoint(tmp_path / "other" / "agent.pt", {key: value for key, value in state.items() if key != "format"})
    return tmp_path / "other" / "agent.pt"


@pytest.fixture
def quick(shipped_once, monkeypatch) -> None:
    """Shipping takes the claims of another card in place of playing."""
    claims = {claim.protocol: claim for claim in load_card(shipped_once).evaluations}
    monkeypatch.setattr(evaluating, "play", lambda file, protocol, *rest: claims[protocol])


def contents(shipped: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shipped.parent.iterdir() if path.is_file()}


class Killed(BaseException):
    """What happens to the process."""


@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_kill_between_the_renames_leaves_nothing_that_passes_for_something_else(
    renames, shipped, other, quick, monkeypatch, capsys
):
    before = contents(shipped)
    left = iter(range(renames))
    put_in_place = Path.replace

    def replace_or_die(partial: Path, path: Path) -> Path:
        if next(left, None) is None:
            raise Killed
        return put_in_place(partial, path)

    with monkeypatch.context() as killing, pytest.raises(Killed) if renames < 3 else nullcontext():
        killing.setattr(Path, "replace", replace_or_die)
        ship(other, shipped, episodes=3)
    after = contents(shipped)
    if renames == 0:
        assert after == before
    elif renames == 3:
        assert all(after[name] != before[name] for name in before)
    else:
        assert main(["verify", str(shipped)]) == 2
        assert "ship the agent again" in capsys.readouterr().err
        ship(other, shipped, episodes=3)
    steps = load_card(shipped).agent_steps
    assert steps == (60 if renames == 0 else 61)
    assert f" {steps} agent steps" in shipped.with_suffix(".md").read_text()


def test_a_card_that_cant_be_written_leaves_the_agent_as_it_was(shipped, other, quick, monkeypatch):
    before = contents(shipped)
    monkeypatch.setattr(shipping, "card_markdown", lambda card: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(StorageError, match=r"agent\.md: could not be written \(No space left: .*\)"):
        ship(other, shipped, episodes=3)
    assert contents(shipped) == before


def test_shipping_that_is_interrupted_changes_nothing_and_says_what_was_found(
    shipped, other, quick, monkeypatch, capsys
):
    before, found = contents(shipped), evaluating.play

    def interrupted(file, protocol, *rest):
        if protocol == "sticky":
            signal.raise_signal(signal.SIGINT)
            raise EvaluationInterrupted
        return found(file, protocol, *rest)

    monkeypatch.setattr(evaluating, "play", interrupted)
    assert main(["ship", str(other), str(shipped)]) == 130
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["greedy:", "noop:"]
    assert "nothing is shipped" in captured.err
    assert contents(shipped) == before


def test_a_card_without_claims_is_nothing_to_verify(shipped, capsys):
    edit(shipped.with_suffix(".json"), lambda content: content.update(evaluations=[]))
    assert main(["verify", str(shipped)]) == 1
    assert "FAILS  card: nothing to verify: its card has no evaluations" in capsys.readouterr().out
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"results": []}, "its card lists no episodes"),
        ({"episodes": 30}, "episodes: the card says 30, the list of its episodes says 31"),
        ({"clears": 31}, "clears: the card says 31, the list of its episodes says 0"),
        ({"clear_rate": 1.0}, "clear_rate: the card says 1.0, the list of its episodes says 0.0"),
        ({"stage": "1-2"}, "stage: the card says '1-2', the list of its episodes says '1-1'"),
        ({"complete": False}, "complete: the card says False, the list of its episodes says True"),
        ({"seed": 6}, "results.0.seed: the card says 5, the evaluation says 6"),
        ({"ends": {"clear": 0}}, "ends.clear: the card says 0, the list of its episodes says nothing"),
    ],
)
def test_a_claim_that_contradicts_itself_is_named_and_not_played(change, says, shipped, quick, capsys):
    edit(shipped.with_suffix(".json"), lambda content: content["evaluations"][1].update(change))
    assert main(["verify", str(shipped)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"  FAILS  noop: {says}" in lines
    assert [line.split()[1] for line in lines if line.startswith("  holds")] == ["greedy:", "sticky:", "epsilon:"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agent_steps": 61}, "card: agent_steps: the card says 61, the agent's file says 60"),
        ({"seed": 7}, "card: seed: the card says 7, the agent's file says 0"),
        ({"file": "other.pt"}, "card: file: the card says 'other.pt', the agent's file says 'agent.pt'"),
        ({"minutes": 900.5}, "card: minutes: the card says 900.5, the agent's file says "),
        ({"config": {}}, "card: config.env: the card says nothing, the agent's file says {'stage':"),
        ({"date": "9999-01-01"}, "card: date: 9999-01-01 is not yet"),
        ({"date": "2026-02-30"}, "card: date: 2026-02-30 is no date"),
    ],
)
def test_what_the_agents_file_does_not_say_is_named(change, says, shipped, quick, capsys):
    edit(shipped.with_suffix(".json"), lambda content: content.update(change))
    assert main(["verify", str(shipped)]) == 1
    assert f"  FAILS  {says}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda claims: claims.pop(3), "epsilon is there 0 times; must be once"),
        (lambda claims: claims.append(claims[0]), "greedy is there 2 times; must be once"),
        (lambda claims: claims.reverse(), "in the order epsilon, sticky, noop, greedy; must be greedy, noop, sticky"),
        (
            lambda claims: claims[1]["ends"].clear(),
            "noop: ends.death: the card says nothing, the list of its episodes says",
        ),
        (lambda claims: claims[1]["results"].pop(), "its card lists 30 episodes on 1 stage; must be 31 of them"),
        (lambda claims: claims[2]["results"][0].pop("q_visited"), "not all of their episodes have the same values"),
        (lambda claims: claims[0].pop("complete"), "not all of them have the same values"),
    ],
)
def test_evaluations_and_episodes_that_are_not_those_of_the_protocols_are_named(change, says, shipped, quick, capsys):
    edit(shipped.with_suffix(".json"), lambda content: change(content["evaluations"]))
    assert main(["verify", str(shipped)]) == 1
    assert says in capsys.readouterr().out


def test_a_card_for_reading_that_says_something_else_is_named_by_line(shipped, quick, capsys):
    text = shipped.with_suffix(".md")
    text.write_text(text.read_text().replace("| 0 of 31 |", "| 31 of 31 |"))
    assert main(["verify", str(shipped)]) == 1
    said = capsys.readouterr().out
    assert "  FAILS  agent.md: line 8, from character 12 on: says '31 of 31 " in said
    assert "the card gives '0 of 31 " in said
    text.unlink()  # what says nothing says nothing wrong
    assert main(["verify", str(shipped)]) == 0


def leaves(tree, at=()):
    """The places of all values in nested lists and dictionaries."""
    if isinstance(tree, dict | list) and tree:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*at, key))
    else:
        yield at


def parent_of(tree, at):
    for key in at[:-1]:
        tree = tree[key]
    return tree


REMOVED = object()
NOT_PROVABLE = {"versions"}  # nor is evaluated_on, but the card for reading says it too


def others(value) -> list[object]:
    """Values of the same and of other types, and none."""
    if isinstance(value, bool):
        different = [not value, int(value)]
    elif isinstance(value, int):
        different = [value + 1, -1 - value, value + 0.5, str(value), 10**30]
    elif isinstance(value, float):
        different = [value + 1, value * (1 + 1e-9) + 1e-9, 1e308, str(value)]
    elif isinstance(value, str):
        different = [value + "x", value[:-1], value.swapcase(), "", 1]
    else:
        different = [0, ""]
    return [one for one in [*different, None, [value], {"a": value}, REMOVED] if one is REMOVED or one != value]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """A copy of an agent of this repository, and its card, to be spoiled."""
    place = tmp_path_factory.mktemp("pretrained")
    for suffix in (".pt", ".json", ".md"):
        shutil.copy(PRETRAINED[0].with_suffix(suffix), place)
    return place / PRETRAINED[0].name


def test_no_value_of_a_shipped_card_can_be_edited_unnoticed(pretrained, monkeypatch):
    """Any one of 3,000 in turn; playing gives what was played when the agent was shipped."""
    content, honest = json.loads(pretrained.with_suffix(".json").read_text()), load_card(pretrained)
    claims = {claim.protocol: claim for claim in honest.evaluations}
    facts = read_facts(pretrained)
    monkeypatch.setattr(evaluating, "play", lambda file, protocol, *rest: claims[protocol])
    monkeypatch.setattr(evaluating, "versions", lambda: honest.versions)
    monkeypatch.setattr(verifying, "read_facts", lambda file: facts)
    assert [verdict.holds for verdict in verify(pretrained)] == [True] * 4
    places = [at for at in leaves(content) if at[0] not in NOT_PROVABLE]
    outside = st.sampled_from([at for at in places if "results" not in at])

    @settings(max_examples=60)
    @given(at=outside | st.sampled_from(places), data=st.data())
    def every_edit_is_noticed(at, data):
        tree = copy.deepcopy(content)
        parent = parent_of(tree, at)
        other = data.draw(st.sampled_from(others(parent[at[-1]])))
        if other is REMOVED:
            del parent[at[-1]]
        else:
            parent[at[-1]] = other
        pretrained.with_suffix(".json").write_text(json.dumps(tree))
        try:
            noticed = not all(one.holds for one in verify(pretrained))
        except CheckpointError as error:
            noticed = "\n" not in str(error)
        assert noticed

    every_edit_is_noticed()


@given(data=st.data())
def test_a_card_that_is_damaged_anyhow_is_read_or_refused_by_one_line(pretrained, data):
    path = pretrained.with_suffix(".json")
    whole = PRETRAINED[0].with_suffix(".json").read_bytes()
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    odd = st.binary(max_size=4) | st.sampled_from(
        [b"9" * 5000, b"1e400", b"NaN", b"[" * 50, b'"', b"{}", b"-", b"\\ud800"]
    )
    at = data.draw(st.sampled_from([start, end]))
    parts = {
        "truncate": whole[:end],
        "cut": whole[:start] + whole[end:],
        "splice": whole[:at] + whole[start : start + 400] + whole[at:],
        "put": whole[:at] + data.draw(odd) + whole[at + data.draw(st.integers(0, 9)) :],
    }
    path.write_bytes(data.draw(st.sampled_from(sorted(parts.items())))[1])
    try:
        load_card(pretrained)
    except CheckpointError as error:
        assert str(error).isprintable()  # noqa: PT017  # either is right


PRETRAINED = sorted((Path(__file__).parents[2] / "checkpoints" / "pretrained").glob("*.pt"))


@pytest.mark.parametrize("agent", PRETRAINED, ids=lambda agent: agent.stem)
def test_the_cards_of_this_repository_have_no_flaw(agent):
    assert list(find_flaws(agent, load_card(agent), read_facts(agent))) == []


def test_an_agent_trained_on_another_rom_is_not_shipped(run_dir, tmp_path, capsys):
    state = load_checkpoint(RunDir(run_dir).latest)
    save_checkpoint(
        tmp_path / "other.pt", {key: value for key, value in state.items() if key != "format"} | {"rom": "a" * 64}
    )
    assert main(["ship", str(tmp_path / "other.pt"), str(tmp_path / "agent.pt")]) == 2
    assert "other.pt: was trained on the ROM of SHA-256 aaaaaaaa" in capsys.readouterr().err


def test_a_card_of_another_rom_is_refused(shipped, capsys):
    edit(shipped.with_suffix(".json"), lambda content: content.update(rom="0" * 64))
    assert main(["verify", str(shipped)]) == 2
    assert f"was evaluated on the ROM of SHA-256 {'0' * 64}, the one here is ec299b99" in capsys.readouterr().err


def test_more_episodes_than_a_card_can_hold_are_refused_before_they_are_played(run_dir, tmp_path, capsys):
    assert main(["ship", str(run_dir), str(tmp_path / "agent.pt"), "--episodes", "30000"]) == 2
    assert (
        "episodes: 30000 are not allowed, a card of all protocols would list 60,032 episodes; must be 50,000 at most"
        in (capsys.readouterr().err)
    )


def test_the_claims_of_an_agent_of_two_stages_are_verified_stage_by_stage(run_dir, tmp_path, capsys):
    state = load_checkpoint(RunDir(run_dir).latest)
    state["config"]["env"]["stage"] = ["1-1", "1-2", "1-1"]  # the first is played twice as often
    save_checkpoint(tmp_path / "two.pt", {key: value for key, value in state.items() if key != "format"})
    assert main(["ship", str(tmp_path / "two.pt"), str(tmp_path / "agent.pt"), "--episodes", "1"]) == 0
    card = load_card(tmp_path / "agent.pt")
    assert [claim.episodes for claim in card.evaluations] == [3, 93, 3, 3]
    cells = [line.split(" | ") for line in (tmp_path / "agent.md").read_text().splitlines() if line.startswith("| `")]
    assert [(row[0], row[1], row[2]) for row in cells] == [
        (f"| `{claim.protocol}`", stage, f"0 of {share * claim.episodes // 3}")
        for claim in card.evaluations
        for stage, share in (("1-1", 2), ("1-2", 1))
    ]
    first, second, again = (row["x"] for row in card.evaluations[0].results)
    assert [row[-1] for row in cells[:2]] == [f"{first}, {again} |", f"{second} |"]
    assert main(["verify", str(tmp_path / "agent.pt"), "--protocol", "greedy", "--protocol", "sticky"]) == 0
    assert capsys.readouterr().out.count("every episode the same") == 2


def test_verifying_that_is_interrupted_says_what_the_finished_episodes_show(shipped, monkeypatch, capsys):
    report = evaluate(shipped, protocol="noop", seed=5)
    cut = replace(report, episodes=report.episodes[3:8], asked=31)

    def interrupted(*rest):
        signal.raise_signal(signal.SIGTERM)
        raise EvaluationInterrupted(cut)

    monkeypatch.setattr(evaluating, "play", interrupted)
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 143
    captured = capsys.readouterr()
    said = "noop: cleared 0 of 5, the card says 0 of 31, and it was cut short; "
    assert f"  so far {said}every episode the same" in captured.out
    assert "interrupted: what is not listed was not verified" in captured.err
    forge(shipped, 1, lambda rows: rows[7].update(x=3161))
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 143
    assert f"  FAILS  {said}1 episode went otherwise" in capsys.readouterr().out
