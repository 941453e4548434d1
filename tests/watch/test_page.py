"""The page in a real browser on the real game: what it shows, what its controls do, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from functools import partial
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import Page
from test_messages import REFUSED
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from windows import boxes, resize

from mario_rl import shipped
from mario_rl.evaluation import load_trained
from mario_rl.runs.directory import RunDir
from mario_rl.runs.metrics import RunMetrics
from mario_rl.runs.tables import EPISODE_COLUMNS, METRIC_COLUMNS, read_table
from mario_rl.trajectories import read_trajectory, trajectory_text
from mario_rl.watch.curve import read_curve
from mario_rl.watch.play import Episode

pytestmark = pytest.mark.emulator


def ask(page: Page, **message: Any) -> None:
    page.evaluate("message => ask(message)", message)


def begin_anew(page: Page) -> None:
    """Restart, and wait until the new episode's first decision: a restart comes to pass only at a later frame."""
    before = page.evaluate("view.shown.episode")
    ask(page, do="restart")
    wait(page, "before => view.shown.episode > before && view.shown.decision !== undefined", before)


def socket_of(url: str) -> str:
    return url.replace("http:", "ws:") + "socket"


def wait(page: Page, condition: str, argument: Any = None) -> None:
    page.wait_for_function(condition, arg=argument, timeout=60_000)


@pytest.fixture
def page(page):
    """The page with a game that plays greedily from the start of 1-1, and nobody at the pad."""
    for message in (
        {"do": "pad", "held": None},
        {"do": "saliency", "on": False},
        {"do": "speed", "speed": 1},
        {"do": "protocol", "protocol": "greedy"},
        {"do": "stage", "stage": "1-1"},
        {"do": "play"},
    ):
        ask(page, **message)
    wait(page, "!view.catalog.paused && !view.catalog.pad && view.catalog.protocol === 'greedy'")
    return page


def test_frames_follow_each_other_and_the_screen_changes(page):
    begin_anew(page)
    frame, before = page.evaluate("[view.shown.frame, by('screen').toDataURL()]")
    wait(page, "frame => view.shown.frame > frame + 40", frame)
    assert page.evaluate("by('screen').toDataURL()") != before


def test_the_bars_are_the_values_of_the_network_for_the_observation_at_that_step(page, trained_run):
    begin_anew(page)
    ask(page, do="pause")
    wait(page, "view.catalog.paused")
    page.wait_for_timeout(300)  # what was on its way is shown
    before = page.evaluate("view.shown.decision.step")
    ask(page, do="step")
    wait(page, "before => view.shown.decision.step === before + 1", before)
    page.wait_for_timeout(300)
    step = page.evaluate("view.shown.decision.step")
    trained = load_trained(RunDir(trained_run).latest)
    episode = Episode(trained.policy, trained.config, stage="1-1", protocol="greedy", seed=0, number=0)
    decision = next(one.decision for one in episode.play() if one.decision is not None and one.decision.step == step)
    shown = page.locator(".bar output").all_inner_texts()
    assert [float(one) for one in shown] == pytest.approx(decision.q_values, abs=0.006)  # two digits
    assert page.locator(".bar.chosen").count() == 1
    assert page.locator(".bar b").nth(decision.best).get_attribute("title") == page.locator(
        ".bar.chosen b"
    ).get_attribute("title")
    for index, frame in enumerate(decision.observation):
        shown = page.evaluate(
            """index => [...document.querySelectorAll("#stack canvas")[index].getContext("2d")
                .getImageData(0, 0, 84, 84).data].filter((_, i) => i % 4 === 0)""",
            index,
        )
        np.testing.assert_array_equal(np.array(shown, dtype=np.uint8).reshape(84, 84), frame)
    assert page.locator("#stack figcaption").all_inner_texts() == ["t\u22123", "t\u22122", "t\u22121", "t"]


