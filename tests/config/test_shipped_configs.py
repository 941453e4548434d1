"""The configs that come with the project: they load, are what their names say, and state only what they must."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mario_rl.config import Config, load_config, load_run_config
from mario_rl.runs.packed import archives_below, unpacked

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name not in ("studies", "searches"))
ACTION_SETS = ("right_only", "simple", "complex")

STATED_ANYWAY = {"agent.target", "env.action_set", "agent.batch_size", "agent.epsilon.decay_factor", "agent.gamma"}
"""What a file is named for, and where the article's text or schedule, or the recipe's, is explained."""


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def resolved(path: Path) -> dict[str, Any]:
    return flatten(load_config(path).model_dump(mode="json"))


def test_the_configs_that_are_promised_are_there():
    pairs = {f"{algorithm}_{actions}.yaml" for algorithm in ("dqn", "ddqn") for actions in ACTION_SETS}
    assert {path.name for path in CONFIGS.glob("*.yaml")} >= pairs | {"demo.yaml"}
    assert {path.name for path in (CONFIGS / "article").glob("*.yaml")} == pairs


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_each_begins_with_a_comment_loads_and_states_only_what_differs_from_the_defaults(path):
    assert path.read_text(encoding="utf-8").startswith("# ")
    defaults, config = flatten(Config().model_dump(mode="json")), resolved(path)
    stated = flatten(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    assert [key for key in stated if config[key] == defaults[key] and key not in STATED_ANYWAY] == []


def test_every_run_in_docs_can_be_read_though_older_versions_wrote_some():
    with ExitStack() as stack:
        folders = [stack.enter_context(unpacked(archive)) for archive in archives_below(CONFIGS.parent / "docs")]
        written = [path for folder in folders for path in folder.rglob("config.yaml")]
        for actors in ("0", "1"):
            assert any(f"\n  actors: {actors}\n" in path.read_text(encoding="utf-8") for path in written)
        assert all(load_run_config(path).training.envs in (1, 8, 16, 32, 48, 64) for path in written)


@pytest.mark.parametrize("actions", ACTION_SETS)
def test_dqn_and_ddqn_differ_in_the_target_alone(actions):
    dqn, ddqn = resolved(CONFIGS / f"dqn_{actions}.yaml"), resolved(CONFIGS / f"ddqn_{actions}.yaml")
    assert dqn.items() ^ ddqn.items() == {("agent.target", "target"), ("agent.target", "double")}


@pytest.mark.parametrize("folder", [CONFIGS, CONFIGS / "article"], ids=["recommended", "article"])
@pytest.mark.parametrize("algorithm", ["dqn", "ddqn"])
def test_the_three_of_an_algorithm_differ_in_the_actions_alone(folder, algorithm):
    without = []
    for actions in ACTION_SETS:
        config = resolved(folder / f"{algorithm}_{actions}.yaml")
        assert config.pop("env.action_set") == actions
        without.append(config)
    assert without[0] == without[1] == without[2]


@pytest.mark.parametrize(("algorithm", "target"), [("dqn", "none"), ("ddqn", "target")])
def test_the_articles_settings_are_as_published(algorithm, target):
    config = load_config(CONFIGS / "article" / f"{algorithm}_simple.yaml")
    env, agent, training = config.env, config.agent, config.training
    assert (env.stage, env.frame_skip, env.frame_stack, env.grayscale) == ("1-1", 4, 4, "article")
    assert (env.reward, env.reward_scale, env.reward_clip) == ("classic", 1.0, 15.0)  # the game's own bound
    assert (env.clear_bonus, env.death_penalty, env.noop_max, env.sticky_probability) == (0.0, 0.0, 0, 0.0)
    assert (env.stall_limit, env.max_agent_steps) == (None, None)
    assert (config.network.hidden_size, config.network.dueling, config.network.dropout) == (512, False, 0.0)
    assert (config.replay.capacity, config.replay.warmup_steps) == (30_000, 32)
    assert (agent.target, agent.gamma, agent.n_step, agent.batch_size) == (target, 0.9, 1, 32)
    assert (agent.learning_rate, agent.adam_epsilon, agent.gradient_clip) == (0.00025, 1e-8, None)
    assert (agent.steps_per_update, agent.soft_update, agent.bfloat16) == (1, None, False)
    epsilon = agent.epsilon
    assert (epsilon.schedule, epsilon.start, epsilon.decay_factor, epsilon.end) == ("per_update", 1.0, 0.99, 0.02)
    assert (training.episodes, training.agent_steps, training.minutes, training.envs) == (10_000, None, None, 1)


def test_the_articles_ddqn_copies_its_target_every_5000_agent_steps():
    config = load_config(CONFIGS / "article" / "ddqn_simple.yaml")
    assert config.agent.sync_period_updates * config.agent.steps_per_update == 5_000


OF_MANY_UPDATES = {
    "env.sticky_probability",
    "agent.learning_rate_end",
    "agent.decay_start_updates",
    "agent.decay_updates",
    "agent.epsilon.spread",
}
"""What makes an agent steady in a long run, and delays its first clears or comes too late for them."""


def test_the_demo_is_the_recipe_until_it_clears_on_a_small_machine():
    demo, recipe = resolved(CONFIGS / "demo.yaml"), resolved(CONFIGS / "ddqn_right_only.yaml")
    for key in sorted(demo.keys() | recipe.keys()):
        if key.split(".")[0] in ("env", "network", "agent") and key not in OF_MANY_UPDATES:
            assert demo[key] == recipe[key], key
    assert 0.5 <= demo["training.clear_rate"] < 1
    assert demo["training.minutes"] == 20
    assert demo["training.agent_steps"] is None
    assert demo["replay.capacity"] * 7_060 < 1_000_000_000  # bytes
    assert demo["evaluation.protocol"] == "epsilon"  # the film and the figure at the end are of noop
