"""The report in a real browser: figures drawn, arms switched, values under the pointer, nothing from the network."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from made_up import make_study
from playwright.sync_api import Browser, Page

from mario_rl.compare.figures import Drawn
from mario_rl.compare.report import write_report
from mario_rl.errors import UserError
from mario_rl.report.video import Recording, write_video
from mario_rl.runs.directory import RunDir

FIGURES = ("curves", "targets_0", "targets_1", "settings_target", "settings_double", "final_scores", "improvement",
           "needed", "overestimation", "clear_rates", "ends")  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four arms of two seeds, reported."""
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, targets=("target", "double"), action_sets=("right_only", "simple"), seeds=(0, 1))
    for film in ("double-simple/seed_0", "double-simple/seed_1", "target-simple/seed_0"):
        write_video(folder / "runs" / film / "best.mp4", [Recording("1-1", [0], "")])
    record = RunDir(folder / "runs" / "double-simple" / "seed_1").record
    said = json.loads(record.read_text())
    said["best"] |= {"mean_x": 3000.0, "film": {"end": "clear", "x": 3161}}
    record.write_text(json.dumps(said))
    record = RunDir(folder / "runs" / "target-simple" / "seed_1").record
    said = json.loads(record.read_text())
    said["best"]["clear_rate"] = 0.5
    said["machine"]["processor"] = "Made-up 8000"
    record.write_text(json.dumps(said))
    assert write_report(folder) == (folder / "index.html", [])
    return folder


