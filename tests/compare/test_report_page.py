"""The report in a real browser: question and answer, figures and tables redrawn by what is ticked, at every width."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_up import make_finals, make_study

from mario_rl.compare import report
from mario_rl.compare.report import write_report
from mario_rl.config.study import FinalConfig
from mario_rl.errors import UserError
from mario_rl.report.drawing import FLAG_X
from mario_rl.report.video import Recording, write_video
from mario_rl.runs.directory import RunDir
from mario_rl.source import source_commit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOWN = ["curves", "final_scores", "clear_rates", "improvement"]
FOLDED = ["curves_by_target", "curves_return", "final_return", "curves_episodes", "curves_minutes", "needed", "ends",
          "overestimation", "values"]  # fmt: skip
TARGETS, ACTION_SETS = ("none", "target", "double"), ("right_only", "simple")
SEEDS = (0, 1)
MEASURED = {"stall_limit": 75}  # where a random policy was measured
WIDTHS = (390, 1280, 1366, 1920)
BEFORE = 15_140  # pixels, the length of the page that this one is to be at most half of


def change_record(run: RunDir, **changes: Any) -> None:
    """Change what the record of a made-up run says; `best` is added to."""
    said = json.loads(run.record.read_text())
    best = {**said["best"], **changes.pop("best", {})}
    run.record.write_text(json.dumps({**said, **changes, "best": best}))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six arms of two seeds, reported: all three targets, three of the runs filmed."""
    folder = tmp_path_factory.mktemp("study")
    make_study(folder, targets=TARGETS, action_sets=ACTION_SETS, seeds=SEEDS, env=MEASURED)
    runs = {(arm, seed): RunDir(folder / "runs" / arm / f"seed_{seed}")
            for arm in ("double-simple", "target-simple") for seed in SEEDS}  # fmt: skip
    for run in (runs["double-simple", 0], runs["double-simple", 1], runs["target-simple", 0]):
        write_video(run.film, [Recording("1-1", [0] * 60, "", banner="CLEARED at x 3,161")], fps=30)
    change_record(
        runs["double-simple", 1], commit="c" * 40, best={"mean_x": 3000.0, "film": {"end": "clear", "x": 3161}}
    )
    make_finals(RunDir(folder / "runs" / "none-simple" / "seed_0"), FinalConfig(episodes=20), clear_rate=0.0)
    machine = {"processor": "Made-up 8000", "cores": "2", "device": "cpu"}
    change_record(runs["target-simple", 1], machine=machine, best={"clear_rate": 0.5})
    (folder / "study.yaml").write_text(
        "base: base.yaml\naxes: {agent.target: [none, target, double], env.action_set: [right_only, simple]}\n"
        "seeds: [0, 1]\nfinal: {episodes: 20}\n"
    )
    assert write_report(folder) == (folder / "index.html", [])
    return folder


@pytest.fixture
def page(study: Path, browser: Browser) -> Iterator[Page]:
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


@pytest.fixture
def page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report writes its page and its tables, and no figure as a file."""
    monkeypatch.setattr(report, "write_png", lambda figure, path: None)


def unfold(page: Page) -> None:
    """Open all that is folded, and wait until it is drawn."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.wait_for_function(
        "[...document.querySelectorAll('figure[data-figure]')].every(one => one.querySelector('.panel svg'))"
    )


def untick(page: Page, *labels: str) -> None:
    for label in labels:
        page.get_by_label(label, exact=True).uncheck()


def count(page: Page, figure: str, what: str) -> int:
    return page.locator(f"figure[data-figure={figure}] .panels {what}").count()


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).evaluate_all("all => all.map(one => one.textContent.trim())")
    return found


def rows(page: Page, name: str) -> list[str]:
    """The first column of the rows of a table that are displayed."""
    found: list[str] = page.locator(f"table[data-table={name}] tbody tr:not([hidden]) td:first-child").evaluate_all(
        "all => all.map(one => one.textContent)"
    )
    return found


# What is asked, and what was found.


def test_the_title_and_the_first_lines_are_the_question_and_the_answer(page):
    assert page.title().startswith("Does Double DQN beat DQN on 1-1? It seems so, but chance could do it: ")
    first, second = texts(page, "header > :is(h1, p:first-of-type)")
    assert f"{first} {second}".replace("\u00a0", " ") == page.title()
    assert page.locator("h1").bounding_box()["y"] < 100
    assert page.locator(".verdict").bounding_box()["y"] < 200


