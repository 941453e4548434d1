"""Shipped agents: the file, its card, and the check that finds a claim that does not hold."""

from __future__ import annotations

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

from mario_rl.cards import Claim, Verdict, evaluating, load_card, ship, shipping, verify
from mario_rl.cards.verifying import changed_episodes
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.errors import CheckpointError, StorageError
from mario_rl.evaluation import EvaluationInterrupted, evaluate
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
logging: {tensorboard: false}
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


def test_a_claim_that_is_not_so_fails_with_exit_code_1(shipped, capsys):
    def boast(content):
        content["evaluations"][0] |= {"clears": 1, "clear_rate": 1.0}
        content["evaluations"][0]["results"][0] |= {"end": "clear", "x": 3161}

    edit(shipped.with_suffix(".json"), boast)
    assert main(["verify", str(shipped), "--protocol", "greedy"]) == 1
    assert "FAILS  greedy: cleared 0 of 1, the card says 1; 1 episode went otherwise" in capsys.readouterr().out


def test_with_other_versions_it_is_the_rate_that_counts(shipped, capsys):
    def elsewhere(content):
        content["versions"]["torch"] = "1.0"
        content["evaluations"][0]["results"][0]["x"] += 1

    edit(shipped.with_suffix(".json"), elsewhere)
    (verdict,) = verify(shipped, protocols=["greedy"])
    assert (verdict.changed, verdict.comparable, verdict.holds) == (1, False, True)
    assert main(["verify", str(shipped), "--protocol", "greedy"]) == 0
    assert "other versions or another platform" in capsys.readouterr().out


@pytest.mark.parametrize(("clears", "holds"), [(31, True), (28, True), (27, False)])
def test_elsewhere_a_claim_of_31_in_31_has_room_for_three_failures(clears, holds):
    # Wilson's 95 % interval of 31 of 31 begins at 0.890: 27.6 of 31.
    def claim(number: int) -> Claim:
        return Claim(
            protocol="noop",
            seed=0,
            episodes=31,
            clears=number,
            clear_rate=number / 31,
            clear_rate_low=number / 31,
            clear_rate_high=number / 31,
            mean_x=3000.0,
            results=[],
        )

    assert Verdict(claim(31), claim(clears), changed=2, comparable=False).holds == holds


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
    ],
)
def test_a_card_that_cant_be_read_is_one_line_and_exit_code_2(shipped, damage, message, capsys):
    damage(shipped.with_suffix(".json"))
    capsys.readouterr()
    assert main(["verify", str(shipped)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


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
    assert "FAILS  nothing to verify: its card has no evaluations" in capsys.readouterr().out
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"results": []}, "its card lists no episodes"),
        ({"episodes": 30}, "its card says 30 episodes and lists 31"),
        ({"episodes": 0, "results": []}, "its card lists no episodes"),
        ({"clears": 31}, "its card says 31 clears (0.0%), and of the episodes it lists 0 are"),
        ({"clear_rate": 1.0}, "its card says 0 clears (100.0%), and of the episodes it lists 0 are"),
        ({"protocol": "greedy"}, "its card says 31 episodes, greedy has 1"),
    ],
)
def test_a_claim_that_contradicts_itself_is_nothing_to_verify(change, says, shipped, capsys):
    def only(content):
        content["evaluations"] = [content["evaluations"][1] | change]

    edit(shipped.with_suffix(".json"), only)
    assert main(["verify", str(shipped)]) == 1
    out = capsys.readouterr().out
    assert "FAILS" in out
    assert f"nothing to verify: {says}" in out


def test_the_claims_of_an_agent_of_two_stages_are_verified_stage_by_stage(run_dir, tmp_path, capsys):
    state = load_checkpoint(RunDir(run_dir).latest)
    state["config"]["env"]["stage"] = ["1-1", "1-2"]
    save_checkpoint(tmp_path / "two.pt", {key: value for key, value in state.items() if key != "format"})
    assert main(["ship", str(tmp_path / "two.pt"), str(tmp_path / "agent.pt"), "--episodes", "1"]) == 0
    assert [claim.episodes for claim in load_card(tmp_path / "agent.pt").evaluations] == [2, 62, 2, 2]
    assert main(["verify", str(tmp_path / "agent.pt"), "--protocol", "greedy", "--protocol", "sticky"]) == 0
    assert capsys.readouterr().out.count("every episode the same") == 2


def test_verifying_that_is_interrupted_says_what_the_finished_episodes_show(shipped, monkeypatch, capsys):
    report = evaluate(shipped, protocol="noop", seed=5)
    cut = replace(report, episodes=report.episodes[3:8], asked=31)

    def interrupted(*rest):
        signal.raise_signal(signal.SIGTERM)
        raise EvaluationInterrupted(cut)

    def boast(content):
        content["evaluations"][1]["results"][7]["x"] = 3161

    monkeypatch.setattr(evaluating, "play", interrupted)
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 143
    captured = capsys.readouterr()
    said = "noop: cleared 0 of 5, the card says 0 of 31, and it was cut short; "
    assert f"  so far {said}every episode the same" in captured.out
    assert "interrupted: what is not listed was not verified" in captured.err
    edit(shipped.with_suffix(".json"), boast)
    assert main(["verify", str(shipped), "--protocol", "noop"]) == 143
    assert f"  FAILS  {said}1 episode went otherwise" in capsys.readouterr().out
