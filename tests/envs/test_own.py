"""Rewards and wrappers of one's own: the same on both emulators, for one game and for many, saved and restored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from mario_rl.config import EnvConfig
from mario_rl.envs import MarioVectorEnv, OwnEnv, make_env, make_games, num_actions
from mario_rl.errors import ConfigError, FailedError
from mario_rl.game.games import LEAVE

pytestmark = pytest.mark.emulator

QUICK: dict[str, Any] = {"noop_max": 3, "stall_limit": 12, "max_agent_steps": 20, "sticky_probability": 0.25}
N = 3


def play(config: EnvConfig, steps: int = 60, *, autoreset: bool = True) -> list[Any]:
    """Play N games with the same random actions; returns all that training gets of them."""
    games = make_games(config, N, autoreset=autoreset)
    rng = np.random.default_rng(5)
    for number in range(N):
        games.seed(number, number)
        games.reset(number)
    seen = [games.observations.copy()]
    for _ in range(steps):
        games.step(rng.integers(num_actions(config.action_set), size=N))
        over = games.terminated | games.truncated
        results = [games.result(number) for number in np.flatnonzero(over)]
        seen += [games.observations.copy(), games.rewards, games.terminated.copy(), games.truncated.copy(), results]
        seen.append(games.final_observations[over].copy())
    games.close()
    return seen


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other)
    for place, (left, right) in enumerate(zip(one, other, strict=True)):
        assert np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right, place


OWN = {
    "a reward": {"reward": "own_classes:EveryNumber"},
    "wrappers": {"wrappers": ("own_classes:Inverted", "own_classes:Counting")},
    "both": {
        "reward": "own_classes:EveryNumber",
        "wrappers": ("own_classes:Doubled", "own_classes:Counting"),
        "clear_bonus": 50.0,
        "death_penalty": 25.0,
    },
}


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
@pytest.mark.takes("nes-py plays 180 steps, too")
def test_both_emulators_give_the_same(own):
    native, plain = (play(EnvConfig(**QUICK, **own, emulator=emulator)) for emulator in ("native", "nes_py"))
    assert_same(native, plain)
    assert any(results for results in native if isinstance(results, list)), "no episode ended: nothing was shown"


def test_what_is_ones_own_changes_no_game():
    plain = play(EnvConfig(**QUICK))
    own = play(EnvConfig(**QUICK, reward="own_classes:Nought"))
    for place in range(1, len(plain), 6):  # all but the rewards
        assert np.array_equal(plain[place], own[place])
        assert plain[place + 3].tolist() == own[place + 3].tolist()
        assert plain[place + 4] == own[place + 4]
    assert not any(own[place].any() for place in range(2, len(own), 6))
    assert any(plain[place].any() for place in range(2, len(plain), 6))


@pytest.mark.parametrize("own", [{"clear_bonus": 50.0, "death_penalty": 25.0, "reward_scale": 0.1}, {"stage": "1-2"}])
def test_a_reward_that_gives_the_classic_one_gives_what_classic_gives_bonus_penalty_and_scale_included(own):
    actions = [[["right"], ["right", "B"], ["right", "A", "B"]], 300]
    config = EnvConfig(action_set=tuple(map(tuple, actions[0])), noop_max=0, stall_limit=60, **own)
    classic = play(config, actions[1])
    ours = play(config.model_copy(update={"reward": "own_classes:Classic"}), actions[1])
    rewards = [np.concatenate([seen[place] for place in range(2, len(seen), 6)]) for seen in (classic, ours)]
    assert np.allclose(*rewards, rtol=0, atol=1e-9)
    ends = [seen[place] for seen in (classic, ours) for place in range(5, len(seen), 6)]
    assert any(result.end == "death" for results in ends for result in results), "nobody died: no penalty was shown"


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
def test_the_next_episode_begins_within_the_step_as_by_hand(own):
    config = EnvConfig(**QUICK, **own)
    games = [make_games(config, N, autoreset=autoreset) for autoreset in (True, False)]
    for pool in games:
        for number in range(N):
            pool.seed(number, number)
            pool.reset(number)
    rng = np.random.default_rng(5)
    for _ in range(50):
        actions = rng.integers(5, size=N)
        for pool in games:
            pool.step(actions)
        by_itself, by_hand = games
        for number in np.flatnonzero(by_hand.terminated | by_hand.truncated).tolist():
            assert np.array_equal(by_itself.final_observations[number], by_hand.observations[number])
            by_hand.reset(number)
        assert np.array_equal(by_itself.observations, by_hand.observations)
        assert by_itself.rewards.tolist() == by_hand.rewards.tolist()


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("emulator", ["native", "nes_py"])
@pytest.mark.takes("nes-py plays as well")
def test_games_that_are_restored_go_on_as_they_would_have(own, emulator):
    config = EnvConfig(**QUICK, **own, emulator=emulator)
    games, other = (make_games(config, N, autoreset=True) for _ in range(2))
    for number in range(N):
        games.seed(number, number)
        games.reset(number)
    rng = np.random.default_rng(7)
    for step in range(40):
        if step == 17:
            other.load_state_dict(games.state_dict())
            assert np.array_equal(other.observations, games.observations)
        actions = rng.integers(5, size=N)
        games.step(actions)
        if step >= 17:
            other.step(actions)
            assert np.array_equal(other.observations, games.observations), step
            assert other.rewards.tolist() == games.rewards.tolist(), step


def test_a_state_without_what_is_ones_own_is_refused():
    games = make_games(EnvConfig(**QUICK), N, autoreset=True)
    own = make_games(EnvConfig(**QUICK, reward="own_classes:Nought"), N, autoreset=True)
    with pytest.raises(ValueError, match="no rewards or wrappers of one's own"):
        own.load_state_dict(games.state_dict())


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("emulator", ["native", "nes_py"])
def test_one_game_shows_what_many_show(own, emulator):
    config = EnvConfig(**QUICK, **own, emulator=emulator)
    env, games = make_env(config), make_games(config, 1)
    assert isinstance(env, OwnEnv)
    observation, info = env.reset(seed=3, options={"noop_frames": 2})
    games.seed(0, 3)
    games.reset(0, noop_frames=2)
    over = False
    while not over:
        assert np.array_equal(observation, games.observations[0])
        observation, reward, terminated, truncated, info = env.step(1)
        games.step([1])
        assert reward == games.rewards[0]
        over = terminated or truncated
    assert info["episode_result"] == games.result(0)
    assert bytes(env.buttons_sent) == games.buttons(0)
    assert env.action_names == ("NOOP", "right", "right+A", "right+B", "right+A+B")
    assert env.observation_space.contains(observation)
    env.close()


def test_one_game_can_be_shown_normalised_and_drawn():
    config = EnvConfig(wrappers=("own_classes:Inverted",))
    env = make_env(config, normalize=True, render_mode="rgb_array")
    observation, _ = env.reset(seed=1)
    assert observation.dtype == np.float32
    assert env.observation_space.contains(observation)
    assert env.render().shape == (240, 256, 3)
    for action in (-1, 5):
        with pytest.raises(ValueError, match=f"action {action} is not one of 0 to 4"):
            env.step(action)


def test_one_game_is_reset_before_it_is_played_and_minds_no_option_that_it_does_not_know():
    env = make_env(EnvConfig(wrappers=("own_classes:Inverted",), max_agent_steps=2))
    with pytest.raises(ResetNeeded):
        env.step(1)
    env.reset(seed=1, options={"of somebody else": 1})
    assert [env.step(1)[3] for _ in range(2)] == [False, True]
    with pytest.raises(ResetNeeded):
        env.step(1)
    env.reset()
    env.step(1)


def test_the_stack_is_made_of_the_newest_frames_that_the_wrapper_gave_as_the_replay_has_them():
    games = make_games(EnvConfig(noop_max=0, wrappers=("own_classes:Counting",)), 1)
    games.reset(0)
    for _ in range(5):
        games.step([1])
    assert games.observations[0, :, 0, 0].tolist() == [2, 3, 4, 5]


def test_before_the_first_frame_of_an_episode_are_zeros_whatever_a_wrapper_makes_of_them():
    games = make_games(EnvConfig(noop_max=0, wrappers=("own_classes:Inverted",)), 1)
    games.reset(0)
    assert not games.observations[0, :3].any()
    assert games.observations[0, 3].any()


def test_a_game_that_is_left_alone_keeps_all_it_has():
    games = make_games(EnvConfig(**QUICK, **OWN["both"]), 2)
    for number in range(2):
        games.seed(number, number)
        games.reset(number)
    games.step([1, 1])
    observation, reward = games.observations[1].copy(), games.rewards[1]
    games.step([1, LEAVE])
    assert np.array_equal(games.observations[1], observation)
    assert games.rewards[1] == reward


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"reward": "own_classes:Unwritten"}, "env.reward: own_classes:Unwritten: failed in being made (TypeError: "),
        ({"reward": "own_classes:Doubled"}, "must be a class whose base is mario_rl.Reward"),
        ({"wrappers": ("own_classes:Nought",)}, "must be a class whose base is gymnasium.vector.VectorWrapper"),
        ({"wrappers": ("own_classes:HalfSaved",)}, "has one of get_state and set_state; must have both or neither"),
        (
            {"wrappers": ("own_classes:FewerActions",)},
            "changes single_action_space to Discrete(2); must stay",
        ),
        ({"wrappers": ("own_classes:Smaller",)}, "changes single_observation_space to Box("),
    ],
)
def test_what_can_not_be_put_on_games_is_refused_before_they_are_played(own, says):
    for make in (lambda config: make_games(config, 2), make_env):
        with pytest.raises(ConfigError) as error:
            make(EnvConfig(**own))
        assert says in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"reward": "own_classes:OneForAll"}, "env.reward: own_classes:OneForAll: gave the shape ()"),
        ({"reward": "own_classes:Endless"}, "env.reward: own_classes:Endless: gave numbers that are not finite"),
        (
            {"reward": "own_classes:Writes"},
            "failed in __call__ (ValueError: assignment destination is read-only;",
        ),
        (
            {"wrappers": ("own_classes:Floats",)},
            "gave observations float64 (2, 4, 84, 84); must stay uint8",
        ),
        (
            {"wrappers": ("own_classes:Immortal",)},
            "changed where episodes end, which they must not",
        ),
        (
            {"wrappers": ("own_classes:Failing",)},
            "failed in step (KeyError: 'no such thing'; own_classes.py, line",
        ),
    ],
)
def test_what_fails_in_play_is_one_line_that_names_it(own, says):
    games = make_games(EnvConfig(noop_max=0, max_agent_steps=2, **own), 2)

    def play() -> None:
        for number in range(2):
            games.reset(number)
        for _ in range(2):
            games.step([1, 1])

    with pytest.raises(FailedError) as error:
        play()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_that_no_checkpoint_can_hold_is_refused_when_it_is_given():
    games = make_games(EnvConfig(wrappers=("own_classes:Unsaveable",)), 1)
    games.reset(0)
    with pytest.raises(FailedError, match=r"Unsaveable: failed in get_state \(TypeError: a Generator can't be kept"):
        games.state_dict()


def test_the_environments_for_other_libraries_say_who_puts_it_on():
    with pytest.raises(ConfigError, match="are what make_env puts around this environment"):
        MarioVectorEnv(EnvConfig(reward="own_classes:Nought"), 2)
