"""The ids under which Gymnasium knows the game."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import pytest

from mario_rl.config import EnvConfig
from mario_rl.config.schema import STAGES
from mario_rl.envs import MarioEnv, env_id
from mario_rl.envs.registration import register_stages


def test_every_stage_and_the_whole_game_have_an_id() -> None:
    ours = [name for name in gym.registry if name.startswith("mario_rl/")]
    assert len(ours) == 33
    assert ours == [*(f"mario_rl/SuperMarioBros-{stage}-v0" for stage in STAGES), "mario_rl/SuperMarioBros-v0"]
    assert env_id("game") == "mario_rl/SuperMarioBros-v0"


@pytest.mark.filterwarnings("error")
def test_registering_again_does_nothing() -> None:
    before = dict(gym.registry)
    register_stages()
    assert gym.registry == before


@pytest.mark.emulator
@pytest.mark.filterwarnings("error")
def test_keys_of_the_config_are_taken_and_no_warning_comes() -> None:
    env = gym.make(env_id("2-1"), action_set="simple", frame_skip=2, render_mode="rgb_array")
    assert isinstance(env.unwrapped, MarioEnv)
    assert env.unwrapped.config == EnvConfig(stage="2-1", action_set="simple", frame_skip=2)
    env.reset(seed=1)
    terminated = truncated = False
    while not (terminated or truncated):
        *_, terminated, truncated, _ = env.step(4)
    assert env.render().shape == (240, 256, 3)
    env.close()


@pytest.mark.emulator
def test_gymnasium_finds_an_id_by_its_module() -> None:
    code = (
        "import gymnasium\n"
        "env = gymnasium.make('mario_rl.envs:mario_rl/SuperMarioBros-1-1-v0', render_mode='rgb_array')\n"
        "env.reset(seed=1)\n"
        "print(env.render().shape)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "(240, 256, 3)\n"
