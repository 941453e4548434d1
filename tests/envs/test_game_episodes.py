"""On the real game, on both emulators: rewards, starts, areas, limits, the whole game, episodes that are rebuilt."""

from __future__ import annotations

import json
from functools import cache
from itertools import accumulate, pairwise
from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pytest
from env_fakes import ACROSS_BONUS_ROOM, CLEAR_1_1, INTO_BONUS_ROOM, unroll
from gymnasium.utils.env_checker import data_equivalence

from mario_rl import envs
from mario_rl.config import EnvConfig
from mario_rl.config.schema import stages_behind
from mario_rl.envs import MarioEnv, ResumableEpisodes, action_buttons, make_env
from mario_rl.envs.nes_py import make_game
from mario_rl.evaluation import EvaluatedEpisode, EvaluationReport
from mario_rl.game.actions import joypad_byte
from mario_rl.game.addresses import LEVEL, WORLD
from mario_rl.seeding import generator_state
from mario_rl.trajectories.playing import Ends
from mario_rl.types import EpisodeResult

pytestmark = pytest.mark.emulator
SLOW_ON_NES_PY = pytest.mark.parametrize("emulator", ["native", pytest.param("nes_py", marks=pytest.mark.slow)])

RIGHT, RIGHT_A_B, DOWN, NOOP = 128, 131, 32, 0
OPERATION_MODE = 0x0770
BYTES = (NOOP, RIGHT, 129, 130, RIGHT_A_B, DOWN)
BUTTONS = (("NOOP",), ("right",), ("right", "A"), ("right", "B"), ("right", "A", "B"), ("down",))
QUICK: dict[str, Any] = {"grayscale": "plain", "frame_stack": 1}  # nobody looks at the observations
UNDISTURBED: dict[str, Any] = {"noop_max": 0, "stall_limit": None, "max_agent_steps": None, **QUICK}
CLEAR_BYTES = [joypad_byte(action_buttons("right_only")[action]) for action in unroll(CLEAR_1_1) for _ in range(4)]
INTO_A_GOOMBA = [RIGHT] * 400
PLAYS = {"clear": CLEAR_BYTES, "death": INTO_A_GOOMBA, "bonus room": unroll(INTO_BONUS_ROOM)}


@pytest.fixture(params=["native", "nes_py"])
def emulator(request: pytest.FixtureRequest) -> Any:
    return request.param


class RawFrame(NamedTuple):
    """One frame of the raw game: where Mario was and what it paid, read before the game skips its own animations."""

    x: int
    clock: int
    dying_or_dead: bool
    reward: float


def play_raw(buttons: list[int]) -> list[RawFrame]:
    """Play the raw 1-1; the first entry is the reset."""
    env = make_game("1-1")
    _, info = env.reset()
    frames = [RawFrame(info["x_pos"], info["time"], False, 0.0)]
    for byte in buttons:
        _, reward, terminated, _, info = env.step(byte)
        frames.append(RawFrame(info["x_pos"], info["time"], info["is_dying"] or info["is_dead"], float(reward)))
        if terminated:
            break
    env.close()
    return frames


@cache
def raw(name: str) -> list[RawFrame]:
    """Play one of `PLAYS`, once."""
    return play_raw(PLAYS[name])


def version_7(frames: list[RawFrame]) -> list[int]:
    """The reward of each frame after the reset, as gym-super-mario-bros 7.x computes it."""
    rewards = []
    for before, now in pairwise(frames):
        dx, dclock = now.x - before.x, now.clock - before.clock
        x_reward = 0 if dx < -5 or dx > 5 else dx
        time_penalty = 0 if dclock > 0 else dclock
        death_penalty = -25 if now.dying_or_dead else 0
        rewards.append(min(max(x_reward + time_penalty + death_penalty, -15), 15))
    return rewards


def play_frames(emulator: Any, buttons: list[int], **config: Any) -> tuple[list[float], list[float]]:
    """Play the same through the wrappers, one frame per step: rewards, and the classic return after each frame."""
    env = make_env(EnvConfig(emulator=emulator, action_set=BUTTONS, frame_skip=1, **UNDISTURBED, **config))
    env.reset()
    rewards, returns = [], []
    for byte in buttons:
        _, reward, terminated, _, info = env.step(BYTES.index(byte))
        rewards.append(reward)
        returns.append(info["classic_return"])
        if terminated:
            break
    env.close()
    return rewards, returns