def decide(page: Page, q_values: list[float], action: int | None, buttons: str) -> None:
    """Have the page show a decision of ours, with the game standing still."""
    ask(page, do="pause")
    wait(page, "view.catalog.paused")
    page.wait_for_timeout(200)
    best = int(np.argmax(q_values))
    decision = {"step": 0, "q_values": q_values, "action": action, "best": best, "buttons": buttons}
    page.evaluate("decision => { view.widest = 0; decided(decision); }", decision)


def bar_lengths(page: Page) -> list[float]:
    """How much of its track each bar fills."""
    lengths: list[float] = page.evaluate(
        """[...document.querySelectorAll(".bar span i")].map((one) =>
            one.getBoundingClientRect().width / one.parentElement.getBoundingClientRect().width)"""
    )
    return lengths


def test_a_bar_is_what_an_action_is_worth_more_than_the_worst(page):
    decide(page, [-1, 3, 0, 1, 2], 1, "right")
    np.testing.assert_allclose(bar_lengths(page), [0, 1, 0.25, 0.5, 0.75], atol=0.01)
    decide(page, [-4, -1, -3, -2, -5], 1, "right")  # all below zero: the worst still has the shortest
    np.testing.assert_allclose(bar_lengths(page), [0.25, 1, 0.5, 0.75, 0], atol=0.01)
    assert page.evaluate("document.getAnimations().length") == 0  # nothing lags behind or moves but the game itself


def test_small_differences_look_small_beside_the_widest_of_the_episode(page):
    decide(page, [0, 4, 0, 0, 0], 1, "right")
    page.evaluate("decided({step: 1, q_values: [9, 9.5, 9, 9, 10], action: 4, best: 4, buttons: 'right+A+B'})")
    np.testing.assert_allclose(bar_lengths(page), [0, 0.125, 0, 0, 0.25], atol=0.01)
    assert page.locator("#widest").inner_text() == "4.00"


def test_with_the_pad_taken_what_the_agent_would_do_is_marked(page):
    decide(page, [1, 2, 3, 4, 5.5], None, "left")
    assert page.locator(".bar.chosen").count() == 0
    assert page.locator(".bar.would b").get_attribute("title") == "right+A+B"
    assert page.locator("#played").inner_text() == "you: left"


def test_actions_are_called_as_in_the_films_and_the_documentation(page):
    from mario_rl.envs import action_names

    assert page.locator(".bar b").all_inner_texts() == list(action_names("right_only"))


def test_a_random_action_is_shown_as_one_and_its_bar_is_the_one_marked(page):
    decide(page, [1, 2, 3, 4, 5.5], 0, "NOOP")
    assert page.locator("#played").inner_text() == "random: NOOP"
    assert page.locator("#gap").inner_text() == "best over second by 1.500"
    assert page.locator(".bar.chosen b").get_attribute("title") == "NOOP"


def test_pause_stops_the_game_and_a_step_moves_it_by_one_agent_step(page):
    begin_anew(page)
    page.get_by_role("button", name="Pause").click()
    wait(page, "view.catalog.paused && view.shown.decision")
    page.wait_for_timeout(300)
    stopped = page.evaluate("[view.shown.episode, view.shown.frame, view.shown.decision.step]")
    page.wait_for_timeout(500)
    assert page.evaluate("[view.shown.episode, view.shown.frame, view.shown.decision.step]") == stopped
    page.keyboard.press("n")
    wait(page, "step => view.shown.decision.step === step", stopped[2] + 1)
    page.wait_for_timeout(300)
    assert page.evaluate("view.shown.decision.step") == stopped[2] + 1
    assert 1 <= page.evaluate("view.shown.frame") - stopped[1] <= 4
    page.get_by_role("button", name="Play").click()
    wait(
        page, "step => view.shown.decision && view.shown.decision.step > step + 3 || view.shown.episode > 0", stopped[2]
    )


