"""What may import what: a place imports from the floors below its own; places of one floor don't know each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mario_rl

PACKAGE = Path(mario_rl.__file__).parent
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"

FLOORS = [
    {"__version__", "types", "errors", "machine", "streams", "wording", "lazy"},
    {"files", "seeding", "pixels", "devices"},
    {"compiling", "tensors"},
    {"config", "nes", "runs"},
    {"game", "replay"},
    {"envs", "agents"},
    {"evaluation", "report"},
    {"training", "cards"},
    {"diagnostics", "terminal"},
    {"compare", "watch"},
    {"cli", "__main__"},
]
"""From the bottom up. A new place fails these tests until it stands here and in CONTRIBUTING.md."""

FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def imported_parts(source: str) -> set[str]:
    """Name the places of mario_rl that a file imports, anywhere in it."""
    parts = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "mario_rl" else [module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("mario_rl.")}
    return parts


def owner(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def upward(name: str, imported: set[str]) -> list[str]:
    """List what a place imports from its own floor or from above."""
    return sorted(part for part in imported - {name} if FLOOR[part] >= FLOOR[name])


FILES = sorted(path for path in PACKAGE.rglob("*.py") if owner(path) != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    name = owner(path)
    if name == "__main__":  # the last line of all: it only calls cli
        assert imported_parts(path.read_text(encoding="utf-8")) == {"cli"}
    else:
        assert upward(name, imported_parts(path.read_text(encoding="utf-8"))) == []


def test_the_package_itself_imports_nothing():
    assert imported_parts((PACKAGE / "__init__.py").read_text(encoding="utf-8")) == set()


def test_every_way_of_importing_is_seen():
    source = (
        "import mario_rl.envs.factory\n"
        "from mario_rl import replay, __version__\n"
        "from mario_rl.agents.losses import huber_loss\n"
        "def later():\n    from mario_rl.training import loop\n"
        "import numpy\nimport mario_rl\n"
    )
    assert imported_parts(source) == {"envs", "replay", "__version__", "agents", "training"}


@pytest.mark.parametrize(("name", "imported"), [("envs", "agents"), ("game", "replay"), ("types", "config")])
def test_an_import_from_above_or_from_the_same_floor_is_refused(name, imported):
    assert upward(name, {imported, "types"} - {name}) == [imported]


def test_contributing_lists_every_place():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    parts = {owner(path) for path in FILES} - {"__main__"}
    assert sorted(part for part in parts if f"`{part}.py`" not in text and f"`{part}/`" not in text) == []
