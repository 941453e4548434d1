"""Classes that a config names: found where they are, and refused in one line where they are not what they must be."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from mario_rl.config import load_config
from mario_rl.errors import ConfigError, FailedError, UserError
from mario_rl.extensions import blamed, find_class, is_class_path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, from which modules can be imported; nothing of it stays known afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def find(name: str) -> type[dict]:
    return find_class(name, dict, key="a.key", base_name="dict")


@pytest.mark.parametrize("name", ["a:B", "my_module:Thing", "package.part.module:_Name1"])
def test_a_class_is_named_by_module_and_name(name):
    assert is_class_path(name)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a:",
        ":B",
        "a.:B",
        ".a:B",
        "a:B.C",
        "a:B()",
        "a b:C",
        "os; x:C",
        "1a:B",
        "ä:B",
        "a:B\n",
        "a" * 200 + ":B",
        3,
    ],
)
def test_what_is_no_name_of_a_class_is_none(name):
    assert not is_class_path(name)


def test_a_module_in_the_current_folder_is_found_and_an_installed_one_is_preferred(here):
    (here / "own_mapping.py").write_text("class Own(dict): pass\n")
    (here / "json.py").write_text("raise RuntimeError('the wrong one')\n")
    assert find("own_mapping:Own").__name__ == "Own"
    assert find("collections:OrderedDict").__name__ == "OrderedDict"
    with pytest.raises(ConfigError, match=r"a\.key: json:JSONDecoder: is not allowed"):
        find("json:JSONDecoder")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere_at_all:Own", "there is no module nowhere_at_all; it must be installed, or be in the current folder"),
        ("package_here.nowhere:Own", "there is no module package_here.nowhere; it must be"),
        ("own_here:Missing", "module own_here has no Missing"),
        ("own_here:VALUE", "is not allowed; must be a class whose base is dict"),
        ("own_here:Other", "is not allowed; must be a class whose base is dict"),
        (
            "failing_here:Own",
            "its module can't be imported (ZeroDivisionError: division by zero; failing_here.py, line 2)",
        ),
        ("needing_here:Own", "its module can't be imported (ModuleNotFoundError: No module named 'not_installed_here'"),
        ("broken_here:Own", "its module can't be imported (SyntaxError: "),
    ],
)
def test_what_can_not_be_used_is_one_line_that_names_the_key(here, name, says):
    (here / "package_here").mkdir()
    (here / "own_here.py").write_text("VALUE = 3\nclass Own(dict): pass\nclass Other: pass\n")
    (here / "failing_here.py").write_text("class Own(dict): pass\n1 / 0\n")
    (here / "needing_here.py").write_text("import not_installed_here\n")
    (here / "broken_here.py").write_text("class Own(dict:\n")
    with pytest.raises(ConfigError) as error:
        find(name)
    assert str(error.value).startswith(f"a.key: {name}: {says}")
    assert "\n" not in str(error.value)


def test_what_somebody_elses_code_raises_is_one_line_with_its_place(here, monkeypatch):
    (here / "failing_later.py").write_text("def fail():\n    return {}['x']\n")
    monkeypatch.syspath_prepend(here)
    fail = importlib.import_module("failing_later").fail
    with pytest.raises(FailedError) as error, blamed("a.key", "failing_later:Own", "fail"):
        fail()
    assert str(error.value) == "a.key: failing_later:Own: failed in fail (KeyError: 'x'; failing_later.py, line 2)"


def test_an_error_that_is_one_line_already_passes():
    with pytest.raises(UserError, match=r"^as it was$"), blamed("a.key", "a:B", "fail"):
        raise UserError("as it was")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("env.reward=coins", "must be one of classic, shaped, or a class of your own, package.module:Name"),
        ("env.reward=a:b:c", "must be one of classic, shaped, or a class of your own, package.module:Name"),
        ("env.wrappers=[Own]", "must be a list of up to 20 classes, each package.module:Name"),
        ("env.wrappers=a:B", "must be a list of up to 20 classes, each package.module:Name"),
        ("network.body=Own", "must be the name of a class, package.module:Name or null"),
        ("training.observers=[1]", "must be a list of up to 20 classes, each package.module:Name"),
        ("logging.trackers=[mlflow]", "must be a list of tensorboard and wandb, each at most once; \\[\\] for none"),
        ("logging.trackers=[wandb, wandb]", "must be a list of tensorboard and wandb, each at most once"),
        ("logging.tensorboard=yes", "tensorboard: is now trackers, a list"),
    ],
)
def test_a_name_is_checked_when_the_config_is_read_and_nothing_is_imported(small_run_file, setting, says):
    with pytest.raises(ConfigError, match=says):
        load_config(small_run_file, [setting])


def test_reading_a_config_imports_nothing_that_it_names(here, small_run_file):
    (here / "own_unread.py").write_text("raise RuntimeError\n")
    config = load_config(
        small_run_file,
        ["env.reward=own_unread:A", "env.wrappers=[own_unread:B]", "network.body=own_unread:C"],
    )
    assert (config.env.reward, config.env.wrappers, config.network.body) == (
        "own_unread:A",
        ("own_unread:B",),
        "own_unread:C",
    )
    assert "own_unread" not in sys.modules


@pytest.mark.parametrize(("written", "trackers"), [("true", ("tensorboard",)), ("false", ())])
def test_a_config_of_before_there_were_trackers_reads_as_it_was_meant(tmp_path, written, trackers):
    path = tmp_path / "older.yaml"
    path.write_text(f"logging: {{tensorboard: {written}}}\n")
    assert load_config(path).logging.trackers == trackers


@pytest.mark.takes("starts Python, which imports the package")
def test_the_base_classes_are_names_of_the_package():
    code = "import mario_rl; print(mario_rl.Reward.__module__, mario_rl.Observer.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mario_rl.envs.own", "mario_rl.training.observer"]