@pytest.mark.parametrize("name", PLAYS)
def test_classic_rewards_are_those_of_version_7(name: str, emulator: Any) -> None:
    expected = version_7(raw(name))
    rewards, returns = play_frames(emulator, PLAYS[name], reward="classic", reward_clip=15.0, reward_scale=1.0)
    assert rewards == expected
    assert returns == list(accumulate(expected))


@SLOW_ON_NES_PY
@pytest.mark.parametrize("name", PLAYS)
def test_shaped_rewards_are_those_of_version_9(name: str, emulator: Any) -> None:
    rewards, _ = play_frames(emulator, PLAYS[name], reward="shaped", reward_clip=15.0, reward_scale=1.0)
    assert rewards == [frame.reward for frame in raw(name)[1:]]


def test_the_plays_cover_a_clear_a_death_and_a_jump_of_x() -> None:
    assert raw("clear")[-1].x == 3161
    assert raw("clear")[-1].reward == 15.0
    assert raw("death")[-1].dying_or_dead
    assert min(now.x - before.x for before, now in pairwise(raw("bonus room"))) < -800


def test_an_agents_step_sums_the_frames_and_the_return_does_not_depend_on_the_agents_reward(emulator: Any) -> None:
    returns = list(accumulate(version_7(raw("death"))))
    env = make_env(EnvConfig(emulator=emulator, reward="shaped", death_penalty=30.0, reward_scale=0.5, **UNDISTURBED))
    env.reset()
    frames, terminated = 0, False
    while not terminated:
        _, reward, terminated, _, info = env.step(1)
        played = raw("death")[frames + 1 : frames + 5]
        frames += len(played)
        assert reward == pytest.approx(0.5 * (sum(frame.reward for frame in played) - 30.0 * terminated))
        assert info["classic_return"] == returns[frames - 1]
    assert frames == len(returns)
    assert info["episode_result"].return_ == returns[-1]
    env.close()


@SLOW_ON_NES_PY
def test_a_cleared_stage_is_summed_up(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, **UNDISTURBED))
    env.reset()
    for action in unroll(CLEAR_1_1):
        _, _, terminated, truncated, info = env.step(action)
        if terminated:
            break
    assert (terminated, truncated) == (True, False)
    frames = raw("clear")[1:]
    assert env.buttons_sent == CLEAR_BYTES[: len(frames)]
    assert info["episode_result"] == EpisodeResult(
        stage="1-1", return_=sum(version_7(raw("clear"))), x=3161, length=ceil(len(frames) / 4), clock=333, end="clear"
    )
    env.close()


class TestBonusRoom:
    """1-1's fourth pipe leads to a room with x coordinates of its own."""

    def test_its_area_is_told_by_type_and_offset_and_neither_by_area_number_nor_by_area_pointer(self) -> None:
        env = make_game("1-1")
        _, info = env.reset()
        game: Any = env.unwrapped
        area_number, outside, inside = info["area"], (1, 5), (2, 2)
        areas, pointers = [], []
        for byte in unroll(INTO_BONUS_ROOM):
            *_, info = env.step(byte)
            assert info["area"] == area_number
            areas.append((int(game.ram[0x074E]), int(game.ram[0x074F])))
            pointers.append((int(game.ram[0x0750]) >> 5 & 0b11, int(game.ram[0x0750]) & 0b1_1111))
        assert list(dict.fromkeys(areas)) == [outside, inside]
        # The pointer always names where the next pipe leads: the room from outside, and the way out from inside.
        assert {(area, pointer) for area, pointer in zip(areas, pointers, strict=True)} == {
            (outside, inside),
            (inside, outside),
        }
        env.close()

    def test_x_counts_outside_and_progress_inside(self, emulator: Any) -> None:
        env = make_env(EnvConfig(emulator=emulator, action_set=BUTTONS, frame_skip=1, **UNDISTURBED))
        env.reset()
        script = [BYTES.index(byte) for byte in unroll(INTO_BONUS_ROOM)]
        for action in script:
            *_, info = env.step(action)
        game: Any = env.unwrapped
        assert (info["x_pos"], info["best_x"], game.ram[0x074E]) == (24, 915, 2)

        progress_on_arrival = info["new_bests"]
        for byte in unroll(ACROSS_BONUS_ROOM):
            *_, info = env.step(BYTES.index(byte))
            if game.ram[0x074E] == 1:
                break
            assert info["best_x"] == 915
        assert info["new_bests"] > progress_on_arrival + 50
        assert info["x_pos"] == 195  # the room's: on the frame on which Mario leaves it, info is behind the memory
        assert info["best_x"] == 2616
        env.close()


