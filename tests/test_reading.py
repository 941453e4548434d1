"""Text that anybody may have written: sizes, kinds of files, depth, numbers."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_rl import reading
from mario_rl.files import json_text
from mario_rl.reading import Refused, parse_json, read_lines, read_text, require_bounded


def test_text_is_read_up_to_the_size_allowed_and_not_a_byte_more(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("ä" * 5, encoding="utf-8")
    assert read_text(file, most_bytes=10) == "äääää"
    with pytest.raises(Refused, match="larger than 9 bytes"):
        read_text(file, most_bytes=9)


def test_a_device_that_never_ends_and_a_pipe_that_nobody_writes_to_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(Refused, match="not a regular file"):
            read_text(path, most_bytes=10)


def test_what_is_missing_or_a_folder_is_told_as_python_tells_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none", most_bytes=10)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path, most_bytes=10)


def test_bytes_that_are_no_text_and_paths_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="UTF-8"):
        read_text(file, most_bytes=10)
    with pytest.raises(Refused, match="NUL"):
        read_text(Path("a\0b"), most_bytes=10)


def lines_of(file: Path, *, most_bytes: int = 10**6, most_line_bytes: int = 1000) -> list[str]:
    return [
        line for lines in read_lines(file, most_bytes=most_bytes, most_line_bytes=most_line_bytes) for line in lines
    ]


any_line = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20)


@given(lines=st.lists(any_line, max_size=10), end=st.sampled_from(["\n", "\r\n"]))
def test_lines_come_back_whatever_the_blocks_cut_and_a_line_without_an_end_is_left_out(
    tmp_path_factory, lines: list[str], end: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "lines"
    file.write_bytes("".join(line + end for line in lines).encode() + "torn ä".encode()[:-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", 7)
        assert lines_of(file) == lines


def test_a_line_is_refused_before_more_than_a_block_of_it_is_read_and_a_large_file_before_any(tmp_path: Path) -> None:
    file = tmp_path / "text"
    with file.open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(Refused, match="larger than 1,000,000 bytes"):
        lines_of(file)
    with pytest.raises(Refused, match="a line of it is longer than 1,000 bytes"):
        lines_of(file, most_bytes=10**13)
    file.write_bytes(b"a" * 1000 + b"\n")
    assert len(lines_of(file)[0]) == 1000


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "c": 0, "a": 1}}]'])
def test_a_key_that_stands_twice_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(Refused, match="the key 'a' stands twice"):
        parse_json(text)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[" * 100_000, "9" * 10_000, "{", "", "[1] 2"])
def test_json_that_the_standard_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_json(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_all_plain_values_come_back_from_json(tree: object) -> None:
    assert parse_json(json_text(tree)) == tree


def test_what_is_named_several_times_counts_every_time() -> None:
    tree: list[object] = ["lol"]
    for _ in range(40):  # 2 ** 40 values in a few kilobytes
        tree = [tree, tree]
    with pytest.raises(Refused, match="more than 1,000 values"):
        require_bounded(tree, most_values=1_000, most_depth=100)
    with pytest.raises(Refused, match="nested more than 8 deep"):
        require_bounded(tree, most_values=10**9, most_depth=8)
