"""Curves: what is drawn of one run and of several, from their files alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
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

from mario_rl.cli import main
from mario_rl.errors import StorageError, UserError
from mario_rl.files import printable
from mario_rl.report.curve import MAX_DOTS, curve_figure, draw_curves
from mario_rl.report.drawing import MAX_TITLE, drawing
from mario_rl.report.ends import draw_ends, ends_figure
from mario_rl.report.means import running_mean
from mario_rl.runs.directory import RunDir
from mario_rl.runs.metrics import RunMetrics
from mario_rl.runs.tables import (
    COLUMNS,
    EPISODE_COLUMNS,
    EVALUATION_COLUMNS,
    METRIC_COLUMNS,
    Numbers,
    write_table,
)

MEAN = "mean of the last 100 episodes"
X, CLEARS, RETURN, EPSILON = (
    "best x per episode\n[pixels]",
    "clear rate\n[%]",
    "return per episode\n[points]",
    "epsilon",
)


def make_run(path: Path, returns, *, stage: str = "1-1", evaluations=(), epsilons=()) -> Path:
    """A run directory: an episode every 50 agent steps and 6 s, x 100 more than the return, a row of metrics each.

    evaluations: of each the agent steps and its episodes as (x, end).
    """
    metrics = RunMetrics(RunDir(path))
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


def panel(figure: Figure, name: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_ylabel() == name]
    return found


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines_across(figure: Figure, words: str) -> set[float]:
    """Where the lines stand that cross all panels for one moment."""
    found = [line for axes in figure.axes for line in axes.get_lines() if str(line.get_label()).startswith(words)]
    assert len(found) in (0, len(figure.axes))
    return {float(line.get_xdata()[0]) for line in found}


def minutes_above(figure: Figure) -> list[tuple[float, str]]:
    """The ticks above the panels: at which agent steps, and which minutes."""
    (above,) = panel(figure, X).child_axes
    return [
        (round(at), label.get_text()) for at, label in zip(above.get_xticks(), above.get_xticklabels(), strict=True)
    ]


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return found


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line(axes, label).get_xydata()]


def drawn(axes: Axes, label: str) -> list[tuple[float, float]]:
    """The points of a line that are there: nothing is drawn of the others."""
    return [(x, y) for x, y in points(axes, label) if np.isfinite(y)]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_running_mean_begins_when_there_are_as_many_values_as_it_is_taken_over():
    np.testing.assert_array_equal(running_mean([4.0, 2.0, 6.0, 8.0], window=2), [np.nan, 3.0, 4.0, 7.0])
    np.testing.assert_array_equal(running_mean([3, 6, 9], window=3), [np.nan, np.nan, 6.0])
    assert np.isnan(running_mean([3, 6, 9], window=100)).tolist() == [True] * 3
    assert running_mean([], window=100).tolist() == []


@given(values=st.lists(st.floats(-1e4, 1e4), max_size=40), window=st.integers(1, 50))
def test_the_running_mean_agrees_with_the_plain_definition(values, window):
    plain = [np.mean(values[end - window : end]) if end >= window else np.nan for end in range(1, len(values) + 1)]
    np.testing.assert_allclose(running_mean(values, window), plain, rtol=1e-9, atol=1e-6)


def test_a_run_is_drawn_once_against_agent_steps_with_the_minutes_above(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [100.0, 300.0, 800.0, 400.0, 400.0])])
    mean = "mean of the last 3 episodes"
    assert [axes.get_ylabel() for axes in figure.axes] == [X, CLEARS, RETURN, EPSILON]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "", "agent steps"]
    assert points(panel(figure, RETURN), "episode") == [(50, 100), (100, 300), (150, 800), (200, 400), (250, 400)]
    assert drawn(panel(figure, RETURN), mean) == [(150, 400), (200, 500), (250, pytest.approx(1600 / 3))]
    assert drawn(panel(figure, X), mean)[:2] == [(150, 500), (200, 600)]
    assert minutes_above(figure) == [(0, "0"), (50, "0.1"), (100, "0.2"), (150, "0.3"), (200, "0.4"), (250, "0.5")]


def test_minutes_in_which_little_was_played_do_not_crowd_above_the_panels(tmp_path):
    run = make_run(tmp_path / "run", [1.0] * 100)
    rows = RunDir(run).episodes.read_text().splitlines()
    slow = [",".join([*row.split(",")[:2], str(60 * n), *row.split(",")[3:]]) for n, row in enumerate(rows[91:], 1)]
    RunDir(run).episodes.write_text(
        "\n".join([rows[0], *slow]) + "\n"
    )  # the first of which ended after 4,550 agent steps
    figure = curve_figure([run])
    assert minutes_above(figure) == [(0, "0"), (4600, "2"), (5000, "10")]  # of 0, 2, 4, 6, 8, 10


def test_against_minutes_nothing_is_said_of_agent_steps_but_in_words(tmp_path):
    run = make_run(tmp_path / "run", [100.0, 300.0, 800.0], evaluations=[(100, [(40, "death")])], epsilons=[1.0, 0.5])
    figure = curve_figure([run], "minutes")
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "", "wall-clock time [minutes]"]
    assert line(panel(figure, RETURN), "episode").get_xdata() == pytest.approx([0.1, 0.2, 0.3])
    assert line(panel(figure, X), "evaluation, mean").get_xdata() == pytest.approx([0.2])
    assert panel(figure, EPSILON).get_lines()[0].get_xdata() == pytest.approx([0.1, 0.2])
    assert panel(figure, X).child_axes == []
    assert lines_across(figure, "best evaluation") == {0.2}


def test_the_mean_of_100_episodes_begins_with_the_100th_in_every_panel(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [0.0] * 50 + [600.0] * 52)])
    assert drawn(panel(figure, RETURN), MEAN) == [(5000, 300), (5050, 306), (5100, 312)]
    assert drawn(panel(figure, X), MEAN) == [(5000, 400), (5050, 406), (5100, 412)]
    assert drawn(panel(figure, CLEARS), MEAN) == [(5000, 0), (5050, 0), (5100, 0)]


def test_the_first_mean_of_100_episodes_is_a_dot_since_there_is_no_line_yet(tmp_path):
    axes = panel(curve_figure([make_run(tmp_path / "run", [5.0] * 100)]), RETURN)
    assert drawn(axes, MEAN) == [(5000, 5)]
    assert line(axes, MEAN).get_marker() == "o"


@pytest.mark.parametrize(("episodes", "window"), [(99, 50), (60, 30), (3, 2)])
def test_a_run_of_fewer_episodes_than_100_has_the_mean_of_half_of_them_and_says_so(tmp_path, episodes, window):
    figure = curve_figure([make_run(tmp_path / "run", range(episodes))])
    label = f"mean of the last {window} episodes"
    assert len(drawn(panel(figure, RETURN), label)) == episodes - window + 1
    assert label in legend(figure)


def test_an_evaluation_is_drawn_as_its_mean_and_clear_rate(tmp_path):
    first = (100, [(3161, "clear"), (161, "death"), (461, "stall"), (1217, "death")])
    second = (150, [(3161, "clear"), (3161, "clear")])
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * 3, evaluations=[first, second])])
    assert points(panel(figure, X), "evaluation, mean") == [(100, 1250), (150, 3161)]
    assert points(panel(figure, RETURN), "evaluation, mean") == [(100, 1150), (150, 3061)]
    assert points(panel(figure, CLEARS), "evaluation, mean") == [(100, 25), (150, 100)]


def test_the_best_evaluation_is_marked_by_clears_and_then_by_x_and_told_in_words(tmp_path):
    far = (100, [(3100, "death"), (3100, "death"), (3161, "clear")])
    best = (1_500, [(3161, "clear"), (3161, "clear"), (40, "death")])
    short = (2_000, [(3161, "clear"), (3161, "clear"), (10, "death")])
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * 40, evaluations=[far, best, short])])
    assert lines_across(figure, "best evaluation") == {1_500}
    assert legend(figure)[-1] == (
        "best evaluation: after 1,500 agent steps, 3 minutes;\n2 of 3 episodes cleared, mean x 2,121 (protocol noop)"
    )


def test_of_equal_evaluations_the_newest_is_the_best_as_its_agent_is_kept(tmp_path):
    evaluations = [(agent_steps, [(700, "death")]) for agent_steps in (100, 150)]
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * 3, evaluations=evaluations)])
    assert lines_across(figure, "best evaluation") == {150}


def test_evaluations_under_another_protocol_than_the_last_do_not_compare(tmp_path):
    evaluations = [(100, [(3161, "clear")]), (150, [(700, "death")])]
    run = make_run(tmp_path / "run", [100.0] * 3, evaluations=evaluations)
    table = RunDir(run).evaluation
    table.write_text(table.read_text().replace("noop", "epsilon", 1))
    assert lines_across(curve_figure([run]), "best evaluation") == {150}


def test_in_the_whole_game_the_best_evaluation_has_most_stages_behind_it_and_then_the_most_x(tmp_path):
    run = make_run(tmp_path / "run", [100.0], stage="1-1", evaluations=[(100, [(3000, "death")])])
    table = RunDir(run).evaluation
    rows = table.read_text().splitlines()
    # The second reached 1-2, the third the minus world by way of 1-2.
    for agent_steps, stage, x in ((150, "1-2", 40), (200, "36-1", 20)):
        cells = dict(zip(EVALUATION_COLUMNS, rows[1].split(","), strict=True))
        cells |= {"agent_steps": str(agent_steps), "seconds": str(agent_steps), "stage": stage, "x": str(x)}
        rows.append(",".join(cells.values()))
    table.write_text("\n".join(rows) + "\n")
    RunDir(run).config.write_text("env: {stage: game}\n")
    assert lines_across(curve_figure([run]), "best evaluation") == {200}
    RunDir(run).config.write_text("env: {stage: 1-1}\n")
    assert lines_across(curve_figure([run]), "best evaluation") == {100}


def clear(run: Path, *, after: int) -> Path:
    """Let the next two episodes of a run that `make_run` made clear the stage, where `after` of them did not."""
    table = RunDir(run).episodes
    rows = table.read_text().splitlines()
    rows[after + 1 : after + 3] = [row.replace("death", "clear") for row in rows[after + 1 : after + 3]]
    table.write_text("\n".join(rows) + "\n")
    return run


def test_the_first_clear_is_marked_across_all_panels_and_told_in_agent_steps_and_minutes(tmp_path):
    figure = curve_figure([clear(make_run(tmp_path / "run", [100.0] * 40), after=24)])
    assert lines_across(figure, "first clear") == {1_250}
    assert "first clear: after 1,250 agent steps, 2 minutes" in legend(figure)
    assert "no clear" not in figure.get_suptitle()
    figure = curve_figure([make_run(tmp_path / "none", [100.0] * 40)])
    assert lines_across(figure, "first clear") == set()
    assert "; no clear, no evaluation yet" in figure.get_suptitle()


def test_epsilon_and_the_clear_rate_have_axes_of_their_own(tmp_path):
    run = clear(make_run(tmp_path / "run", [100.0] * 4, epsilons=[1.0, 0.5]), after=0)
    figure = curve_figure([run])
    (epsilon, *moments) = panel(figure, EPSILON).get_lines()
    assert epsilon.get_xydata().tolist() == [[50, 1.0], [100, 0.5]]
    assert [str(line.get_label())[:11] for line in moments] == ["first clear"]
    assert drawn(panel(figure, CLEARS), "mean of the last 2 episodes") == [(100, 100), (150, 50), (200, 0)]


def test_the_flag_is_drawn_on_1_1_only(tmp_path):
    here, there = make_run(tmp_path / "here", [100.0]), make_run(tmp_path / "there", [100.0], stage="1-2")
    new = make_run(tmp_path / "new", [])
    assert "flag, x ≈ 3,160" in words(curve_figure([here]))
    assert "flag, x ≈ 3,160" in words(curve_figure([here, new]))  # which has no stage as yet
    assert words(curve_figure([there])) == ["not recorded yet"]
    assert words(curve_figure([here, there])) == ["not recorded yet"]


def test_very_many_episodes_are_thinned_but_their_mean_is_not(tmp_path):
    count = 2 * MAX_DOTS + 1
    axes = panel(curve_figure([make_run(tmp_path / "run", range(count))]), RETURN)
    assert MAX_DOTS / 2 < len(points(axes, "episode")) <= MAX_DOTS
    assert len(drawn(axes, MEAN)) == count - 99
    assert points(axes, MEAN)[-1] == (count * 50, count - 1 - 49.5)


def write_extremes(path: Path, columns: Sequence[str], *extremes: Callable[[Numbers], float]) -> None:
    """Write a table of 60 rows of each kind of number that its columns may hold."""
    words = {"protocol": "noop", "stage": "1-1", "end": "clear"}
    kinds = {name: COLUMNS[name] for name in columns}
    rows = [
        {name: extreme(kind) if isinstance(kind, Numbers) else words[name] for name, kind in kinds.items()}
        for extreme in extremes
    ]
    write_table(path, columns, [row for row in rows for _ in range(60)])


LEAST, MOST = (lambda kind: kind.least), (lambda kind: kind.most)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("extremes", [[LEAST], [MOST], [LEAST, MOST]])
def test_whatever_is_read_can_be_drawn(tmp_path, extremes):
    run = RunDir(tmp_path / "_hidden$" / "_name$")
    write_extremes(run.episodes, EPISODE_COLUMNS, *extremes)
    write_extremes(run.metrics, METRIC_COLUMNS, *extremes)
    write_extremes(run.evaluation, EVALUATION_COLUMNS, *extremes)
    draw_curves([run.path], run.curve)
    draw_ends(run.path, run.path / "ends.png")
    draw_curves([run.path, run.path], run.path / "both.png")


@pytest.mark.parametrize("table", ["episodes.csv", "metrics.csv", "evaluation.csv"])
def test_a_damaged_table_is_one_line_of_plot_and_no_picture(tmp_path, table, capsys):
    run = make_run(tmp_path / "run", [100.0], epsilons=[1.0], evaluations=[(50, [(3000, "death")])])
    (run / table).write_text((run / table).read_text().replace(",6.0,", ",NaN,"))
    assert main(["plot", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"mario-rl: {run / table}: line 2, column seconds: 'NaN' is not allowed; must be a number from 0 to 1e12\n"
    )
    assert not (run / "curve.png").exists()


def test_a_run_in_which_no_episode_has_ended_says_so_in_place_of_numbers(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [])])
    assert words(figure) == ["no episode has ended yet"] * 3 + ["not recorded yet"]
    assert list(panel(figure, X).get_yticks()) == []
    assert figure.legends == []
    assert words(curve_figure([make_run(tmp_path / name, []) for name in "ab"])) == words(figure)


@pytest.mark.parametrize("episodes", [1, 2])
def test_a_run_too_short_for_a_mean_shows_its_episodes_and_says_so(tmp_path, episodes):
    figure = curve_figure([make_run(tmp_path / "run", [100.0] * episodes, epsilons=[1.0])])
    for name, value in ((X, 200), (CLEARS, 0), (RETURN, 100)):
        assert points(panel(figure, name), "episode") == [(50 * (n + 1), value) for n in range(episodes)]
    assert legend(figure) == ["episode"]
    assert "; no mean, no clear, no evaluation yet" in figure.get_suptitle()
    assert panel(figure, EPSILON).get_lines()[0].get_marker() == "o"  # a line of one point would not be seen


def test_a_folder_with_nothing_but_the_episodes_can_be_drawn(tmp_path):
    run = make_run(tmp_path / "run", [100.0])
    RunDir(run).metrics.unlink()
    RunDir(run).evaluation.unlink()
    assert points(panel(curve_figure([run]), RETURN), "episode") == [(50, 100)]


def test_the_title_names_the_run_what_it_trains_and_how_far_it_has_come(tmp_path):
    run = make_run(tmp_path / "ddqn" / "20261123", [100.0] * 40)
    far = "40 episodes in 2,000 agent steps, 4 minutes; no clear, no evaluation yet"
    assert curve_figure([run]).get_suptitle().splitlines() == ["ddqn/20261123", far]
    RunDir(run).config.write_text("env: {stage: [1-1, 1-2], action_set: [[right], [right, A]]}\nseed: 3\n")
    assert curve_figure([run]).get_suptitle().splitlines() == [
        "ddqn/20261123",
        "target: double, action set: 2 actions of its own, stage: 1-1, 1-2, seed: 3",
        far,
    ]


def test_several_runs_share_the_panels_of_one_with_a_colour_and_a_name_each(tmp_path):
    values = (("a", 1), ("b", 2), ("c", 3))
    runs = [make_run(tmp_path / name / "1", [float(value)] * 101, epsilons=[1.0, 0.9]) for name, value in values]
    figure = curve_figure(runs)
    assert [axes.get_ylabel() for axes in figure.axes] == [X, CLEARS, RETURN, EPSILON]
    returns = panel(figure, RETURN).get_lines()
    assert [line.get_xydata()[-2:].tolist() for line in returns] == [[[5000, n], [5050, n]] for n in (1, 2, 3)]
    assert len({line.get_color() for line in returns}) == 3
    assert [line.get_color() for line in panel(figure, EPSILON).get_lines()] == [line.get_color() for line in returns]
    assert figure.get_suptitle() == "3 runs, mean of the last 100 episodes"
    assert legend(figure) == ["", "a/1", "b/1", "c/1", "first clear", *["none in 101 episodes"] * 3]


def test_of_several_runs_first_clears_and_evaluations_are_marked_the_best_outlined(tmp_path):
    evaluations = [(100, [(900, "death")]), (150, [(3161, "clear")]), (200, [(700, "death")])]
    run = clear(make_run(tmp_path / "a" / "1", [100.0] * 40, evaluations=evaluations), after=24)
    figure = curve_figure([run, make_run(tmp_path / "a" / "2", [100.0] * 40)])
    assert legend(figure)[:1] == ["evaluation, mean; outlined: the best of a run"]
    assert legend(figure)[3:] == ["first clear", "after 1,250 agent steps, 2 minutes", "none in 40 episodes"]
    marks = {line.get_marker(): line.get_xydata().tolist() for line in panel(figure, X).get_lines()}
    assert marks["^"] == [[1_250, 200]]
    of_evaluations = [line for line in panel(figure, CLEARS).get_lines() if line.get_marker() == "D"]
    assert of_evaluations[0].get_xydata().tolist() == [[100, 0], [150, 100], [200, 0]]
    assert of_evaluations[1].get_xydata().tolist() == [[150, 100]]
    assert of_evaluations[1].get_markeredgecolor() == "black"


def test_runs_of_one_folder_leave_its_name_to_the_title_and_short_ones_say_what_their_mean_is_of(tmp_path):
    runs = [
        make_run(tmp_path / "a" / name, [1.0] * n) for name, n in (("long", 100), ("short", 8), ("tiny", 1), ("new", 0))
    ]
    figure = curve_figure(runs)
    assert figure.get_suptitle() == "a: 4 runs, mean of the last 100 episodes"
    assert legend(figure)[1:5] == ["long", "short (of the last 4)", "tiny (every episode)", "new"]
    assert legend(figure)[-2:] == ["none in 1 episode", "no episode has ended yet"]


def test_more_runs_than_colours_differ_in_their_line(tmp_path):
    runs = [make_run(tmp_path / f"run{number}", [1.0]) for number in range(9)]
    lines = panel(curve_figure(runs), RETURN).get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9


def test_runs_of_one_folder_share_its_colour_and_differ_in_their_line(tmp_path):
    runs = [make_run(tmp_path / folder / seed, [1.0]) for folder in ("dqn", "ddqn") for seed in ("0", "1", "2")]
    lines = panel(curve_figure(runs), RETURN).get_lines()
    colours = [line.get_color() for line in lines]
    assert colours[:3] == colours[:1] * 3
    assert colours[3:] == colours[3:4] * 3
    assert colours[0] != colours[3]
    assert [line.get_linestyle() for line in lines] == ["-", "--", ":"] * 2


def test_folders_of_more_runs_than_there_are_lines_get_a_colour_for_each_run(tmp_path):
    places = ["a/0", "a/1", "a/2", "a/3", "b/0"]
    lines = panel(curve_figure([make_run(tmp_path / place, [1.0]) for place in places]), RETURN).get_lines()
    assert len({line.get_color() for line in lines}) == 5


@pytest.mark.parametrize("count", [1, 3, 12])
def test_title_panels_and_legend_do_not_overlap_and_stay_inside(tmp_path, count):
    evaluations = [(100, [(3161, "clear")] * 31)]
    runs = [
        clear(make_run(tmp_path / f"{n}" / ("n" * 44), [900.0] * 5, evaluations=evaluations), after=2)
        for n in range(count)
    ]
    figure = curve_figure(runs)
    figure.draw_without_rendering()
    title = next(text for text in figure.findobj(Text) if text.get_text() == figure.get_suptitle())
    boxes = [part.get_window_extent() for part in (title, figure.legends[0])]
    boxes += [axes.get_tightbbox() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)


@pytest.mark.parametrize("letter", ["m", "日"], ids=ascii)
def test_the_widest_name_stays_inside_the_picture(tmp_path, letter):
    run = make_run(tmp_path / (80 * letter) / (80 * letter), [900.0])
    RunDir(run).config.write_text(
        "env: {stage: [1-1, 1-2, 1-3, 1-4], action_set: [[right], [right, A]]}\nseed: 4294967295\n"
    )
    figure = curve_figure([run])
    with drawing():
        figure.draw_without_rendering()
    title = next(text for text in figure.findobj(Text) if text.get_text() == figure.get_suptitle())
    assert title.get_window_extent().width <= figure.bbox.width


def test_letters_are_at_least_11_high_where_the_picture_is_shown_800_wide(tmp_path):
    runs = [make_run(tmp_path / name, [900.0] * 5, evaluations=[(100, [(40, "death")])]) for name in "ab"]
    for figure in (curve_figure(runs[:1]), curve_figure(runs), ends_figure(runs[0])):
        figure.draw_without_rendering()
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) / 72 * figure.dpi * 800 / figure.bbox.width >= 11


ODD_NAMES = [
    "a$x_$b",  # half of a formula
    "$\\frac{1}{2}$",  # a whole one
    r"cost\$",
    "_private",  # Matplotlib leaves labels that begin so out of the legends it makes by itself
    b"caf\xe9".decode("utf-8", "surrogateescape"),  # not UTF-8
    "two\nlines\x1b[31m\x07",
    "日本語 🍄",
    "long_" * 50,
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_a_name_is_text_whatever_is_in_it(tmp_path, name):
    figure = curve_figure([make_run(tmp_path / name / "1", [100.0] * 3)])
    assert figure.get_suptitle().splitlines()[0] == printable(f"{name}/1", MAX_TITLE)
    assert not any(text.get_parse_math() or text.get_usetex() for text in figure.findobj(Text))


def test_runs_of_any_names_are_drawn_side_by_side_with_all_of_them_in_the_legend(tmp_path, recwarn):
    runs = [make_run(tmp_path / name / "$1_{", [100.0] * 3) for name in ODD_NAMES]
    output = tmp_path / "a$x_$b" / ODD_NAMES[4] / f"{'curves' * 40}.png"
    assert matplotlib.image.imread(draw_curves(runs, output)).shape[1:] == (1200, 4)
    assert [str(one.message) for one in recwarn] == []  # a letter that no font has is no news for a terminal
    figure = curve_figure(runs)
    figure.draw_without_rendering()
    names = [f"{printable(f'{name}/$1_{{', 44)} (of the last 2)" for name in ODD_NAMES]
    assert legend(figure)[1 : len(runs) + 1] == names
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


def test_the_command_line_draws_such_a_run_and_says_where(tmp_path, mario_rl_command):
    run = make_run(tmp_path / ODD_NAMES[0] / ODD_NAMES[4], [100.0] * 3)
    arguments = [os.fsencode(part) for part in (*mario_rl_command, "plot", str(run), "--ends", str(run / "ends.png"))]
    done = subprocess.run(arguments, capture_output=True, check=True, timeout=120)
    assert (run / "curve.png").is_file()
    assert (run / "ends.png").is_file()
    assert done.stdout.decode().splitlines() == [
        f"curve: {printable(run / 'curve.png')}",
        f"ends:  {printable(run / 'ends.png')}",
    ]
    assert done.stderr == b""


def test_the_picture_is_a_png_and_leaves_nothing_beside_it(tmp_path):
    run, output = make_run(tmp_path / "run", [100.0, 300.0]), tmp_path / "new" / "curve.png"
    assert draw_curves([run], output) == output
    assert matplotlib.image.imread(output).shape[1:] == (1200, 4)
    assert list(output.parent.iterdir()) == [output]


def test_a_picture_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    run, output = make_run(tmp_path / "run", [100.0]), tmp_path / "curve.png"
    draw_curves([run], output)
    before = output.read_bytes()

    def disk_full(figure, partial, **options):
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", disk_full)
    with pytest.raises(StorageError, match=r"curve\.png: could not be written \(No space left on device: .*\)"):
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
