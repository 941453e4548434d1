"""What a stranger installs: wheel and source archive are built, and the wheel is used from an empty folder.

The environment is a new one that has the wheel and nothing else of ours. What the wheel depends on is lent to it by a
line in a `.pth` file, as PyTorch alone takes 5 GB. `test_a_wheel_installs_what_it_needs_by_itself` (slow) does without.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mario_rl import __version__, shipped

ROOT = Path(__file__).parents[1]
TINY = ["training.agent_steps=64", "training.envs=2", "replay.warmup_steps=40", "replay.capacity=200"]
TINY += ["agent.batch_size=4", "evaluation.every_steps=null"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the source archive, and the wheel that was built from it alone."""
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run([*build, "--target", "sdist"], cwd=ROOT, check=True, capture_output=True)
    (source,) = folder.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    subprocess.run([*build, "--target", "wheel"], cwd=folder / source.name[:-7], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


class Installed:
    """An environment of its own with the wheel in it, and an empty folder to use it from."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.empty = folder / "empty"
        self.empty.mkdir()
        self.scripts = folder / "venv" / "bin"
        venv.create(folder / "venv", symlinks=True)
        paths = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
        self.site = Path(sysconfig.get_path("purelib", "venv", paths))
        install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
        python = str(self.scripts / "python")
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        pip = [sys.executable, "-m", "pip", "--python", python, *install]
        subprocess.run(pip, cwd=self.empty, env=self.environment, check=True)
        (self.site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(self.scripts / "mario-rl"), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.empty, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> str:
        said, complained = (process := self.start(*arguments)).communicate()
        assert process.returncode == 0, complained
        return said


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheel) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def members(wheel: Path) -> list[str]:
    return sorted(zipfile.ZipFile(wheel).namelist())


def metadata(wheel: Path) -> str:
    (name,) = [one for one in members(wheel) if one.endswith("/METADATA")]
    return zipfile.ZipFile(wheel).read(name).decode()


def required(wheel: Path) -> set[str]:
    """Name the distributions that the wheel brings with it, without extras."""
    requirements = [Requirement(one) for one in re.findall(r"^Requires-Dist: (.*)$", metadata(wheel), re.MULTILINE)]
    return {
        canonicalize_name(one.name) for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def test_the_wheel_has_configs_agents_licence_and_types_and_no_rom(wheel):
    names = members(wheel)
    assert "mario_rl/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {f"mario_rl/data/configs/{name}.yaml" for name in shipped.config_names()} <= set(names)
    assert {f"mario_rl/data/configs/studies/{name}.yaml" for name in shipped.study_names()} <= set(names)
    assert {f"mario_rl/data/agents/{name}.pt" for name in shipped.agent_names()} <= set(names)
    assert {f"mario_rl/trajectories/stages/{path.name}" for path in shipped.TRAJECTORIES.iterdir()} <= set(names)
    assert not [name for name in names if name.endswith(".nes") or name.startswith("tests")]
    assert wheel.stat().st_size < 25_000_000


def test_the_wheel_of_the_source_archive_is_that_of_the_checkout(wheel, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (other,) = tmp_path.glob("*.whl")
    theirs, ours = zipfile.ZipFile(other), zipfile.ZipFile(wheel)
    assert members(other) == members(wheel)
    assert [name for name in members(wheel) if theirs.read(name) != ours.read(name)] == []


def test_its_page_on_an_index_says_whose_what_and_which_and_shows_its_pictures(wheel):
    said = metadata(wheel)
    assert f"\nVersion: {__version__}\n" in said
    assert "\nLicense-Expression: MIT\n" in said
    assert "\nClassifier: Programming Language :: Python :: 3.13\n" in said
    (repository,) = re.findall(r"^Project-URL: Repository, (.*)$", said, re.MULTILINE)
    raw = repository.replace("https://github.com/", "https://raw.githubusercontent.com/") + "/main/"
    pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", said)
    links = re.findall(r"(?<!!)\[[^]]*\]\(([^)]*)\)", said)
    assert pictures
    assert links
    assert [one for one in pictures if not (ROOT / one.removeprefix(raw)).is_file() or not one.startswith(raw)] == []
    ours = [one.removeprefix(f"{repository}/blob/main/").split("#")[0] for one in links if repository in one]
    assert [one for one in ours if not (ROOT / one).exists()] == []
    assert [one for one in links if not one.startswith("https://") and not one.startswith("#")] == []


def imports_at_start(path: Path) -> set[str]:
    """Name the packages that a file imports whenever it is imported, not those that a function asks for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [a.name for n in found if isinstance(n, ast.Import) for a in n.names]
    names += [n.module or "" for n in found if isinstance(n, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"mario_rl"}


def test_the_wheel_requires_all_that_its_files_import_and_what_is_required_is_here(wheel):
    found = packages_distributions()
    imported = {name for path in (ROOT / "mario_rl").rglob("*.py") for name in imports_at_start(path)}
    providers = {name: {canonicalize_name(one) for one in found.get(name, [])} for name in imported}
    assert {name for name, those in providers.items() if not those & (required(wheel) | IN_EXTRAS)} == set()
    assert required(wheel) <= {canonicalize_name(one.name) for one in distributions()}


IN_EXTRAS: set[str] = {"ray", "optuna", "huggingface-hub", "wandb"}
"""What files import that no command loads unless its extra is asked for; each says what to install."""


@pytest.mark.takes("an agent of the wheel plays, and a run of it trains")
@pytest.mark.emulator
def test_all_names_work_from_an_empty_folder(installed):
    listed = installed.run("list")
    assert set(shipped.agent_names()) <= set(listed.split())
    assert "runs below .: none" in listed
    assert "n_step: " in installed.run("config", "ddqn_right_only")
    assert "27 runs" in (plan := installed.run("compare", "action_sets", "--dry-run")), plan
    assert "cleared" in installed.run("evaluate", "ddqn_right_only_1-1", "--protocol", "greedy")
    assert list(installed.empty.iterdir()) == []
    installed.run("train", "ddqn_right_only", *TINY, "--run-dir", "run")
    assert (installed.empty / "run" / "checkpoints" / "latest.pt").is_file()
    assert "run" in installed.run("list").split("runs below")[1]


@pytest.mark.takes("a page is served by a process of its own")
@pytest.mark.emulator
def test_watch_without_an_argument_plays_the_best_agent(installed):
    best = shipped.best_agent()
    assert best is not None
    process = installed.start("watch", "--no-browser", "--port", str(free_port()))
    assert process.stdout is not None
    said = process.stdout.readline()
    try:
        (url,) = re.findall(r"http://\S+", said)
        assert "mario_rl" in urllib.request.urlopen(url).read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        complained = process.communicate(timeout=60)[1]
    assert f"taking {best.stem} of the package" in complained


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.takes("an agent is loaded in a process of its own")
@pytest.mark.emulator
def test_three_lines_of_python_play_from_there(installed):
    lines: Sequence[str] = (
        "import mario_rl; agent = mario_rl.load('ddqn_right_only_1-1')",
        "env = agent.env(render_mode='rgb_array'); observation, info = env.reset()",
        "print(mario_rl.__file__, agent.actions[agent.act(observation)])",
    )
    command = [str(installed.scripts / "python"), "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=installed.empty, env=installed.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(installed.site) in done.stdout
    assert "right" in done.stdout


@pytest.mark.slow
def test_a_wheel_installs_what_it_needs_by_itself(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    done = subprocess.run([python, "-m", "mario_rl", "doctor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