def test_three_bullets_say_it_in_words_and_the_numbers_are_folded(page):
    bullets = page.locator(".bullets li")
    assert bullets.count() == 3
    assert all("%" not in bullet and "p =" not in bullet for bullet in bullets.all_inner_texts())
    assert not page.locator("#numbers p").first.is_visible()
    page.locator("#numbers summary").click()
    assert page.locator("#numbers p").first.is_visible()
    assert "probability of improvement" in page.locator("#numbers").inner_text()


@pytest.mark.usefixtures("page_alone")
def test_the_article_is_mentioned_only_where_its_two_agents_meet(study, tmp_path):
    assert "article" in (study / "index.html").read_text()
    make_study(tmp_path / "other", targets=("target", "double"), action_sets=("simple",), seeds=(0,))
    assert "article" not in write_report(tmp_path / "other").page.read_text().lower()


def test_the_commit_and_the_commands_that_repeat_it_stand_on_the_page(page, study):
    name = study.name
    assert texts(page, "pre code")[0].splitlines() == [
        f"mario-rl compare {name}/study.yaml --out {name}  # with base.yaml beside it",
        f"mario-rl compare {name} --report",
    ]
    said = page.locator("dl").inner_text()
    assert (source_commit() or "commit not recorded") in said
    assert "several; the table of what the runs were made with has each" in said
    unfold(page)
    assert "c" * 40 in page.locator("table[data-table=made_with]").inner_text()
    assert page.locator("pre").last.inner_text().strip() == (study / "study.yaml").read_text().strip()


# What is drawn.


def test_every_figure_is_drawn_on_the_page_and_as_a_file_and_what_is_not_first_is_folded(page, study):
    drawn = "all => all.filter(one => one.checkVisibility()).map(one => one.dataset.figure)"
    assert page.locator("figure[data-figure]").evaluate_all(drawn) == SHOWN
    unfold(page)
    assert page.locator("figure[data-figure]").evaluate_all(drawn) == [*SHOWN, *FOLDED]
    for name in (*SHOWN, *FOLDED):
        box = page.locator(f"figure[data-figure={name}] .panels").bounding_box()
        assert box["width"] > 1000
        assert box["height"] > 100
        assert count(page, name, ":is(path, circle, rect, polygon)") > 5
        assert (study / "figures" / f"{name}.png").read_bytes()[1:4] == b"PNG"


def test_each_setting_has_a_panel_of_its_targets_over_agent_steps_with_the_other_arms_in_grey(page):
    assert texts(page, "figure[data-figure=curves] h3") == list(ACTION_SETS)
    for number, own in enumerate((("arm0", "arm1", "arm2"), ("arm3", "arm4", "arm5"))):
        panel = page.locator("figure[data-figure=curves] .panel").nth(number)
        assert panel.locator("[data-arm]").evaluate_all("all => all.map(one => one.dataset.arm)") == list(own)
        assert panel.locator("[data-rest]").count() == 3
        assert "agent steps" in panel.text_content()
        assert "best x, mean of 100 episodes [pixels]" in panel.text_content()
    assert texts(page, "figure[data-figure=curves] .key li") == [
        "DQN without a target network", "DQN", "Double DQN", "the other panels' arms",
    ]  # fmt: skip


def test_each_target_has_a_panel_in_a_figure_that_is_folded(page):
    unfold(page)
    assert texts(page, "figure[data-figure=curves_by_target] h3") == [
        "DQN without a target network", "DQN", "Double DQN",
    ]  # fmt: skip


def test_panels_of_distance_have_the_line_of_the_flag_and_of_a_random_policy_and_others_have_none(page):
    unfold(page)
    for figure in ("curves", "curves_episodes", "curves_minutes"):
        levels = page.locator(f"figure[data-figure={figure}] .panel").evaluate_all(
            "all => all.map(one => [...one.querySelectorAll('[data-level]')].map(line => line.dataset.level))"
        )
        assert levels == [["the flag of 1-1", "a random policy"]] * 2
    assert count(page, "curves_by_target", "[data-level='the flag of 1-1']") == 3
    assert count(page, "curves_by_target", "[data-level='a random policy']") == 0  # each action set has another
    assert count(page, "curves_return", "[data-level]") == 0
    assert count(page, "final_scores", "[data-level=random]") == 6
    at = page.evaluate("figures.curves.panels[1].levels")
    assert at == [{"at": FLAG_X, "label": "the flag of 1-1"}, {"at": 571, "label": "a random policy"}]


