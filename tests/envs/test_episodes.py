"""How episodes begin, are disturbed, cut short, summed up and rebuilt, on a game of a few frames."""

from __future__ import annotations

import json
from typing import Any

import pytest
from env_fakes import Frame, ScriptedGame

from mario_rl.envs import (
    ClassicReturn,
    NoopStart,
    RecordButtons,
    ResumableEpisodes,
    StagePool,
    StallLimit,
    StepLimit,
    StickyActions,
    SummarizeEpisode,
    TrackProgress,
)
from mario_rl.errors import UserError
from mario_rl.seeding import generator_state
from mario_rl.types import EpisodeResult


class TestNoopStart:
    def test_draws_every_number_from_0_to_noop_max(self) -> None:
        game = ScriptedGame()
        env = NoopStart(game, noop_max=3)
        env.reset(seed=0)
        drawn = []
        for _ in range(400):
            env.reset()
            drawn.append(len(game.actions))
        counts = [drawn.count(number) for number in range(4)]
        assert sum(counts) == 400
        assert min(counts) > 60  # 100 expected; 60 is 4.6 standard deviations below

    def test_presses_nothing_and_returns_what_the_last_frame_showed(self) -> None:
        game = ScriptedGame([Frame(value=1), Frame(value=2), Frame(value=3, clock=399), Frame(value=4)])
        observation, info = NoopStart(game, noop_max=0).reset(options={"noop_frames": 2})
        assert game.actions == [0, 0]
        assert (observation == 3).all()
        assert info["time"] == 399

    def test_a_number_that_is_asked_for_is_played_and_nothing_drawn(self) -> None:
        game = ScriptedGame()
        env = NoopStart(game, noop_max=30)
        env.reset(seed=0, options={"noop_frames": 0})
        before = generator_state(env.np_random)
        env.reset(options={"noop_frames": 40})
        assert len(game.actions) == 40
        assert generator_state(env.np_random) == before

    @pytest.mark.parametrize("ending", [Frame(terminated=True), Frame(truncated=True)])
    def test_an_episode_that_ends_meanwhile_is_begun_again_without_more_frames(self, ending: Frame) -> None:
        game = ScriptedGame([Frame(value=9), Frame(), ending])
        observation, _ = NoopStart(game, noop_max=0).reset(options={"noop_frames": 5})
        assert game.resets == 2
        assert game.actions == []
        assert (observation == 9).all()

    def test_bytes_are_played_in_place_of_frames_without_input(self) -> None:
        game = ScriptedGame()
        env = NoopStart(game, noop_max=30)
        env.reset(seed=0, options={"noop_frames": 0})
        before = generator_state(env.np_random)
        env.reset(options={"opening": bytes([128, 130, 0])})
        assert game.actions == [128, 130, 0]
        assert generator_state(env.np_random) == before

    @pytest.mark.parametrize("wrong", [-1, 2.5, "3"])
    def test_a_number_that_makes_no_sense_is_refused(self, wrong: Any) -> None:
        with pytest.raises(UserError, match=r"^reset option noop_frames: .* is not allowed; must be a whole number"):
            NoopStart(ScriptedGame(), noop_max=0).reset(options={"noop_frames": wrong})


class TestStickyActions:
    @staticmethod
    def sent(probability: float, actions: list[int], seed: int = 0) -> list[int]:
        game = ScriptedGame()
        env = StickyActions(game, probability=probability)
        env.reset(seed=seed)
        for action in actions:
            env.step(action)
        return game.actions

    def test_at_0_every_action_arrives_and_nothing_is_drawn(self) -> None:
        assert self.sent(0.0, [1, 2, 3]) == [1, 2, 3]
        env = StickyActions(ScriptedGame(), probability=0.0)
        env.reset(seed=0)
        before = generator_state(env.np_random)
        env.step(1)
        assert generator_state(env.np_random) == before

    def test_at_1_the_first_is_no_buttons_and_so_is_all_that_follows(self) -> None:
        assert self.sent(1.0, [1, 2, 3]) == [0, 0, 0]

    def test_what_sticks_is_what_was_sent_and_not_what_was_asked_for(self) -> None:
        sent = self.sent(0.5, list(range(1, 201)))
        assert all(now in (asked, before) for asked, now, before in zip(range(1, 201), sent, [0, *sent], strict=False))
        # Sticking twice in a row repeats the same action three times; resending what was asked for never would.
        assert any(sent[i] == sent[i + 1] == sent[i + 2] for i in range(198))

    def test_a_quarter_sticks_at_a_quarter(self) -> None:
        asked = list(range(1, 4001))
        stuck = sum(asked != now for asked, now in zip(asked, self.sent(0.25, asked), strict=True))
        assert 850 < stuck < 1150  # 1000 expected; 150 is 5.5 standard deviations

    def test_an_episode_does_not_begin_with_the_buttons_of_the_one_before(self) -> None:
        game = ScriptedGame()
        env = StickyActions(game, probability=0.99)
        env.reset(seed=0)
        while 7 not in game.actions:
            env.step(7)
        env.reset(seed=0)
        env.step(7)
        assert game.actions == [0]


