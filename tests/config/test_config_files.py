"""YAML to config and back: what is accepted, and the one line that every mistake gets."""

from __future__ import annotations

from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from mario_rl.config import (
    Config,
    files,
    load_config,
    load_configs_with,
    load_run_config,
    parse_config,
    render_config,
    with_absolute_paths,
    with_portable_paths,
)
from mario_rl.config.schema import BUTTONS, STAGES, stages_behind
from mario_rl.errors import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write `run.yaml` in the working directory, so that messages call it that."""
    monkeypatch.chdir(tmp_path)

    def write_text(text: str | bytes) -> str:
        Path("run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "run.yaml"

    return write_text


def test_stages_are_counted_in_the_order_of_play_and_worlds_that_the_game_lacks_lie_behind_1_2():
    assert [stages_behind(stage) for stage in STAGES] == list(range(32))
    assert [stages_behind(stage) for stage in ("36-1", "36-4", "9-1", "256-256")] == [2] * 4
    assert [stages_behind(stage) for stage in ("1-5", "8-9")] == [3, 31]


# What is accepted.


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}", "\ufeffseed: 0\n", "env:\n  # stage: 1-2\n"])
def test_an_empty_file_means_the_defaults(text, write):
    assert load_config(write(text)) == Config()


def test_the_file_replaces_defaults_and_overrides_replace_the_file(write):
    file = write("agent: {gamma: 0.9, n_step: 3}\nseed: 7\n")
    config = load_config(file, ["agent.gamma=0.5", "agent.epsilon.end=0.1", "env.stage=[1-1, 1-2]"])
    assert (config.agent.gamma, config.agent.n_step, config.seed) == (0.5, 3, 7)
    assert config.agent.epsilon.end == 0.1
    assert config.env.stage == ("1-1", "1-2")
    assert config.agent.batch_size == Config().agent.batch_size


def test_the_last_of_two_overrides_holds(write):
    assert load_config(write(""), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize("written", ["1e-4", "1.0e-4", "0.0001", "1E-4"])
def test_floats_without_a_point_are_floats_as_in_yaml_1_2(written, write):
    assert load_config(write(f"agent: {{learning_rate: {written}}}")).agent.learning_rate == 0.0001
    assert load_config(write(""), [f"agent.learning_rate={written}"]).agent.learning_rate == 0.0001


def test_null_lifts_a_limit(write):
    config = load_config(write("env: {stall_limit: null, reward_clip: ~}"), ["agent.gradient_clip=null"])
    assert (config.env.stall_limit, config.env.reward_clip, config.agent.gradient_clip) == (None, None, None)


def test_none_is_a_target_and_not_the_absence_of_a_value(write):
    assert load_config(write(""), ["agent.target=none"]).agent.target == "none"


def test_action_sets_of_ones_own_are_lists_of_buttons(write):
    config = load_config(write("env: {action_set: [[NOOP], [right], [right, A, B]]}"))
    assert config.env.action_set == (("NOOP",), ("right",), ("right", "A", "B"))


def test_a_tree_from_a_checkpoint_is_checked_like_a_file():
    config = Config(seed=5)
    assert parse_config(config.model_dump(mode="json"), "some.pt") == config
    with pytest.raises(ConfigError, match=r"^some\.pt: seed: -1 is not allowed; must be at least 0$"):
        parse_config({"seed": -1}, "some.pt")


# What is refused: the whole line, for each kind of mistake.

STAGE_RULE = "a stage from 1-1 to 8-4, a list of up to 100 such stages, or game"
ACTION_RULE = (
    "one of right_only, simple, complex, or a list of up to 256 button lists, each of up to 9, from "
    "A, B, up, down, left, right, start, select, NOOP"
)
SECTION_RULE = "a section, with a key and a value on each line"

REFUSED_VALUES = [
    # key, value as written, value as shown, what is allowed
    ("training.envs", "many", "'many'", "a whole number"),
    ("training.envs", "'3'", "'3'", "a whole number"),
    ("training.envs", "2.5", "2.5", "a whole number"),
    ("training.envs", "1e1", "10.0", "a whole number"),
    ("training.envs", "true", "true", "a whole number"),
    ("training.envs", "[1]", "[1]", "a whole number"),
    ("training.envs", "null", "null", "a whole number"),
    ("training.envs", "2026-11-23", "2026-11-23", "a whole number"),
    ("training.envs", "0", "0", "more than 0"),
    ("training.envs", "257", "257", "at most 256"),
    ("training.episodes", "many", "'many'", "a whole number or null"),
    ("training.clear_rate", "1.5", "1.5", "at most 1.0 or null"),
    ("agent.gamma", "high", "'high'", "a number"),
    ("agent.gamma", "true", "true", "a number"),
    ("agent.gamma", "null", "null", "a number"),
    ("agent.gamma", "{x: 1}", "{'x': 1}", "a number"),
    ("agent.gamma", ".nan", "nan", "a finite number"),
    ("agent.gamma", "1", "1", "less than 1.0"),
    ("agent.gamma", "-0.1", "-0.1", "at least 0.0"),
    ("agent.learning_rate", ".inf", "inf", "a finite number"),
    ("agent.gradient_clip", "ten", "'ten'", "a number or null"),
    ("agent.target", "ddqn", "'ddqn'", "one of none, target, double"),
    ("agent.target", "null", "null", "one of none, target, double"),
    ("agent.epsilon.end", "2", "2", "at most 1.0"),
    ("agent.epsilon", "0.1", "0.1", SECTION_RULE),
    ("env", "fast", "'fast'", SECTION_RULE),
    ("env", "[1]", "[1]", SECTION_RULE),
    ("network.dueling", "yes", "'yes'", "true or false"),
    ("network.dueling", "1", "1", "true or false"),
    ("seed", "-1", "-1", "at least 0"),
    ("device", "tpu", "'tpu'", "one of auto, cpu, cuda, mps"),
    ("env.stage", "5", "5", STAGE_RULE),
    ("env.stage", "9-1", "'9-1'", STAGE_RULE),
    ("env.stage", "[]", "[]", STAGE_RULE),
    ("env.stage", "[1-1, 5]", "['1-1', 5]", STAGE_RULE),
    ("env.stage", "null", "null", STAGE_RULE),
    ("env.action_set", "fast", "'fast'", ACTION_RULE),
    ("env.action_set", "3", "3", ACTION_RULE),
    ("env.action_set", "[]", "[]", ACTION_RULE),
    ("env.action_set", "[[]]", "[[]]", ACTION_RULE),
    ("env.action_set", "[right]", "['right']", ACTION_RULE),
    ("env.action_set", "[[jump]]", "[['jump']]", ACTION_RULE),
]


@pytest.mark.parametrize(("key", "written", "shown", "allowed"), REFUSED_VALUES)
def test_a_refused_value_is_named_with_its_key_and_what_is_allowed(key, written, shown, allowed, write):
    line = f"{key}: {shown} is not allowed; must be {allowed}"
    with pytest.raises(ConfigError) as by_override:
        load_config(write(""), [f"{key}={written}"])
    assert str(by_override.value) == f"command line: {line}"
    opening = "".join(f"{section}: {{" for section in key.split(".")[:-1])
    with pytest.raises(ConfigError) as in_file:
        load_config(write(opening + f"{key.split('.')[-1]}: {written}" + "}" * opening.count("{")))
    assert str(in_file.value) == f"run.yaml: {line}"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("agent.gama", "agent.gamma"),
        ("agent.epsilon.ned", "agent.epsilon.end"),
        ("evaluation.evry_steps", "evaluation.every_steps"),
        ("gamma", "agent.gamma"),  # right name, no section
        ("agent.start", "agent.epsilon.start"),  # right name, another section
        ("training.env", "training.envs"),  # not the section of that name
        ("gama", "agent.gamma"),
        ("traning", "training"),
        ("evry_steps", "evaluation.every_steps"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_one_that_was_meant(key, meant, write):
    with pytest.raises(ConfigError) as error:
        load_config(write(""), [f"{key}=1"])
    assert str(error.value) == f"command line: {key}: unknown key; did you mean {meant}?"


def test_of_a_misspelt_section_the_section_is_named(write):
    with pytest.raises(ConfigError) as error:
        load_config(write("agents: {gamma: 1}"))
    assert str(error.value) == "run.yaml: agents: unknown key; did you mean agent?"


def test_a_key_like_no_other_is_answered_with_where_all_are_listed(write):
    with pytest.raises(ConfigError) as error:
        load_config(write("qqq: 1"))
    assert str(error.value) == "run.yaml: qqq: unknown key; `mario-rl config CONFIG` lists all keys"


@pytest.mark.parametrize("value", ["0", "4", "auto"])
def test_a_key_that_is_gone_is_answered_with_why_and_what_to_do(value, write):
    line = "training.actors: is gone, one process plays and learns at once now; leave it out"
    with pytest.raises(ConfigError) as by_override:
        load_config(write("seed: 1"), [f"training.actors={value}"])
    assert str(by_override.value) == f"command line: {line}"
    with pytest.raises(ConfigError) as in_file:
        load_config(write(f"training: {{envs: 4, actors: {value}}}"), ["seed=1"])
    assert str(in_file.value) == f"run.yaml: {line}"


@pytest.mark.parametrize("value", ["0", "1", "auto"])
def test_in_what_an_older_version_wrote_a_key_that_is_gone_is_left_out(value, write):
    path = write(f"training: {{envs: 4, actors: {value}}}")
    assert load_run_config(path, ["seed=5"]) == load_config(write("training: {envs: 4}"), ["seed=5"])
    tree = {"training": {"envs": 4, "actors": value}}
    assert parse_config(tree, "some.pt").training.envs == 4
    assert tree["training"]["actors"] == value  # whose tree it is keeps it
    with pytest.raises(ConfigError, match=r"^some\.pt: training\.actor: unknown key"):
        parse_config({"training": {"actor": 1}}, "some.pt")


def test_a_run_is_gone_on_with_without_the_key_that_is_gone_whatever_is_asked(write):
    with pytest.raises(ConfigError, match=r"^command line: training\.actors: is gone"):
        load_run_config(write("training: {actors: 1}"), ["training.actors=1"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("replay: {capacity: 600, warmup_steps: 601}", "replay: warmup_steps 601 must be at most capacity (600)"),
        ("agent: {epsilon: {start: 0.1, end: 0.2}}", "agent.epsilon: end 0.2 must be at most start (0.1)"),
        (
            "training: {agent_steps: null}",
            "training: at least one of agent_steps, episodes, minutes and clear_rate must be set",
        ),
        (
            "replay: {capacity: 79, warmup_steps: 79}",  # 8 environments x (4 + 5 + 1)
            "replay.capacity 79 must be at least 80 for 8 environments: "
            "training.envs x (env.frame_stack + agent.n_step + 1)",
        ),
        ("replay: {warmup_steps: 31}", "replay.warmup_steps 31 must be at least agent.batch_size (32)"),
        (
            "training: {clear_rate: 0.9}\nevaluation: {every_steps: null}",
            "training.clear_rate 0.9 needs evaluations to reach it; evaluation.every_steps must be a number, not null",
        ),
        (
            "training: {agent_steps: null, episodes: 500}\nenv: {snapshot_probability: 1}",
            "training.episodes 500 counts episodes from a stage's start, and with env.snapshot_probability 1 none "
            "begin there any more; set training.agent_steps or minutes too",
        ),
    ],
)
def test_a_rule_between_keys_names_them_and_their_values(text, line, write):
    with pytest.raises(ConfigError) as error:
        load_config(write(text))
    assert str(error.value) == f"run.yaml: {line}"


def test_a_rule_broken_by_an_override_is_reported_of_the_command_line(write):
    with pytest.raises(ConfigError, match=r"^command line: replay: warmup_steps 5000 must be"):
        load_config(write("seed: 1"), ["replay.capacity=100"])
    with pytest.raises(ConfigError, match=r"^command line: replay\.warmup_steps 31 must be"):
        load_config(write("seed: 1"), ["replay.warmup_steps=31"])


def test_a_mistake_in_the_file_is_reported_of_the_file_whatever_else_the_command_line_sets(write):
    with pytest.raises(ConfigError, match=r"^run\.yaml: evaluation\.seed: -1"):
        load_config(write("evaluation: {seed: -1}"), ["seed=3"])


def test_of_several_mistakes_the_first_is_shown_and_the_others_counted(write):
    with pytest.raises(ConfigError) as error:
        load_config(write("env: {frame_skip: 0}\nagent: {gamma: 2}\nseed: x\n"))
    assert str(error.value) == "run.yaml: env.frame_skip: 0 is not allowed; must be more than 0 (and 2 more)"


def test_a_long_value_is_cut(write):
    with pytest.raises(ConfigError) as error:
        load_config(write(f"device: {'x' * 500}"))
    assert str(error.value) == f"run.yaml: device: '{'x' * 56}... is not allowed; must be one of auto, cpu, cuda, mps"


@pytest.mark.parametrize("override", ["seed", "=3", "a b=3", "agent..gamma=3", ".seed=3", "1=2", ""])
def test_an_override_is_a_key_and_a_value(override, write):
    with pytest.raises(ConfigError) as error:
        load_config(write(""), [override])
    assert str(error.value) == (
        f"command line: {override!r} is not allowed; must be key=value, such as agent.gamma=0.9"
    )


def test_an_override_beneath_a_value_does_not_hide_it(write):
    with pytest.raises(ConfigError) as error:
        load_config(write("agent: 5"), ["agent.gamma=0.9"])
    assert str(error.value) == "command line: 'agent.gamma=0.9' is not allowed; agent holds 5, not keys"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("seed: 1\nagent: {gamma: 0.9\n", "run.yaml, line 3: not valid YAML (expected ',' or '}'"),
        ("agent:\n\tgamma: 0.9\n", "run.yaml, line 2: not valid YAML (found character '\\t'"),
        ("seed: 1\nseed: 2\n", 'run.yaml, line 2: not valid YAML (found duplicate key "seed"'),
        ("---\nseed: 1\n---\nseed: 2\n", "run.yaml, line 3: not valid YAML"),
        ("seed: *one\n", "run.yaml, line 1: not valid YAML (found undefined alias 'one')"),
        (
            "seed: !!python/object:os.system x\n",
            "run.yaml, line 1: the tag tag:yaml.org,2002:python/object:os.system is",
        ),
        (b"seed: \xff\n", "run.yaml: not a text file in UTF-8"),
        (b"PK\x03\x04\x00\x00", "run.yaml: not valid YAML"),
        ("- 1\n", "run.yaml: must hold keys, each with its value or its section, not [1]"),
        ("agent.gamma=0.9\n", "run.yaml: must hold keys, each with its value or its section, not 'agent.gamma=0.9'"),
        ("&a [*a]\n", "run.yaml, line 1: *a is inside of what it stands for"),
    ],
)
def test_a_file_that_is_no_config_gets_one_line_with_the_place(text, line, write):
    with pytest.raises(ConfigError) as error:
        load_config(write(text))
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_an_override_that_is_not_yaml_is_named(write):
    with pytest.raises(ConfigError, match=r"^command line: agent\.gamma, line 1: not valid YAML"):
        load_config(write(""), ["agent.gamma=[1"])


def test_a_missing_file_and_a_directory_get_one_line(write, tmp_path):
    with pytest.raises(ConfigError, match=r"^nothing\.yaml: no such config file; `mario-rl list` names "):
        load_config("nothing.yaml")
    Path("folder.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"^folder\.yaml: a directory, not a config file$"):
        load_config("folder.yaml")


def test_a_file_that_may_not_be_read_gets_one_line(write, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    file = write("seed: 1")
    monkeypatch.setattr(files, "read_text", refuse)  # the superuser, as which tests may run, could read it
    with pytest.raises(ConfigError, match=r"^run\.yaml: can't be read \(Permission denied\)$"):
        load_config(file)


# What is written.

BOUNDS = {"gt": "min_value", "ge": "min_value", "lt": "max_value", "le": "max_value"}


def values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    """Draw what a field's annotation allows; the model has the last word."""
    if hasattr(annotation, "__value__"):  # a named type
        return values(annotation.__value__, metadata)
    if hasattr(annotation, "__metadata__"):
        return values(annotation.__origin__, [*metadata, *annotation.__metadata__])
    if get_origin(annotation) is UnionType:
        return st.one_of(*(values(member, metadata) for member in get_args(annotation)))
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(1, 200)
    if annotation is str:
        names = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40)
        return names | st.sampled_from(
            ["null", "true", "3", "1e-4", "1:30", "- a", "a: b # c", " spaced ", "", "~", "no"]
        )
    if annotation is float:
        return st.floats(0.0, 1.0, exclude_min=True, exclude_max=True) | st.sampled_from([1e-8, 1.5e-7, 5e-324])
    return st.sampled_from(get_args(annotation))  # a Literal