@pytest.mark.usefixtures("page_alone")
def test_no_line_is_drawn_for_a_game_in_which_no_random_policy_was_measured_or_that_has_another_flag(tmp_path):
    make_study(tmp_path / "a", targets=("double",), action_sets=("simple",), seeds=(0,))  # another stall limit
    text = write_report(tmp_path / "a").page.read_text()
    assert '"the flag of 1-1"' in text
    assert '"a random policy"' not in text
    make_study(
        tmp_path / "b", targets=("double",), action_sets=("simple",), seeds=(0,), env={**MEASURED, "stage": "1-2"}
    )
    text = write_report(tmp_path / "b").page.read_text()
    assert '"the flag of 1-1"' not in text
    assert '"a random policy"' not in text


def test_two_seeds_have_a_mean_and_not_an_interquartile_one(page):
    captions = texts(page, "figcaption")
    assert any(caption.startswith("Mean of 2 seeds of the running mean") for caption in captions)
    assert all("nterquartile" not in caption for caption in captions)


def test_clear_rates_have_an_interval_over_seeds_and_none_of_31_one_of_its_own(page):
    panel = page.locator("figure[data-figure=clear_rates] .panel").first
    assert panel.locator("h3").inner_text() == "noop"
    assert panel.locator("[data-interval]").count() == 6
    assert panel.locator("[data-seed]").count() == 12
    noop, *_ = page.evaluate("figures.clear_rates.panels")
    (none,) = [row for row in noop["rows"] if row["label"] == "DQN without a target network, simple"]
    ends = sorted((seed["low"], seed["value"], round(seed["high"], 2)) for seed in none["seeds"])
    assert (0, 0, 0.11) in ends  # Wilson's: z^2 / (31 + z^2), z = 1.96


def test_curves_on_several_kinds_of_machine_say_that_wall_clock_time_may_tell_machines_apart(page):
    warned = page.locator("figcaption", has_text="2 kinds of machine").evaluate_all(
        "all => all.map(one => one.parentElement.dataset.figure)"
    )
    assert warned == ["curves_minutes"]


def test_the_values_drawn_are_those_of_the_runs(page, study):
    line = page.evaluate("figures.curves_episodes.lines[1]")
    assert line["label"] == "DQN"
    assert line["at"][-1] == 400
    (said,) = [row["mean x"] for row in table(study, "arms") if row["arm"] == "DQN, right_only"]
    assert said.startswith(f"{round(line['value'][-1]):,} (")


def test_overestimation_is_what_was_predicted_minus_what_followed(page):
    values, gaps = page.evaluate("[figures.values.lines, figures.overestimation.lines]")
    predicted, followed = values[2:4]
    assert (predicted["label"], followed["label"]) == ("DQN, predicted", "DQN, actual")
    gap = gaps[1]
    assert gap["arm"] == predicted["arm"] == "arm1"
    # Made up: two episodes an evaluation, over by 3 and by 4 times the agent steps by 60,000, with both seeds.
    expected = [3.5 * at / 60_000 for at in gap["at"]]
    assert gap["value"] == pytest.approx(expected, rel=1e-4)
    assert gap["low"] == gap["high"] == gap["value"]
    assert predicted["value"] == pytest.approx([5 + over for over in expected], rel=1e-4)
    assert set(followed["value"]) == {5.0}


# What is ticked.


def test_an_arm_unticked_from_the_keyboard_is_gone_from_every_figure_table_and_film_and_comes_back(page):
    unfold(page)

    def everywhere() -> dict[str, int]:
        arm = "Double DQN, simple"
        curves = {name: count(page, name, ":is([data-arm=arm5], [data-rest=arm5])") for name in (*SHOWN, *FOLDED)}
        row = {f"{name}, rows": count(page, name, f"[data-row*='{arm}']") for name in (*SHOWN, *FOLDED)}
        ends = {"ends": page.locator("figure[data-figure=ends] h3", has_text=arm).count()}
        listed = {
            f"{name}, table": sum(arm in one for one in rows(page, name)) for name in ("arms", "settings", "runs")
        }
        films = {"films": page.locator(".films figure:visible", has_text=arm).count()}
        return {what: number for what, number in (curves | row | ends | listed | films).items() if number}

    before = everywhere()
    assert before == {
        "curves": 2, "curves_by_target": 3, "curves_return": 2, "curves_episodes": 2, "curves_minutes": 2,
        "overestimation": 1, "values": 2, "final_scores, rows": 1, "clear_rates, rows": 3, "final_return, rows": 1,
        "ends": 1, "arms, table": 1, "settings, table": 1, "runs, table": 2, "films": 1,
    }  # fmt: skip
    assert count(page, "improvement", "[data-row]") == count(page, "needed", "[data-row]") // 2 + 3 == 9
    assert len(rows(page, "targets")) == 9
    page.get_by_label("Double DQN, simple", exact=True).focus()
    page.keyboard.press("Space")
    assert everywhere() == {}
    assert count(page, "curves", "[data-arm=arm0]") == 1
    # Of nine comparisons the two that it is in are gone, and the two of all pairs with Double DQN.
    assert count(page, "improvement", "[data-row]") == len(rows(page, "targets")) == 5
    assert count(page, "needed", "[data-row]") == 8
    page.keyboard.press("Space")
    assert everywhere() == before