def test_recorded_buttons_are_those_of_this_episode_with_no_ops_and_sticky_frames() -> None:
    recorder = RecordButtons(ScriptedGame())
    env = StickyActions(NoopStart(recorder, noop_max=0), probability=1.0)
    env.reset(seed=0, options={"noop_frames": 2})
    env.step(129)
    first = recorder.buttons_sent
    assert first == [0, 0, 0]
    env.reset()
    assert recorder.buttons_sent == []
    assert first == [0, 0, 0]


def limits(frames: list[Frame], *, stall: int | None = None, steps: int | None = None) -> SummarizeEpisode:
    tracked = ClassicReturn(TrackProgress(ScriptedGame(frames)))
    return SummarizeEpisode(StepLimit(StallLimit(tracked, limit=stall), limit=steps))


def play(env: SummarizeEpisode, most: int = 100) -> tuple[int, bool, bool, EpisodeResult | None]:
    env.reset()
    for step in range(1, most + 1):
        *_, terminated, truncated, info = env.step(0)
        if terminated or truncated:
            return step, terminated, truncated, info["episode_result"]
        assert "episode_result" not in info
    return most, False, False, None


class TestLimits:
    def test_a_stalled_episode_is_truncated_after_n_steps_without_a_new_best_x(self) -> None:
        step, terminated, truncated, result = play(limits([Frame(x=40), Frame(x=41), Frame(x=41)], stall=3))
        assert (step, terminated, truncated) == (4, False, True)  # one step of progress and three without
        assert result is not None
        assert (result.end, result.length) == ("stall", 4)

    def test_any_new_best_x_starts_the_count_again(self) -> None:
        xs = [40, 40, 40, 41, 41, 41, 41]
        assert play(limits([Frame(x=x) for x in xs], stall=3))[0] == 6

    def test_going_back_over_known_ground_is_no_progress(self) -> None:
        xs = [40, 50, 40, 45, 49, 50]
        assert play(limits([Frame(x=x) for x in xs], stall=3))[0] == 4

    def test_a_new_area_is_progress_at_a_smaller_x(self) -> None:
        room = [Frame(x=x, area=(2, 2)) for x in (24, 25, 26)]
        assert play(limits([Frame(x=900), Frame(x=900), *room], stall=2))[0] == 6

    def test_the_count_starts_again_with_the_episode(self) -> None:
        env = limits([Frame()], stall=3)
        assert play(env)[0] == 3
        assert play(env)[0] == 3

    def test_the_step_limit_truncates_on_exactly_that_step(self) -> None:
        env = limits([Frame()], steps=5)
        for _ in range(2):
            step, terminated, truncated, result = play(env)
            assert (step, terminated, truncated) == (5, False, True)
            assert result is not None
            assert result.end == "limit"

    @pytest.mark.parametrize(("stall", "steps"), [(2, None), (None, 2)])
    def test_when_the_game_ends_on_the_very_step_the_episode_is_terminated_only(
        self, stall: int | None, steps: int | None
    ) -> None:
        step, terminated, truncated, result = play(
            limits([Frame(), Frame(), Frame(terminated=True)], stall=stall, steps=steps)
        )
        assert (step, terminated, truncated) == (2, True, False)
        assert result is not None
        assert result.end == "death"

    def test_no_limits_never_truncate(self) -> None:
        assert play(limits([Frame()])) == (100, False, False, None)


