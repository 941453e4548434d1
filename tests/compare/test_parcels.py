"""Run directories that travel: whole, only what changed, and never half in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.compare import parcels
from mario_rl.compare.parcels import Complete, Piece, Receiver, Sender
from mario_rl.runs.directory import RunDir


def make_run(path: Path) -> RunDir:
    run = RunDir(path)
    for name, content in {
        "config.yaml": b"seed: 1\n",
        "episodes.csv": b"",
        "checkpoints/latest.pt": b"names generation 1",
        "replay/1.npz": bytes(range(256)) * 10,
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
    (run.replay / "1.npz").unlink()
    (run.replay / "2.npz").write_bytes(b"new")
    run.latest.write_bytes(b"names generation 2")
    changes = list(sender.changes())
    assert [parcel.path for parcel in changes if isinstance(parcel, Piece)] == ["replay/2.npz", "checkpoints/latest.pt"]
    for parcel in changes:
        receiver.receive(parcel)
    assert files(copy).keys() == {"config.yaml", "episodes.csv", "checkpoints/latest.pt", "replay/2.npz"}


def test_the_checkpoint_comes_after_the_replay_it_names_and_the_sign_of_being_done_last(tmp_path):
    run = make_run(tmp_path / "run")
    run.final.write_text("done")
    *_, complete = Sender(run).changes()
    assert isinstance(complete, Complete)
    assert complete.paths == ["config.yaml", "episodes.csv", "replay/1.npz", "checkpoints/latest.pt", "final.csv"]


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
    (run.replay / "1.npz").write_bytes(b"x" * size)
    receiver = Receiver(copy)
    for parcel in Sender(run).changes():
        receiver.receive(parcel)
    assert len(files(copy)["replay/1.npz"]) == size
