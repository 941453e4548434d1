"""The search on the real game: the same by the same seed, whoever plays it and however often it is interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mario_rl.errors import UserError
from mario_rl.explore import search as search_module
from mario_rl.explore import shortening, sitting
from mario_rl.explore.archive import Archive
from mario_rl.explore.directory import ExploreDir, held
from mario_rl.explore.observer import ExploreObserver
from mario_rl.explore.players import Errand
from mario_rl.explore.saved import load_search, save_search
from mario_rl.explore.search import Search, Settings, Tally
from mario_rl.explore.shortening import explore_along
from mario_rl.explore.sitting import Limits

pytestmark = pytest.mark.emulator

LITTLE = Settings("1-1", most_bytes=50_000_000)


@pytest.fixture(autouse=True)
def _small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "WAYS_PER_ROUND", 8)
    monkeypatch.setattr(search_module, "STEPS_PER_WAY", 40)


def searched(settings: Settings, rounds: int, jobs: int = 1) -> Search:
    search = Search(settings, jobs=jobs)
    for _ in range(rounds):
        search.play_round()
    return search


def content(archive: Archive) -> tuple[object, ...]:
    """All that an archive has, to be compared."""
    numbers = [column.tolist() for column in (archive.keys, archive.seen, archive.steps, archive.pieces)]
    return *numbers, archive.states, archive.tree.parents, archive.tree.actions


def test_the_same_seed_finds_the_same_with_any_number_of_jobs():
    first, again, two_jobs = (searched(LITTLE, 4, jobs) for jobs in (1, 1, 2))
    assert len(first.archive) > 50
    assert content(first.archive) == content(again.archive) == content(two_jobs.archive)
    assert first.tally == two_jobs.tally


def test_another_seed_finds_something_else():
    assert content(searched(LITTLE, 2).archive) != content(searched(Settings("1-1", seed=1), 2).archive)


def test_the_way_to_a_cell_leads_to_its_state_byte_for_byte():
    search = searched(LITTLE, 4)
    archive = search.archive
    ways = [archive.tree.way(piece) for piece in archive.pieces.tolist()]
    assert [len(way) for way in ways] == archive.steps.tolist()
    played = search.players.play([Errand(search.start, 0, way, len(way)) for way in ways])
    assert all(np.array_equal(way.machine, archive.state(place)) for place, way in enumerate(played))


def test_cells_are_reached_sooner_as_it_goes_on_and_none_later():
    search = searched(LITTLE, 4)
    before = search.archive.steps.copy()
    for _ in range(6):
        search.play_round()
    after = search.archive.steps[: len(before)]
    assert (after <= before).all()
    assert (after < before).any()


def test_a_search_is_gone_on_with_as_if_it_had_not_been_saved(tmp_path):
    whole, part = searched(LITTLE, 6), searched(LITTLE, 3)
    rom = part.cartridge.sha256
    save_search(tmp_path / "search", part.settings, rom, part.archive, part.tally)
    saved = load_search(tmp_path / "search", len(part.start))
    assert (saved.settings, saved.rom, saved.tally) == (LITTLE, rom, part.tally)
    again = Search(saved.settings, archive=saved.archive, tally=saved.tally)
    for _ in range(3):
        again.play_round()
    assert content(again.archive) == content(whole.archive)


def along(search: Search, rounds: int) -> None:
    """Explore along what the search takes for a clear, for so many rounds at most."""
    left = iter(range(rounds))
    explore_along(search, should_stop=lambda: next(left, None) is None)


def test_exploring_along_a_clear_is_gone_on_with_as_if_it_had_not_been_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(shortening, "MOST_WAYS", 3)
    whole, part = searched(LITTLE, 3), searched(LITTLE, 3)
    farthest = whole.archive.tree.way(int(whole.archive.pieces[whole.archive.steps.argmax()]))
    for search in (whole, part):
        search.tally.clear = farthest  # any way will do
    along(whole, 100)
    along(part, 2)
    assert whole.tally.rounds_along > part.tally.rounds_along == 2
    save_search(tmp_path / "search", part.settings, "0" * 64, part.archive, part.tally)
    saved = load_search(tmp_path / "search", len(part.start))
    again = Search(saved.settings, archive=saved.archive, tally=saved.tally)
    along(again, 100)
    assert content(again.archive) == content(whole.archive)
    assert again.tally == whole.tally


def test_exploring_along_a_clear_begins_at_the_cells_that_it_passes(monkeypatch):
    search = searched(LITTLE, 3)
    archive = search.archive
    farthest = archive.tree.way(int(archive.pieces[archive.steps.argmax()]))
    places = search.adopt(farthest)
    (way,) = search.players.play([Errand(search.start, 0, farthest, len(farthest))])
    assert archive.keys[places].tolist() == list(dict.fromkeys(way.visits[:, 0].tolist()))
    assert (archive.steps[places] <= len(farthest)).all()


def test_at_the_memory_limit_no_new_cells_are_kept_but_shorter_ways_are():
    search = searched(Settings("1-1", most_bytes=60_000), 3)
    assert search.tally.is_full
    cells, steps = len(search.archive), int(search.archive.steps.sum())
    for _ in range(6):
        search.play_round()
    assert len(search.archive) == cells
    assert search.archive.steps.sum() < steps
    assert search.archive.num_bytes < 2 * 60_000


class Interrupting(ExploreObserver):
    """Presses Ctrl-C after some rounds."""

    def __init__(self, rounds: int) -> None:
        self._left = rounds

    def progressed(self, standing: object) -> None:
        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGINT)


def test_what_is_interrupted_ends_as_it_would_have(tmp_path):
    limits = Limits(agent_steps=1_500)
    whole, part = (ExploreDir(tmp_path / name, "1-1") for name in ("whole", "part"))
    assert sitting.begin(whole, LITTLE, limits, jobs=1).end == "limit"
    outcome = sitting.begin(part, LITTLE, limits, jobs=1, observer=Interrupting(2))
    assert (outcome.end, outcome.signal, outcome.files) == ("interrupted", signal.SIGINT, [])
    assert sitting.resume(part.path, limits, jobs=2).end == "limit"
    expected, found = (load_search(one.search, 4_736) for one in (whole, part))
    assert content(found.archive) == content(expected.archive)
    assert found.tally.rounds == expected.tally.rounds > 3
    assert {path.name for path in part.path.iterdir()} == {".lock", "search.archive", "result.json", "archive.png"}


def test_a_directory_is_of_one_search(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists already; name another --out"):
        sitting.begin(ExploreDir(tmp_path / "mine", "1-1"), LITTLE, Limits(agent_steps=1))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_what_a_kill_in_the_first_save_leaves_stands_in_nobodys_way(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".lock").touch()
    partial = tmp_path / "mine" / ".search.archive.123-abcdef01.partial"
    partial.write_bytes(b"half a search")
    outcome = sitting.begin(ExploreDir(tmp_path / "mine", "1-1"), LITTLE, Limits(agent_steps=1), jobs=1)
    assert outcome.end == "limit"
    assert not partial.exists()


def test_one_process_goes_on_with_a_search_and_with_what_was_saved_last(tmp_path, monkeypatch):
    place = ExploreDir(tmp_path / "one", "1-1")
    sitting.begin(place, LITTLE, Limits(agent_steps=1), jobs=1)
    with held(place.path), pytest.raises(UserError, match="one: in use, another process searches there"):
        sitting.resume(place.path, Limits(agent_steps=2), jobs=1)
    load, looked = sitting.load_search, []

    def load_while_another_saves(*arguments: Any) -> Any:
        saved = load(*arguments)
        looked.append(saved)
        if len(looked) == 1:
            os.utime(place.search, (1, 1))
        return saved

    monkeypatch.setattr(sitting, "load_search", load_while_another_saves)
    sitting.resume(place.path, Limits(agent_steps=2), jobs=1)
    assert len(looked) == 2  # what was saved before the lock was held counts
    sitting.resume(place.path, Limits(agent_steps=3), jobs=1)
    assert len(looked) == 3
    with held(place.path):  # and let go at the end
        pass


def test_going_on_where_no_search_was_begun_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="no such file, so no search was begun there"):
        sitting.resume(tmp_path / "nothing", Limits())
    assert not (tmp_path / "nothing").exists()


def test_more_memory_than_there_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sitting, "available_memory_bytes", lambda: 10_000_000)
    with pytest.raises(UserError, match="--memory: 50 MB are more than the 10 MB"):
        sitting.begin(ExploreDir(tmp_path / "new", "1-1"), LITTLE, Limits(agent_steps=1), jobs=1)
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def saved_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    search = Search(LITTLE)
    path = tmp_path_factory.mktemp("saved") / "search.archive"
    save_search(path, search.settings, search.cartridge.sha256, search.archive, Tally(clear=b"\1\2"))
    return path


@pytest.mark.parametrize("place", [0, 20, 60, 300, -1])
def test_a_file_that_was_changed_anywhere_is_refused(saved_file, tmp_path, place):
    changed = bytearray(saved_file.read_bytes())
    changed[place] ^= 1
    (tmp_path / "changed").write_bytes(changed)
    with pytest.raises(UserError, match="changed: "):
        load_search(tmp_path / "changed", 4_736)


@pytest.mark.parametrize("size", [0, 10, 100, 1_000])
def test_a_file_that_was_cut_is_refused(saved_file, tmp_path, size):
    (tmp_path / "cut").write_bytes(saved_file.read_bytes()[:size])
    with pytest.raises(UserError, match="cut: "):
        load_search(tmp_path / "cut", 4_736)


def test_a_state_of_another_size_is_refused_before_it_is_unpacked(saved_file):
    with pytest.raises(UserError, match="a state of another size"):
        load_search(saved_file, 128)


def test_an_action_that_there_is_not_is_refused(tmp_path):
    search = Search(LITTLE)
    save_search(tmp_path / "search", search.settings, "0" * 64, search.archive, Tally(clear=bytes([99])))
    with pytest.raises(UserError, match="an action that there is not"):
        load_search(tmp_path / "search", len(search.start))