def test_whoever_takes_the_pad_moves_mario_and_gives_it_back(page):
    ask(page, do="restart")
    page.keyboard.press("p")
    wait(page, "view.catalog.pad")
    wait(page, "view.shown.decision && view.shown.decision.action === null")
    begin = page.evaluate("view.shown.x")
    page.keyboard.down("ArrowRight")
    wait(page, "x => view.shown.x > x + 20", begin)
    assert page.locator("#controller span[title=right]").get_attribute("class") == "on"
    assert page.locator("#played").inner_text() == "you: right"
    page.keyboard.up("ArrowRight")
    page.keyboard.down("ArrowLeft")
    wait(page, "view.shown.byte === 64")
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("p")
    wait(page, "!view.catalog.pad && view.shown.decision && view.shown.decision.action !== null")


def test_the_buttons_shown_are_a_pad_for_fingers(page):
    ask(page, do="restart")
    page.get_by_role("button", name="Take the pad").click()
    wait(page, "view.catalog.pad && view.shown.decision && view.shown.decision.action === null")
    page.locator("#controller span[title=right]").hover()
    page.mouse.down()
    wait(page, "view.shown.byte === 128")
    page.mouse.up()
    wait(page, "view.shown.byte === 0")


def test_an_episode_in_which_a_person_had_a_hand_is_saved_as_trajectory_and_as_film(page, url, trained_run):
    ask(page, do="pad", held=["right", "B"])
    wait(page, "view.shown.byte === 130")
    before = page.evaluate("view.shown.episode")
    ask(page, do="restart")
    wait(page, "episode => view.shown.episode > episode", before)
    ask(page, do="seek", episode=before, frame=1)  # one scrubbed back to, which is saved whole
    wait(page, "before => view.shown.episode === before && view.shown.frame === 1", before)
    page.get_by_role("button", name="Save trajectory").click()
    wait(page, "by('saved').textContent.endsWith('.json')")
    path = Path(page.locator("#saved").inner_text().removeprefix("saved: "))
    assert path.parent == trained_run.parent / "watched"
    trajectory = read_trajectory(path)
    assert trajectory.made.by == "several"
    assert trajectory.stage == "1-1"
    assert 0b1000_0010 in trajectory.buttons
    assert trajectory_text(trajectory) == urlopen(f"{url}episode.json?episode={before}").read().decode()
    page.get_by_role("button", name="Save film").click()
    wait(page, "by('saved').textContent.endsWith('.mp4')")
    assert path.with_suffix(".mp4").read_bytes()[4:8] == b"ftyp"


def test_the_controls_that_save_are_in_sight_without_scrolling(page):
    resize(page, 1366, 768)
    controller, film, trajectory = boxes(page, "#controller, #saves button")
    assert all(box["y"] + box["height"] <= 768 for box in (film, trajectory))
    assert film["y"] == trajectory["y"] == pytest.approx(controller["y"], abs=6)


def test_two_viewers_see_the_same_game(page, url, browser):
    other = browser.new_page(bypass_csp=True)
    other.goto(url)
    other.wait_for_function("view.shown !== null && view.catalog !== null", timeout=60_000)
    ask(other, do="pause")
    wait(page, "view.catalog.paused")
    wait(other, "view.catalog.paused")
    page.wait_for_timeout(300)
    numbers = "[view.shown.episode, view.shown.frame, view.shown.x]"
    assert page.evaluate(numbers) == other.evaluate(numbers)
    other.close()


def test_a_hostile_message_closes_its_own_connection_and_nothing_else(page, url):
    messages = [*REFUSED, b"\x00\xff", b""]
    assert len(messages) >= 20
    for message in messages:
        with connect(socket_of(url)) as hostile:
            hostile.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                deque(iter(partial(hostile.recv, timeout=30), None), maxlen=0)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1008, 1009)
    frame = page.evaluate("view.shown.frame + 10000 * view.shown.episode")
    wait(page, "frame => view.shown.frame + 10000 * view.shown.episode > frame", frame)


