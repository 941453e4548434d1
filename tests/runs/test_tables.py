"""Metrics: what a run's tables hold, what a kill leaves of them, and what resuming drops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mario_rl.errors import GoneError, StorageError, UserError
from mario_rl.runs.directory import RunDir
from mario_rl.runs.metrics import RunMetrics
from mario_rl.runs.packed import ARCHIVE, archives_below, unpacked
from mario_rl.runs.tables import (
    COLUMNS,
    EPISODE_COLUMNS,
    EVALUATION_COLUMNS,
    METRIC_COLUMNS,
    Numbers,
    read_table,
    write_table,
)

EPISODE_HEADER = "episode,agent_steps,seconds,env,stage,return,x,length,clock,end\n"


def episode(agent_steps: int = 120, **changes: Any) -> dict[str, Any]:
    row = dict(zip(EPISODE_COLUMNS, (1, agent_steps, 2.5, 0, "1-1", 231.0, 315, 60, 394, "death"), strict=True))
    return row | changes


def interval(agent_steps: int = 120, **changes: Any) -> dict[str, Any]:
    values = (agent_steps, 30, 2, 2.5, 0.9, 0.25, 1.5, 3.0, 200.0, 50.0, 231.0, 315.0, 0.0)
    return dict(zip(METRIC_COLUMNS, values, strict=True)) | changes


def evaluated(agent_steps: int = 120, **changes: Any) -> dict[str, Any]:
    values = (agent_steps, 2.5, "noop", 7, 0, "1-1", 231.0, 315, 60, 394, "death", 4.5, 5.25, 3.5, 2.75)
    return dict(zip(EVALUATION_COLUMNS, values, strict=True)) | changes


@pytest.fixture
def place(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def test_the_columns_of_the_three_tables_are_fixed(place):
    RunMetrics(place).close()
    assert place.episodes.read_text() == EPISODE_HEADER
    assert place.metrics.read_text() == (
        "agent_steps,updates,episodes,seconds,epsilon,loss,mean_q,gradient_norm,steps_per_second,updates_per_second,"
        "mean_return,mean_x,clear_rate\n"
    )
    assert place.evaluation.read_text() == (
        "agent_steps,seconds,protocol,seed,episode,stage,return,x,length,clock,end,q_first,discounted_return,q_visited,"
        "return_visited\n"
    )


def test_a_row_is_in_its_file_as_soon_as_it_is_written(place):
    metrics = RunMetrics(place)
    metrics.episode(episode())
    assert place.episodes.read_text() == EPISODE_HEADER + "1,120,2.5,0,1-1,231.0,315,60,394,death\n"


def test_the_order_of_a_rows_keys_does_not_matter(place):
    metrics = RunMetrics(place)
    metrics.episode(dict(reversed(episode().items())))
    assert place.episodes.read_text().endswith("1,120,2.5,0,1-1,231.0,315,60,394,death\n")


def test_a_value_that_is_missing_is_an_empty_field_and_reads_back_as_nan(place):
    metrics = RunMetrics(place)
    metrics.interval(interval(loss=None))
    assert ",0.9,,1.5," in place.metrics.read_text()
    assert np.isnan(read_table(place.metrics, METRIC_COLUMNS)["loss"]).tolist() == [True]
    metrics.close()


@given(value=st.floats(-1e100, 1e100), size=st.sampled_from([float, np.float64]))
def test_what_was_learned_reads_back_to_seven_digits(tmp_path_factory, value, size):
    place = RunDir(tmp_path_factory.getbasetemp() / "floats")
    metrics = RunMetrics(place)
    metrics.interval(interval(loss=size(value)))
    metrics.close()
    (read,) = read_table(place.metrics, METRIC_COLUMNS)["loss"].tolist()
    assert read == pytest.approx(value, rel=5e-7, abs=5e-324)
    assert len(f"{read!r}".split("e")[0].lstrip("-0.").replace(".", "").rstrip("0")) <= 7


@given(value=st.floats(0, 1e12))
def test_seconds_read_back_to_the_millisecond(tmp_path_factory, value):
    place = RunDir(tmp_path_factory.getbasetemp() / "seconds")
    metrics = RunMetrics(place)
    metrics.episode(episode(seconds=value))
    metrics.close()
    assert read_table(place.episodes, EPISODE_COLUMNS)["seconds"].tolist() == [round(value, 3)]


@given(value=st.floats(-1e12, 1e12))
def test_a_return_reads_back_as_it_was_written(tmp_path_factory, value):
    place = RunDir(tmp_path_factory.getbasetemp() / "returns")
    metrics = RunMetrics(place)
    metrics.episode(episode(**{"return": value}))
    metrics.close()
    assert read_table(place.episodes, EPISODE_COLUMNS)["return"].tolist() == [value]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf"), np.float32("nan")])
def test_what_is_no_number_is_written_as_no_value(place, value):
    metrics = RunMetrics(place)
    metrics.evaluation([evaluated(q_first=value)])
    metrics.close()
    assert np.isnan(read_table(place.evaluation, EVALUATION_COLUMNS)["q_first"]).tolist() == [True]
    write_table(place.final, EVALUATION_COLUMNS, [evaluated(q_visited=value)])
    assert np.isnan(read_table(place.final, EVALUATION_COLUMNS)["q_visited"]).tolist() == [True]


@pytest.mark.parametrize(
    ("method", "row", "file"),
    [("episode", episode(), "episodes.csv"), ("interval", interval(), "metrics.csv")],
)
def test_a_row_with_other_columns_is_refused_by_name_and_not_written(place, method, row, file):
    metrics = RunMetrics(place)
    del row["agent_steps"]
    with pytest.raises(ValueError, match=rf"{file}: missing \['agent_steps'\], unknown \['steps'\]"):
        getattr(metrics, method)(row | {"steps": 120})
    assert len((place.path / file).read_text().splitlines()) == 1


def test_an_evaluation_with_one_bad_row_is_refused_whole(place):
    metrics = RunMetrics(place)
    with pytest.raises(ValueError, match=r"evaluation.csv: missing \[\], unknown \['extra'\]"):
        metrics.evaluation([evaluated(), evaluated(extra=1)])
    assert len(place.evaluation.read_text().splitlines()) == 1


def test_a_table_reads_as_numbers_and_words(place):
    metrics = RunMetrics(place)
    metrics.evaluation([evaluated(end="clear", x=3161), evaluated(end="stall", x=722)])
    table = read_table(place.evaluation, EVALUATION_COLUMNS)
    assert tuple(table) == EVALUATION_COLUMNS
    assert table["x"].tolist() == [3161.0, 722.0]
    assert table["end"].tolist() == ["clear", "stall"]
    assert table["stage"].tolist() == ["1-1", "1-1"]
    assert table["x"].dtype == np.float64


@pytest.mark.parametrize("content", [None, "", "episode,agent_st", EPISODE_HEADER, EPISODE_HEADER + "1,120,2"])
def test_a_table_without_a_complete_row_reads_as_empty_columns(tmp_path, content):
    path = tmp_path / "episodes.csv"
    if content is not None:
        path.write_text(content)
    table = read_table(path, EPISODE_COLUMNS)
    assert {name: len(column) for name, column in table.items()} == dict.fromkeys(EPISODE_COLUMNS, 0)


@given(data=st.data())
def test_a_table_torn_anywhere_reads_as_the_rows_before_the_tear(tmp_path_factory, data):
    rows = [f"{n},{n * 100},{n}.5,0,1-1,231.0,315,60,394,death\n" for n in range(1, 4)]
    whole = EPISODE_HEADER + "".join(rows)
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("torn") / "episodes.csv"
    path.write_text(whole[:cut])
    complete = max(whole[:cut].count("\n") - 1, 0)
    assert read_table(path, EPISODE_COLUMNS)["episode"].tolist() == [1.0, 2.0, 3.0][:complete]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step,reward\n1,2\n", "first line must be episode,agent_steps,"),
        (EPISODE_HEADER + "1,120\n", "line 2 has 2 fields; must have 10"),
        (EPISODE_HEADER + "\n", "line 2 has 1 field; must have 10"),
        (EPISODE_HEADER + "1" * 200_000 + "\n", "a line of it is longer than 64,000 bytes"),
        (EPISODE_HEADER + "\0" * 10 + "\n", "line 2 has 1 field; must have 10"),
        (EPISODE_HEADER + '"1,120,2.5,0,1-1,231.0,315,60,394,death\n', "line 2, column episode: '\"1' is not allowed"),
        (
            EPISODE_HEADER + "".join(f"{n},{steps},2.5,0,1-1,2.0,3,60,394,death\n" for n, steps in ((1, 80), (2, 79))),
            "line 3, column agent_steps: 79 is not allowed; must be at least 80, which is in the line before",
        ),
    ],
)
def test_a_foreign_table_gets_one_line_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "episodes.csv"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_table(path, EPISODE_COLUMNS)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("episode", "-1", "a whole number from 0 to 1e15"),
        ("agent_steps", "120.5", "a whole number from 0 to 1e15"),
        ("agent_steps", "", "a whole number from 0 to 1e15"),
        ("agent_steps", "9" * 10_000, "a whole number from 0 to 1e15"),
        ("seconds", "nan", "a number from 0 to 1e12"),
        ("seconds", "inf", "a number from 0 to 1e12"),
        ("env", "two", "a whole number from 0 to 1e15"),
        ("stage", "nowhere", "a stage such as 1-1"),
        ("stage", "1-1" * 10_000, "a stage such as 1-1"),
        ("return", "1e308", "a number from -1e12 to 1e12"),
        ("return", "", "a number from -1e12 to 1e12"),
        ("x", "65536", "a whole number from 0 to 65535"),
        ("length", "-60", "a whole number from 0 to 1e15"),
        ("clock", "\x1b[2J", "a whole number from 0 to 1e15"),
        ("end", "victory", "one of clear, death, stall, limit, warp"),
    ],
)
def test_a_value_out_of_range_is_named_by_line_column_and_what_is_allowed(tmp_path, column, value, allowed):
    path = tmp_path / "episodes.csv"
    rows = [",".join(map(str, (episode() | {column: one}).values())) for one in (episode()[column], value)]
    path.write_text(EPISODE_HEADER + "".join(f"{row}\n" for row in rows))
    with pytest.raises(UserError) as caught:
        read_table(path, EPISODE_COLUMNS)
    message = str(caught.value)
    assert message.startswith(f"{path}: line 3, column {column}: ")
    assert message.endswith(f" is not allowed; must be {allowed}")
    assert message.isprintable()
    assert len(message) < len(str(path)) + 150


def test_a_table_too_large_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "episodes.csv").open("wb") as sparse:
        sparse.truncate(10**12)
    with pytest.raises(UserError, match=r"larger than 1,000,000,000 bytes, the most that is read"):
        read_table(tmp_path / "episodes.csv", EPISODE_COLUMNS)


def test_a_table_that_went_through_windows_is_read(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_bytes((EPISODE_HEADER + "1,120,2.5,0,1-1,231.0,315,60,394,death\n").replace("\n", "\r\n").encode())
    assert read_table(path, EPISODE_COLUMNS)["end"].tolist() == ["death"]


DOCUMENTS = Path(__file__).parents[2] / "docs"
REAL = DOCUMENTS / "results" / ARCHIVE
REAL_TABLES = {"episodes": EPISODE_COLUMNS, "metrics": METRIC_COLUMNS, "evaluation": EVALUATION_COLUMNS}


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """A table with a field retyped, bytes flipped, a part cut out or put elsewhere, or its end lost; several times."""
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        kind = draw(st.sampled_from(["retype", "flip", "cut", "splice", "truncate"]))
        if kind == "retype":
            fields = content.split(b",")
            odd = [
                "",
                "nan",
                "-inf",
                "1e308",
                "9" * 5000,
                "-1",
                "0.5",
                '"',
                "'",
                "\n",
                "\0",
                "٣",
                "1_0",
                " 1",
                "true",
                "1-1",
            ]
            fields[draw(st.integers(0, len(fields) - 1))] = draw(st.sampled_from(odd) | st.text(max_size=5)).encode()
            content = b",".join(fields)
        elif kind == "flip":
            at = min(start, len(content) - 1)
            content = content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:start] + content[end:]
        elif kind == "splice":
            part, at = content[start : start + 300], draw(st.integers(0, len(content)))
            content = content[:at] + part + content[at:]
        else:
            content = content[:end]
        content = content or b"?"
    return content


def all_in_range(table: dict[str, Any]) -> bool:
    """Whether every value of a table is one that its column may hold."""
    for name, values in table.items():
        kind = COLUMNS[name]
        if isinstance(kind, Numbers):
            there = values[~np.isnan(values)] if kind.optional else values
            fits = (there >= kind.least) & (there <= kind.most) & (not kind.whole or there == np.round(there))
            falls = kind.rising and np.any(np.diff(values) < 0)
            if not fits.all() or falls:
                return False
        elif not all(kind.pattern.fullmatch(word) for word in values):
            return False
    return len({len(values) for values in table.values()}) == 1


@pytest.fixture(scope="module")
def real_run() -> Iterator[Path]:
    """The directory of a run whose agent is shipped."""
    with unpacked(REAL) as runs:
        yield runs / "ddqn_right_only_1-1_seed_0"


@pytest.mark.parametrize("name", REAL_TABLES)
@given(data=st.data())
def test_a_damaged_table_is_read_with_all_its_values_in_range_or_refused_by_one_line(
    tmp_path_factory, real_run, name, data
):
    whole = (real_run / f"{name}.csv").read_bytes()
    path = tmp_path_factory.getbasetemp() / f"{name}.csv"
    path.write_bytes(data.draw(damaged(b"".join(whole.splitlines(keepends=True)[:40]))))
    try:
        table = read_table(path, REAL_TABLES[name])
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017  # either is right
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
    else:
        assert all_in_range(table)


@pytest.mark.parametrize("archive", archives_below(DOCUMENTS), ids=lambda path: path.parent.name)
def test_every_table_of_every_run_in_the_documents_is_read(archive):
    with unpacked(archive) as runs:
        paths = [path for path in runs.rglob("*.csv") if path.stem != "snapshots"]
        assert len(paths) > 3
        for path in paths:
            columns = REAL_TABLES["evaluation" if path.stem == "final" else path.stem]
            assert len(read_table(path, columns)["agent_steps"]) == len(path.read_text().splitlines()) - 1


def test_bytes_that_are_no_text_get_one_line_that_names_the_file(tmp_path):
    (tmp_path / "episodes.csv").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(UserError, match=r"episodes\.csv: can't be read as a table"):
        read_table(tmp_path / "episodes.csv", EPISODE_COLUMNS)


def test_resuming_keeps_the_rows_up_to_the_checkpoint_and_drops_those_past_it_and_evaluations_past_the_last_it_knows(
    place,
):
    before = RunMetrics(place)
    for agent_steps in (80, 160, 168, 240):
        before.episode(episode(agent_steps, seconds=agent_steps / 3))
        before.interval(interval(agent_steps))
        before.evaluation([evaluated(agent_steps), evaluated(agent_steps)])
    before.close()
    text = place.episodes.read_text()
    after = RunMetrics(place, resume_at=160, evaluated_at=80)
    assert place.episodes.read_text() == text[: text.index("1,168")]
    after.episode(episode(200))
    after.interval(interval(200))
    after.evaluation([evaluated(200)])
    after.close()
    assert read_table(place.episodes, EPISODE_COLUMNS)["agent_steps"].tolist() == [80, 160, 200]
    assert read_table(place.metrics, METRIC_COLUMNS)["agent_steps"].tolist() == [80, 160, 200]
    assert read_table(place.evaluation, EVALUATION_COLUMNS)["agent_steps"].tolist() == [80, 80, 200]
    assert {path.name for path in place.path.iterdir()} == {"episodes.csv", "metrics.csv", "evaluation.csv"}


def test_resuming_drops_a_torn_last_line_even_of_an_episode_before_the_checkpoint(place):
    metrics = RunMetrics(place)
    metrics.episode(episode(80))
    metrics.close()
    with place.episodes.open("a") as file:
        file.write("2,100,3.5,0,1-1,23")
    after = RunMetrics(place, resume_at=160)
    after.episode(episode(168, episode=2))
    after.close()
    assert read_table(place.episodes, EPISODE_COLUMNS)["agent_steps"].tolist() == [80, 168]


def test_resuming_at_the_start_leaves_no_rows(place):
    metrics = RunMetrics(place)
    metrics.episode(episode(8))
    metrics.close()
    RunMetrics(place, resume_at=0).close()
    assert place.episodes.read_text() == EPISODE_HEADER


def test_resuming_on_a_foreign_table_is_refused_and_leaves_it_alone(place):
    place.path.mkdir()
    place.episodes.write_text("step,reward\n1,2\n")
    with pytest.raises(UserError, match=r"episodes\.csv: not the expected table"):
        RunMetrics(place, resume_at=10)
    assert place.episodes.read_text() == "step,reward\n1,2\n"


@pytest.mark.parametrize("end", ["victory", ""])
def test_resuming_on_a_damaged_table_is_refused_and_leaves_all_of_them_alone(place, end):
    before = RunMetrics(place)
    for agent_steps in (80, 160):
        before.episode(episode(agent_steps))
        before.evaluation([evaluated(agent_steps, end=end if agent_steps == 80 else "clear")])
    before.close()
    contents = [path.read_bytes() for path in (place.episodes, place.metrics, place.evaluation)]
    with pytest.raises(
        UserError, match=r"evaluation\.csv: line 2, column end: '.*' is not allowed; must be one of clear,"
    ):
        RunMetrics(place, resume_at=100, evaluated_at=100)
    assert [path.read_bytes() for path in (place.episodes, place.metrics, place.evaluation)] == contents


def test_resuming_is_not_kept_by_what_it_drops_anyway(place):
    before = RunMetrics(place)
    before.evaluation([evaluated(80), evaluated(160, end="damaged")])
    before.close()
    RunMetrics(place, resume_at=100, evaluated_at=100).close()
    assert read_table(place.evaluation, EVALUATION_COLUMNS)["agent_steps"].tolist() == [80]


def test_agent_steps_that_fall_are_refused_rather_than_lines_dropped(place):
    before = RunMetrics(place)
    for agent_steps in (80, 9160, 240):
        before.episode(episode(agent_steps))
    before.close()
    with pytest.raises(UserError, match="line 4, column agent_steps: 240 is not allowed; must be at least 9160"):
        RunMetrics(place, resume_at=240)
    assert len(place.episodes.read_text().splitlines()) == 4


def test_tables_of_many_blocks_are_read_and_gone_on_with_as_those_of_one(place, monkeypatch):
    before = RunMetrics(place)
    for agent_steps in range(0, 3000, 10):
        before.episode(episode(agent_steps))
    before.close()
    monkeypatch.setattr("mario_rl.reading.BLOCK_BYTES", 100)
    assert read_table(place.episodes, EPISODE_COLUMNS)["agent_steps"].tolist() == list(range(0, 3000, 10))
    RunMetrics(place, resume_at=1005).close()
    assert read_table(place.episodes, EPISODE_COLUMNS)["agent_steps"].tolist() == list(range(0, 1010, 10))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_clear_line_and_closing_still_works(place, monkeypatch):
    metrics = RunMetrics(place)
    place.episodes.unlink()
    place.episodes.symlink_to("/dev/full")
    with place.episodes.open("ab", buffering=0) as full:
        monkeypatch.setattr(metrics._episodes, "_file", full)
        with pytest.raises(StorageError, match=r"episodes\.csv: could not be written \(No space left on device\)"):
            metrics.episode(episode())
        metrics.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_table_that_is_not_in_its_place_any_more_is_missed_at_the_next_row(place, replaced):
    metrics = RunMetrics(place)
    metrics.episode(episode())
    place.episodes.unlink()
    if replaced:
        place.episodes.write_text("somebody else's\n")
    with pytest.raises(GoneError, match=r"episodes\.csv: deleted, moved or replaced while training wrote to it"):
        metrics.episode(episode())
    assert place.episodes.exists() == replaced
    metrics.close()


def test_closing_twice_is_fine(place):
    metrics = RunMetrics(place)
    metrics.close()
    metrics.close()


def test_a_table_from_before_a_column_was_added_is_read_as_without_values_there(tmp_path):
    path = tmp_path / "evaluation.csv"
    older = EVALUATION_COLUMNS[:-2]
    path.write_text(
        ",".join(older)
        + "\n"
        + ",".join(["1", "2", "noop", "3", "0", "1-1", "5", "6", "7", "8", "clear", "9", "10"])
        + "\n"
    )
    table = read_table(path, EVALUATION_COLUMNS)
    assert table["discounted_return"].tolist() == [10.0]
    assert np.isnan(table["q_visited"]).all()
    assert table.keys() == set(EVALUATION_COLUMNS)
    path.write_text(",".join(EVALUATION_COLUMNS[:-3]) + "\n")
    with pytest.raises(UserError, match="not the expected table"):
        read_table(path, EVALUATION_COLUMNS)
