"""Trajectories to learn from: frames to agent steps, what is refused, and what a run makes of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CLEAR_BYTES

from mario_rl import shipped
from mario_rl.cli import main
from mario_rl.config import Config, EnvConfig, load_config, parse_config
from mario_rl.envs import make_env
from mario_rl.errors import CheckpointError, ConfigError
from mario_rl.game.actions import action_bytes
from mario_rl.training import check_machine, resume, train
from mario_rl.training.demonstrations import (
    Held,
    exact_actions,
    load_backward,
    load_demonstrations,
    nearest_actions,
    require_trajectories,
)
from mario_rl.trajectories import Made, make_trajectory, read_trajectory, write_trajectory

HUMAN = Made(by="human")
RIGHT_ONLY = action_bytes("right_only")  # 00, 80, 81, 82, 83: nothing, right, and with A, B and both


def config_of(demonstrations: list[Path] = [], backward: list[Path] = [], **env: Any) -> Config:  # noqa: B006  (read only)
    tree = {
        "env": env,
        "replay": {"demonstrations": [str(path) for path in demonstrations]},
        "training": {"backward_starts": [str(path) for path in backward]},
    }
    return parse_config(tree, "test")


def written(path: Path, buttons: bytes, stage: str = "1-1") -> Path:
    write_trajectory(path, make_trajectory(stage, buttons, HUMAN))
    return path


# Frames to agent steps.


@pytest.mark.parametrize(
    ("buttons", "held"),
    [
        ("80 80 82 82", Held(b"", [1, 3])),
        ("80 80 82 82 83", Held(b"", [1, 3, 4])),  # the last is cut short by the end
        ("00 00 00 80 80", Held(bytes(3), [1])),  # frames without input at the beginning are no part of it
        ("00 00 00 80 80 80", Held(bytes(3), [1, 1])),
        ("00 80 80 00 00 81", Held(bytes(1), [1, 0, 2])),
        ("80 80 80 82", None),
        ("80 80 40 40", None),  # left is no action
    ],
)
def test_a_trajectory_made_of_agent_steps_gives_their_actions(buttons, held):
    assert exact_actions(bytes.fromhex(buttons), RIGHT_ONLY, 2) == held


def test_no_ops_before_the_first_step_need_not_be_an_action():
    right_or_jump = action_bytes((("right",), ("right", "A")))
    assert exact_actions(bytes.fromhex("00 00 00 80 80 81 81"), right_or_jump, 2) == Held(bytes(3), [0, 1])
    assert exact_actions(bytes.fromhex("00 80 80 00 00 81 81"), right_or_jump, 2) is None


def test_the_nearest_action_differs_in_the_fewest_buttons_over_the_frames_of_a_step():
    # Three frames with A of four: right+A. Two: as near to right, which comes first.
    first = next(nearest_actions(bytes.fromhex("81 81 81 80 81 81 80 80"), RIGHT_ONLY, 4))
    assert first == Held(b"", [2, 1])


def test_steps_are_tried_to_begin_at_each_frame_of_one():
    proposed = list(nearest_actions(bytes.fromhex("00 80 80 81 81"), RIGHT_ONLY, 2))
    assert proposed == [
        Held(bytes(1), [1, 2]),
        Held(b"", [0, 1, 2]),  # of nothing and right it is as near to both
        Held(bytes.fromhex("00 80"), [1, 2]),
    ]


# Played by the rules of training.


@pytest.mark.emulator
def test_a_demonstration_is_what_the_environment_gives_for_its_actions(clear_file):
    rules = {"clear_bonus": 5.0, "show_buttons": True, "noop_max": 0, "sticky_probability": 0.3}
    (steps,) = load_demonstrations(config_of([clear_file], **rules))
    env = make_env(EnvConfig(**rules | {"sticky_probability": 0.0}))
    observation, _ = env.reset(options={"opening": bytes(6)})
    for number, action in enumerate(steps.action):
        assert (steps.frame[number] == observation[-1]).all()
        observation, reward, terminated, truncated, info = env.step(int(action))
        assert steps.reward[number] == reward
    assert (terminated, truncated, info["flag_get"]) == (True, False, True)
    assert steps.terminated.tolist() == [False] * (len(steps.action) - 1) + [True]
    assert not steps.truncated.any()
    played = bytes(RIGHT_ONLY[action] for action in steps.action for _ in range(4))
    assert played == CLEAR_BYTES[: len(played)]


@pytest.mark.emulator
def test_a_trajectory_of_another_frame_skip_is_played_with_the_nearest_actions_if_it_still_clears(tmp_path, clear_file):
    (twice,) = load_demonstrations(config_of([clear_file], frame_skip=2))
    (once,) = load_demonstrations(config_of([clear_file]))
    assert (twice.action[::2] == once.action).all()  # of 4 frames each: exact as well
    buttons = bytearray(CLEAR_BYTES)
    buttons[85] = RIGHT_ONLY[4]  # one frame of a step: the nearest action stays the same
    (nearest,) = load_demonstrations(config_of([written(tmp_path / "uneven.json", bytes(buttons))]))
    assert nearest.action.tolist() == once.action.tolist()


@pytest.mark.emulator
def test_a_reward_of_ones_own_is_earned_by_demonstrations_too(clear_file):
    (steps,) = load_demonstrations(config_of([clear_file], reward="own_classes:Nought"))
    assert not steps.reward.any()


# Refusals: one line each.


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("env", "says"),
    [
        (
            {"frame_skip": 3},
            r"was not made of agent steps of env.frame_skip 3 frames, and with the nearest action for each it "
            r"(dies|ends) at x [\d,]+ and no longer clears the stage; env.frame_skip=2 would play it as it is",
        ),
        ({"stage": ["1-2", "2-1"]}, r"a trajectory of 1-1, which is not in env.stage \(1-2, 2-1\)"),
        ({"stall_limit": 2}, r"it is cut short at x [\d,]+ by env.stall_limit 2"),
        ({"max_agent_steps": 50}, r"it is cut short at x [\d,]+ by env.max_agent_steps 50"),
        (
            {"action_set": [["right"], ["right", "A"]]},
            r"presses right\+A\+B, right\+B, which is no action of env.action_set as it is given; "
            r"env.action_set=right_only would do",
        ),
    ],
)
def test_a_demonstration_that_the_agent_could_not_play_is_refused(clear_file, env, says):
    with pytest.raises(ConfigError, match=rf"^replay\.demonstrations: {clear_file}: {says}$"):
        load_demonstrations(config_of([clear_file], **env))


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("pressed", "names", "would_do"),
    [
        (0x20, "down", "complex"),
        (0x02, "B", "[[right], [right, A, B], [right, B], [right, A], [B]]"),
        (0x41, "left+A", "complex"),
    ],
)
def test_buttons_that_no_action_presses_are_named_with_the_action_set_that_has_them(tmp_path, pressed, names, would_do):
    frames = len(make_trajectory("1-1", CLEAR_BYTES, HUMAN).buttons)
    file = written(tmp_path / "odd.json", CLEAR_BYTES[: frames - 1] + bytes([pressed]))
    with pytest.raises(ConfigError) as error:
        load_demonstrations(config_of([file]))
    assert str(error.value) == (
        f"replay.demonstrations: {file}: presses {names}, which is no action of env.action_set right_only; "
        f"env.action_set={would_do} would do"
    )


@pytest.mark.emulator
@pytest.mark.parametrize("key", ["replay.demonstrations", "training.backward_starts"])
def test_trajectories_that_do_not_clear_or_are_none_are_refused(tmp_path, key):
    which = "demonstrations" if "demonstrations" in key else "backward"
    dies = written(tmp_path / "dies.json", bytes([0x80] * 400))
    with pytest.raises(
        ConfigError, match=rf"^{key}: .*dies\.json: it dies in 1-1 at x 296 .*; it must clear its stage$"
    ):
        require_trajectories(config_of(**{which: [dies]}))
    with pytest.raises(ConfigError, match=rf"^{key}: .*none\.json: no such file$"):
        require_trajectories(config_of(**{which: [tmp_path / "none.json"]}))
    (tmp_path / "text.json").write_text("{}")
    with pytest.raises(ConfigError, match=rf"^{key}: .*text\.json: not a trajectory"):
        require_trajectories(config_of(**{which: [tmp_path / "text.json"]}))


@pytest.mark.parametrize("key", ["replay.demonstrations", "training.backward_starts"])
def test_a_flag_beyond_a_warp_zone_is_no_clear_of_the_stage(tmp_path, clear_file, key):
    which = "demonstrations" if "demonstrations" in key else "backward"
    trajectory = read_trajectory(clear_file)
    changed = trajectory.ending.model_copy(update={"stage": "4-1"})
    write_trajectory(tmp_path / "warps.json", trajectory.model_copy(update={"ending": changed}))
    with pytest.raises(ConfigError, match=rf"^{key}: .*warps\.json: it clears 4-1 at .*; it must clear its stage$"):
        require_trajectories(config_of(**{which: [tmp_path / "warps.json"]}))


@pytest.mark.emulator
def test_an_end_that_is_only_claimed_is_refused(tmp_path, clear_file):
    trajectory = read_trajectory(clear_file)
    changed = trajectory.ending.model_copy(update={"x": 9})
    write_trajectory(tmp_path / "claims.json", trajectory.model_copy(update={"ending": changed}))
    with pytest.raises(
        ConfigError, match=r"claims\.json: it clears 1-1 at x 3,\d+ .*, and its file says that it clears"
    ):
        load_backward(config_of(backward=[tmp_path / "claims.json"]))


@pytest.mark.emulator
def test_a_second_trajectory_of_a_stage_to_begin_along_is_refused(clear_file):
    with pytest.raises(
        ConfigError, match=r"^training\.backward_starts: .*: a second trajectory of 1-1; give one for each"
    ):
        load_backward(config_of(backward=[clear_file, clear_file]))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["training.demonstration_updates=5"], "training.demonstration_updates 5 needs replay.demonstrations"),
        (
            ["replay.demonstrations=clear.json"],
            "replay.demonstrations: 'clear.json' is not allowed; must be a list of up",
        ),
        (["training.backward_window=61"], "training.backward_window: 61 is not allowed; must be at most 60"),
        (["training.backward_threshold=0"], "training.backward_threshold: 0 is not allowed; must be more than 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(small_run_file, settings, says):
    with pytest.raises(ConfigError) as error:
        load_config(small_run_file, settings)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.emulator
def test_a_run_is_refused_before_its_directory_is_made(tmp_path, small_run_file, clear_file):
    config = load_config(small_run_file, [f"replay.demonstrations=[{clear_file}]", "env.stage=1-2"])
    with pytest.raises(ConfigError, match="a trajectory of 1-1"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Runs.

LONG = "env.max_agent_steps=500"  # the trajectory has 339 agent steps


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.emulator
def test_updates_on_demonstrations_come_before_the_first_agent_step_and_on_top(tmp_path, small_run_file, clear_file):
    settings = [f"replay.demonstrations=[{clear_file}]", LONG, "training.demonstration_updates=7"]
    result = train(load_config(small_run_file, [*settings, "training.agent_steps=60"]), tmp_path / "run")
    assert result.progress.updates == 7 + (60 - 40) // 4  # the second after a warm-up of 40


@pytest.mark.emulator
def test_paths_are_found_from_every_folder(tmp_path, small_run_file, clear_file, monkeypatch):
    monkeypatch.chdir(clear_file.parent)
    config = load_config(
        small_run_file, ["replay.demonstrations=[clear.json]", "training.backward_starts=[clear.json]"]
    )
    assert config.replay.demonstrations == config.training.backward_starts == (str(clear_file),)


@pytest.mark.emulator
def test_a_shipped_trajectory_is_found_by_its_name(small_run_file, clear_file, monkeypatch):
    monkeypatch.setattr(shipped, "TRAJECTORIES", clear_file.parent)
    config = load_config(small_run_file, ["replay.demonstrations=[clear]", LONG])
    assert config.replay.demonstrations == ("clear",)
    assert len(load_demonstrations(config)[0].action) > 300


@pytest.mark.emulator
def test_the_command_refuses_in_one_line_with_exit_code_2(tmp_path, small_run_file, clear_file, capsys):
    settings = [f"replay.demonstrations=[{clear_file}]", "env.frame_skip=3"]
    assert main(["train", str(small_run_file), "--run-dir", str(tmp_path / "run"), *settings]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"replay.demonstrations: {clear_file}: was not made of agent steps" in line


@pytest.mark.emulator
def test_episodes_along_a_trajectory_are_reported_apart_and_count_for_no_mean(tmp_path, small_run_file, clear_file):
    settings = [
        f"training.backward_starts=[{clear_file}]",
        "training.backward_probability=0.9",
        "training.agent_steps=400",
        "env.action_set=[[right, B], [right, A, B]]",
    ]
    result = train(load_config(small_run_file, settings), tmp_path / "run")
    from_start, along = rows(result.run_dir.episodes), rows(result.run_dir.snapshot_episodes)
    assert len(along) > len(from_start)
    assert min(int(row["x"]) for row in along) > 2_500
    assert max(int(row["x"]) for row in from_start) < 2_500
    assert result.progress.episodes == len(from_start)
    assert "clear" in {row["end"] for row in along}
    assert result.progress.mean_x < 2_500


@pytest.mark.emulator
def test_a_replay_holds_no_transition_across_the_start_of_an_episode_along_a_trajectory(
    tmp_path, small_run_file, clear_file
):
    settings = [f"training.backward_starts=[{clear_file}]", "training.backward_probability=1.0"]
    config = load_config(small_run_file, [*settings, "training.agent_steps=200"])
    run = train(config, tmp_path / "run").run_dir
    (file,) = run.replay.iterdir()
    with np.load(file) as kept:
        for env in range(2):
            ended = kept[f"terminated_{env}_0"] | kept[f"is_tail_{env}_0"]
            earlier = kept[f"earlier_{env}_0"]
            assert ended.sum() >= 2
            # The slot after an end has no earlier frame: neither a stack nor a return reaches over it.
            assert (earlier[1:][ended[:-1]] == 0).all()


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("replay.demonstrations", "a replay with other demonstrations than the files of"),
        ("training.backward_starts", "the files give other trajectories than they gave before"),
    ],
)
def test_a_run_whose_trajectory_has_become_another_is_not_gone_on_with(tmp_path, small_run_file, clear_file, key, says):
    file = tmp_path / "clear.json"
    file.write_bytes(clear_file.read_bytes())
    train(load_config(small_run_file, [f"{key}=[{file}]", "training.agent_steps=60", LONG]), tmp_path / "run")
    written(file, bytes(8) + CLEAR_BYTES)
    with pytest.raises(CheckpointError, match=says):
        resume(tmp_path / "run", ["training.agent_steps=80"])
    file.unlink()
    with pytest.raises(ConfigError, match=rf"^{key}: .*clear\.json: no such file"):
        resume(tmp_path / "run", ["training.agent_steps=80"])


@pytest.mark.emulator
@pytest.mark.takes("nes-py plays the trajectory three times and opens two games")
def test_nes_py_learns_from_trajectories_too(tmp_path, small_run_file, clear_file):
    settings = [
        "env.emulator=nes_py",
        f"replay.demonstrations=[{clear_file}]",
        f"training.backward_starts=[{clear_file}]",
        "training.agent_steps=60",
        LONG,
    ]
    config = load_config(small_run_file, settings)
    check_machine(config, train(config, tmp_path / "run").run_dir)
    native = load_config(small_run_file, settings[1:])
    for one, other in zip(load_demonstrations(config)[0], load_demonstrations(native)[0], strict=True):
        assert (one == other).all()