def test_a_page_of_another_site_gets_no_socket(url):
    for origin in ("http://example.org", url.replace("127.0.0.1", "example.org").rstrip("/"), "null"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(socket_of(url), origin=origin)
    # Without a limit to what waits to be read: else closing waits ten seconds behind the frames that nobody reads.
    with connect(socket_of(url), origin=url.rstrip("/"), max_queue=None) as ours:
        assert "catalog" in json.loads(ours.recv(timeout=30))


def test_the_page_may_load_nothing_from_elsewhere_and_works_under_that_rule(url, browser):
    with urlopen(url) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector("#bars .bar", timeout=60_000)
    page.close()


def test_the_overlay_is_there_only_while_asked_for(page):
    assert page.locator("#saliency").is_hidden()
    page.get_by_label("show what the value depends on").check()
    wait(page, "!by('saliency').hidden")
    page.get_by_label("show what the value depends on").uncheck()
    wait(page, "by('saliency').hidden")


def test_the_overlay_shows_what_matters_and_its_scale_says_how_much_that_is(page):
    """Nothing below a third of the strongest pixel; from there on in proportion."""
    alphas = page.evaluate(
        """() => {
            const map = new OffscreenCanvas(84, 84), pen = map.getContext("2d");
            [0, 84, 85, 170, 255].forEach((grey, x) => {
                pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
                pen.fillRect(x, 0, 1, 84);
            });
            overlay(map);
            return [...by("saliency").getContext("2d").getImageData(0, 0, 5, 1).data].filter((_, i) => i % 4 === 3);
        }"""
    )
    assert alphas == [0, 0, 0, 110, 220]
    assert page.locator("#scale").is_hidden()
    ask(page, do="saliency", on=True)
    wait(page, "!by('scale').hidden")
    assert " ".join(page.locator("#scale").inner_text().split()) == "a third of the strongest pixel the strongest"


def test_terms_and_units_are_explained_where_they_stand(page, trained_run):
    config = load_trained(RunDir(trained_run).latest).config
    notes = " ".join(page.locator(".note").all_inner_texts())
    assert f"in units of {1 / config.env.reward_scale:g} points" in notes
    assert f"each later agent step counted {config.agent.gamma:g} times as much as the one before" in notes
    for term in ("The value of an action: ", "The protocol is the only source of chance: ", "frames of 84 by 84"):
        assert term in notes


def test_stage_protocol_and_checkpoint_can_be_chosen_and_only_from_what_there_is(page):
    page.locator("#stage").select_option("1-2")
    wait(page, "view.shown.stage === '1-2'")
    page.locator("#protocol").select_option("sticky")
    wait(page, "view.catalog.protocol === 'sticky'")
    names = page.locator("#checkpoint option").all_inner_texts()
    assert names[-1] == "latest"
    assert all(name.endswith(" agent steps") for name in names[:-1])
    page.locator("#checkpoint").select_option(index=0)
    wait(page, "name => view.shown.agent_steps.toLocaleString('en') + ' agent steps' === name", names[0])
    ask(page, do="checkpoint", index=99)
    ask(page, do="stage", stage="9-9")
    page.wait_for_timeout(300)
    assert page.evaluate("view.catalog.checkpoint") == 0
    assert page.evaluate("view.catalog.stage") == "1-2"
    page.locator("#checkpoint").select_option(index=len(names) - 1)
    wait(page, "last => view.catalog.checkpoint === last", len(names) - 1)


def test_at_the_end_of_an_episode_what_followed_stands_beside_what_was_predicted(page):
    ask(page, do="speed", speed=0)
    played_out = "view.ends.filter(ended => ended.end !== 'broken off')"  # by a choice of the tests before
    wait(page, f"{played_out}.length > 0")
    ended = page.evaluate(f"{played_out}.at(-1)")
    assert len(ended["predicted"]) == len(ended["returns"]) > 0
    assert ended["end"] in ("death", "stall", "limit", "clear")
    assert page.locator("#strip i").count() > 0


def test_the_strip_shows_the_stage_as_far_as_it_has_been_seen(page):
    wait(page, "view.catalog.seen > 256 && !by('stage_picture').hidden && by('stage_picture').complete")
    seen = page.evaluate("view.catalog.seen")
    width = page.evaluate("by('stage_picture').naturalWidth")
    assert width == pytest.approx(seen / 2, abs=32)  # half as many; it may have grown meanwhile
    assert page.evaluate("by('stage_picture').naturalHeight") == 104
    share = page.evaluate("by('stage_picture').clientWidth / by('strip').clientWidth")
    assert share == pytest.approx(seen / 3400, abs=0.02)
    page.locator("#stage").select_option("1-4")
    wait(page, "view.shown.stage === '1-4' && view.catalog.seen > 0 && by('stage_picture').complete")


def test_who_comes_in_the_middle_of_an_episode_sees_what_was_predicted_before(page, url, browser):
    begin_anew(page)
    wait(page, "view.shown.decision && view.shown.decision.step > 8")
    ask(page, do="pause")
    wait(page, "view.catalog.paused")
    page.wait_for_timeout(300)
    other = browser.new_page(bypass_csp=True)
    other.goto(url)
    other.wait_for_function("view.shown !== null", timeout=60_000)
    step = page.evaluate("view.shown.decision.step")
    assert other.evaluate("view.predicted.filter((one) => one !== undefined).length") >= step
    inked = "by('chart').getContext('2d').getImageData(0, 0, by('chart').width, by('chart').height).data.some(Boolean)"
    assert other.evaluate(inked)
    other.close()


def luminance(colour: str) -> float:
    """Of "rgb(27, 29, 33)", as WCAG 2.2 defines relative luminance."""
    parts = [int(one) / 255 for one in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(page, scheme):
    """4.5 to 1, SC 1.4.3, against the nearest background that is painted."""
    page.emulate_media(color_scheme=scheme)
    ask(page, do="pad", held=["right"])  # buttons pressed and lit have colours of their own
    wait(page, "view.catalog.pad && document.querySelector('#controller .on')")
    pairs = page.evaluate(
        """[...document.body.querySelectorAll("*")].filter((one) => one.checkVisibility() &&
            [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((one) => {
            const paint = (part) => getComputedStyle(part).backgroundColor;
            let behind = one;
            while (behind.parentElement && paint(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            return [one.innerText, getComputedStyle(one).color, paint(behind)];
        })"""
    )
    assert len(pairs) > 40
    for text, ink, ground in pairs:
        dark, light = sorted((luminance(ink), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ink, ground)


def test_the_curves_of_the_run_are_beside_the_game(page, url, trained_run):
    wait(page, "!by('training').hidden")
    curve = json.loads(urlopen(url + "curve.json").read())
    episodes = read_table(RunDir(trained_run).episodes, EPISODE_COLUMNS)
    count = len(episodes["x"])
    assert 1 < count < 100
    assert curve["of"] == (count + 1) // 2  # of so few; the page says so
    assert page.locator("#of").inner_text() == str(curve["of"])
    assert len(curve["mean_x"]) == count - curve["of"] + 1
    assert curve["mean_x"][-1] == [episodes["agent_steps"][-1], np.mean(episodes["x"][-curve["of"] :])]


def test_the_curve_of_a_long_run_begins_with_its_hundredth_episode(tmp_path):
    metrics = RunMetrics(RunDir(tmp_path))
    for episodes, mean_x in ((1, 900.0), (99, 400.0), (100, 410.0), (130, 420.0)):
        row = dict.fromkeys(METRIC_COLUMNS, 0.0) | {"agent_steps": episodes * 50}
        metrics.interval(row | {"episodes": episodes, "mean_x": mean_x})
    metrics.close()
    assert read_curve(tmp_path) == {"mean_x": [[5000.0, 410.0], [6500.0, 420.0]], "of": 100, "evaluations": []}


def test_where_there_is_no_run_there_is_noread_curve(tmp_path):
    assert read_curve(tmp_path / "nothing")["mean_x"] == []


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1280, 800), (1920, 1080)])
def test_the_controls_are_one_bar_under_the_game_in_sight_without_scrolling(page, width, height):
    resize(page, width, height)
    screen, bar, *buttons, speed, strip = boxes(page, "#screen, #bar, #bar button, #speed, #strip")
    assert screen["height"] <= 0.6 * height
    assert 0 <= bar["y"] - (screen["y"] + screen["height"]) <= 16
    assert bar["y"] + bar["height"] <= height
    tops = {round(one["y"]) for one in buttons}
    assert len(tops) == 1
    assert abs(speed["y"] - tops.pop()) < 10
    assert strip["x"] > screen["x"] + screen["width"]  # the room at the right is used
    assert strip["y"] + strip["height"] <= height