def test_scales_are_those_of_what_is_ticked_and_panels_without_any_are_gone(page):
    unfold(page)
    highest = (
        "Math.max(...[...document.querySelectorAll('figure[data-figure=overestimation] text')]"
        ".map(one => Number(one.textContent)).filter(Number.isFinite))"
    )
    before = page.evaluate(highest)
    untick(page, "DQN, right_only", "DQN, simple", "DQN without a target network, right_only",
           "DQN without a target network, simple")  # fmt: skip
    assert page.evaluate(highest) < before  # Double DQN's is zero
    untick(page, "Double DQN, simple")
    assert texts(page, "figure[data-figure=curves] h3") == ["right_only"]
    panel = page.locator("figure[data-figure=curves] .panel").bounding_box()
    assert panel["width"] > 1000  # one panel has all the room


def test_all_and_none_tick_at_once_and_a_figure_without_arms_says_so(page):
    page.get_by_role("button", name="None").click()
    assert page.locator("input:checked").count() == 0
    assert (
        page.locator("figure[data-figure=curves]").inner_text().startswith("No arm is ticked that this figure shows.")
    )
    assert rows(page, "arms") == []
    page.get_by_role("button", name="All").click()
    assert page.locator("input:checked").count() == 6
    assert len(rows(page, "arms")) == 6


# The values at a place.


def test_the_pointer_over_a_curve_tells_the_values_of_the_arms_that_are_ticked(page):
    svg = page.locator("figure[data-figure=curves] .panel svg").first
    svg.scroll_into_view_if_needed()
    size = svg.bounding_box()
    svg.hover(position={"x": size["width"] * 0.6, "y": size["height"] * 0.4})
    told = page.locator("#value").inner_text().splitlines()
    assert told[0].endswith("agent steps")
    assert sorted(line.split(":")[0] for line in told[1:]) == ["DQN", "DQN without a target network", "Double DQN"]
    untick(page, "Double DQN, right_only")
    svg = page.locator("figure[data-figure=curves] .panel svg").first
    svg.hover(position={"x": size["width"] * 0.6, "y": size["height"] * 0.5})
    assert "Double DQN" not in page.locator("#value").inner_text()


def test_the_arrow_keys_tell_the_values_along_a_curve(page):
    page.locator("figure[data-figure=curves] .panel svg").first.focus()
    page.keyboard.press("ArrowLeft")
    first = page.locator("#value").inner_text()
    page.keyboard.press("ArrowLeft")
    second = page.locator("#value").inner_text()
    assert "Double DQN: " in first
    assert float(first.split()[0].replace(",", "")) > float(second.split()[0].replace(",", ""))
    page.keyboard.press("Escape")
    assert not page.locator("#value").is_visible()


# At every width.


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_scrolls_sideways_with_everything_unfolded(study, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((study / "index.html").as_uri())
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    beyond = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && !one.closest('thead')"
        " && (one.getBoundingClientRect().right > innerWidth + 1 || one.getBoundingClientRect().left < -1))"
        ".map(one => one.outerHTML.slice(0, 200))"
    )
    scrolls = page.evaluate(
        "[...document.querySelectorAll('body *')].filter(one => one.scrollWidth > one.clientWidth + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)).map(one => one.outerHTML.slice(0, 200))"
    )
    page.close()
    assert (beyond, scrolls) == ([], [])


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_are_drawn_for_the_width_that_they_have_so_that_their_text_keeps_its_size(study, browser, width):
    page = browser.new_page(viewport={"width": 800, "height": 800})
    page.goto((study / "index.html").as_uri())
    page.set_viewport_size({"width": width, "height": 800})
    page.wait_for_function(
        f"drawn_for && Math.abs(drawn_for - document.body.clientWidth) < 1 && innerWidth === {width}"
    )
    scale = page.locator(".panel svg").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width)"
    )
    page.close()
    assert len(scale) > 7  # two panels of curves, three of clear rates, two single ones, and those that are folded
    assert scale == pytest.approx([1.0] * len(scale), abs=0.01)


