"""Which commit of the project this is."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 10.0  # that git may take
CHANGED = " with uncommitted changes"


def source_commit() -> str | None:
    """Name the commit that the running code is of: its 40 digits, and that the package was changed since.

    None where nothing tells: neither a git checkout nor installed from one.
    """
    if not (ROOT / ".git").exists():
        return _installed_commit()
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + (CHANGED if _git("status", "--porcelain", "--", "mario_rl", "configs") else "")


def _git(*arguments: str) -> str | None:
    """What git says of the checkout; None where it says nothing, because it isn't there or refuses."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=SECONDS
        ).stdout.strip()
    return None


def _installed_commit() -> str | None:
    """The commit that pip installed from, where it did from a git repository (PEP 610)."""
    with suppress(PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        origin = json.loads(distribution("mario-rl").read_text("direct_url.json") or "{}")
        return str(origin["vcs_info"]["commit_id"])
    return None
