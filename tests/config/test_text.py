"""YAML of anybody: what says too much, or something else than plain values, is refused in a line before it is built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mario_rl.config import load_config
from mario_rl.config.text import MOST_BYTES, MOST_CHARACTERS, MOST_VALUES, parse_yaml
from mario_rl.errors import ConfigError

MOST_MEMORY = 200_000_000  # bytes


def bomb(levels: int = 9, times: int = 10, link: str = "", key: str = "") -> str:
    """Levels of which each names the one below so many times."""
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels + 1):
        below = ", ".join([f"*a{level - 1}"] * times)
        lines.append(f"a{level}: &a{level} {link}[{below}]{key}")
    return "\n".join(lines) + "\n"


MERGES = bomb(levels=40, times=2, link="{<<: ", key="}")

TOO_MUCH = {
    "aliases": (bomb(), "line 5: more than 10,000 values, aliases written out"),
    "merge keys": (MERGES, "more than 10,000 values, aliases written out"),
    "values": (f"axes: [{'1, ' * MOST_VALUES}]", "line 1: more than 10,000 values"),
    "keys": ("\n".join(f"k{n}:" for n in range(6_000)), "line 5001: more than 10,000 values"),
    "depth": ("[" * 1_500, "line 1: nested more than 32 deep"),
    "depth of blocks": ("- " * 1_500, "line 1: nested more than 32 deep"),
    "depth of keys": ("{a: " * 1_500, "line 1: nested more than 32 deep"),
    "depth of aliases": (
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)),
        "nested more than 32 deep",
    ),
    "itself": ("seed: &a [*a]", "line 1: *a is inside of what it stands for"),
    "itself, merged": ("env: &a\n  <<: *a", "line 2: *a is inside of what it stands for"),
    "one text": (f"device: {'x' * (MOST_CHARACTERS + 1)}", "line 1: a value of more than 4,096 characters"),
    "digits": (f"seed: {'9' * 10_000}", "line 1: a value of more than 4,096 characters"),
    "one key": (f"{'k' * 5_000}: 1", "line 1: a value of more than 4,096 characters"),
    "documents": ("---\n" * 10_001, "more than 10,000 values"),
    "bytes": ("#" * (MOST_BYTES + 1), "more than 65,536 characters, the most that is read"),
}

NOT_PLAIN = {
    "a tag of Python": (
        "!!python/object/apply:os.system [ls]",
        "the tag tag:yaml.org,2002:python/object/apply:os.system",
    ),
    "a tag": (
        "!!set {a}",
        "the tag tag:yaml.org,2002:set is not allowed; values are text, numbers, true, false and null",
    ),
    "a tag of one's own": ("a: !mine 3", "the tag !mine"),
    "a key that is a mapping": ("? {a: 1}\n: 2", "not valid YAML"),
    "a key twice": ("a: 1\na: 2", "line 2: not valid YAML (found duplicate key"),
    "an anchor twice": ("- &a 1\n- &a 2", "line 2: &a is there twice"),
    "a control character": ("a: \x07", "not valid YAML"),
    "UTF-16 without its mark": ("a: 1".encode("utf-16-le").decode(), "not valid YAML"),
    "a date that is none": ("2026-13-45", "not valid YAML"),
    "a number that is none": ("0x_", "not valid YAML"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_what_says_too_much_is_refused_by_its_line(kind):
    text, reason = TOO_MUCH[kind]
    with pytest.raises(ConfigError, match=r"^it, line|^it: more") as error:
        parse_yaml(text, "it")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_what_is_no_plain_value_is_refused(kind):
    text, reason = NOT_PLAIN[kind]
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "it")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_aliases_and_merge_keys_of_a_reasonable_size_are_read():
    text = "base: &b {gamma: 0.9, n_step: 3}\nfirst: {<<: *b, gamma: 0.5}\nsecond: *b\n"
    assert parse_yaml(text, "it") == {
        "base": {"gamma": 0.9, "n_step": 3},
        "first": {"gamma": 0.5, "n_step": 3},
        "second": {"gamma": 0.9, "n_step": 3},
    }


def test_as_many_values_as_are_allowed_and_as_deep_are_read():
    assert len(parse_yaml("[" + "1, " * (MOST_VALUES - 1) + "]", "it")) == MOST_VALUES - 1
    assert parse_yaml("[" * 32 + "1" + "]" * 32, "it") == json.loads("[" * 32 + "1" + "]" * 32)


PIECES = st.sampled_from(
    re.findall(
        r"\S+",
        """a: b &a *a << ? [ ] { } , - | > ' " # % @ ` ! !!int !!null --- ... %YAML 1.1 9.9 0x 0o 1e9 1:30:00 = ~ . .inf
        _ .nan 2026-11-23 2026-99-99T1:1:1 0001-01-01T00:00:00+23:59 \\ud800 \\x00 é \U0001f344""",
    )
) | st.sampled_from(["\ufeff", "\x85", "\u2028", "\0", "\r"])


@given(pieces=st.lists(st.tuples(PIECES, st.sampled_from(["", " ", "\n", "\n  ", "\t"])), max_size=12))
@example(pieces=[("%YAML 9.9", "\n"), ("---", " "), ("a", "")])
@example(pieces=[("0001-01-01T00:00:00+23:59", "")])
def test_whatever_is_written_is_read_or_refused_in_one_line(pieces):
    text = "".join(piece + space for piece, space in pieces)
    refusal = ""
    try:
        parse_yaml(text, "it")
    except ConfigError as error:
        refusal = str(error)
    assert refusal == "" or (refusal.startswith("it") and len(refusal.split("\n")) == 1)


# The same on the command line, where nothing may take a computer's memory.


MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""A small process between: what this one has would count for the other, which begins as its copy."""