def test_a_phone_has_a_card_for_each_row_of_a_table_with_the_names_of_its_values(study, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((study / "index.html").as_uri())
    unfold(page)
    row = page.locator("table[data-table=arms] tbody tr").first
    cells = row.locator("td").evaluate_all("all => all.map(one => one.getBoundingClientRect().y)")
    assert cells == sorted(set(cells))  # below each other
    named = row.locator("td").nth(3).evaluate("one => getComputedStyle(one, '::before').content")
    assert named == '"mean x"'
    page.close()


@pytest.mark.usefixtures("page_alone")
@pytest.mark.takes("a report of 27 runs, as many as the study that the length was measured of")
def test_folded_the_page_is_at_most_half_as_long_as_it_was(browser, tmp_path):
    make_study(tmp_path, env=MEASURED)
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(write_report(tmp_path).page.as_uri())
    assert 2_000 < page.evaluate("document.documentElement.scrollHeight") <= BEFORE / 2
    page.close()


def test_the_page_follows_the_dark_scheme(study, browser):
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((study / "index.html").as_uri())
        colours[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('svg text')).fill]"
        )
        page.close()
    assert colours["light"] == ["rgb(255, 255, 255)", "rgb(28, 30, 33)"]
    assert colours["dark"] == ["rgb(21, 23, 26)", "rgb(232, 234, 237)"]


def test_no_two_elements_share_an_id(page):
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


# Films.


def test_films_stand_before_the_figures_and_show_how_they_end(page):
    films = page.locator(".films figure")
    assert films.locator("video").evaluate_all("all => all.map(one => one.getAttribute('src'))") == [
        "runs/target-simple/seed_0/best.mp4",
        "runs/double-simple/seed_1/best.mp4",
    ]
    assert films.locator("figcaption").all_inner_texts() == [
        "DQN, simple, seed 0 (seed 1 was better and was not filmed)",
        "CLEARED at x 3,161\nDouble DQN, simple, seed 1",
    ]
    assert films.first.bounding_box()["y"] < page.locator("figure[data-figure=curves]").bounding_box()["y"]


def test_the_poster_of_a_film_is_its_last_frame_with_the_banner(page):
    # The banner darkens a strip across the middle, in the last frame alone.
    page.evaluate(
        """async () => {
        const poster = new Image();
        poster.src = document.querySelector(".films video").poster;
        await poster.decode();
        const canvas = document.createElement("canvas");
        canvas.width = poster.width; canvas.height = poster.height;
        const context = canvas.getContext("2d", {willReadFrequently: true});
        context.drawImage(poster, 0, 0);
        const mean = (y) => {
          const all = context.getImageData(0, y, 30, 1).data;
          return all.reduce((sum, one, index) => sum + (index % 4 < 3 ? one : 0), 0) / 90;
        };
        window.poster = [poster.width, poster.height, mean(117), mean(60)];
    }"""
    )
    width, height, banner, sky = page.evaluate("window.poster")
    assert (width, height) == (256, 240)
    assert banner < sky / 3


def table(study: Path, name: str) -> list[dict[str, str]]:
    with (study / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_tables_are_there_as_csv(study):
    arms = table(study, "arms")
    assert [row["arm"] for row in arms] == [
        f"{target}, {actions}"
        for actions in ACTION_SETS
        for target in ("DQN without a target network", "DQN", "Double DQN")
    ]
    targets = table(study, "targets")
    assert [row["targets"] for row in targets[:3]] == [
        "Double DQN against DQN, right_only",
        "Double DQN against DQN, simple",
        "Double DQN against DQN, all together",
    ]
    assert [row["permutation test"][:4] for row in targets] == ["p = "] * 9
    runs = table(study, "runs")
    assert len(runs) == 12
    assert "0 of 31 (0\u201311 %)" in {row["cleared, noop"] for row in runs}


@pytest.mark.usefixtures("page_alone")
def test_runs_made_by_hand_that_are_not_done_are_reported_too(tmp_path):
    make_study(tmp_path, targets=("double",), action_sets=("simple",), seeds=(5,), done=False)
    text = write_report(tmp_path).page.read_text()
    assert "<h1>How far does Double DQN, simple get on 1-1?</h1>" in text
    assert "One seed shows what happened once" in text
    assert "not done" in text
    assert 'data-figure="improvement"' not in text
    assert f"mario-rl train {tmp_path.name}/runs/double-simple/seed_5/config.yaml" in text


@pytest.mark.usefixtures("page_alone")
def test_the_same_runs_give_the_same_page(tmp_path):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1))
    first, second = (write_report(tmp_path).page.read_text() for _ in range(2))
    assert first == second
    assert first.count("<figure data-figure=") == 12


def test_a_folder_without_runs_gets_one_line(tmp_path):
    with pytest.raises(UserError, match="no run in it whose first episode has ended"):
        write_report(tmp_path)
