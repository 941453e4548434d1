"""A study file: what it expands to, and the one line that every mistake gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.config import STUDY_KEYS, Config, load_config
from mario_rl.config.study import Study, load_study
from mario_rl.errors import ConfigError
from mario_rl.studies.arms import expand

STUDIES = Path(__file__).parents[2] / "configs" / "studies"
STUDY = """\
base: base.yaml
settings: {agent.gamma: 0.5}
axes:
  agent.target: [none, double]
  replay.capacity: [6000, 7000]
seeds: [3, 1]
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text("agent: {n_step: 2}\n")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def test_every_combination_is_an_arm_and_all_arms_have_a_seed_before_the_next_begins(study_file):
    runs = expand(load_study(study_file), study_file)
    assert [(run.arm, run.seed) for run in runs] == [
        ("none-capacity_6000", 3),
        ("none-capacity_7000", 3),
        ("double-capacity_6000", 3),
        ("double-capacity_7000", 3),
        ("none-capacity_6000", 1),
        ("none-capacity_7000", 1),
        ("double-capacity_6000", 1),
        ("double-capacity_7000", 1),
    ]


def test_a_run_has_the_base_then_the_settings_then_its_own_values_and_seed(study_file):
    config = expand(load_study(study_file), study_file)[5].config
    expected = load_config(
        study_file.parent / "base.yaml",
        ["agent.gamma=0.5", "agent.target=none", "replay.capacity=7000", "seed=1"],
    )
    assert config == expected
    assert config.agent.n_step == 2


def test_values_become_names_that_folders_can_have(study_file):
    study_file.write_text("base: base.yaml\naxes:\n  env.stage: [1-1, [1-1, 1-2], game]\nseeds: [0]\n")
    runs = expand(load_study(study_file), study_file)
    assert [run.arm for run in runs] == ["1-1", "stage_1-1_1-2", "game"]
    study_file.write_text("base: base.yaml\naxes:\n  training.backward_starts: [[], [1-1]]\nseeds: [0]\n")
    runs = expand(load_study(study_file), study_file)
    assert [run.arm for run in runs] == ["backward_starts_none", "backward_starts_1-1"]


def test_the_articles_study_has_its_nine_arms_on_three_seeds():
    path = STUDIES / "action_sets.yaml"
    runs = expand(load_study(path), path)
    assert len(runs) == 27
    assert {(run.config.agent.target, run.config.env.action_set) for run in runs} == {
        (target, actions) for target in ("none", "target", "double") for actions in ("right_only", "simple", "complex")
    }
    assert {run.config.training.agent_steps for run in runs} == {200_000}


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_studies_are_valid(path):
    assert expand(load_study(path), path)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("seeds: [3, 1]", "seed: [3, 1]", "study.yaml: seeds: missing (and 1 more)"),
        (
            "seeds: [3, 1]",
            "seeds: [3, 3]",
            "study.yaml: seeds: [3, 3] is not allowed; must be different ones, each once",
        ),
        ("seeds: [3, 1]", "seeds: []", "study.yaml: seeds: [] is not allowed; must be"),
        ("seeds: [3, 1]", "seeds: [-1]", "study.yaml: seeds.0: -1 is not allowed; must be at least 0"),
        ("base: base.yaml", "base: other.yaml", "other.yaml: no such config file"),
        ("gamma: 0.5", "gama: 0.5", "study.yaml: agent.gama: unknown key; did you mean agent.gamma?"),
        ("gamma: 0.5", "gamma: 2.0", "study.yaml: agent.gamma: 2.0 is not allowed; must be less than 1.0"),
        ("[none, double]", "[none, triple]", "study.yaml: agent.target: 'triple' is not allowed; must be one of none"),
        ("[none, double]", "[none, none]", "study.yaml: axes: two arms are both called none-capacity_6000"),
        ("agent.gamma: 0.5", "agent.target: none", "study.yaml: settings.agent.target: is not allowed, it is an axis"),
        ("agent.gamma: 0.5", "seed: 4", "study.yaml: seed: is not allowed here; the runs' seeds are under seeds"),
        (
            "base: base.yaml",
            "base: base.yaml\nfinal: {protocols: [none]}",
            "study.yaml: final.protocols.0: 'none' is not",
        ),
    ],
)
def test_a_mistake_gets_one_line_that_names_file_key_value_and_what_is_allowed(study_file, old, new, line):
    assert old in STUDY
    study_file.write_text(STUDY.replace(old, new))
    with pytest.raises(ConfigError) as error:
        expand(load_study(study_file), study_file)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_how_many_runs_there_would_be_is_known_before_any_is_made_or_the_base_is_read(study_file):
    values = ", ".join(map(str, range(1_000)))
    axes = "".join(f"  {key}: [{values}]\n" for key in ("agent.n_step", "replay.capacity", "training.agent_steps"))
    study_file.write_text(f"base: none.yaml\naxes:\n{axes}seeds: [0, 1]\n")
    with pytest.raises(ConfigError) as error:
        expand(load_study(study_file), study_file)
    assert str(error.value) == (
        f"{study_file}: axes: 1,000,000,000 arms from 2 seeds are more than 10,000 runs, the most a study may have"
    )
    ten = "".join(f"  k{number}: [{', '.join(map(str, range(100)))}]\n" for number in range(10))
    study_file.write_text(f"base: none.yaml\naxes:\n{ten}seeds: [0]\n")
    with pytest.raises(ConfigError, match=r"axes: (100 x ){8}\.\.\. arms from 1 seed are more"):
        expand(load_study(study_file), study_file)


def test_a_study_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such study file"):
        load_study(tmp_path / "none.yaml")


def test_the_keys_by_which_a_study_is_told_from_a_config_are_a_studys_alone():
    assert Study.model_fields.keys() >= STUDY_KEYS
    assert not Config.model_fields.keys() & Study.model_fields.keys()
