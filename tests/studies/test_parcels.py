"""Run directories that travel: whole, only what changed, and never half in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.runs.directory import RunDir
from mario_rl.studies import parcels
from mario_rl.studies.parcels import Complete, Piece, Receiver, Sender

FIRST, SECOND = "replay/generation_000001.npz", "replay/generation_000002.npz"


def make_run(path: Path) -> RunDir:
    run = RunDir(path)
    for name, content in {
        "config.yaml": b"seed: 1\n",
        "episodes.csv": b"",
        "checkpoints/latest.pt": b"names generation 1",
        FIRST: bytes(range(256)) * 10,
        ".lock": b"",
        "tensorboard/events": b"events",
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return run


def files(run: RunDir) -> dict[str, bytes]:
    return {str(one.relative_to(run.path)): one.read_bytes() for one in run.path.rglob("*") if one.is_file()}


def test_what_is_received_is_what_was_sent_without_locks_and_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "PIECE_BYTES", 1000)  # so that the replay takes three pieces
    run, copy = make_run(tmp_path / "run"), RunDir(tmp_path / "copies" / "run")
    receiver = Receiver(copy)
    sent = list(Sender(run).changes())
    assert [piece.offset for piece in sent if isinstance(piece, Piece) and "replay" in piece.path] == [0, 1000, 2000]
    for parcel in sent:
        receiver.receive(parcel)
    assert files(copy) == {
        name: content for name, content in files(run).items() if name[0] != "." and "tensor" not in name
    }
    assert list(copy.path.parent.iterdir()) == [copy.path]


def test_later_only_what_changed_is_sent_and_what_is_gone_goes(tmp_path):
    run, copy = make_run(tmp_path / "run"), RunDir(tmp_path / "copy")
    sender, receiver = Sender(run), Receiver(copy)
    for parcel in sender.changes():
        receiver.receive(parcel)
    (run.replay / "generation_000001.npz").unlink()
    (run.replay / "generation_000002.npz").write_bytes(b"new")
    run.latest.write_bytes(b"names generation 2")
    changes = list(sender.changes())
    assert [parcel.path for parcel in changes if isinstance(parcel, Piece)] == [
        SECOND,
        "checkpoints/latest.pt",
    ]
    for parcel in changes:
        receiver.receive(parcel)
    assert files(copy).keys() == {
        "config.yaml",
        "episodes.csv",
        "checkpoints/latest.pt",
        SECOND,
    }


def test_the_checkpoint_comes_after_the_replay_it_names_and_the_sign_of_being_done_last(tmp_path):
    run = make_run(tmp_path / "run")
    run.final.write_text("done")
    *_, complete = Sender(run).changes()
    assert isinstance(complete, Complete)
    assert complete.paths == [
        "config.yaml",
        "episodes.csv",
        FIRST,
        "checkpoints/latest.pt",
        "final.csv",
    ]


def test_until_all_has_come_the_directory_is_what_it_was(tmp_path):
    run, copy = make_run(tmp_path / "run"), make_run(tmp_path / "copy")
    before = files(copy)
    run.latest.write_bytes(b"names generation 2")
    *pieces, complete = Sender(run).changes()
    receiver = Receiver(copy)
    for parcel in pieces:
        receiver.receive(parcel)
        assert files(copy) == before
    receiver.discard()  # the node is lost
    receiver.receive(complete)
    assert files(copy)["checkpoints/latest.pt"] == b"names generation 1"


def test_an_empty_file_is_sent_too(tmp_path):
    run = make_run(tmp_path / "run")
    assert Piece("episodes.csv", 0, b"") in list(Sender(run).changes())


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_every_size_arrives_whole(tmp_path, monkeypatch, size):
    monkeypatch.setattr(parcels, "PIECE_BYTES", 1000)
    run, copy = make_run(tmp_path / "run"), RunDir(tmp_path / "copy")
    (run.replay / "generation_000001.npz").write_bytes(b"x" * size)
    receiver = Receiver(copy)
    for parcel in Sender(run).changes():
        receiver.receive(parcel)
    assert len(files(copy)[FIRST]) == size


def test_what_training_did_not_write_stays_where_it_is_and_so_does_what_is_behind_a_link(tmp_path):
    """Not all that the sender lacks is a file of the run."""
    run, copy = make_run(tmp_path / "run"), make_run(tmp_path / "copy")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("generation_000007.npz", "step_000000010.pt"):
        (elsewhere / name).write_bytes(b"mine")
    own = {"notes.txt", "replay/notes.txt", "replay/generation_7.npz", "checkpoints/step_1.pt", "checkpoints/mine.pt"}
    for name in own:
        (copy.path / name).write_bytes(b"mine")
    (copy.path / "checkpoints" / "step_000000010.pt").symlink_to(elsewhere / "step_000000010.pt")
    (copy.path / "checkpoints" / "step_000000020.pt").write_bytes(b"old")
    (run.replay / "generation_000001.npz").unlink()
    receiver = Receiver(copy)
    for parcel in Sender(run).changes():
        receiver.receive(parcel)
    assert own | {"checkpoints/step_000000010.pt"} <= files(copy).keys()
    assert not {"checkpoints/step_000000020.pt", FIRST} & files(copy).keys()
    assert sorted(one.name for one in elsewhere.iterdir()) == ["generation_000007.npz", "step_000000010.pt"]


def test_nothing_is_removed_from_a_folder_that_is_a_link(tmp_path):
    run, copy = make_run(tmp_path / "run"), make_run(tmp_path / "copy")
    elsewhere = tmp_path / "elsewhere"
    copy.replay.rename(elsewhere)
    copy.replay.symlink_to(elsewhere)
    (run.replay / "generation_000001.npz").unlink()
    receiver = Receiver(copy)
    for parcel in Sender(run).changes():
        receiver.receive(parcel)
    assert [one.name for one in elsewhere.iterdir()] == ["generation_000001.npz"]


def test_links_are_not_sent(tmp_path):
    run = make_run(tmp_path / "run")
    (run.path / "secret").symlink_to("/etc/hostname")
    assert not any("secret" in str(parcel) for parcel in Sender(run).changes())
