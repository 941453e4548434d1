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
from mario_rl.report.ends import draw_ends
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
RETURN, X, SHARE = "return per episode [points]", "best x per episode [pixels]", "clear rate, epsilon"


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


def panels(figure: Figure, name: str) -> list[Axes]:
    """The panels of one quantity: against agent steps, and against minutes."""
    first = next(index for index, axes in enumerate(figure.axes) if axes.get_ylabel() == name)
    return figure.axes[first : first + 2]


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


def test_a_run_is_drawn_against_agent_steps_and_minutes(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [100.0, 300.0, 800.0, 400.0])])
    mean = "mean of the last 2 episodes"
    by_steps, by_minutes = panels(figure, RETURN)
    assert points(by_steps, "episode") == [(50, 100), (100, 300), (150, 800), (200, 400)]
    assert drawn(by_steps, mean) == [(100, 200), (150, 550), (200, 600)]
    assert line(by_minutes, mean).get_xdata() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert line(by_minutes, mean).get_ydata()[1:].tolist() == [200, 550, 600]
    assert drawn(panels(figure, X)[0], mean) == [(100, 300), (150, 650), (200, 700)]
    assert [axes.get_xlabel() for axes in figure.axes[-2:]] == ["agent steps", "wall-clock time [min]"]


def test_the_mean_of_100_episodes_begins_with_the_100th_in_every_panel(tmp_path):
    figure = curve_figure([make_run(tmp_path / "run", [0.0] * 50 + [600.0] * 52, epsilons=[1.0] * 102)])
    assert drawn(panels(figure, RETURN)[0], MEAN) == [(5000, 300), (5050, 306), (5100, 312)]
    assert drawn(panels(figure, X)[0], MEAN) == [(5000, 400), (5050, 406), (5100, 412)]
    assert drawn(panels(figure, SHARE)[0], MEAN) == [(5000, 0), (5050, 0), (5100, 0)]


def test_the_first_mean_of_100_episodes_is_a_dot_since_there_is_no_line_yet(tmp_path):
    by_steps, _ = panels(curve_figure([make_run(tmp_path / "run", [5.0] * 100)]), RETURN)
    assert drawn(by_steps, MEAN) == [(5000, 5)]
    assert line(by_steps, MEAN).get_marker() == "o"


@pytest.mark.parametrize(("episodes", "window"), [(99, 50), (60, 30), (3, 2)])
def test_a_run_of_fewer_episodes_than_100_has_the_mean_of_half_of_them_and_says_so(tmp_path, episodes, window):
    figure = curve_figure([make_run(tmp_path / "run", range(episodes))])
    label = f"mean of the last {window} episodes"
    assert len(drawn(panels(figure, RETURN)[0], label)) == episodes - window + 1
    assert label in [text.get_text() for text in figure.legends[0].get_texts()]


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
    assert "mean x 20, after 200 agent steps" in curve_figure([run]).get_suptitle()
    RunDir(run).config.write_text("env: {stage: 1-1}\n")
    assert "mean x 3,000, after 100 agent steps" in curve_figure([run]).get_suptitle()


def test_epsilon_is_drawn_from_the_metrics_and_the_clear_rate_from_the_episodes(tmp_path):
    run = make_run(tmp_path / "run", [100.0] * 4, epsilons=[1.0, 0.5])
    RunDir(run).episodes.write_text(RunDir(run).episodes.read_text().replace("death", "clear", 2))
    by_steps, by_minutes = panels(curve_figure([run]), SHARE)
    assert points(by_steps, "epsilon") == [(50, 1.0), (100, 0.5)]
    assert drawn(by_steps, "mean of the last 2 episodes") == [(100, 1.0), (150, 0.5), (200, 0.0)]
    assert line(by_minutes, "epsilon").get_xdata() == pytest.approx([0.1, 0.2])


def test_the_flag_is_drawn_on_1_1_only(tmp_path):
    assert words(curve_figure([make_run(tmp_path / "here", [100.0])])) == ["flag, x ≈ 3,160"] * 2
    assert words(curve_figure([make_run(tmp_path / "there", [100.0], stage="1-2")])) == []


def test_very_many_episodes_are_thinned_but_their_mean_is_not(tmp_path):
    count = 2 * MAX_DOTS + 1
    by_steps, _ = panels(curve_figure([make_run(tmp_path / "run", range(count))]), RETURN)
    assert MAX_DOTS / 2 < len(points(by_steps, "episode")) <= MAX_DOTS
    assert len(drawn(by_steps, MEAN)) == count - 99
    assert points(by_steps, MEAN)[-1] == (count * 50, count - 1 - 49.5)


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
    runs = [make_run(tmp_path / name / "1", [float(value)] * 101) for name, value in (("a", 1), ("b", 2), ("c", 3))]
    figure = curve_figure(runs)
    by_steps, by_minutes = panels(figure, RETURN)
    assert drawn(by_steps, "b/1") == [(5000, 2), (5050, 2)]
    assert len({line(by_minutes, f"{name}/1").get_color() for name in "abc"}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a/1", "b/1", "c/1"]
    assert len(by_steps.get_lines()) == 3


def test_a_short_run_among_several_says_what_its_mean_is_of(tmp_path):
    runs = [make_run(tmp_path / "a" / name, [1.0] * count) for name, count in (("long", 100), ("short", 8), ("new", 0))]
    assert [text.get_text() for text in curve_figure(runs).legends[0].get_texts()] == [
        "a/long",
        "a/short (of the last 4)",
        "a/new (no episode ended)",
    ]


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
    assert figure.get_suptitle() == printable(f"{name}/1", 70)
    assert not any(text.get_parse_math() or text.get_usetex() for text in figure.findobj(Text))


def test_runs_of_any_names_are_drawn_side_by_side_with_all_of_them_in_the_legend(tmp_path, recwarn):
    runs = [make_run(tmp_path / name / "$1_{", [100.0] * 3) for name in ODD_NAMES]
    output = tmp_path / "a$x_$b" / ODD_NAMES[4] / f"{'curves' * 40}.png"
    assert matplotlib.image.imread(draw_curves(runs, output)).shape == (800, 1200, 4)
    assert [str(one.message) for one in recwarn] == []  # a letter that no font has is no news for a terminal
    figure = curve_figure(runs)
    figure.canvas.draw()
    (legend,) = figure.legends
    names = [f"{printable(f'{name}/$1_{{', 44)} (of the last 2)" for name in ODD_NAMES]
    assert [text.get_text() for text in legend.get_texts()] == names
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1


@pytest.mark.parametrize("name", [ODD_NAMES[0], ODD_NAMES[4]], ids=ascii)
def test_the_command_line_draws_such_a_run_and_says_where(tmp_path, mario_rl_command, name):
    run = make_run(tmp_path / name, [100.0] * 3)
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