class TestLimits:
    def test_standing_still_is_truncated_at_the_stall_limit(self, emulator: Any) -> None:
        env = make_env(EnvConfig(emulator=emulator, noop_max=0, stall_limit=20, **QUICK))
        env.reset()
        outcomes = [env.step(0)[2:] for _ in range(20)]
        assert [(terminated, truncated) for terminated, truncated, _ in outcomes] == [(False, False)] * 19 + [
            (False, True)
        ]
        result = outcomes[-1][2]["episode_result"]
        assert (result.end, result.length, result.x) == ("stall", 20, 40)
        env.close()

    def test_max_agent_steps_counts_agent_steps(self, emulator: Any) -> None:
        env = make_env(EnvConfig(emulator=emulator, noop_max=0, max_agent_steps=10))
        env.reset()
        outcomes = [env.step(1)[2:] for _ in range(10)]
        assert [truncated for _, truncated, _ in outcomes] == [False] * 9 + [True]
        result = outcomes[-1][2]["episode_result"]
        assert (result.end, result.length) == ("limit", 10)
        assert len(env.buttons_sent) == 40
        env.close()


def test_a_warp_to_another_stage_ends_an_episode_of_one_stage_and_is_no_clear(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, stage="1-2", **UNDISTURBED))
    game: Any = env.unwrapped
    env.reset()
    before = [env.step(1)[4] for _ in range(20)][-1]
    game.ram[WORLD] = 3  # what a pipe of 1-2's warp zone writes the moment that Mario enters it
    _, _, terminated, truncated, info = env.step(1)
    assert (terminated, truncated, info["cut_by"]) == (True, False, "warp")
    result = info["episode_result"]
    assert (result.stage, result.x, result.length, result.end) == ("1-2", before["best_x"], 21, "warp")
    env.close()


def test_the_game_itself_goes_on_after_a_warp_on_both_emulators(emulator: Any) -> None:
    game: Any = envs.make_game(EnvConfig(emulator=emulator, stage="1-2"))
    game.reset()
    ends = Ends(game)
    for frame in range(60):
        if frame == 30:
            game.unwrapped.ram[WORLD] = 3
        _, _, terminated, truncated, info = game.step(RIGHT)
        ends.update(terminated, info)
        assert (terminated, truncated) == (False, False)
    assert (ends.ending.end, ends.ending.stage) == ("unfinished", "4-2")
    game.close()


def test_an_opening_that_leads_to_another_stage_is_no_way_around_it(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, stage="1-2", **UNDISTURBED))
    env.reset(options={"opening": bytes([RIGHT] * 8)})
    game: Any = env.unwrapped
    game.ram[WORLD] = 3  # as an opening leaves it that goes through the warp zone
    assert env.step(1)[4]["episode_result"].end == "warp"
    env.close()


def test_there_are_31_different_starts(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator))
    game: Any = env.unwrapped
    memories = set()
    for noop_frames in range(31):
        env.reset(options={"noop_frames": noop_frames})
        assert env.buttons_sent == [0] * noop_frames
        memories.add(game.ram.tobytes())
    assert len(memories) == 31
    for seed in range(10):
        env.reset(seed=seed)
        assert game.ram.tobytes() in memories
    env.close()


class Played(NamedTuple):
    """What an agent can see of some steps."""

    observations: list[Any]
    outcomes: list[tuple[float, bool, bool, dict[str, Any]]]
    generator: str


def play(env: MarioEnv | ResumableEpisodes, actions: list[int]) -> Played:
    """Take the actions, beginning a new episode wherever one ends."""
    observations, outcomes = [], []
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        outcomes.append((reward, terminated, truncated, info))
        if terminated or truncated:
            observations.append(env.reset()[0])
    return Played(observations, outcomes, generator_state(env.np_random))


DISTURBED: dict[str, Any] = {
    "stage": ("1-1", "1-2"),
    "action_set": "simple",
    "sticky_probability": 0.25,
    "stall_limit": 40,
    "grayscale": "plain",
}


def random_actions(count: int, seed: int) -> list[int]:
    return [int(action) for action in np.random.default_rng(seed).integers(7, size=count)]


