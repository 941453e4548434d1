"""Which commit this is."""

from __future__ import annotations

import subprocess

import pytest

from mario_rl import source


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with one commit of a package."""
    monkeypatch.setattr(source, "ROOT", tmp_path)
    (tmp_path / "mario_rl").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "mario_rl" / "code.py").write_text("one = 1\n")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_is_its_commit_and_says_whether_the_package_was_changed_since(checkout):
    commit = source.source_commit()
    assert commit is not None
    assert len(commit) == 40
    (checkout / "notes.txt").write_text("not of the package\n")
    assert source.source_commit() == commit
    (checkout / "mario_rl" / "code.py").write_text("one = 2\n")
    assert source.source_commit() == f"{commit} with uncommitted changes"


def test_where_git_says_nothing_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "ROOT", tmp_path)
    (tmp_path / ".git").write_text("nonsense\n")
    assert source.source_commit() is None


def test_what_was_installed_from_git_is_the_commit_that_was_installed(tmp_path, monkeypatch):
    class Distribution:
        def __init__(self, origin: str | None) -> None:
            self.origin = origin

        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return self.origin

    monkeypatch.setattr(source, "ROOT", tmp_path)
    for origin, commit in (
        ('{"url": "git+file:///x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}', "abc"),
        ('{"url": "file:///x"}', None),
        ("nonsense", None),
        ("[]", None),
        (None, None),
    ):
        monkeypatch.setattr(source, "distribution", lambda name, origin=origin: Distribution(origin))
        assert source.source_commit() == commit
