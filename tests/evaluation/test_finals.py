"""The evaluations at a run's end: done only if they are whole, unchanged, and those that are asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up import make_finals, make_run

from mario_rl.config import Config, load_config, parse_config
from mario_rl.config.study import FinalConfig
from mario_rl.evaluation.finals import asked_finals, look_at_finals
from mario_rl.files import sha256_of
from mario_rl.runs.directory import RunDir

ASKED = FinalConfig(protocols=("noop", "sticky"), episodes=5, seed=3)
EVIDENCE = ("config.yaml", "episodes.csv", "evaluation.csv", "final.csv")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    place = RunDir(tmp_path / "run")
    make_run(place, "double", "simple", 0, speed=0.5, episodes=20)
    make_finals(place, ASKED)
    record_evidence(place)
    return place


def record_evidence(run: RunDir) -> None:
    record = json.loads(run.record.read_text())
    record["files"] = {name: sha256_of(run.path / name) for name in EVIDENCE}
    run.record.write_text(json.dumps(record))


def state(run: RunDir, asked: FinalConfig | None = ASKED) -> tuple[str, str]:
    found = look_at_finals(run, load_config(run.config), asked)
    return found.state, found.why


def test_what_was_asked_for_and_is_unchanged_is_done(run):
    assert state(run) == ("done", "")
    assert state(run, None) == ("done", "")
    run.record.write_text("{}")  # as older versions wrote it: without checksums
    assert state(run) == ("done", "")
    run.record.unlink()
    assert state(run) == ("done", "")


def test_without_a_file_they_are_missing(run):
    run.final.unlink()
    assert state(run) == ("missing", "")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (FinalConfig(protocols=("noop", "sticky"), episodes=6, seed=3), "noop 31 (seed 3), sticky 6 (seed 3)"),
        (FinalConfig(protocols=("noop", "sticky"), episodes=5, seed=4), "noop 31 (seed 4), sticky 5 (seed 4)"),
        (FinalConfig(protocols=("sticky",), episodes=5, seed=3), "sticky 5 (seed 3)"),
        (FinalConfig(protocols=("noop", "greedy"), episodes=5, seed=3), "greedy 1 (seed 3), noop 31 (seed 3)"),
    ],
)
def test_others_than_are_asked_for_are_said_beside_those(run, asked, says):
    assert state(run, asked) == (
        "others",
        f"{run.final}: has episodes of noop 31 (seed 3), sticky 5 (seed 3); the study asks for {says}",
    )


def test_the_order_of_protocols_makes_no_difference(run):
    assert state(run, FinalConfig(protocols=("sticky", "noop"), episodes=5, seed=3)) == ("done", "")


def test_of_several_stages_each_has_its_episodes():
    config = parse_config({"env": {"stage": ["1-1", "1-2", "1-1"]}}, "it")
    assert {name: made.episodes for name, made in asked_finals(config, ASKED).items()} == {"noop": 93, "sticky": 15}
    assert asked_finals(Config(), ASKED)["noop"].episodes == 31


def rows(change: Callable[[list[str]], list[str]]) -> Callable[[bytes], bytes]:
    return lambda content: ("\n".join(change(content.decode().splitlines())) + "\n").encode()


DAMAGED = {
    "another file": lambda content: b"x",
    "nothing": lambda content: b"",
    "no rows": rows(lambda lines: lines[:1]),
    "cut short": lambda content: content[:-4],
    "a row less": rows(lambda lines: lines[:-1]),
    "a row of the middle less": rows(lambda lines: lines[:5] + lines[6:]),
    "a row twice": rows(lambda lines: [*lines, lines[-1]]),
    "another protocol": rows(lambda lines: [*lines[:-1], lines[-1].replace("sticky", "lucky")]),
    "another end": rows(lambda lines: [*lines[:-1], lines[-1].replace("death", "glory")]),
    "no number": rows(lambda lines: [*lines[:-1], lines[-1].replace("1200", "many")]),
    "another seed": rows(lambda lines: [*lines[:-1], lines[-1].replace("sticky,3,", "sticky,4,")]),
    "other weights": rows(lambda lines: [*lines[:-1], lines[-1].replace("100,", "200,", 1)]),
    "NUL": lambda content: content + b"\0\0\n",
    "no text": lambda content: bytes(range(256)),
}
NOT_SEEN_WITHOUT_A_RECORD = {"a row less"}  # fewer episodes of a protocol are other evaluations


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
def test_what_is_not_whole_is_damaged_and_the_file_is_named(run, kind, recorded):
    if not recorded:
        run.record.unlink()
    run.final.write_bytes(DAMAGED[kind](run.final.read_bytes()))
    found, why = state(run)
    assert found == ("others" if kind in NOT_SEEN_WITHOUT_A_RECORD and not recorded else "damaged")
    assert why.startswith(f"{run.final}: ")
    assert "\n" not in why


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_that_was_changed_after_the_run_was_done_is_named(run, name):
    changed = run.path / name
    changed.write_bytes(changed.read_bytes() + (b"# mine\n" if name == "config.yaml" else b"9\n"))
    why = f"{changed}: was changed after the run was done; its SHA-256 is not the one in run.json"
    assert state(run) == ("damaged", why)
    changed.unlink()
    if name not in ("config.yaml", "final.csv"):
        assert state(run) == ("damaged", f"{changed}: is gone, and was there when the run was done")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must hold keys and values"),
        ('{"best": 3}', "best: 3 is not allowed; must be"),
        ('{"files": {"../../secret": "0"}}', "files"),
        ('{"threads": NaN}', "is not a finite number"),
        ("[" * 2_000 + "]" * 2_000, "nested more than"),
    ],
)
def test_a_record_that_is_damaged_is_named(run, content, says):
    run.record.write_text(content)
    found, why = state(run)
    assert found == "damaged"
    assert why.startswith(f"{run.record}: ")
    assert says in why


def test_who_asks_needs_no_torch():
    code = "import sys, mario_rl.evaluation.finals, mario_rl.studies.left; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