def run_measured(*arguments: str, folder: Path) -> tuple[int, str, int]:
    """Exit code, what was said on stderr, and the most memory a process of the command line had, in bytes."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "mario_rl", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


STUDY = "base: base.yaml\naxes: {agent.target: [target, double]}\nseeds: [0]\n"
TEN_KEYS = re.findall(
    r"\S+",
    """env.stall_limit env.max_agent_steps replay.warmup_steps agent.batch_size agent.steps_per_update
    agent.sync_period_updates agent.decay_updates training.agent_steps training.episodes evaluation.seed""",
)
TEN_AXES = "base: base.yaml\nseeds: [0]\naxes:\n" + "".join(
    f"  {key}: [{', '.join(map(str, range(100, 108)))}]\n" for key in TEN_KEYS
)


def fifo(path: Path) -> None:
    os.mkfifo(path)


HOSTILE: dict[str, tuple[list[str], str | Callable[[Path], None], str]] = {
    "a bomb of aliases": (["config", "it.yaml"], bomb(), "it.yaml, line 5: more than 10,000 values"),
    "a bomb of merge keys": (["config", "it.yaml"], MERGES, "more than 10,000 values"),
    "a bomb as a study": (["compare", "it.yaml", "--dry-run"], bomb(), "it.yaml, line 5: more than 10,000 values"),
    "a bomb as a setting": (
        ["config", "base.yaml", f"env.stage={{{bomb().replace('\n', ', ')}}}"],
        "",
        "command line: env.stage, line 1: more than 10,000 values",
    ),
    "nested without end": (["config", "it.yaml"], "[" * 1_500, "it.yaml, line 1: nested more than 32 deep"),
    "10^9 combinations": (
        ["compare", "it.yaml", "--dry-run"],
        TEN_AXES,
        "it.yaml: axes: 1,073,741,824 arms from 1 seed are more than 10,000 runs, the most a study may have",
    ),
    "a device as the base": (
        ["compare", "it.yaml"],
        STUDY.replace("base.yaml", "/dev/zero"),
        "/dev/zero: not a regular file; a config is YAML",
    ),
    "a device as the config": (["config", "/dev/zero"], "", "/dev/zero: not a regular file"),
    "a pipe as the config": (["train", "it.yaml"], fifo, "it.yaml: not a regular file"),
    "a large file": (["config", "it.yaml"], "#\n" * 10_000_000, "it.yaml: larger than 65,536 bytes"),
    "a NUL in the base": (
        ["compare", "it.yaml"],
        STUDY.replace("base.yaml", r'"a\0b"'),
        r"it.yaml: base: 'a\x00b' is not allowed; must be a path: at most 4,096 bytes of UTF-8, without",
    ),
    "a NUL in the ROM": (["train", "it.yaml"], r'env: {rom: "a\0b"}', r"it.yaml: env.rom: 'a\x00b' is not allowed"),
    "a NUL in a setting": (
        ["train", "base.yaml", r'training.initial_checkpoint="a\0b"'],
        "",
        r"command line: training.initial_checkpoint: 'a\x00b' is not allowed",
    ),
    "half a character in a path": (["config", "it.yaml"], r'env: {rom: "a\ud800"}', r"it.yaml: env.rom: 'a\ud800'"),
    "a key that is a list": (["config", "it.yaml"], "? [1]\n: 2", "it.yaml: (1,): unknown key"),
    "keys that are no text": (["config", "it.yaml"], "1: 2\nnull: 3", "it.yaml: 1: unknown key"),
    "half a character in a key": (["config", "it.yaml"], r'"a\ud800": 1', "it.yaml: "),
    "a date in an axis": (
        ["compare", "it.yaml", "--dry-run"],
        STUDY.replace("target,", "2026-11-23,"),
        "it.yaml: axes.agent.target.0: 2026-11-23 is not allowed; must be text, a number, true, false, null, a list or",
    ),
    "a number without end": (
        ["compare", "it.yaml", "--dry-run"],
        STUDY.replace("[0]", f"[0x{'f' * 4_000}]"),
        "it.yaml: seeds.0: a number of 16,000 bits is not allowed; must be at most 4294967295",
    ),
    "such a number in an axis": (
        ["compare", "it.yaml", "--dry-run"],
        STUDY.replace("target,", f"0x{'f' * 4_000},"),
        "it.yaml: agent.target: a number of 16,000 bits is not allowed; must be one of none, target, double",
    ),
    "such a number in a list": (
        ["config", "it.yaml"],
        f"env: {{stage: [0x{'f' * 4_000}]}}",
        "it.yaml: env.stage: a list is not allowed; must be a stage",
    ),
    "a key without end": (
        ["config", "base.yaml", f"{'a.' * 3_000}a=1"],
        "",
        "is not allowed; no key has as many parts",
    ),
    "thousands of unknown keys": (
        ["config", "it.yaml"],
        "\n".join(f"k{n}:" for n in range(4_999)),
        "it.yaml: k0: unknown key; `mario-rl config CONFIG` lists all keys (and 4998 more)",
    ),
    "an arm that no folder can be called": (
        ["compare", "it.yaml", "--dry-run"],
        STUDY.replace("agent.target: [target", f"training.initial_checkpoint: [{'x' * 300}"),
        "it.yaml: axes: an arm's name, made of its values, has 300 characters (xxx",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_command_line_refuses_in_one_line_without_taking_memory(kind, tmp_path):
    arguments, made, says = HOSTILE[kind]
    (tmp_path / "base.yaml").write_text("seed: 1\n")
    if callable(made):
        made(tmp_path / "it.yaml")
    else:
        (tmp_path / "it.yaml").write_text(made)
    code, said, memory = run_measured(*arguments, folder=tmp_path)
    assert (code, said.count("\n"), said[:10]) == (2, 1, "mario-rl: "), said[:2_000]
    assert says in said
    assert memory < MOST_MEMORY
    assert {path.name for path in tmp_path.iterdir()} == {"base.yaml", "it.yaml"}


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("evaluation.episodes", "1000000000000", "at most 10000"),
        ("evaluation.seed", "4294967296", "at most 4294967295"),
        ("env.frame_skip", "257", "at most 256"),
        ("env.frame_stack", "17", "at most 16"),
        ("env.noop_max", "1001", "at most 1000"),
        ("env.snapshot_rewind_steps", "10001", "at most 10000"),
        ("env.reward_scale", "1e300", "at most 1000000.0"),
        ("env.stage", f"[{', '.join(['1-1'] * 101)}]", "a list of up to 100 such stages"),
        ("env.action_set", f"[[{', '.join(['A'] * 10)}]]", "button lists, each of up to 9"),
        ("env.action_set", f"[{', '.join(['[A]'] * 257)}]", "a list of up to 256 button lists"),
        ("env.rom", "x" * 4_097, "a value of more than 4,096 characters"),
        ("env.rom", "é" * 4_000, "a path: at most 4,096 bytes"),
        ("network.hidden_size", "16385", "at most 16384"),
        ("network.channels", "[257, 1, 1]", "a list of three whole numbers from 1 to 256"),
        ("network.channels", "[1, 1]", "a list of three whole numbers from 1 to 256"),
        ("network.quantiles", "513", "at most 512"),
        ("replay.capacity", "1000000000000", "at most 1000000000"),
        ("agent.batch_size", "1000000000", "at most 4096"),
        ("agent.steps_per_update", "1000000000001", "at most 1000000000000"),
        ("agent.learning_rate", "2", "at most 1.0"),
        ("training.agent_steps", "1000000000001", "at most 1000000000000 or null"),
        ("training.minutes", "1e300", "or null"),
        ("training.keep_checkpoints", "10001", "at most 10000"),
        ("logging.every_seconds", "1e300", "at most 1000000000.0"),
    ],
)
def test_every_number_has_a_most_and_so_do_lists(key, value, allowed, tmp_path):
    (tmp_path / "it.yaml").write_text("")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "it.yaml", [f"{key}={value}"])
    assert str(error.value).startswith(f"command line: {key}")
    assert allowed in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["network.body=own:Body", "network.layer_norm=true"],
            "network: layer_norm is of the convolutions that body own:Body stands in for; leave it out",
        ),
        (
            ["network.body=own:Body", "network.channels=[16, 32, 32]"],
            "network: channels is of the convolutions that body own:Body stands in for; leave it out",
        ),
        (
            ["network.hidden_size=16384", "network.quantiles=512"],
            "network.hidden_size x network.quantiles is 8,388,608; must be at most 262,144",
        ),
        (
            ["network.quantiles=512", "agent.batch_size=4096"],
            "agent.batch_size x network.quantiles squared is 1,073,741,824; must be at most 67,108,864",
        ),
        (
            ["env.snapshot_probability=0.5", "env.snapshot_rewind_steps=10000", "training.envs=256"],
            "env.snapshot_rewind_steps x env.frame_skip x training.envs is 10,240,000; must be at most 1,048,576",
        ),
    ],
)
def test_numbers_that_are_possible_one_by_one_and_not_together_are_refused(overrides, line, tmp_path):
    (tmp_path / "it.yaml").write_text("")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path / "it.yaml", overrides)
    assert str(error.value) == f"command line: {line}"


def test_no_more_settings_are_read_than_anybody_gives(tmp_path):
    (tmp_path / "it.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"^command line: too many settings; at most 1,000, of 65,536 characters"):
        load_config(tmp_path / "it.yaml", ["seed=1"] * 1_001)
