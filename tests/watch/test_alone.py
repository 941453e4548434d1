"""Pages without an agent: a person at the pad (`play`), a trajectory that is taken over, a film."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import free_port, wait_until_served
from env_fakes import INTO_BONUS_ROOM, unroll
from playwright.sync_api import Browser, Page
from test_game import wait_for
from windows import resize

from mario_rl.config import EnvConfig
from mario_rl.report.video import Recording, write_video
from mario_rl.trajectories import Made, Trajectory, make_trajectory, read_trajectory, replay, write_trajectory
from mario_rl.watch.game import Game, _pressed
from mario_rl.watch.messages import Pad, Seek, SetAgent, SetSpeed, Simple
from mario_rl.watch.pad import PadEpisode
from mario_rl.watch.recorded import as_recorded

pytestmark = pytest.mark.emulator

RIGHT = 0x80
PRESSED = bytes(unroll(INTO_BONUS_ROOM)[:400])
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from mario_rl.cli import main; sys.exit(main(sys.argv[1:]))"
"""A command in a process in which PyTorch can't be imported."""

type Serve = Callable[..., str]


@pytest.fixture
def trajectory() -> Trajectory:
    return make_trajectory("1-1", PRESSED, Made(by="search", name="made up", seed=3))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a page by a real process, in which there is no PyTorch, and whose folder is `tmp_path`."""
    processes = []

    def begin(*arguments: str) -> str:
        port = free_port()
        command = [sys.executable, "-c", WITHOUT_TORCH, *arguments, "--port", str(port), "--no-browser"]
        processes.append(subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        wait_until_served(port)
        return f"http://127.0.0.1:{port}/"

    yield begin
    for process in processes:
        process.terminate()
        _, complaints = process.communicate(timeout=20)
        assert "Traceback" not in complaints


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str], Page]]:
    """Opens a page; a complaint of the browser fails the test."""
    pages, complaints = [], []

    def begin(url: str) -> Page:
        page = browser.new_page(viewport={"width": 1366, "height": 768}, bypass_csp=True)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        pages.append(page)
        page.goto(url)
        return page

    yield begin
    for page in pages:
        page.close()
    assert complaints == []


def wait(page: Page, condition: str, argument: Any = None) -> None:
    page.wait_for_function(condition, arg=argument, timeout=60_000)


@pytest.mark.takes("a process, a browser and some seconds of play")
def test_a_person_plays_without_agent_or_pytorch_and_saves_what_was_played(serve, open_page, tmp_path):
    page = open_page(serve("play", "1-2"))
    wait(page, "view.shown && view.catalog && view.catalog.pad")  # taken from the start
    assert page.locator("#title").inner_text() == "You on 1-2"
    for hidden in (".cards", "#agent", "#protocol", "#checkpoint", "#pad", "#training"):
        assert page.locator(hidden).is_hidden(), hidden
    assert page.locator("#keys").is_visible()
    assert "X\nA: jump, swim" in page.locator("#keys dl").inner_text()
    assert page.locator("#keys").bounding_box()["y"] < 700
    for key, byte in (("ArrowRight", 0x80), ("ArrowDown", 0xA0), ("KeyX", 0xA1), ("KeyZ", 0xA3)):
        page.keyboard.down(key)  # any buttons at once, which no action set has
        wait(page, "byte => view.shown.byte === byte", byte)
    for key in ("ArrowDown", "KeyX"):
        page.keyboard.up(key)
    wait(page, "!by('banner').hidden")  # he runs into the first enemy
    assert page.locator("#banner").inner_text().startswith("DIED at x ")
    wait(page, "view.catalog.tally[1] === 1")
    assert page.locator("#tally").inner_text() == "cleared 0 of 1"
    page.evaluate("ask({do: 'seek', episode: 0, frame: 12})")
    wait(page, "view.shown.episode === 0 && view.shown.frame === 12 && view.catalog.paused")
    frames = page.evaluate("view.shown.frames")
    assert page.locator("#banner").is_hidden()
    page.get_by_role("button", name="Save trajectory").click()
    wait(page, "by('saved').textContent.endsWith('.json')")
    path = Path(page.locator("#saved").inner_text().removeprefix("saved: "))
    assert path.parent == tmp_path / "watched"
    made = read_trajectory(path)
    assert (made.made.by, made.stage, made.ending.end, made.ending.frames) == ("human", "1-2", "death", frames)
    assert replay(made) == made.ending
    page.get_by_role("button", name="Play").click()  # plays on from there, by hand
    wait(page, "view.shown.episode > 0 && view.shown.frame > 12 && view.shown.byte === 0x82")
    resize(page, 390, 844)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#keys").is_visible()


@pytest.mark.takes("a process and a browser")
def test_start_and_select_are_pressed_too(serve, open_page):
    page = open_page(serve("play"))
    wait(page, "view.shown && view.catalog && view.catalog.pad")
    for key, byte in (("Enter", 8), ("ShiftRight", 4)):
        page.keyboard.down(key)
        wait(page, "byte => view.shown.byte === byte", byte)
        page.keyboard.up(key)
    assert page.locator("#controller span[title=start]").is_visible()


@pytest.mark.takes("a process, a browser and some seconds of play")
def test_a_trajectory_is_played_back_scrubbed_and_taken_over_by_hand(serve, open_page, trajectory, tmp_path):
    write_trajectory(tmp_path / "some.json", trajectory)
    page = open_page(serve("watch", "some.json"))
    wait(page, "view.shown && view.catalog")
    assert page.locator("#title").inner_text() == "some.json on 1-1"
    assert page.locator("#card").inner_text() == f"made by {trajectory.made}; it {trajectory.ending}"
    assert page.locator("#agent option").all_inner_texts()[0] == "no agent"
    page.evaluate("ask({do: 'speed', speed: 4})")
    wait(page, "view.shown.frame === 400")
    wait(page, "by('state').textContent === 'nobody is at the pad: P takes it' && !by('state').hidden")
    shot = "by('screen').toDataURL()"
    screens = []
    for _ in range(2):
        page.evaluate("ask({do: 'seek', episode: 0, frame: 150})")
        wait(page, "view.shown.frame === 150 && view.catalog.paused")
        page.wait_for_timeout(200)
        screens.append(page.evaluate(shot))
        page.keyboard.press(".")
        wait(page, "view.shown.frame === 151")
    assert screens[0] == screens[1]
    assert page.evaluate("view.shown.byte") == PRESSED[150]
    page.keyboard.press("p")
    wait(page, "view.catalog.pad")
    assert page.evaluate("view.shown.episode") == 0
    page.keyboard.down("ArrowLeft")
    page.keyboard.press("Space")
    wait(page, "view.shown.episode === 1 && view.shown.frame > 160 && view.shown.byte === 0x40")
    page.get_by_role("button", name="Save trajectory").click()
    wait(page, "by('saved').textContent.endsWith('.json')")
    saved = read_trajectory(Path(page.locator("#saved").inner_text().removeprefix("saved: ")))
    assert saved.buttons[:151] == PRESSED[:151]
    assert set(saved.buttons[151:]) <= {0, 0x40}
    assert saved.made.by == "several"


@pytest.fixture
def game(trained_run: Path, trajectory: Trajectory) -> Iterator[Game]:
    """A game that plays a trajectory, with an agent to choose."""
    game = Game(None, others=[trained_run], recording=trajectory, name="some.json")
    with closing(game):
        game.tell(SetSpeed(do="speed", speed=0.0))
        game.start()
        yield game


def test_an_agent_that_is_chosen_takes_over_at_the_frame_that_is_shown(game):
    wait_for(lambda: game.picture.number > 3)
    game.tell(Seek(do="seek", episode=0, frame=120))
    wait_for(lambda: game.wish.paused and game._frame == 120)
    game.tell(SetAgent(do="agent", index=1))
    wait_for(lambda: game.catalog()["thinks"] and game._frame > 120)
    shown = game.recorded()
    assert shown is not None
    assert shown.number == 1
    assert bytes(shown.buttons[:120]) == PRESSED[:120]
    assert {shown.made.by, *shown.makers} == {"agent", "search"}
    game.tell(Simple(do="play"))
    wait_for(lambda: bool(game.ended))
    assert game.ended[0].number == 1
    assert game.catalog()["tally"] == [0, 0]  # not the agent's alone
    taken = game.recorded(1)
    assert taken is not None
    saved = taken.trajectory()
    assert saved.buttons[:120] == PRESSED[:120]
    assert saved.made.by == "several"


def test_with_an_agent_chosen_play_after_going_back_is_the_agents(game):
    game.tell(SetAgent(do="agent", index=1))
    wait_for(lambda: bool(game.ended))
    game.tell(Seek(do="seek", episode=0, frame=200))
    wait_for(lambda: game.wish.paused and game._frame == 200 and not game.catalog()["thinks"])
    game.tell(Simple(do="play"))
    wait_for(lambda: game.catalog()["thinks"] and game._frame > 200)
    shown = game.recorded()
    assert shown is not None
    assert bytes(shown.buttons[:200]) == PRESSED[:200]


def test_a_recording_that_ended_stands_still_at_its_end_and_play_begins_it_again(trained_run):
    died = make_trajectory("1-1", bytes([RIGHT] * 400), Made(by="human"))
    with closing(Game(None, recording=died, name="died.json")) as game:
        game.tell(SetSpeed(do="speed", speed=0.0))
        game.start()
        wait_for(lambda: game.wish.paused)
        number = game.picture.number
        assert game._frame == died.ending.frames == number
        game.tell(Simple(do="play"))
        wait_for(lambda: game.picture.number > number and game.wish.paused)
        assert [past for past, _ in game.catalog()["past"]] == [0]  # to look at it again is no other episode
        assert game.catalog()["past"][0][1] == f"died.json: DIED at x {died.ending.x}"


def test_what_was_gone_back_to_is_looked_at_with_the_pad_in_hand(trained_run):
    with closing(Game(None)) as game:
        game.tell(SetSpeed(do="speed", speed=0.0))
        game.tell(Pad(do="pad", held=("right",)))
        game.start()
        wait_for(lambda: game._frame > 50)
        game.tell(Seek(do="seek", episode=0, frame=20))
        wait_for(lambda: game.wish.paused and game._frame == 20)
        game.tell(Pad(do="pad", held=("left",)))
        game.tell(Simple(do="step"))
        wait_for(lambda: game._frame == 21)
        shown = game.recorded()
        assert shown is not None
        assert shown.number == 0
        assert set(shown.buttons) == {RIGHT}
        game.tell(Simple(do="play"))
        wait_for(lambda: game._frame > 30)
        branch = game.recorded()
        assert branch is not None
        assert branch.number == 1
        assert bytes(branch.buttons[:30]) == bytes([RIGHT] * 21 + [0x40] * 9)


def test_what_was_pressed_is_shown_frame_by_frame_the_same_on_either_emulator():
    shown = []
    for name in ("native", "nes_py"):
        episode = PadEpisode(EnvConfig(emulator=name), PRESSED[:60])
        frames = episode.play()
        shown.append([next(frames) for _ in range(61)])
        frames.close()
        assert not episode.is_live
        assert episode.waits_for_hand
    for one, other in zip(*shown, strict=True):
        np.testing.assert_array_equal(one.screen, other.screen)
        assert one._replace(screen=0) == other._replace(screen=0)


@pytest.mark.parametrize(
    ("held", "byte"),
    [((), 0), (("right", "B"), 0x82), (("left", "right", "A"), 0x01), (("up", "down", "right"), 0x80), (("start",), 8)],
)
def test_what_is_held_is_the_pads_byte_and_its_cross_tilts_one_way(held, byte):
    assert _pressed(held) == byte


@pytest.mark.takes("a process and a browser")
def test_a_film_is_shown_as_a_video_with_its_caption(serve, open_page, trajectory, tmp_path):
    write_video(tmp_path / "some.mp4", [Recording("1-1", PRESSED[:30], "1-1: <b>DIED</b> at x 300")])
    page = open_page(serve("watch", "some.mp4"))
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=30_000)
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(91 / 60, abs=0.05)
    assert page.locator("figcaption h1").inner_text() == "1-1: <b>DIED</b> at x 300"
    assert page.locator("figcaption").inner_text().endswith("some.mp4")
    for width in (390, 1920):
        resize(page, width, 844)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_film_made_of_a_trajectory_ends_with_what_became_of_it():
    died = make_trajectory("1-1", bytes([RIGHT] * 400), Made(by="human"))
    film = as_recorded(died).film()
    assert film.banner == f"DIED at x {died.ending.x}"
    assert film.caption == f"1-1: DIED at x {died.ending.x}"
    assert bytes(film.buttons) == died.buttons