@pytest.mark.parametrize(("width", "height"), [(360, 740), (390, 844)])
def test_on_a_phone_the_controls_are_two_rows_in_sight_made_for_thumbs(page, width, height):
    resize(page, width, height)
    controls = "#bar button, #bar select, #past_bar button, #past_bar input, #past_bar select"
    found = boxes(page, controls)
    assert len(found) == 9
    middles = sorted(one["y"] + one["height"] / 2 for one in found)
    assert sum(below - above > 12 for above, below in pairwise(middles)) == 1, middles
    assert all(one["height"] >= 44 and one["width"] >= 44 for one in found), found
    assert all(one["x"] >= 0 and one["x"] + one["width"] <= width for one in found), found
    for above, below in combinations(found, 2):  # none lies on another
        apart_x = above["x"] + above["width"] <= below["x"] or below["x"] + below["width"] <= above["x"]
        assert apart_x or abs(above["y"] - below["y"]) >= 44, (above, below)
    cut_off = "[...document.querySelectorAll('#bar button')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert page.evaluate(cut_off) == 0
    others = page.locator("button:visible, select:visible")
    assert all(one.bounding_box()["height"] >= 44 for one in others.all())
    screen, *found = boxes(page, f"#screen, {controls}")
    assert 0 <= min(one["y"] for one in found) - (screen["y"] + screen["height"]) <= 16
    assert max(one["y"] + one["height"] for one in found) <= height