@SLOW_ON_NES_PY
def test_a_rebuilt_episode_goes_on_like_the_one_never_interrupted(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, **DISTURBED))
    env.reset(seed=3)
    before = play(env, random_actions(150, seed=0))
    state = env.episode_state()
    if emulator == "nes_py":
        assert state["seed"] is None  # a later episode, so the generator's state tells where it began
        assert 0 < len(bytes.fromhex(state["actions"])) // 2 < 150
        assert json.loads(json.dumps(state)) == state

    other = make_env(EnvConfig(emulator=emulator, **DISTURBED))
    assert np.array_equal(other.restore_episode(state), before.observations[-1])
    assert generator_state(other.np_random) == before.generator
    actions = random_actions(200, seed=1)
    expected, actual = play(env, actions), play(other, actions)
    assert data_equivalence(expected.observations, actual.observations, exact=True)
    assert data_equivalence(expected.outcomes, actual.outcomes, exact=True)
    assert expected.generator == actual.generator
    assert env.buttons_sent == other.buttons_sent
    assert any(terminated or truncated for _, terminated, truncated, _ in expected.outcomes)
    env.close()
    other.close()


def test_the_buttons_sent_are_the_whole_episode(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, sticky_probability=0.25, **QUICK))
    env.reset(seed=1)
    while True:
        *_, terminated, truncated, info = env.step(4)
        if terminated or truncated:
            break
    frames = play_raw(env.buttons_sent)
    assert len(frames) - 1 == len(env.buttons_sent)
    assert frames[-1].clock == info["episode_result"].clock
    assert max(frame.x for frame in frames) == info["episode_result"].x
    env.close()


def test_a_seed_says_all_about_an_episode(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, sticky_probability=0.25, noop_max=0, **QUICK))

    def buttons(seed: int) -> list[int]:
        env.reset(seed=seed)
        for action in [1, 2, 3, 4, 0] * 4:
            env.step(action)
        return env.buttons_sent

    first = buttons(7)
    assert buttons(7) == first
    assert buttons(8) != first
    env.close()


@SLOW_ON_NES_PY
def test_the_whole_game_goes_on_after_a_flag_and_ends_with_the_last_life(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, stage="game", clear_bonus=1000.0, reward_scale=1.0, **UNDISTURBED))
    env.reset()
    rewards, lives = [], set()
    for action in [*unroll(CLEAR_1_1), *[3] * 400]:
        _, reward, terminated, truncated, info = env.step(action)
        rewards.append(reward)
        lives.add(info["life"])
        if terminated or truncated:
            break
    assert (terminated, truncated) == (True, False)
    assert sum(reward > 500 for reward in rewards) == 1
    assert lives >= {2, 1, 0}
    result = info["episode_result"]
    assert (result.stage, result.x, result.end) == ("1-2", 198, "death")
    env.close()


def test_the_whole_game_ends_cleared_when_8_4_is_won(emulator: Any) -> None:
    env = make_env(EnvConfig(emulator=emulator, stage="game", **UNDISTURBED))
    env.reset()
    game: Any = env.unwrapped
    game.ram[WORLD], game.ram[LEVEL] = 7, 3
    assert env.step(0)[2] is False
    game.ram[OPERATION_MODE] = 2  # what the game sets when the axe is reached: the world is won
    _, _, terminated, truncated, info = env.step(0)
    env.close()
    assert (terminated, truncated) == (True, False)
    assert (info["episode_result"].stage, info["episode_result"].end) == ("8-4", "clear")


@pytest.mark.parametrize(("world", "level", "stage"), [(35, 0, "36-1"), (255, 255, "256-256"), (0, 4, "1-5")])
def test_any_world_and_stage_that_the_memory_shows_has_a_name_and_a_place_in_reports(
    emulator: Any, world: int, level: int, stage: str
) -> None:
    env = make_env(EnvConfig(emulator=emulator, stage="game", noop_max=0, max_agent_steps=3, **QUICK))
    env.reset()
    game: Any = env.unwrapped
    game.ram[WORLD], game.ram[LEVEL] = world, level  # the minus world is world 36, by way of the warp zone in 1-2
    infos = [env.step(1)[4] for _ in range(3)]
    env.close()
    assert {(info["world"], info["stage"], info["stage_reached"]) for info in infos} == {(world + 1, level + 1, stage)}
    result = infos[-1]["episode_result"]
    assert (result.stage, result.end) == (stage, "limit")
    episode = EvaluatedEpisode("game", 0, result, 0.0, 0.0, ())
    rate, ahead, x = EvaluationReport("noop", 0, (episode,)).merit
    assert (rate, x) == (0.0, result.x)
    assert ahead == stages_behind(stage)
    assert 0 <= ahead <= 31