@pytest.fixture
def page(study: Path, browser: Browser) -> Any:
    """The page, opened from the disk; a complaint of the browser or a request to anywhere fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
    )
    page.goto((study / "index.html").as_uri())
    yield page
    page.close()
    assert complaints == []


def shown(page: Page, figure: str, arm: str) -> bool:
    """Whether all that a figure draws of an arm is displayed; an error where only a part of it is."""
    parts = page.locator(f"figure[data-figure={figure}] .{arm}")
    displayed = parts.evaluate_all("all => all.map(one => getComputedStyle(one).display !== 'none')")
    (only,) = set(displayed)
    return only


def test_every_figure_is_drawn_on_the_page_and_as_a_file(page, study):
    assert page.locator("figure[data-figure]").evaluate_all("all => all.map(one => one.dataset.figure)") == list(
        FIGURES
    )
    for name in FIGURES:
        box = page.locator(f"figure[data-figure={name}] svg").bounding_box()
        assert box["width"] > 600
        assert box["height"] > 100
        assert page.locator(f"figure[data-figure={name}] svg path").count() > 20
        assert (study / "figures" / f"{name}.png").read_bytes()[1:4] == b"PNG"


def test_curves_of_runs_on_several_kinds_of_machine_say_that_wall_clock_time_may_tell_machines_apart(page):
    warned = page.locator("figcaption", has_text="2 kinds of machine").evaluate_all(
        "all => all.map(one => one.parentElement.dataset.figure)"
    )
    assert warned == ["curves", "targets_1", "settings_target"]


def test_no_two_elements_share_an_id(page):
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_an_arm_switched_off_from_the_keyboard_is_gone_from_every_figure_and_comes_back(page):
    for figure in ("curves", "final_scores", "overestimation", "ends"):
        assert shown(page, figure, "arm3")
    box = page.get_by_label("Double DQN, simple").first
    box.focus()
    page.keyboard.press("Space")
    for figure in ("curves", "final_scores", "overestimation", "ends"):
        assert not shown(page, figure, "arm3")
        assert shown(page, figure, "arm0")
    page.keyboard.press("Space")
    assert shown(page, "curves", "arm3")


def test_the_pointer_over_a_curve_tells_the_values_of_the_arms_that_are_shown(page):
    svg = page.locator("figure[data-figure=curves] svg")
    svg.scroll_into_view_if_needed()
    size = svg.bounding_box()
    at = {"x": size["width"] * 0.5, "y": size["height"] * 0.25}  # in the middle panel of the upper row: x over episodes
    svg.hover(position=at)
    told = page.locator("#value").inner_text()
    assert "episodes" in told.splitlines()[0]
    assert "Double DQN, right_only: " in told
    page.get_by_label("Double DQN, right_only").first.uncheck()
    svg.hover(position=at | {"x": at["x"] + 5})
    assert "Double DQN, right_only" not in page.locator("#value").inner_text()


def test_the_values_told_are_those_of_the_runs(page):
    value = page.evaluate("panels.curves[1].curves[0]")  # x over episodes
    assert value["label"] == "DQN, right_only"
    assert value["at"][-1] == 400
    said = page.locator("table").first.locator("tbody tr").first.locator("td").nth(3).inner_text()
    assert said.startswith(f"{round(value['value'][-1]):,} (")


def test_overestimation_is_what_was_predicted_minus_what_followed(page):
    values, gaps = page.evaluate("panels.overestimation.slice(0, 2).map(({curves}) => curves)")
    predicted, followed = values[:2]
    assert (predicted["label"], followed["label"]) == ("DQN, right_only, predicted", "DQN, right_only, actual")
    assert gaps[0]["label"] == "DQN, right_only"
    # Made up: two episodes an evaluation, over by 3 and by 4 times the agent steps by 60,000, with both seeds.
    expected = [3.5 * at / 60_000 for at in gaps[0]["at"]]
    assert gaps[0]["value"] == pytest.approx(expected, rel=1e-4)
    assert gaps[0]["low"] == gaps[0]["high"] == gaps[0]["value"]
    assert predicted["value"] == pytest.approx([5 + over for over in expected], rel=1e-4)
    assert set(followed["value"]) == {5.0}


def test_the_page_follows_the_dark_scheme(study, browser):
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((study / "index.html").as_uri())
        colours[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('svg [style*=\"--ink\"]')).fill]"
        )
        page.close()
    assert colours["light"] == ["rgb(255, 255, 255)", "rgb(28, 30, 33)"]
    assert colours["dark"] == ["rgb(21, 23, 26)", "rgb(232, 234, 237)"]


def test_a_phone_scrolls_figures_and_tables_not_the_page(study, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((study / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


def test_the_film_of_an_arms_best_run_is_shown_and_where_another_was_better_that_is_said(page):
    films = page.locator(".films figure")
    assert [films.nth(index).locator("video").get_attribute("src") for index in range(films.count())] == [
        "runs/target-simple/seed_0/best.mp4",
        "runs/double-simple/seed_1/best.mp4",
    ]
    assert films.locator("figcaption").all_inner_texts() == [
        "DQN, simple, seed 0 (seed 1 was better and was not filmed)",
        "Double DQN, simple, seed 1: clear at x 3,161",
    ]


def table(study: Path, name: str) -> list[dict[str, str]]:
    with (study / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_tables_are_there_as_csv(study):
    rows = table(study, "arms")
    assert [row["arm"] for row in rows] == [
        "DQN, right_only",
        "Double DQN, right_only",
        "DQN, simple",
        "Double DQN, simple",
    ]
    assert rows[0]["cleared, noop"].count(" of 31") == 2
    rows = table(study, "targets")
    assert [row["targets"] for row in rows] == [
        "Double DQN against DQN, right_only",
        "Double DQN against DQN, simple",
        "Double DQN against DQN, all together",
    ]
    assert [row["permutation test"][:4] for row in rows] == ["p = "] * 3
    assert [row["episodes needed [of the other's]"].count("%") for row in rows] == [3, 3, 0]
    assert len(table(study, "runs")) == 8


@pytest.fixture
def page_alone(monkeypatch) -> None:
    """A report writes its page and its tables, and no figure a second time as a file."""
    monkeypatch.setattr(Drawn, "write_png", lambda drawn, path: None)


@pytest.mark.usefixtures("page_alone")
def test_runs_made_by_hand_that_are_not_done_are_reported_too(tmp_path):
    make_study(tmp_path, targets=("double",), action_sets=("simple",), seeds=(5,), done=False)
    text = write_report(tmp_path).page.read_text()
    assert "a single seed" in text
    assert "not done" in text
    assert 'data-figure="improvement"' not in text


@pytest.mark.usefixtures("page_alone")
def test_the_same_runs_give_the_same_page(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    first, second = (write_report(tmp_path).page.read_text() for _ in range(2))
    assert first == second
    assert first.count("<figure data-figure=") == 7


def test_a_folder_without_runs_gets_one_line(tmp_path):
    with pytest.raises(UserError, match="no run in it whose first episode has ended"):
        write_report(tmp_path)
