"""What may import what: a place imports from the floors below its own; places of one floor don't know each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mario_rl

PACKAGE = Path(mario_rl.__file__).parent
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"

FLOORS = [
    {"__version__", "types", "errors", "machine", "streams", "wording", "names", "lazy", "source"},
    {"files", "reading", "seeding", "pixels", "devices", "workers", "extensions"},
    {"compiling", "tensors", "shipped"},
    {"config", "nes"},
    {"runs", "game", "replay"},
    {"envs", "agents"},
    {"evaluation", "report", "trajectories"},
    {"training", "cards", "loaded"},
    {"diagnostics", "explore", "hub"},
    {"studies", "compare", "watch"},
    {"tuning"},
    {"cli", "__main__"},
]
"""From the bottom up. A new place fails these tests until it stands here and in CONTRIBUTING.md."""

TOUCHES_PRIVATE_NAMES = {"envs/nes_py.py"}
NAMED_TUPLES = {"_asdict", "_replace", "_fields", "_make"}  # public all the same

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


def private_names_of_others(source: str) -> list[str]:
    """List the private names that a file uses and does not define: imported, or attributes of what is not itself."""
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_self(node.value)}
    used = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            used += [part for name in [*module, *(one.name for one in node.names)] for part in name.split(".")]
        elif isinstance(node, ast.Attribute) and not is_self(node.value) and node.attr not in own:
            used.append(node.attr)
    return sorted({name for name in used if name.startswith("_") and not name.startswith("__")} - NAMED_TUPLES)


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_of_others_are_left_alone(path):
    used = private_names_of_others(path.read_text(encoding="utf-8"))
    assert bool(used) == (path.relative_to(PACKAGE).as_posix() in TOUCHES_PRIVATE_NAMES), used


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("import torch\ntorch._foreach_add_(a, b)\n", ["_foreach_add_"]),
        ("from torch._dynamo import config\n", ["_dynamo"]),
        ("from mario_rl.envs.rewards import _points\n", ["_points"]),
        ("game.unwrapped._frame_advance(0)\n", ["_frame_advance"]),
        ("class A:\n    def take(self, other):\n        self._x = other._x\n", []),
        ("step._replace(reward=0.0)\nstep.__class__\n", []),
    ],
)
def test_every_way_to_a_private_name_is_seen(source, used):
    assert private_names_of_others(source) == used


def test_the_package_itself_imports_nothing_but_what_imports_later():
    code = "import sys, mario_rl; print(*sorted(name for name in sys.modules if name.startswith('mario_rl')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mario_rl", "mario_rl.lazy"]


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


def routes() -> list[tuple[str, str]]:
    """Every `path.py::Name` of CONTRIBUTING.md."""
    return re.findall(r"`([a-z0-9_/]+\.py)::([A-Za-z0-9_.]+)`", CONTRIBUTING.read_text(encoding="utf-8"))


def defined(tree: ast.AST) -> Iterator[str]:
    """Name what stands at the top of a file or class: functions, classes, what is assigned, and `Class.method`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in defined(node))
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))


def test_contributing_says_where_to_look():
    assert len(routes()) > 30


@pytest.mark.parametrize(("path", "name"), routes())
def test_what_contributing_points_to_is_there(path, name):
    assert name in set(defined(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))))


def test_the_files_contributing_names_are_there():
    named = re.findall(r"`((?:tests|benchmarks|scripts)/[a-z0-9_/]+\.py)`", CONTRIBUTING.read_text(encoding="utf-8"))
    assert sorted(path for path in named if not (CONTRIBUTING.parent / path).is_file()) == []
