"""The examples run as their first lines say; what comes of them is evaluated, loaded, shipped and compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mario_rl.config import load_config

pytestmark = pytest.mark.emulator

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")

SHORT = [
    "training.agent_steps=200",
    "training.envs=2",
    "training.checkpoint_every_steps=100",
    "replay.capacity=600",
    "replay.warmup_steps=100",
    "agent.batch_size=8",
    "evaluation.every_steps=null",
    "env.max_agent_steps=40",
    "network.hidden_size=16",
    "logging.trackers=[]",
    "device=cpu",
]
EVERYTHING = [
    "network.body=network:Impala",
    "env.reward=reward:Coins",
    "env.wrappers=[wrapper:HideStatus, wrapper:Novelty]",
    "training.observers=[observer:Clears]",
    "env.frame_stack=2",
    "env.max_agent_steps=12",
]


def mario_rl(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as an installed `mario-rl` is: Python does not look into the current folder by itself."""
    command = [sys.executable, "-P", "-m", "mario_rl", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


def done(*arguments: str | Path, folder: Path) -> str:
    result = mario_rl(*arguments, folder=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own, with the examples in it."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "examples"


def test_there_is_an_example_of_each():
    assert NAMES == ["network", "observer", "reward", "wrapper"]
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.takes("two processes train and evaluate")
def test_an_example_trains_and_its_agent_is_evaluated(name, folder):
    said = done("train", f"{name}.yaml", *SHORT, "--run-dir", "run", folder=folder)
    assert "stopped by training.agent_steps after 200 agent steps" in said
    assert "greedy" in done("evaluate", "run", "--protocol", "greedy", folder=folder)
    if name == "observer":
        assert (folder / "run" / "clears.txt").read_text() == "clears in this sitting: 0\n"


LOADS = """
import mario_rl
agent = mario_rl.load("run")
env = agent.env()
observation, info = env.reset()
for _ in range(3):
    observation, reward, terminated, truncated, info = env.step(agent.act(observation))
print(observation.shape, type(agent._policy.network.features).__name__, reward)
"""


@pytest.mark.slow  # eight processes, each with PyTorch, and a network of fifteen convolutions
def test_all_of_them_together_go_through_every_command_and_without_their_modules_one_line_says_which_is_missing(folder):
    done("train", "wrapper.yaml", *SHORT, *EVERYTHING, "training.agent_steps=120", "--run-dir", "run", folder=folder)
    assert "after 200 agent steps" in done("train", "--resume", "run", "training.agent_steps=200", folder=folder)
    loaded = subprocess.run([sys.executable, "-c", LOADS], cwd=folder, capture_output=True, text=True, check=True)
    assert loaded.stdout.startswith("(2, 84, 84) Impala ")
    done("ship", "run", "mine.pt", "--episodes", "2", folder=folder)
    assert "holds" in done("verify", "mine.pt", "--protocol", "greedy", "--protocol", "sticky", folder=folder)
    done("record", "mine.pt", "--output", "mine.mp4", "--overlay", folder=folder)
    assert (folder / "mine.mp4").stat().st_size > 10_000
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    result = mario_rl("evaluate", folder / "mine.pt", folder=elsewhere)
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("mario-rl: ")]
    assert "mine.pt: network.body: network:Impala: there is no module network; it must be installed, or be in" in line


@pytest.mark.takes("a study of two runs, each in a process of its own")
def test_a_study_compares_a_reward_of_ones_own_with_the_classic_one(folder):
    settings = "\n".join(f"  {setting.replace('=', ': ', 1)}" for setting in SHORT)
    (folder / "study.yaml").write_text(
        f"base: reward.yaml\nsettings:\n{settings}\naxes:\n  env.reward: [classic, 'reward:Coins']\nseeds: [0]\n"
        "final: {protocols: [greedy]}\n"
    )
    done("compare", "study.yaml", "--out", "study", folder=folder)
    for arm, reward in (("classic", "classic"), ("reward_Coins", "reward:Coins")):
        assert load_config(folder / "study" / "runs" / arm / "seed_0" / "config.yaml").env.reward == reward
        assert (folder / "study" / "runs" / arm / "seed_0" / "final.csv").is_file()


def test_the_page_shows_the_examples_as_they_are():
    shown = dict(re.findall(r'```python title="(\w+)\.py"\n(.*?)```', PAGE, flags=re.DOTALL))
    assert sorted(shown) == NAMES
    for name, code in shown.items():
        assert (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").endswith(f'"""\n\n{code}')


def test_every_setting_that_the_page_and_the_examples_show_is_one(tmp_path):
    texts = [PAGE, *(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py"))]
    commands = [line for text in texts for line in re.findall(r"mario-rl train \w+( [^\n#]+=[^\n#]+)", text)]
    assert len(commands) > 8
    (tmp_path / "empty.yaml").write_text("")
    for settings in commands:
        given = re.findall(r"'([^']+)'|(\S+)", settings.strip())
        load_config(tmp_path / "empty.yaml", [quoted or bare for quoted, bare in given])
