"""The search file: what it may say, what is made of a config and of a study, and what is refused in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mario_rl import shipped
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.config.files import nested, parse_keys, render_tree
from mario_rl.config.search import (
    DEFAULT_SPACE,
    Range,
    Search,
    found_config,
    load_search,
    space_of,
    trial_configs,
)
from mario_rl.config.study import FinalConfig, load_study
from mario_rl.errors import ConfigError

SEARCH = """\
base: small.yaml
settings: {agent.gamma: 0.9}
space:
  agent.learning_rate: {low: 1.0e-5, high: 1.0e-2, log: true}
  agent.n_step: {low: 1, high: 6}
  network.dueling: [true, false]
"""


@pytest.fixture
def search_file(small_run_file: Path) -> Path:
    path = small_run_file.with_name("search.yaml")
    path.write_text(SEARCH)
    return path


def test_numbers_are_whole_where_both_bounds_are_written_so(search_file):
    search, text = load_search(search_file)
    space = space_of(search, search_file)
    assert space["agent.n_step"] == Range(low=1, high=6)
    assert space["agent.n_step"].whole
    assert not space["agent.learning_rate"].whole
    assert space["network.dueling"] == (True, False)
    assert text == SEARCH


def test_a_trial_has_the_settings_and_the_length_of_the_search_and_no_other_end(search_file):
    search_file.with_name("small.yaml").write_text("training: {minutes: 3}\nevaluation: {every_steps: 10}\nseed: 4\n")
    search, _ = load_search(search_file)
    (config,) = trial_configs(search, search_file, [{"agent.n_step": 2}])
    assert (config.agent.n_step, config.agent.gamma) == (2, 0.9)
    assert (config.training.agent_steps, config.training.minutes) == (50_000, None)
    assert config.evaluation.every_steps is None
    found = found_config(search, search_file, {"agent.n_step": 2})
    assert (found.agent.n_step, found.agent.gamma, found.seed) == (2, 0.9, 4)
    assert (found.training.minutes, found.evaluation.every_steps) == (3, 10)


def test_a_choice_that_is_no_plain_value_is_one_line(search_file):
    search_file.write_text("base: small.yaml\nspace: {training.initial_checkpoint: [2026-11-24, b]}\n")
    with pytest.raises(ConfigError, match="space") as error:
        load_search(search_file)
    assert "\n" not in str(error.value)


def test_of_a_config_the_keys_most_often_worth_it_are_searched(small_run_file):
    search, text = load_search(small_run_file)
    assert search.space == DEFAULT_SPACE
    again = small_run_file.with_name("again.yaml")
    again.write_text(text)
    assert load_search(again)[0] == search


def test_of_a_study_the_values_of_its_axes_are_searched_on_other_seeds(small_run_file):
    study = small_run_file.with_name("study.yaml")
    study.write_text(
        "base: small.yaml\nsettings: {training.agent_steps: 160, agent.gamma: 0.5}\n"
        "axes: {agent.target: [target, double], agent.n_step: [1, 3, 5]}\nseeds: [0, 1]\n"
    )
    search, _ = load_search(study)
    assert space_of(search, study) == {"agent.target": ("target", "double"), "agent.n_step": (1, 3, 5)}
    assert (search.agent_steps, search.trials, search.settings) == (160, 6, {"agent.gamma": 0.5})
    assert not set(search.seeds) & {0, 1}


@pytest.mark.parametrize("name", shipped.search_names())
def test_shipped_searches_judge_on_seeds_that_no_reported_number_uses(name):
    path = shipped.find_search(Path(name))
    search, _ = load_search(path)
    studies = [load_study(shipped.find_study(Path(one))) for one in shipped.study_names()]
    agents = {int(one.split("_seed_")[1].split("_")[0]) for one in shipped.agent_names() if "_seed_" in one}
    assert not set(search.seeds) & ({seed for study in studies for seed in study.seeds} | agents | {0, 1, 2})
    used = {FinalConfig().seed, *(study.final.seed for study in studies)}
    used |= {load_config(name).evaluation.seed for name in shipped.config_names()}
    assert search.final.seed not in used


def test_a_search_goes_before_a_config_and_that_before_a_study_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.find_search(Path("quick")) == shipped.CONFIGS / "searches" / "quick.yaml"
    assert shipped.find_search(Path("ddqn_right_only")) == shipped.CONFIGS / "ddqn_right_only.yaml"
    assert shipped.find_search(Path("smoke")) == shipped.CONFIGS / "studies" / "smoke.yaml"
    assert shipped.find_search(Path("nothing")) == Path("nothing")


def test_plain_values_become_yaml_and_come_back():
    values = {
        "agent.gamma": 0.9,
        "agent.epsilon.end": 0.05,
        "network.dueling": True,
        "env.action_set": [["right", "A"]],
    }
    text = render_tree(nested(values))
    assert text.startswith("agent:\n  gamma: 0.9\n  epsilon:\n    end: 0.05\nnetwork:\n  dueling: true\n")
    assert parse_keys(text, Path("x")) == nested(values)


REFUSED = [
    ("high: 6", "high: 1", r"space\.agent\.n_step: low 1 must be less than high \(1\)"),
    (
        "high: 6",
        "high: six",
        r"space\.agent\.n_step: high: 'six' is not allowed; must be a number from -1e\+15 to 1e\+15",
    ),
    ("high: 6", "high: .inf", r"space\.agent\.n_step: high: inf is not allowed; must be a number"),
    ("high: 6", "high: true", r"space\.agent\.n_step: high: true is not allowed; must be a number"),
    ("high: 6", "high: 6, step: 2", r"space\.agent\.n_step: step: unknown key; must be one of low, high, log"),
    ("high: 6", "high: 6.5", r"agent\.n_step: 6\.5 is not allowed; must be a whole number"),
    ("high: 6", "high: 65", r"agent\.n_step: 65 is not allowed; must be at most 64"),
    ("low: 1,", "low: 0,", r"agent\.n_step: 0 is not allowed; must be more than 0"),
    ("low: 1,", "low: 0, log: true,", r"space\.agent\.n_step: low 0 must be more than 0 where log is true"),
    ("low: 1,", "", r"space\.agent\.n_step: low: missing"),
    ("n_step", "n_steps", r"agent\.n_steps: unknown key; did you mean agent\.n_step\?"),
    ("[true, false]", "[true, 3]", r"network\.dueling: 3 is not allowed; must be true or false"),
    ("[true, false]", "[true]", r"space\.network\.dueling: must be a range such as .* or a list of different values"),
    ("[true, false]", "[true, true]", r"space\.network\.dueling: must be a range"),
    ("[true, false]", "true", r"space\.network\.dueling: must be a range"),
    ("agent.gamma: 0.9", "agent.n_step: 3", r"settings\.agent\.n_step: is not allowed, it is searched as well"),
    (
        "agent.gamma: 0.9",
        "training.agent_steps: 9",
        r"settings\.training\.agent_steps: is not allowed; all trials share",
    ),
    ("agent.n_step", "training.agent_steps", r"space\.training\.agent_steps: is not allowed; all trials share it"),
    ("agent.n_step", "seed", r"space\.seed: is not allowed; all trials share it"),
    ("agent.n_step", "evaluation.episodes", r"space\.evaluation\.episodes: is not allowed; all trials share it"),
    ("base:", "objective: score\nbase:", r"objective: 'score' is not allowed; must be one of final_x, clear_rate, "),
    ("base:", "sampler: grid\nbase:", r"sampler: 'grid' is not allowed; must be one of tpe, random"),
    ("base:", "trials: 0\nbase:", r"trials: 0 is not allowed; must be more than 0"),
    ("base:", "seeds: [1, 1]\nbase:", r"seeds: .* is not allowed; must be different ones, each once"),
    ("base:", "final: {seed: -1}\nbase:", r"final\.seed: -1 is not allowed; must be at least 0"),
    ("base: small", "base: nothing", r"nothing\.yaml: no such config file"),
    ("space:", "spaces:", r"space: missing; a search names the keys it varies there, a study has axes"),
]


@pytest.mark.parametrize(
    ("old", "new", "says"), REFUSED, ids=[f"{old} to {new}".replace("\n", " ") for old, new, _ in REFUSED]
)
def test_what_is_refused_is_named_with_what_is_allowed(search_file, old, new, says):
    assert old in SEARCH
    search_file.write_text(SEARCH.replace(old, new))
    with pytest.raises(ConfigError, match=says) as refused:
        load_search(search_file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", ["train", "compare", "config"])
def test_other_commands_say_what_takes_a_search(search_file, capsys, command):
    assert main([command, str(search_file)]) == 2
    assert f"`mario-rl tune {search_file}` takes it" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["tune", str(tmp_path / "nothing.yaml")]) == 2
    assert "nothing.yaml: no such search file; `mario-rl list` names those of the package" in capsys.readouterr().err


def test_the_list_names_the_searches(tmp_path, capsys):
    assert main(["list", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "searches:\n  quick\n  right_only\n" in said
    assert not {name for name in shipped.config_names() if name.startswith("searches")}


def test_the_search_file_of_the_documentation_is_one(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    file = tmp_path / "search.yaml"
    file.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    search, _ = load_search(file)
    assert set(space_of(search, file)) == {key for key in DEFAULT_SPACE if key in search.space}
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, flags=re.MULTILINE))
    for key in ("objective", "trials", "agent_steps", "sampler", "pruner", "startup_trials", "seed", "threads"):
        assert rows[key].strip("`").replace(",", "") == str(Search.model_fields[key].default)