def test_an_end_is_told_by_a_banner_and_counted(page):
    ask(page, do="speed", speed=8)
    before = page.evaluate("view.catalog.tally[1]")
    wait(page, "!by('banner').hidden")
    ended = page.evaluate("view.ends.at(-1)")
    word = {"clear": "CLEARED", "death": "DIED", "stall": "STALLED", "limit": "OUT OF STEPS"}[ended["end"]]
    assert page.locator("#banner").inner_text() == f"{word} at x {ended['x']:,}"
    wait(page, "before => view.catalog.tally[1] > before", before)
    clears, episodes = page.evaluate("view.catalog.tally")
    assert page.locator("#tally").inner_text() == f"cleared {clears} of {episodes}"
    wait(page, "by('banner').hidden")  # gone with the next episode


def test_what_broke_off_or_a_person_played_is_not_counted(page):
    ask(page, do="stage", stage="2-1")
    wait(page, "view.catalog.stage === '2-1' && view.shown.stage === '2-1' && view.shown.decision")
    ask(page, do="restart")
    ask(page, do="restart")
    wait(page, "view.ends.some(({end}) => end === 'broken off')")
    assert page.evaluate("view.catalog.tally") == [0, 0]
    assert page.locator("#banner").is_hidden()
    assert page.locator("#tally").inner_text() == "no episode has ended"


