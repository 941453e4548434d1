"""The page of promises names tests that there are, and every module of this folder."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(tests/[^`]*)`", PAGE))
    assert named
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_campaign_is_named_by_the_page():
    campaigns = {f"tests/hostile/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert sorted(path for path in campaigns - {f"tests/hostile/{Path(__file__).name}"} if path not in PAGE) == []
