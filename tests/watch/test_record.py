"""A video of what the page shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import free_port

from mario_rl.cli import main
from mario_rl.envs import action_names
from mario_rl.evaluation import EvaluationInterrupted, evaluate, load_trained
from mario_rl.report.video import Recording, _replay, film_title, write_video
from mario_rl.runs.directory import RunDir
from mario_rl.trajectories import Made, make_trajectory, write_trajectory
from mario_rl.types import Pixels
from mario_rl.watch import record as record_module
from mario_rl.watch.frames import Decision
from mario_rl.watch.record import _bars, record

pytestmark = pytest.mark.emulator


def frames_of(path: Path) -> list[Pixels]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_recording_shows_the_episodes_of_the_evaluation_under_the_same_protocol(trained_run, tmp_path, capsys):
    video = tmp_path / "mario.mp4"
    assert main(["record", str(trained_run), "--output", str(video), "--protocol", "sticky", "--episodes", "2"]) == 0
    episodes = evaluate(RunDir(trained_run).latest, protocol="sticky", episodes=2).episodes
    frames = frames_of(video)
    assert len(frames) == sum(1 + len(one.buttons) + 60 for one in episodes)
    assert frames[0].shape == (480, 512, 3)
    screens = [screen.copy() for screen in _replay(Recording("1-1", episodes[0].buttons, ""), every=1)]
    for number in (0, len(episodes[0].buttons)):
        assert np.abs(frames[number][::2, ::2].astype(float) - screens[number]).mean() < 4
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"video: {video}"
    assert said.count("episode ") == 2


def test_the_overlay_stands_beside_the_game_and_greedy_has_one_episode(trained_run, tmp_path):
    video = tmp_path / "mario.mp4"
    assert main(["record", str(trained_run), "--output", str(video), "--protocol", "greedy", "--overlay"]) == 0
    (episode,) = evaluate(RunDir(trained_run).latest, protocol="greedy").episodes
    frames = frames_of(video)
    assert len(frames) == 1 + len(episode.buttons) + 60
    assert frames[0].shape == (480, 800, 3)
    panel = frames[10][:, 512:]
    assert (np.abs(panel.astype(int) - (111, 183, 242)).sum(axis=2) < 60).any()  # bars
    assert (np.abs(panel.astype(int) - (255, 158, 79)).sum(axis=2) < 60).any()  # the chosen one
    assert panel[-60:].std() > 10  # what the network gets


def test_a_bar_is_what_an_action_is_worth_more_than_the_worst_and_the_widest_gap_of_the_episode_fills_it():
    panel = np.zeros((480, 288, 3), dtype=np.uint8)
    decision = Decision(0, (-4.0, -1.0, -3.0), 1, 1, "right", 128, np.zeros((4, 84, 84), dtype=np.uint8))
    _bars(panel, decision, ("NOOP", "right", "A"), 6.0)
    # 96 pixels for a gap of 6, from 112 on: gaps of 0, 3 and 1.
    rows = [np.flatnonzero(panel[44 + 36 * index + 10, 112:209].any(axis=1)) + 112 for index in range(3)]
    assert [(row.min(), row.max()) for row in rows] == [(112, 112), (112, 160), (112, 128)]


def test_actions_are_called_in_the_overlay_as_on_the_page(monkeypatch):
    written: list[str] = []
    monkeypatch.setattr(record_module, "_write", lambda panel, text, *_: written.append(text))
    names = action_names("simple")
    values = tuple(float(number) for number in range(len(names)))
    decision = Decision(0, values, 6, 6, "left", 64, np.zeros((4, 84, 84), dtype=np.uint8))
    _bars(np.zeros((480, 480, 3), dtype=np.uint8), decision, names, 6.0)
    assert [text for text in written if text in names] == list(names)


def test_stopped_before_an_episode_has_ended_there_is_no_video(trained_run, tmp_path):
    with pytest.raises(EvaluationInterrupted):
        record(trained_run, tmp_path / "mario.mp4", episodes=2, protocol="sticky", should_stop=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_film_of_what_a_run_learned_goes_through_its_checkpoints_to_the_best(trained_run, tmp_path, capsys):
    video = tmp_path / "learned.mp4"
    run = RunDir(tmp_path / "run")
    shutil.copytree(trained_run, run.path)
    shutil.copy(run.step_checkpoints()[1], run.best)  # which is not the last
    assert main(["record", str(run.path), "--output", str(video), "--progress"]) == 0
    said = capsys.readouterr().out.splitlines()
    ages = sorted({load_trained(path).agent_steps for path in (*run.step_checkpoints(), run.latest, run.best)})
    best = load_trained(run.best).agent_steps
    order = [age for age in ages if age != best] + [best]
    assert [line.split(":")[0] for line in said[:-1]] == [f"{age:,} agent steps" for age in order]
    with av.open(str(video)) as container:
        title = container.metadata["title"]
    assert [part.split(",")[0] for part in title.split("; ")] == [f"{age} agent steps" for age in order]
    frames = frames_of(video)
    assert len(frames) > (1 + 60) * len(order)
    foot = [frame[2 * 220 : 2 * 236].astype(int) for frame in frames]
    assert all((part > 200).all(axis=2).any() for part in foot)  # how long it was trained, in white


def test_a_film_ends_with_what_became_of_the_episode(trained_run, tmp_path):
    video = tmp_path / "mario.mp4"
    assert main(["record", str(trained_run), "--output", str(video), "--protocol", "greedy"]) == 0
    frames = frames_of(video)
    middle = [frame[2 * 108 : 2 * 126].mean() for frame in frames]
    assert middle[-1] < 0.6 * middle[-61]  # the banner darkens what it is written on
    assert np.abs(frames[-1].astype(int) - frames[-59]).mean() < 2


def test_progress_takes_a_run(tmp_path, capsys):
    assert main(["record", str(tmp_path), "--output", str(tmp_path / "a.mp4"), "--progress"]) == 2
    assert "--progress takes a run directory" in capsys.readouterr().err


def test_a_trajectory_becomes_a_film_of_every_frame_of_it(tmp_path, capsys):
    died = make_trajectory("1-1", bytes([0x80] * 400), Made(by="human"))
    file, video = tmp_path / "died.json", tmp_path / "died.mp4"
    write_trajectory(file, died)
    assert main(["record", str(file), "--output", str(video)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{file}: it {died.ending}", f"video: {video}"]
    frames = frames_of(video)
    assert len(frames) == 1 + died.ending.frames + 60
    screens = [screen.copy() for screen in _replay(Recording("1-1", died.buttons, ""), every=1)]
    assert np.abs(frames[100][::2, ::2].astype(float) - screens[100]).mean() < 4
    assert film_title(video) == f"1-1: DIED at x {died.ending.x}"


def test_a_trajectory_with_another_end_is_not_filmed(tmp_path, capsys):
    died = make_trajectory("1-1", bytes([0x80] * 400), Made(by="human"))
    file, video = tmp_path / "died.json", tmp_path / "died.mp4"
    write_trajectory(file, died.model_copy(update={"ending": died.ending.model_copy(update={"x": 3161})}))
    for command in (["record", str(file), "--output", str(video)], ["watch", str(file), "--no-browser"]):
        assert main([*command, *(["--port", str(free_port())] if command[0] == "watch" else [])]) == 1
        assert "not the recorded end" in capsys.readouterr().err
    assert not video.exists()


@pytest.mark.parametrize(
    ("keep", "says"),
    [(0, "not a film that can be shown"), (200, "there is no picture in it"), (0.5, "not a whole film: ")],
)
def test_a_film_that_was_cut_is_refused_in_a_line(keep, says, tmp_path, capsys):
    video = tmp_path / "cut.mp4"
    write_video(video, [Recording("1-1", [0x80] * 60, "right")])
    whole = video.read_bytes()
    video.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    assert main(["watch", str(video), "--no-browser", "--port", str(free_port())]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mario-rl: {video}: ")
    assert says in line