def test_ends_differ_in_shape_and_colour_and_a_legend_says_which_is_which(page):
    on_stage, in_legend = page.evaluate(
        """() => {
            view.ends = ["clear", "death", "stall", "limit", "warp"].map((end, i) => ({x: 500 * i, end})); strip();
            const looks = (which) => [...document.querySelectorAll(which)].map((one) => getComputedStyle(one))
                .map(({clipPath, backgroundColor}) => [clipPath, backgroundColor]);
            return [looks("#ends i"), looks("#legend i")];
        }"""
    )
    assert on_stage == in_legend
    assert len({shape for shape, _ in on_stage}) == len({colour for _, colour in on_stage}) == 5


SHOWN = "[by('screen').toDataURL(), view.shown.frame, view.shown.x, view.shown.decision]"


def stand_still(page: Page) -> None:
    ask(page, do="pause")
    wait(page, "view.catalog.paused")
    page.wait_for_timeout(300)


def test_a_frame_gone_back_to_is_the_frame_that_was_shown(page):
    begin_anew(page)
    wait(page, "view.shown.frame > 25")
    stand_still(page)
    then = page.evaluate(SHOWN)
    ask(page, do="play")
    wait(page, "frame => view.shown.frame > frame + 20", then[1])
    stand_still(page)
    assert page.evaluate("view.shown.frame") > then[1]
    page.evaluate("frame => { by('scrub').value = frame; by('scrub').oninput({target: by('scrub')}); }", then[1])
    wait(page, "frame => view.shown.frame === frame", then[1])
    page.wait_for_timeout(200)
    assert page.evaluate(SHOWN) == then


def test_it_is_stepped_through_by_frames_both_ways_and_stands_still_in_between(page):
    begin_anew(page)
    wait(page, "view.shown.frame > 20")
    stand_still(page)
    frame = page.evaluate("view.shown.frame")
    shots = {}
    for key, expected in ((",", frame - 1), (",", frame - 2), (".", frame - 1), (".", frame)):
        page.keyboard.press(key)
        wait(page, "frame => view.shown.frame === frame", expected)
        page.wait_for_timeout(100)
        assert page.evaluate("view.shown.frame") == expected
        shot = page.evaluate("by('screen').toDataURL()")
        assert shots.setdefault(expected, shot) == shot
    assert page.evaluate("by('forth').disabled")


def test_play_goes_on_from_there_and_what_would_have_come_comes(page):
    begin_anew(page)
    wait(page, "view.shown.decision && view.shown.decision.step > 12")
    stand_still(page)
    episode, frame, values = page.evaluate("[view.shown.episode, view.shown.frame, view.predicted]")
    ask(page, do="seek", episode=episode, frame=frame - 30)
    wait(page, "frame => view.shown.frame === frame", frame - 30)
    ask(page, do="play")
    wait(page, "frame => view.shown.frame > frame + 4", frame)
    now, again = page.evaluate("[view.shown.episode, view.predicted]")
    assert now > episode
    both = [(one, other) for one, other in zip(values, again, strict=False) if None not in (one, other)]
    assert len(both) > 6  # a slow viewer misses pictures
    assert all(one == other for one, other in both)


def test_a_person_plays_on_from_where_it_was_gone_back_to(page):
    begin_anew(page)
    wait(page, "view.shown.frame > 60")
    stand_still(page)
    episode = page.evaluate("view.shown.episode")
    ask(page, do="seek", episode=episode, frame=30)
    wait(page, "view.shown.frame === 30")
    ask(page, do="pad", held=["left"])
    ask(page, do="play")
    wait(page, "view.shown.frame > 45 && view.shown.byte === 64")
    assert page.locator("#played").inner_text() == "you: left"


