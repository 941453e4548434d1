"""`runs.zip`: what goes in comes out, byte by byte, and nothing that `pack` did not write is let onto the disk."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from mario_rl.errors import StorageError, UserError
from mario_rl.runs import packed
from mario_rl.runs.packed import ARCHIVE, pack, packed_runs, unpacked

TABLE = b"episode,agent_steps\n1,120\n"


def write_run(path: Path, *, episodes: bytes = TABLE) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_bytes(b"seed: 1\n")
    (path / "episodes.csv").write_bytes(episodes)
    (path / "curve.png").write_bytes(b"a picture")
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "latest.pt").write_bytes(b"weights")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked_contents(archive: Path) -> dict[str, bytes]:
    with unpacked(archive) as folder:
        return contents(folder)


def test_tables_configs_and_reasons_of_failures_are_packed_and_the_runs_are_left_alone(tmp_path):
    write_run(tmp_path / "runs" / "a" / "seed_0")
    write_run(tmp_path / "b")
    (tmp_path / "runs" / "a" / "seed_1.error").write_bytes(b"no room\n")  # it had made nothing
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "config.yaml").write_bytes(b"seed: 2\n")  # no run
    write_run(tmp_path / ".hidden")
    before = contents(tmp_path)
    archive, runs = pack(tmp_path)
    assert (archive, runs) == (tmp_path / ARCHIVE, 3)
    assert unpacked_contents(archive) == {
        "b/config.yaml": b"seed: 1\n",
        "b/episodes.csv": TABLE,
        "runs/a/seed_0/config.yaml": b"seed: 1\n",
        "runs/a/seed_0/episodes.csv": TABLE,
        "runs/a/seed_1.error": b"no room\n",
    }
    assert packed_runs(archive) == {"b", "runs/a/seed_0", "runs/a/seed_1"}
    after = contents(tmp_path)
    assert after.pop(ARCHIVE)
    assert after == before


def test_the_same_tables_give_the_same_bytes_whenever_they_are_packed(tmp_path):
    run = write_run(tmp_path / "a")
    first = pack(tmp_path)[0].read_bytes()
    os.utime(run / "episodes.csv", (0, 0))
    assert pack(tmp_path)[0].read_bytes() == first


def test_packing_again_takes_what_a_directory_has_now_and_keeps_runs_that_have_none(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name)
    pack(tmp_path)
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "b" / "episodes.csv").write_bytes(TABLE + b"2,240\n")
    (tmp_path / "b" / "config.yaml").unlink()
    assert pack(tmp_path)[1] == 2
    assert unpacked_contents(tmp_path / ARCHIVE) == {
        "a/config.yaml": b"seed: 1\n",
        "a/episodes.csv": TABLE,
        "b/episodes.csv": TABLE + b"2,240\n",
    }


def test_a_run_of_which_only_the_reason_of_a_failure_is_left_stays_in_the_archive(tmp_path):
    run = write_run(tmp_path / "runs" / "a" / "seed_0")
    error = tmp_path / "runs" / "a" / "seed_0.error"
    error.write_bytes(b"no room\n")
    pack(tmp_path)
    shutil.rmtree(run)
    error.write_bytes(b"no room again\n")
    pack(tmp_path)
    assert unpacked_contents(tmp_path / ARCHIVE) == {
        "runs/a/seed_0/config.yaml": b"seed: 1\n",
        "runs/a/seed_0/episodes.csv": TABLE,
        "runs/a/seed_0.error": b"no room again\n",
    }


def test_it_is_a_plain_zip_file_that_any_program_unpacks(tmp_path):
    write_run(tmp_path / "a")
    pack(tmp_path)
    zipfile.main(["-e", str(tmp_path / ARCHIVE), str(tmp_path / "out")])
    assert contents(tmp_path / "out") == {"a/config.yaml": b"seed: 1\n", "a/episodes.csv": TABLE}


def test_a_folder_without_runs_and_a_run_itself_are_refused(tmp_path):
    with pytest.raises(UserError, match="no run directory below it"):
        pack(tmp_path)
    with pytest.raises(UserError, match="a run directory itself"):
        pack(write_run(tmp_path / "a"))


def test_links_are_not_packed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    run = write_run(tmp_path / "runs" / "a")
    (run / "metrics.csv").symlink_to(secret)
    (tmp_path / "runs" / "b").symlink_to(write_run(tmp_path / "elsewhere"))
    assert pack(tmp_path / "runs")[1] == 1
    assert sorted(unpacked_contents(tmp_path / "runs" / ARCHIVE)) == ["a/config.yaml", "a/episodes.csv"]


def test_a_damaged_archive_is_not_overwritten_since_what_it_held_would_be_lost(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / ARCHIVE).write_bytes(b"damaged, but perhaps not beyond repair")
    with pytest.raises(UserError, match=r"runs\.zip: damaged"):
        pack(tmp_path)
    assert (tmp_path / ARCHIVE).read_bytes() == b"damaged, but perhaps not beyond repair"


def test_what_is_more_than_anybody_would_read_back_is_not_written(tmp_path, monkeypatch):
    write_run(tmp_path / "a")
    monkeypatch.setattr(packed, "MOST_FILES", 1)
    with pytest.raises(UserError, match="would hold 2 files and 34 bytes; must be 1 and"):
        pack(tmp_path)
    assert not (tmp_path / ARCHIVE).exists()


# Archives from elsewhere.


def write_archive(path: Path, name: str = "a/episodes.csv", content: bytes = TABLE, **of_part: int) -> Path:
    part = zipfile.ZipInfo(name)
    part.compress_type = of_part.pop("compress_type", zipfile.ZIP_DEFLATED)
    for key, value in of_part.items():
        setattr(part, key, value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(part, content)
    return path


def refusal(archive: Path) -> str:
    """The one line that refuses an archive, from its name on."""
    with pytest.raises(UserError) as caught, unpacked(archive):
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{archive}: ")
    return text.removeprefix(f"{archive}: ")


@pytest.mark.parametrize(
    "name",
    [
        "../episodes.csv",
        "a/../../episodes.csv",
        "/tmp/episodes.csv",
        "a//episodes.csv",
        "./episodes.csv",
        "C:/episodes.csv",
        "a\\..\\b/episodes.csv",
        "a\nb/episodes.csv",
        ".ssh/config.yaml",
        "episodes.csv",
        "a/authorized_keys",
        "a/episodes.csv/config.yaml",
        "a/",
        "a/b/c/d/e/f/g/h/i/episodes.csv",
        f"{'a' * 201}/episodes.csv",
        "a/seed_x.error",
    ],
)
def test_names_that_no_run_has_are_refused_and_nothing_is_written(tmp_path, monkeypatch, name):
    monkeypatch.setattr(packed.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    assert "must be FOLDER/TABLE" in refusal(write_archive(tmp_path / ARCHIVE, name))
    assert {path.name for path in tmp_path.iterdir()} == {ARCHIVE, "temporary"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = write_archive(tmp_path / ARCHIVE, content=b"/etc/passwd", external_attr=(kind | 0o777) << 16)
    assert refusal(archive) == "a/episodes.csv is not a regular file"


@pytest.mark.parametrize("second", ["a/episodes.csv", "A/episodes.csv"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused_also_where_a_disk_would_not_tell_them_apart(tmp_path, second):
    archive = write_archive(tmp_path / ARCHIVE)
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(second, b"other")
    assert refusal(archive) == f"{second} is in it twice"


def test_what_is_compressed_otherwise_is_refused(tmp_path):
    archive = write_archive(tmp_path / ARCHIVE, compress_type=zipfile.ZIP_LZMA)
    assert refusal(archive) == "a/episodes.csv is encrypted, or compressed by another method than deflate"


def test_what_unpacks_to_too_much_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "MOST_UNPACKED_BYTES", 99)
    assert refusal(write_archive(tmp_path / ARCHIVE, content=bytes(100))) == (
        "unpacks to more than 99 bytes, the most that is read"
    )


def test_a_file_that_says_it_is_smaller_than_it_is_gives_no_more_than_it_says(tmp_path):
    archive = write_archive(tmp_path / ARCHIVE, content=bytes(5_000_000))
    content = archive.read_bytes()
    size = (5_000_000).to_bytes(4, "little")
    assert content.count(size) == 2  # before the file, and in the list of files
    archive.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    assert refusal(archive).startswith("damaged, or no zip archive")  # its checksum is another


def test_a_long_list_of_files_is_refused_before_it_is_read(tmp_path, monkeypatch):
    archive = tmp_path / ARCHIVE
    with zipfile.ZipFile(archive, "w") as many:
        for number in range(30):
            many.writestr(f"{number}/episodes.csv", b"")
    monkeypatch.setattr(packed, "MOST_FILES", 20)
    assert refusal(archive) == "lists more than 20 files, the most that is read"
    monkeypatch.setattr(packed, "MOST_INDEX_BYTES", 1000)
    monkeypatch.setattr(packed.zipfile, "ZipFile", None)  # not even looked at
    assert refusal(archive) == "lists more than 20 files, the most that is read"


def test_an_archive_of_a_terabyte_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / ARCHIVE).open("wb") as sparse:
        sparse.truncate(10**12)
    assert refusal(tmp_path / ARCHIVE) == "larger than 200,000,000 bytes, the most that is read"


def test_pipes_empty_files_and_files_of_another_kind_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "not a regular file"
    for content in (b"", b"PK\x05\x06", b"x" * 5000, b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18)):
        (tmp_path / "file").write_bytes(content)
        assert refusal(tmp_path / "file").startswith("damaged, or no zip archive")


@pytest.mark.parametrize("at", range(0, 200, 3))
def test_a_flipped_byte_is_refused_in_a_line_or_lies_where_nothing_is_read(tmp_path, at):
    archive = write_archive(tmp_path / ARCHIVE)
    content = bytearray(archive.read_bytes())
    content[at % len(content)] ^= 0x41
    archive.write_bytes(content)
    try:
        assert unpacked_contents(archive) == {"a/episodes.csv": TABLE}
    except UserError as error:
        assert str(error).isprintable()  # noqa: PT017  # either is right


def test_where_there_is_no_room_to_unpack_that_is_said_and_how_to_name_another_place(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / ARCHIVE)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed.Path, "mkdir", full)
    with pytest.raises(StorageError, match=r"No space left on device.*TMPDIR"), unpacked(archive):
        pass
