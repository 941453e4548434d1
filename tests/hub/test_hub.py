"""Agents handed on: pushed with a model card, and pulled as files from a stranger, by a stand-in for the hub."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from damage import damaged
from hub_stand_in import TOKEN, point_to
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mario_rl
from mario_rl.cards import load_card
from mario_rl.cards.card import Facts
from mario_rl.cards.checking import find_flaws
from mario_rl.cards.facts import read_facts
from mario_rl.cli import main
from mario_rl.errors import UserError
from mario_rl.hub import access, pull, pulling, pushing
from mario_rl.hub.contents import MOST_BYTES
from mario_rl.hub.model_card import model_card
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.emulator

REPO = "user/mario"


@pytest.fixture
def pushed(hub, agent, film):
    """The hub with the agent, as `push` leaves it."""
    assert main(["push", str(agent), REPO, "--film", str(film)]) == 0
    return hub


def refused(arguments, capsys, code=2) -> str:
    """The one line with which a command is refused."""
    capsys.readouterr()
    assert main([str(one) for one in arguments]) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("mario-rl: ")
    assert "Traceback" not in line
    return line


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


# There and back.


@pytest.mark.takes("two processes that load PyTorch, and a film")
def test_what_the_command_line_pushes_it_pulls_again_byte_for_byte(hub, agent, tmp_path):
    def run(*arguments: object) -> str:
        command = [sys.executable, "-m", "mario_rl", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    name = agent.stem
    said = run("push", agent, REPO, "--message", "the first")
    assert said.startswith(f"pushed: {hub.url}/{REPO}\n")
    repo = hub.repositories[REPO]
    assert repo.messages == ["the first"]  # one commit for all of it
    assert sorted(repo.newest) == sorted(["README.md", f"{name}.pt", f"{name}.json", f"{name}.md", "replay.mp4"])
    assert hashlib.sha256(agent.read_bytes()).hexdigest() in hub.objects  # weights and film go by Git LFS
    said = run("pull", REPO, "--output", "got")
    assert f"next:  mario-rl verify got/{name}.pt\n       mario-rl watch got/{name}.pt" in said
    got = tmp_path / "got"
    assert sorted(path.name for path in got.iterdir()) == [f"{name}.{one}" for one in ("json", "md", "mp4", "pt")]
    for ending in (".pt", ".json", ".md"):
        assert (got / name).with_suffix(ending).read_bytes() == agent.with_suffix(ending).read_bytes()
    assert (got / f"{name}.mp4").read_bytes() == repo.newest["replay.mp4"]
    pulled = got / f"{name}.pt"
    assert list(find_flaws(pulled, load_card(pulled), read_facts(pulled))) == []
    assert len(mario_rl.load(pulled).actions) > 1


def test_a_second_push_makes_a_commit_of_its_own_and_an_older_revision_can_still_be_pulled(pushed, agent, tmp_path):
    first = next(iter(pushed.repositories[REPO].commits))
    assert main(["push", str(agent), REPO, "--no-film"]) == 0
    repo = pushed.repositories[REPO]
    assert len(repo.commits) == 2
    assert "replay.mp4" not in repo.newest  # it would be of an agent that is no longer there
    assert "replay.mp4" not in repo.newest["README.md"].decode()
    for revision, films in ((f"@{first}", 1), ("", 0)):
        output = tmp_path / f"got{films}"
        assert main(["pull", REPO + revision, "--output", str(output)]) == 0
        assert len(list(output.glob("*.mp4"))) == films
    assert main(["pull", REPO, "--output", str(tmp_path / "got1"), "--force"]) == 0
    assert list((tmp_path / "got1").glob("*.mp4")) == []


# The model card.


def test_the_model_card_has_the_cards_rates_where_the_hub_looks_for_them(agent):
    clears = {"greedy": (1, 1, 1.0), "noop": (24, 31, 0.7742), "sticky": (84, 100, 0.84), "epsilon": (2, 3, 0.6667)}
    card = load_card(agent)
    claims = [
        claim.model_copy(
            update={
                "clears": clears[claim.protocol][0],
                "episodes": clears[claim.protocol][1],
                "clear_rate": clears[claim.protocol][0] / clears[claim.protocol][1],
                "mean_return": 2_828.48,
            }
        )
        for claim in card.evaluations
    ]
    text = model_card(card.model_copy(update={"evaluations": claims}), REPO, with_film=True, license_name="mit")
    data = ModelCard(text).data
    assert (data.license, data.library_name, data.model_name) == ("mit", "mario_rl", agent.stem)
    assert {"reinforcement-learning", "deep-reinforcement-learning", "super-mario-bros", "double-dqn"} <= {*data.tags}
    found = {(one.dataset_config, one.metric_type): one.metric_value for one in data.eval_results}
    assert found == {(protocol, "clear_rate"): rate for protocol, (_, _, rate) in clears.items()} | {
        (protocol, "mean_reward"): 2_828.48 for protocol in clears
    }
    assert {one.metric_name for one in data.eval_results if one.dataset_config == "noop"} == {
        "clear rate (24 of 31 episodes)",
        "mean return (classic reward)",
    }
    body = ModelCard(text).text
    assert f"mario-rl pull {REPO}\nmario-rl watch {agent.name}\nmario-rl verify {agent.name}\n" in body
    assert "[replay.mp4](replay.mp4)" in body
    assert body.count("| `noop` | 24 of 31 | 77.4% |") == 1


def test_a_dry_run_writes_what_would_be_uploaded_and_asks_no_server(hub, agent, film, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    preview = tmp_path / "preview"
    arguments = ["push", str(agent), REPO, "--film", str(film), "--license", "cc0-1.0", "--dry-run", str(preview)]
    assert main(arguments) == 0
    assert hub.requests == []
    files = sorted(path.name for path in preview.iterdir())
    assert files == sorted(["README.md", agent.name, f"{agent.stem}.json", f"{agent.stem}.md", "replay.mp4"])
    said = capsys.readouterr().out
    assert all(f"  {name}  {(preview / name).stat().st_size:,} bytes\n" in said for name in files)
    assert ModelCard.load(preview / "README.md").data.license == "cc0-1.0"
    assert "--dry-run: " in refused(arguments, capsys)  # the folder has something in it now


# What is not pushed.


def test_a_card_that_does_not_hold_is_not_pushed(hub, agent, capsys):
    card = agent.with_suffix(".json")
    values = json.loads(card.read_text())
    values["evaluations"][1]["clears"] = 30
    card.write_text(json.dumps(values))
    assert "its card does not hold (noop: clears: the card says 30" in refused(["push", agent, REPO], capsys)
    assert hub.requests == []


def test_the_state_of_training_is_never_pushed(hub, agent, capsys):
    save_checkpoint(agent, {key: one for key, one in load_checkpoint(agent).items() if key != "format"} | TRAINING)
    card = json.loads(agent.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(agent.read_bytes()).hexdigest()
    agent.with_suffix(".json").write_text(json.dumps(card))
    assert "holds the state of a training run too" in refused(["push", agent, REPO], capsys)
    assert hub.requests == []


def test_an_agent_with_a_network_of_somebodys_own_class_is_not_loaded_to_look_at_it(hub, agent, capsys):
    state = {key: one for key, one in load_checkpoint(agent).items() if key != "format"}
    state["config"]["network"]["body"] = "antigravity:Body"  # importing it would open a browser
    save_checkpoint(agent, state)
    card = json.loads(agent.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(agent.read_bytes()).hexdigest()
    agent.with_suffix(".json").write_text(json.dumps(card))
    assert "network.body is 'antigravity:Body', a class that no repository brings" in refused(
        ["push", agent, REPO], capsys
    )
    assert "antigravity" not in sys.modules
    assert hub.requests == []


TRAINING = {
    "training": {
        "agent": {"optimizer": {"step": torch.zeros(1)}},
        "collector": {},
        "replay_generation": 0,
        "replay_generator": "",
        "torch_generators": {},
        "evaluated_at": 0,
        "best": None,
        "recent": [],
        "snapshot_episodes": 0,
    }
}


def test_only_a_shipped_agent_is_pushed(hub, agent, film, tmp_path, capsys):
    for path in (agent.parent, agent):
        agent.with_suffix(".json").unlink(missing_ok=True)
        assert f"ship the agent first: mario-rl ship {path} NAME.pt" in refused(["push", path, REPO], capsys)
    assert "no such file; give a shipped agent" in refused(["push", tmp_path / "none.pt", REPO], capsys)
    assert hub.requests == []


def test_what_is_no_film_is_not_pushed(hub, agent, film, tmp_path, capsys):
    film.write_bytes(b"import os")
    assert "not an MP4 video" in refused(["push", agent, REPO, "--film", film], capsys)
    assert "can't be read" in refused(["push", agent, REPO, "--film", tmp_path / "none.mp4"], capsys)
    assert "only one of them" in refused(["push", agent, REPO, "--film", film, "--no-film"], capsys)


def test_a_repository_holds_one_agent(pushed, agent, tmp_path, capsys):
    before = dict(pushed.repositories[REPO].commits)
    pushed.add("user/other", {"another.pt": b"", "notes.txt": b"kept"})
    line = refused(["push", agent, "user/other", "--no-film"], capsys)
    assert "has another agent already, another.pt" in line
    assert "public" in refused(["push", agent, REPO, "--no-film", "--private"], capsys)
    assert pushed.repositories[REPO].commits == before


def test_a_private_repository_is_for_its_owner_alone(hub, agent, film, tmp_path, monkeypatch, capsys):
    assert main(["push", str(agent), REPO, "--film", str(film), "--private"]) == 0
    assert hub.repositories[REPO].private
    assert main(["pull", REPO, "--output", str(tmp_path / "got")]) == 0
    monkeypatch.delenv("HF_TOKEN")
    line = refused(["pull", REPO, "--output", tmp_path / "stranger"], capsys)
    assert "no such repository, or it is private" in line
    assert nothing_in(tmp_path / "stranger")


# What is not pulled.


def test_other_files_of_a_repository_are_left_alone(pushed, agent, tmp_path):
    evil = {
        "evil.py": b"raise SystemExit",
        "config.json": b"{}",
        "requirements.txt": b"evil",
        "pytorch_model.bin": b"\x80\x04",
        "data/weights.pt": b"\x80\x04",
        "../escaped.pt": b"\x80\x04",
        "../escaped.json": b"{}",
        f"{agent.stem}.pkl": b"\x80\x04",
    }
    pushed.repositories[REPO].commit(evil)
    pushed.requests.clear()
    assert main(["pull", REPO, "--output", str(tmp_path / "got")]) == 0
    names = [f"{agent.stem}.{one}" for one in ("json", "md", "mp4", "pt")]
    assert sorted(path.name for path in (tmp_path / "got").rglob("*")) == names
    asked = sorted(one.rpartition("/")[2] for one in pushed.requests if "/resolve/" in one)
    assert asked == sorted([agent.name, f"{agent.stem}.json", "replay.mp4"])


def spoil_one_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("ending", [".pt", ".json", ".mp4"])
@pytest.mark.parametrize("spoil", [spoil_one_bit, lambda content: content[:-100], lambda content: content + bytes(9)])
def test_a_file_that_is_not_what_the_hub_lists_is_refused(ending, spoil, pushed, agent, tmp_path, capsys):
    name = "replay.mp4" if ending == ".mp4" else f"{agent.stem}{ending}"
    pushed.sent[name] = spoil(pushed.repositories[REPO].newest[name])
    line = refused(["pull", REPO, "--output", tmp_path / "got"], capsys)
    assert f"{REPO}/{agent.stem}" in line or f"{REPO}/{name}" in line
    assert line.endswith("refused, nothing is kept")
    assert nothing_in(tmp_path / "got")


def test_a_damaged_file_in_the_repository_itself_is_refused(pushed, agent, tmp_path, capsys):
    whole = pushed.repositories[REPO].newest
    for name, content in [
        (agent.name, spoil_one_bit(whole[agent.name])),
        (agent.name, whole[agent.name][:-1_000]),
        (f"{agent.stem}.json", whole[f"{agent.stem}.json"].replace(b'"clears":0,', b'"clears":1,', 1)),
        (f"{agent.stem}.json", b"[" * 100_000),
        ("replay.mp4", b"<script>alert(1)</script>"),
    ]:
        pushed.repositories[REPO].commit(whole | {name: content})
        line = refused(["pull", REPO, "--output", tmp_path / "got"], capsys)
        assert line.startswith(f"mario-rl: {REPO}/")
        assert line.endswith("refused, nothing is kept")
        assert nothing_in(tmp_path / "got")


class Evil:
    def __reduce__(self):
        return os.system, ("echo evil",)


def test_an_agent_with_code_in_it_is_refused_though_its_card_has_its_checksum(pushed, agent, tmp_path, capfd):
    evil = tmp_path / "evil.pt"
    torch.save(load_checkpoint(agent) | {"extra": Evil()}, evil)
    card = json.loads(agent.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(evil.read_bytes()).hexdigest()
    files = {agent.name: evil.read_bytes(), f"{agent.stem}.json": json.dumps(card).encode()}
    pushed.repositories[REPO].commit(files)
    line = refused(["pull", REPO, "--output", tmp_path / "got"], capfd)
    assert "more than tensors and plain values" in line
    assert nothing_in(tmp_path / "got")


def test_what_is_too_large_is_refused_before_any_of_it_is_sent(pushed, agent, tmp_path, capsys):
    pushed.requests.clear()
    for name, ending in [(agent.name, ".pt"), (f"{agent.stem}.json", ".json"), ("replay.mp4", ".mp4")]:
        pushed.listed_sizes = {name: MOST_BYTES[ending] + 1}
        line = refused(["pull", REPO, "--output", tmp_path / "got"], capsys)
        assert f"{REPO}/{name}: refused, {MOST_BYTES[ending] + 1:,} bytes; a {ending} file may have at most" in line
    assert [one for one in pushed.requests if "/resolve/" in one] == []
    assert nothing_in(tmp_path / "got")


def test_a_server_that_sends_more_than_it_lists_is_cut_off(pushed, agent, tmp_path, capsys):
    pushed.sent[agent.name] = bytes(60_000_000)
    assert "is not the file that the hub lists" in refused(["pull", REPO, "--output", tmp_path / "got"], capsys)
    assert pushed.bytes_sent < 30_000_000  # what buffers on the way hold
    assert nothing_in(tmp_path / "got")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_damaged_nothing_untrue_is_pulled(data, pushed, agent, tmp_path_factory):
    whole = pushed.repositories[REPO].newest
    name = data.draw(st.sampled_from([agent.name, f"{agent.stem}.json"]))
    pushed.repositories[REPO].commit(whole | {name: data.draw(damaged(whole[name]))})
    got = tmp_path_factory.mktemp("got")
    try:
        pulled, *_ = pull(REPO, got)
    except UserError:
        assert nothing_in(got)
    else:  # what neither the weights nor a sum tells, such as a single episode's first value, is for `verify` to find
        one, other = load_card(pulled), load_card(agent)
        assert one.model_dump(include={*Facts.model_fields}) == other.model_dump(include={*Facts.model_fields})
        for claim, claimed in zip(one.evaluations, other.evaluations, strict=True):
            assert (claim.clears, claim.mean_x, claim.mean_return) == (
                claimed.clears,
                claimed.mean_x,
                claimed.mean_return,
            )
        assert pulled.read_bytes() == agent.read_bytes()
    finally:
        pushed.repositories[REPO].commit(whole)


def test_a_repository_without_one_agent_and_its_card_is_refused(hub, tmp_path, capsys):
    hub.add("user/empty", {"README.md": b""})
    hub.add("user/cardless", {"agent.pt": b""})
    hub.add("user/two", {"a.pt": b"", "a.json": b"", "b.pt": b"", "b.json": b""})
    hub.add("user/odd", {"-rf.pt": b"", "-rf.json": b"", "a/b.pt": b"", "a/b.json": b"", ".x.pt": b"", ".x.json": b""})
    for name, says in [("empty", "no agent"), ("cardless", "no agent"), ("two", "several"), ("odd", "no agent")]:
        assert f"user/{name}: has {says}" in refused(["pull", f"user/{name}", "--output", tmp_path / "got"], capsys)
    assert nothing_in(tmp_path / "got")


def test_files_that_are_there_are_replaced_by_force_alone_and_links_never(pushed, agent, tmp_path, capsys):
    got, elsewhere = tmp_path / "got", tmp_path / "elsewhere"
    got.mkdir()
    kept = got / f"{agent.stem}.json"
    kept.write_text("mine")
    assert "is there already" in refused(["pull", REPO, "--output", got], capsys)
    assert [path.name for path in got.iterdir()] == [kept.name]
    assert kept.read_text() == "mine"
    assert main(["pull", REPO, "--output", str(got), "--force"]) == 0
    assert (got / agent.name).read_bytes() == agent.read_bytes()
    (got / agent.name).unlink()
    elsewhere.write_text("mine")
    (got / agent.name).symlink_to(elsewhere)
    assert "is a link" in refused(["pull", REPO, "--output", got, "--force"], capsys)
    assert elsewhere.read_text() == "mine"
    elsewhere.unlink()
    assert "is a link" in refused(["pull", REPO, "--output", got, "--force"], capsys)  # one that leads nowhere too


# What goes wrong on the way.


@pytest.mark.parametrize(
    "repo", ["mario", "a/b/c", "user/../x", "user/na me", "user/-x", "https://hub/user/x", "/etc/passwd", "u/x\x1b[31m"]
)
def test_odd_names_of_repositories_are_refused(repo, hub, agent, capsys):
    for arguments in (["push", agent, repo, "--no-film"], ["pull", repo]):
        line = refused(arguments, capsys)
        assert "REPO: " in line
        assert "must be USER/NAME" in line
        assert line.isprintable()
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["", "../main", "a b", "a..b", "-x"])
def test_odd_names_of_revisions_are_refused(revision, hub, capsys):
    assert "must be a branch, a tag or a commit" in refused(["pull", f"{REPO}@{revision}"], capsys)
    assert hub.requests == []


def test_an_agent_whose_name_no_system_takes_is_not_pushed(hub, agent, capsys):
    for name in ("README.pt", "my agent.pt", "-x.pt", "agent.bin"):
        other = agent.with_name(name)
        other.write_bytes(agent.read_bytes())
        other.with_suffix(".json").write_bytes(agent.with_suffix(".json").read_bytes())
        assert "can't be pushed; must be NAME.pt" in refused(["push", other, REPO, "--no-film"], capsys)
    assert hub.requests == []


def test_without_a_token_or_with_a_wrong_one_nothing_is_pushed(hub, agent, tmp_path, monkeypatch, capsys):
    push = ["push", agent, REPO, "--no-film"]
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert "access refused (Invalid credentials in Authorization header)" in refused(push, capsys)
    assert "access refused" in refused(["pull", REPO], capsys)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    line = refused(["push", agent, "stranger/mario", "--no-film"], capsys)
    assert "stranger/mario: access refused (You don't have the rights" in line
    monkeypatch.delenv("HF_TOKEN")
    assert "needs an access token with write permission: `hf auth login`, or HF_TOKEN" in refused(push, capsys)
    assert hub.repositories == {}


def test_a_repository_or_revision_that_is_not_there_is_told(pushed, tmp_path, capsys):
    assert "no such repository" in refused(["pull", "user/none", "--output", tmp_path / "got"], capsys)
    assert "no such revision" in refused(["pull", f"{REPO}@v9", "--output", tmp_path / "got"], capsys)
    assert nothing_in(tmp_path / "got")


def test_a_hub_that_fails_or_is_down_is_told_with_exit_code_1(pushed, agent, tmp_path, monkeypatch, capsys):
    push, pull = ["push", agent, REPO, "--no-film"], ["pull", REPO, "--output", tmp_path / "got"]
    pushed.status = 500
    for arguments in (push, pull):
        assert f"{REPO}: the hub answered with error 500 (out of order)" in refused(arguments, capsys, code=1)
    pushed.status = None
    pushed.cut = 1_000
    assert "no connection" in refused(pull, capsys, code=1)  # it broke in the middle of the weights
    point_to(monkeypatch, "http://127.0.0.1:9")
    for arguments in (push, pull):
        assert "http://127.0.0.1:9: no connection (" in refused(arguments, capsys, code=1)
    assert nothing_in(tmp_path / "got")


def test_a_server_that_never_answers_is_not_waited_for_without_end(hub, agent, monkeypatch, capsys):
    for module in (access, pulling, pushing):
        monkeypatch.setattr(module, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        for arguments in (["push", agent, REPO, "--no-film"], ["pull", REPO]):
            assert "no connection (timed out)" in refused(arguments, capsys, code=1)


def test_without_the_library_it_is_said_what_to_install(agent, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.setitem(sys.modules, name, None)
    for arguments in (["push", agent, REPO], ["pull", REPO]):
        assert refused(arguments, capsys).endswith('huggingface_hub is not installed; pip install "mario-rl[hub]"')


@pytest.mark.parametrize("command", ["push", "pull"])
def test_the_help_shows_examples(command, capsys):
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"  mario-rl {command} " in said
    assert 'pip install "mario-rl[hub]"' in " ".join(said.split())