def test_episodes_of_this_sitting_are_found_and_gone_back_to(page):
    ask(page, do="speed", speed=0)
    wait(page, "view.catalog.past.some(([, caption]) => / (CLEARED|DIED|STALLED|OUT OF STEPS) at x /.test(caption))")
    stand_still(page)
    number, caption = page.evaluate("view.catalog.past.find(([, caption]) => / at x /.test(caption))")
    ends, tally = page.evaluate("[view.ends.length, view.catalog.tally]")
    page.locator("#past").select_option(str(number))
    wait(page, "number => view.shown.episode === number", number)
    page.wait_for_timeout(300)
    assert page.evaluate("view.shown.frame") == 0
    # All that was predicted then stands there at once, and what came; the menu names the episode.
    then = page.evaluate("number => view.ends.find((one) => one.number === number)", number)
    predicted, came = page.evaluate("[view.predicted, view.came]")
    assert predicted == pytest.approx(then["predicted"], abs=1e-3)
    assert came == then["returns"]
    assert caption == page.evaluate("by('past').selectedOptions[0].text")
    ask(page, do="seek", episode=number, frame=10**8)
    wait(page, "view.shown.frame === view.shown.frames && view.shown.frame > 0")
    assert f"x {page.evaluate('view.shown.x'):,}" in caption or "DIED" in caption or "CLEARED" in caption
    page.wait_for_timeout(200)
    assert page.evaluate("view.catalog.tally[1]") <= tally[1] + 1  # looking is not playing
    assert page.evaluate("view.ends.length") <= ends + 1


def test_another_agent_is_chosen_from_all_of_the_package_and_brings_its_card(page, trained_run):
    names = page.locator("#agent option").all_inner_texts()
    assert names == [f"{trained_run.parent.name}/{trained_run.name}", *shipped.agent_names()]
    chosen = "ddqn_simple_1-1_seed_0"
    page.locator("#agent").select_option(chosen)
    wait(page, "view.catalog.agent > 0 && view.shown.decision && view.shown.decision.q_values.length === 7")
    assert page.locator("#title").inner_text() == f"{chosen} on 1-1"
    clears, episodes = shipped.results(shipped.AGENTS / f"{chosen}.pt")["noop"]
    assert f"{clears} of {episodes} (noop)" in page.locator("#card").inner_text()
    assert page.locator("#checkpoint option").all_inner_texts() == [chosen]
    page.locator("#agent").select_option(index=0)
    wait(page, "view.catalog.agent === 0 && view.shown.decision && view.shown.decision.q_values.length === 5")
    assert page.locator("#checkpoint option").all_inner_texts()[-1] == "latest"


def test_it_says_paused_and_when_it_is_disconnected_the_picture_is_dimmed(page):
    ask(page, do="pause")
    wait(page, "!by('state').hidden && by('state').textContent === 'paused'")
    page.evaluate("socket.close()")
    wait(page, "getComputedStyle(by('screen')).opacity < 0.5")
    assert page.locator("#state").inner_text().startswith("disconnected")
    wait(page, "getComputedStyle(by('screen')).opacity === '1'")  # it has connected anew
    ask(page, do="play")
    wait(page, "by('state').hidden")


def test_it_says_who_plays_where_and_with_what_chance(page, trained_run):
    assert page.locator("#title").inner_text() == f"{trained_run.parent.name}/{trained_run.name} on 1-1"
    assert page.locator("#card").inner_text() == "seed 0, protocol greedy"  # a run has no card


def test_nothing_is_wider_than_the_window_whatever_an_agent_is_called(page):
    names = page.locator("#agent option").all_inner_texts()
    page.locator("#agent").select_option(max(names, key=len))
    wait(page, "!view.catalog.checkpoints.includes('latest')")
    for width in (360, 390, 1280, 1366, 1920):
        resize(page, width, 900)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#agent").select_option(index=0)
    wait(page, "view.catalog.agent === 0")


def test_every_control_has_a_name(page):
    controls = chain.from_iterable(page.get_by_role(role).all() for role in ("button", "combobox", "checkbox", "link"))
    assert all(
        control.inner_text() or control.evaluate("one => one.labels && one.labels[0].innerText") for control in controls
    )


def test_a_port_that_is_taken_gets_one_line(url, trained_run):
    port = url.rstrip("/").rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "mario_rl", "watch", str(trained_run), "--port", port, "--no-browser"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"mario-rl: --port: {port} can't be had on 127.0.0.1")
    assert len(done.stderr.splitlines()) == 1