def trees(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    drawn = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            drawn[name] = trees(field.annotation)
        elif name == "stage":
            drawn[name] = st.sampled_from([*STAGES, "game"]) | st.lists(st.sampled_from(STAGES), min_size=1, max_size=4)
        elif name == "action_set":
            buttons = st.lists(st.sampled_from(BUTTONS), min_size=1, max_size=3)
            drawn[name] = st.sampled_from(["right_only", "simple", "complex"]) | st.lists(
                buttons, min_size=1, max_size=5
            )
        else:
            drawn[name] = values(field.annotation, list(field.metadata))
    return st.fixed_dictionaries({}, optional=drawn)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    tree = draw(trees(Config))
    try:
        return Config.model_validate(tree)
    except ValidationError:  # a bound or a rule between keys: leave that out of the sections that break one
        kept = {}
        for section, value in tree.items():
            try:
                Config.model_validate({**kept, section: value})
            except ValidationError:
                continue
            kept[section] = value
        return Config.model_validate(kept)


@pytest.mark.takes("YAML of a hundred configs, each read twice: measured, then made")
@given(config=configs())
def test_what_is_rendered_loads_back_to_an_equal_config(config, tmp_path_factory):
    file = tmp_path_factory.mktemp("rendered") / "config.yaml"
    file.write_text(render_config(config), encoding="utf-8")
    assert load_config(file) == with_absolute_paths(config)


def test_files_that_a_config_names_are_found_from_every_folder(tmp_path, monkeypatch):
    file = tmp_path / "config.yaml"
    file.write_text("env: {rom: game.nes}\n")
    monkeypatch.chdir(tmp_path)
    config = load_config(file, ["training.initial_checkpoint=../agent.pt"])
    assert config.env.rom == str(tmp_path / "game.nes")
    assert config.training.initial_checkpoint == str(tmp_path.parent / "agent.pt")
    assert with_absolute_paths(config) == config
    (by_a_study,) = load_configs_with(file, [{"env.rom": None}], "study")
    assert by_a_study.env.rom is None


def test_what_is_handed_on_names_files_from_where_one_is_and_not_where_that_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("env: {rom: /elsewhere/game.nes}\n")
    config = load_config("config.yaml", ["training.initial_checkpoint=checkpoints/teacher"])
    assert config.training.initial_checkpoint == str(tmp_path / "checkpoints" / "teacher")
    handed_on = with_portable_paths(config)
    assert handed_on.training.initial_checkpoint == "checkpoints/teacher"
    assert handed_on.env.rom == "/elsewhere/game.nes"
    assert with_absolute_paths(handed_on) == config


@pytest.mark.parametrize(
    "text", ["0", "1e4", "null", "No", "y", "2026-11-25", "1_000", "٣", "😀", "é", "\u2028", "", "~"]
)
def test_text_that_yaml_could_take_for_something_else_stays_text(text):
    config = parse_config({"training": {"initial_checkpoint": text}}, "drawn")
    for version in ((1, 1), (1, 2)):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(render_config(config))["training"]["initial_checkpoint"] == text


@settings(max_examples=40)
@given(config=configs())
def test_a_reader_of_yaml_1_1_reads_the_same_values(config):
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    assert parse_config(reader.load(render_config(config)), "YAML 1.1") == config


def test_small_floats_are_written_with_a_point():
    config = parse_config({"agent": {"adam_epsilon": 1e-8, "learning_rate": 2.5e-7}}, "test")
    text = render_config(config)
    assert "  adam_epsilon: 1.0e-08\n" in text
    assert "  learning_rate: 2.5e-07\n" in text


def test_every_section_and_key_stands_under_a_line_that_explains_it():
    lines = render_config(Config()).splitlines()
    keys = [index for index, line in enumerate(lines) if line and not line.lstrip().startswith("#")]
    assert len(keys) > 50
    for index in keys:
        indent = len(lines[index]) - len(lines[index].lstrip())
        assert lines[index - 1].startswith(" " * indent + "# "), lines[index]
    assert max(len(line) for line in lines) <= 120


def test_the_rendered_default_config_begins_like_this():
    assert render_config(Config()).startswith(
        "# The game as the agent meets it.\n"
        "env:\n"
        "  # A stage such as 1-1, a list of stages of which each episode draws one, or game (all of it).\n"
        "  stage: 1-1\n"
    )
