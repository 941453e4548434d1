"""Curves: what is drawn of one run and of several, from their files alone."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from mario_rl.errors import StorageError, UserError
from mario_rl.metrics import EPISODE_COLUMNS, EVALUATION_COLUMNS, METRIC_COLUMNS, RunMetrics
from mario_rl.report.curve import MAX_DOTS, curve_figure, draw_curves, running_mean
from mario_rl.rundir import RunDir

MEAN = "mean of the last 100 episodes"
RETURN, X, SHARE = "return per episode [points]", "best x per episode [pixels]", "clear rate, epsilon"


def make_run(path: Path, returns, *, stage: str = "1-1", evaluations=(), epsilons=()) -> Path:
    """A run directory: an episode every 50 agent steps and 6 s, x 100 more than the return, a row of metrics each.

    evaluations: of each the agent steps and its episodes as (x, end).
    """
    metrics = RunMetrics(RunDir(path), tensorboard=False)
    for number, value in enumerate(returns, start=1):
        row = (number, number * 50, number * 6.0, 0, stage, float(value), int(value) + 100, 50, 300, "death")
        metrics.episode(dict(zip(EPISODE_COLUMNS, row, strict=True)))
    for number, epsilon in enumerate(epsilons, start=1):
        row = (number * 50, 0, number, number * 6.0, epsilon, *[None] * 7, 0.1)
        metrics.interval(dict(zip(METRIC_COLUMNS, row, strict=True)))
    for agent_steps, episodes in evaluations:
        common = (agent_steps, agent_steps * 0.12, "noop", 7)
        rows = [
            (*common, n, stage, x - 100.0, x, 50, 300, end, 1.0, 1.0, 1.0, 1.0) for n, (x, end) in enumerate(episodes)
        ]
        metrics.evaluation([dict(zip(EVALUATION_COLUMNS, row, strict=True)) for row in rows])
    metrics.close()
    return path


def panels(figure: Figure, name: str) -> list[Axes]:
    """The panels of one quantity: against agent steps, and against minutes."""
    first = next(index for index, axes in enumerate(figure.axes) if axes.get_ylabel() == name)
    return figure.axes[first : first + 2]


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line(axes, label).get_xydata()]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_running_mean_is_of_up_to_the_last_window_values():
    assert running_mean([4.0, 2.0, 6.0, 8.0], window=2).tolist() == [4.0, 3.0, 4.0, 7.0]
    assert running_mean([3, 6, 9], window=100).tolist() == [3.0, 4.5, 6.0]
    assert running_mean([], window=100).tolist() == []


@given(values=st.lists(st.floats(-1e4, 1e4), max_size=40), window=st.integers(1, 50))
def test_the_running_mean_agrees_with_the_plain_definition(values, window):
    plain = [np.mean(values[max(end - window, 0) : end]) for end in range(1, len(values) + 1)]
    np.testing.assert_allclose(running_mean(values, window), plain, rtol=1e-9, atol=1e-6)


def test_a_run_is_drawn_against_agent_steps_and_minutes(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [100.0, 300.0, 800.0])])
    by_steps, by_minutes = panels(figure, RETURN)
    assert points(by_steps, "episode") == [(50, 100), (100, 300), (150, 800)]
    assert points(by_steps, MEAN) == [(50, 100), (100, 200), (150, 400)]
    assert line(by_minutes, MEAN).get_xdata() == pytest.approx([0.1, 0.2, 0.3])
    assert line(by_minutes, MEAN).get_ydata().tolist() == [100, 200, 400]
    assert points(panels(figure, X)[0], MEAN) == [(50, 200), (100, 300), (150, 500)]
    assert [axes.get_xlabel() for axes in figure.axes[-2:]] == ["agent steps", "wall-clock time [min]"]


def test_an_evaluation_is_drawn_as_its_mean_and_clear_rate(tmp_path):
    first = (100, [(3161, "clear"), (161, "death"), (461, "stall"), (1217, "death")])
    second = (150, [(3161, "clear"), (3161, "clear")])
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * 3, evaluations=[first, second])])
    assert points(panels(figure, X)[0], "evaluation, mean") == [(100, 1250), (150, 3161)]
    assert points(panels(figure, RETURN)[0], "evaluation, mean") == [(100, 1150), (150, 3061)]
    assert points(panels(figure, SHARE)[0], "evaluation, mean") == [(100, 0.25), (150, 1.0)]
    assert line(panels(figure, X)[1], "evaluation, mean").get_xdata() == pytest.approx([0.2, 0.3])


def test_the_title_tells_the_best_evaluation_by_clears_and_then_by_x(tmp_path):
    far = (100, [(3100, "death"), (3100, "death"), (3161, "clear")])
    best = (150, [(3161, "clear"), (3161, "clear"), (40, "death")])
    short = (200, [(3161, "clear"), (3161, "clear"), (10, "death")])
    figure = curve_figure([make_run(tmp_path / "run", [100.0], evaluations=[far, best, short])])
    assert figure.get_suptitle().splitlines()[-1] == (
        "best evaluation: 2 of 3 episodes cleared, mean x 2,121, after 150 agent steps (protocol noop)"
    )


def test_epsilon_and_the_clear_rate_are_drawn_from_the_metrics(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [100.0], epsilons=[1.0, 0.5])])
    by_steps, by_minutes = panels(figure, SHARE)
    assert points(by_steps, "epsilon") == [(50, 1.0), (100, 0.5)]
    assert points(by_steps, MEAN) == [(50, 0.1), (100, 0.1)]
    assert line(by_minutes, "epsilon").get_xdata() == pytest.approx([0.1, 0.2])


def test_the_flag_is_drawn_on_1_1_only(tmp_path):
    assert words(curve_figure([make_run(tmp_path / "here", [100.0])])) == ["flag, x ≈ 3,160"] * 2
    assert words(curve_figure([make_run(tmp_path / "there", [100.0], stage="1-2")])) == []


def test_very_many_episodes_are_thinned_but_their_mean_is_not(tmp_path):
    count = 2 * MAX_DOTS + 1
    by_steps, _ = panels(curve_figure([make_run(tmp_path / "run", range(count))]), RETURN)
    assert MAX_DOTS / 2 < len(points(by_steps, "episode")) <= MAX_DOTS
    assert len(points(by_steps, MEAN)) == count
    assert points(by_steps, MEAN)[-1] == (count * 50, count - 1 - 49.5)


@pytest.mark.parametrize("episodes", [0, 1, 5])
def test_a_run_that_has_just_begun_can_be_drawn(tmp_path, episodes):
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * episodes)])
    assert len(points(panels(figure, RETURN)[0], "episode")) == episodes
    assert words(figure).count("no episode has ended yet") == (4 if episodes == 0 else 0)


def test_a_folder_with_nothing_but_the_episodes_can_be_drawn(tmp_path):
    run = make_run(tmp_path / "run", [100.0])
    RunDir(run).metrics.unlink()
    RunDir(run).evaluation.unlink()
    assert points(panels(curve_figure([run]), RETURN)[0], "episode") == [(50, 100)]


def test_the_title_names_the_run_and_what_it_trains(tmp_path):
    run = make_run(tmp_path / "ddqn" / "20261123", [100.0])
    assert curve_figure([run]).get_suptitle() == "ddqn/20261123"
    RunDir(run).config.write_text("env: {stage: [1-1, 1-2], action_set: [[right], [right, A]]}\nseed: 3\n")
    assert curve_figure([run]).get_suptitle().splitlines() == [
        "ddqn/20261123",
        "target: double, action set: 2 actions of its own, stage: 1-1, 1-2, seed: 3",
    ]


def test_several_runs_share_axes_with_a_colour_and_a_name_each(tmp_path):
    runs = [make_run(tmp_path / name / "1", [float(value)] * 3) for name, value in (("a", 1), ("b", 2), ("c", 3))]
    figure = curve_figure(runs)
    by_steps, by_minutes = panels(figure, RETURN)
    assert points(by_steps, "b/1") == [(50, 2), (100, 2), (150, 2)]
    assert len({line(by_minutes, f"{name}/1").get_color() for name in "abc"}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a/1", "b/1", "c/1"]
    assert len(by_steps.get_lines()) == 3


def test_more_runs_than_colours_differ_in_their_line(tmp_path):
    runs = [make_run(tmp_path / f"run{number}", [1.0]) for number in range(9)]
    lines = panels(curve_figure(runs), RETURN)[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9


def test_runs_of_one_folder_share_its_colour_and_differ_in_their_line(tmp_path):
    runs = [make_run(tmp_path / folder / seed, [1.0]) for folder in ("dqn", "ddqn") for seed in ("0", "1", "2")]
    axes = panels(curve_figure(runs), RETURN)[0]
    colours = {folder: {line(axes, f"{folder}/{seed}").get_color() for seed in "012"} for folder in ("dqn", "ddqn")}
    assert [len(colours["dqn"]), len(colours["ddqn"])] == [1, 1]
    assert colours["dqn"] != colours["ddqn"]
    assert [line(axes, f"dqn/{seed}").get_linestyle() for seed in "012"] == ["-", "--", ":"]


@pytest.mark.parametrize("count", [1, 3])
def test_title_panels_and_legend_do_not_overlap_and_stay_inside(tmp_path, count):
    evaluations = [(100, [(3161, "clear")])]
    runs = [make_run(tmp_path / f"run{n}", [900.0, 30.0], evaluations=evaluations) for n in range(count)]
    figure = curve_figure(runs)
    figure.canvas.draw()
    title = next(text for text in figure.findobj(Text) if text.get_text() == figure.get_suptitle())
    boxes = [part.get_window_extent() for part in (title, figure.legends[0])]
    boxes += [axes.get_tightbbox() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_the_picture_is_a_png_and_leaves_nothing_beside_it(tmp_path):
    run, output = make_run(tmp_path / "run", [100.0, 300.0]), tmp_path / "new" / "curve.png"
    assert draw_curves([run], output) == output
    assert matplotlib.image.imread(output).shape == (900, 1200, 4)
    assert list(output.parent.iterdir()) == [output]


def test_a_picture_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    run, output = make_run(tmp_path / "run", [100.0]), tmp_path / "curve.png"
    draw_curves([run], output)
    before = output.read_bytes()

    def disk_full(figure, partial, **options):
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", disk_full)
    with pytest.raises(StorageError, match=r"curve\.png: could not be written \(No space left on device\)"):
        draw_curves([run], output)
    assert output.read_bytes() == before


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_that_is_no_run_directory_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as caught:
        draw_curves([make_run(tmp_path / "run", [1.0]), tmp_path / name], tmp_path / "curves.png")
    assert str(caught.value) == f"{tmp_path / name}: not a run directory, it has no episodes.csv"
    assert not (tmp_path / "curves.png").exists()


def test_pyplot_and_its_global_state_stay_out():
    code = "import sys, mario_rl.report.curve; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.strip() == "False"
