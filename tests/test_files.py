"""Files that are whole or absent, and outputs that are refused before the work."""

import json
import math
from pathlib import Path

import pytest

from mario_rl.errors import StorageError, UserError
from mario_rl.files import json_text, printable, remove_partials, require_writable, staged, write_atomically


def test_the_previous_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a" / "report.json"
    write_atomically(path, lambda partial: partial.write_text("old"))

    def write(partial: Path) -> None:
        partial.write_text("half")
        assert path.read_text() == "old"
        raise OSError(28, "No space left on device")

    with pytest.raises(
        StorageError,
        match=r"report\.json: could not be written \(No space left on device: .* is free there; make room.*\); what",
    ):
        write_atomically(path, write)
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]
    assert path.read_text() == "old"


def test_two_writers_of_one_file_do_not_take_each_others_partial_file(tmp_path, monkeypatch):
    path = tmp_path / "curve.png"

    def write(partial: Path) -> None:
        partial.write_text("first")
        monkeypatch.setattr("os.getpid", lambda: 1)  # another process comes between
        write_atomically(path, lambda other: other.write_text("second"))
        assert path.read_text() == "second"

    write_atomically(path, write)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".latest.pt.123-0123abcd.partial").write_text("behind a link")
    run = tmp_path / "run"
    run.mkdir()
    kept = [".latest.pt.partial", ".lock", "latest.pt", "somebody.partial"]
    for name in (*kept, ".latest.pt.123-0123abcd.partial"):
        (run / name).write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "linked")
    for folder in (run, tmp_path / "not there", tmp_path / "link"):
        remove_partials(folder)
    assert sorted(file.name for file in run.iterdir()) == kept
    assert len(list((tmp_path / "linked").iterdir())) == 1


@pytest.mark.parametrize("path", ["", "file/below.json"])
def test_an_output_that_is_a_folder_or_below_a_file_is_refused(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        require_writable(tmp_path / path)


def test_a_device_is_no_file_to_be_replaced():
    with pytest.raises(UserError, match=r"^/dev/null: can't be written; name a file"):
        require_writable(Path("/dev/null"))


def test_json_has_null_where_a_number_is_not_finite():
    values = {"loss": math.nan, "rates": [1.5, -math.inf, (math.inf, 2)], "name": "nan", "flag": True}
    text = json_text(values)
    assert text == '{"loss":null,"rates":[1.5,null,[null,2]],"name":"nan","flag":true}'
    assert json.loads(json_text(values, indent=1)) == json.loads(text)


def test_files_that_belong_together_are_put_in_place_together_and_in_order(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.json", "b.md", "c.pt")]
    order = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda partial, path: order.append(path) or replace(partial, path))
    with staged(*paths) as partials:
        for partial in partials:
            partial.write_text("new")
        assert not any(path.exists() for path in paths)
    assert order == paths
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_of_files_that_belong_together_none_changes_where_one_cant_be_written(tmp_path, error):
    paths = [tmp_path / "a.json", tmp_path / "b.md"]
    for path in paths:
        path.write_text("old")

    def write_both() -> None:
        with staged(*paths) as (first, second):
            first.write_text("new")
            second.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        write_both()
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert sorted(tmp_path.iterdir()) == paths


def test_an_output_is_checked_and_nothing_is_made_for_it(tmp_path):
    require_writable(tmp_path / "new" / "folder" / "report.json")
    assert list(tmp_path.iterdir()) == []
    write_atomically(tmp_path / "new" / "folder" / "report.json", lambda partial: partial.write_text("{}"))
    assert (tmp_path / "new" / "folder" / "report.json").read_text() == "{}"


@pytest.mark.parametrize("place", ["gone/report.json", f"{'x' * 300}/report.json", f"{'x' * 300}.json"])
def test_an_output_that_no_folder_can_be_made_for_is_refused_too(tmp_path, place):
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="can't be written"):
        require_writable(tmp_path / place)
    with pytest.raises(StorageError, match="could not be written"):
        write_atomically(tmp_path / place, lambda partial: partial.write_text("{}"))


def test_a_file_may_have_as_long_a_name_as_the_disk_allows(tmp_path):
    path = tmp_path / ("é" * 125 + ".json")  # 255 bytes
    write_atomically(path, lambda partial: partial.write_text("{}"))
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_is_written_so_that_any_file_and_terminal_takes_it():
    assert printable("Größe 日本 $x") == "Größe 日本 $x"
    assert printable(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"
    assert printable("two\nlines\x1b[31m\u202e\ud800") == "two\\nlines\\x1b[31m\\u202e\\ud800"
    assert printable(Path("a/b")) == "a/b"


def test_of_a_long_name_both_ends_are_left():
    assert printable("abcdefghij", 10) == "abcdefghij"
    assert printable("abcdefghijk", 6) == "abc…jk"
    assert len(printable("é" * 300, 45)) == 45
