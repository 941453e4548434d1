"""Three lines of Python: an agent by name plays as its card says."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mario_rl
from mario_rl.errors import CheckpointError

pytestmark = pytest.mark.emulator


def test_an_agent_loaded_by_name_plays_the_greedy_episode_of_its_card():
    agent = mario_rl.load("ddqn_right_only_1-1")
    card = json.loads(agent.file.with_suffix(".json").read_text())
    (claimed,) = next(claim for claim in card["evaluations"] if claim["protocol"] == "greedy")["results"]
    env = agent.env(render_mode="rgb_array")
    observation, info = env.reset()
    over, length = False, 0
    while not over:
        observation, _, terminated, truncated, info = env.step(agent.act(observation))
        over, length = terminated or truncated, length + 1
    assert (info["episode_result"].end, info["episode_result"].x, length) == (
        claimed["end"],
        claimed["x"],
        claimed["length"],
    )
    assert env.render().shape == (240, 256, 3)
    env.close()


def test_the_action_is_the_one_of_the_highest_value_and_chance_repeats_by_its_seed():
    agent = mario_rl.load("ddqn_right_only_1-1")
    env = agent.env()
    observation, _ = env.reset()
    values = agent.values(observation)
    assert values.shape == (len(agent.actions),)
    assert values.dtype == np.float32
    assert agent.act(observation) == values.argmax()
    drawn = [
        [agent.act(observation, epsilon=1.0, seed=3), *(agent.act(observation, epsilon=1.0) for _ in range(20))]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1
    env.close()


def test_a_name_that_nobody_has_is_one_line():
    with pytest.raises(CheckpointError, match=r"^nobody: no such file or directory; give .* `mario-rl list` names$"):
        mario_rl.load("nobody")


def test_the_package_offers_what_a_program_needs():
    assert all(getattr(mario_rl, name) is not None for name in mario_rl.__all__)