class TestSummary:
    def test_the_flag_is_a_clear_and_every_number_is_the_games(self) -> None:
        frames = [Frame(x=3155, clock=334), Frame(x=3158, clock=334)]
        *_, result = play(limits([*frames, Frame(x=3161, clock=333, flag=True, terminated=True)]))
        assert result == EpisodeResult(stage="1-1", return_=5.0, x=3161, length=2, clock=333, end="clear")  # 3 + 3 - 1

    def test_any_other_end_of_the_game_is_a_death(self) -> None:
        *_, result = play(limits([Frame(), Frame(dying=True, terminated=True)]))
        assert result is not None
        assert (result.end, result.return_) == ("death", -15.0)

    def test_for_the_whole_game_stage_and_x_are_those_of_the_stage_reached(self) -> None:
        frames = [Frame(x=3160), Frame(x=40, stage="1-2"), Frame(x=198, stage="1-2", dying=True, terminated=True)]
        *_, result = play(limits(frames))
        assert result is not None
        assert (result.stage, result.x) == ("1-2", 198)

    def test_a_truncation_from_inside_counts_as_a_limit(self) -> None:
        *_, result = play(limits([Frame(), Frame(truncated=True)]))
        assert result is not None
        assert result.end == "limit"


def resumable() -> tuple[ResumableEpisodes, ScriptedGame]:
    """A game with every source of randomness."""
    game = ScriptedGame([Frame(value=value) for value in range(250)])
    pool = StagePool(["1-1", "1-2"], open_stage=lambda stage: game)
    recorder = RecordButtons(pool)
    return (
        ResumableEpisodes(StickyActions(NoopStart(recorder, noop_max=30), probability=0.5), action_names=("a", "b")),
        game,
    )


class TestResumableEpisodes:
    @pytest.mark.parametrize("resets", [[{"seed": 5}], [{"seed": 5}, {}], [{}], [{"options": {"noop_frames": 3}}]])
    @pytest.mark.parametrize("older", [False, True])
    def test_a_rebuilt_episode_goes_on_like_the_one_never_interrupted(
        self, resets: list[dict[str, Any]], older: bool
    ) -> None:
        env, game = resumable()
        for reset in resets:
            observation, _ = env.reset(**reset)
            for action in range(20):
                observation, *_ = env.step(action)
        state = json.loads(json.dumps(env.episode_state()))
        assert sum(isinstance(value, list) for value in state.values()) == 0  # few values, however long it is
        if older:
            state["actions"] = list(range(20))

        other, other_game = resumable()
        assert (other.restore_episode(state) == observation).all()
        for action in range(20):
            env.step(action)
            other.step(action)
        env.reset()
        other.reset()
        env.step(1)
        other.step(1)
        assert other.buttons_sent == env.buttons_sent == other_game.actions == game.actions
        assert generator_state(other.np_random) == generator_state(env.np_random)

    def test_the_state_is_what_was_done_since_the_reset(self) -> None:
        env, _ = resumable()
        options = {"noop_frames": 2}
        env.reset(seed=5, options=options)
        env.step(1)
        state = env.episode_state()
        env.step(0)
        options["noop_frames"] = 9
        assert state == {
            "seed": 5,
            "generator": None,
            "options": {"noop_frames": 2},
            "snapshots": {},
            "backward": {},
            "actions": "0100",
        }
        assert env.episode_state()["options"] == {"noop_frames": 2}

    def test_a_rebuilt_episode_can_be_saved_again(self) -> None:
        env, _ = resumable()
        env.reset(seed=5)
        env.reset()
        env.step(1)
        other, _ = resumable()
        other.restore_episode(env.episode_state())
        assert other.episode_state() == env.episode_state()

    def test_there_is_no_episode_before_the_first_reset(self) -> None:
        env, _ = resumable()
        with pytest.raises(RuntimeError, match="call reset first"):
            env.episode_state()

    def test_it_names_the_actions(self) -> None:
        assert resumable()[0].action_names == ("a", "b")
