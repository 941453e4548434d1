"""The command line: help that teaches, one line and exit code 2 for bad input, signals that save."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mario_rl.checkpoint import load_checkpoint
from mario_rl.cli import main
from mario_rl.config import load_config
from mario_rl.rundir import RunDir
from mario_rl.training import train

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    """A run of seconds on the real game, trained once for the whole file."""
    place = tmp_path_factory.mktemp("cli")
    file = place / "tiny.yaml"
    file.write_text(
        "env: {stall_limit: 20, noop_max: 0}\n"
        "network: {hidden_size: 8}\n"
        "replay: {capacity: 200, warmup_steps: 32}\n"
        "training: {agent_steps: 60, envs: 2}\n"
        "evaluation: {every_steps: null, protocol: sticky, episodes: 2}\n"
        "logging: {tensorboard: false}\n"
        "device: cpu\n"
    )
    train(load_config(file), place / "run")
    return place / "run"


@pytest.mark.parametrize(
    "command",
    ["train", "evaluate", "ship", "verify", "plot", "compare", "watch", "record", "config", "benchmark", "doctor"],
)
def test_every_commands_help_shows_its_use(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: mario-rl {command}")
    assert len(text.splitlines()) > 5


def test_no_command_is_a_request_for_help(capsys):
    assert main([]) == 0
    assert "train" in capsys.readouterr().out


CONFIG = "configs/demo.yaml"
BAD_INPUTS = [
    # arguments, what the one line must say
    (["fly"], "No such command 'fly'"),
    (["train"], "train needs a config file first"),
    (["train", "--speed", "9", CONFIG], "No such option"),
    (["train", "configs/nothing.yaml"], "configs/nothing.yaml"),
    (["train", "."], "directory"),
    (["train", CONFIG, "agent.gama=0.9"], "agent.gamma"),
    (["train", CONFIG, "agent.gamma=1.5"], "agent.gamma: 1.5"),
    (["train", CONFIG, "agent.gamma=high"], "agent.gamma: 'high'"),
    (["train", CONFIG, "training.envs=0"], "training.envs: 0"),
    (["train", CONFIG, "training.envs=2.5"], "training.envs: 2.5"),
    (["train", CONFIG, "training.actors=99"], "training: actors 99 must be at most envs"),
    (["train", CONFIG, "env.stage=9-1"], "env.stage: '9-1'"),
    (["train", CONFIG, "env.action_set=[[jump]]"], "env.action_set"),
    (["train", CONFIG, "agent.target=ddqn"], "none, target, double"),
    (["train", CONFIG, "seed"], "seed"),
    (["train", CONFIG, "replay.capacity=10"], "replay"),
    (["train", CONFIG, "replay.capacity=900000000"], "replay.capacity"),
    (["train", CONFIG, "device=tpu"], "device"),
    (["train", CONFIG, "--run-dir", "README.md/run"], "README.md/run: can't be made"),
    (["train", CONFIG, "--run-dir", "configs"], "configs: exists already"),
    (["train", "--resume", "nothing"], "nothing: not a run directory"),
    (["train", "--resume", "nothing", "--run-dir", "x"], "--run-dir can't be given with --resume"),
    (["evaluate"], "Missing argument"),
    (["evaluate", "nothing.pt"], "nothing.pt: no such file"),
    (["evaluate", "configs"], "no checkpoint in this directory"),
    (["evaluate", "README.md"], "README.md: cut short, damaged or not a checkpoint"),
    (["evaluate", CONFIG, "--episodes", "0"], "--episodes"),
    (["evaluate", CONFIG, "--protocol", "lucky"], "--protocol"),
    (["evaluate", CONFIG, "--seed", "-1"], "--seed"),
    (["evaluate", CONFIG, "--video", "mario.avi"], "mario.avi is not allowed; the name must end in .mp4 or .webp"),
    (["evaluate", CONFIG, "--json", "."], ".: can't be written"),
    (["plot", "configs", "--output", "README.md/curve.png"], "README.md/curve.png: can't be written"),
    (["plot"], "Missing argument"),
    (["plot", "configs"], "configs"),
    (["plot", "configs", "--output", "curve.gif"], "curve.gif is not allowed; the name must end in .png"),
    (["watch", "none.pt", "--no-browser", "--port", "8971"], "none.pt: no such file or directory"),
    (["watch", "none.pt", "--port", "0"], "--port"),
    (["watch", "none.pt", "--host", "192.0.2.1", "--no-browser"], "--port: 8000 can't be had on 192.0.2.1"),
    (["record", "none.pt"], "Missing option '--output'"),
    (["record", "none.pt", "--output", "mario.avi"], "mario.avi is not allowed; the name must end in .mp4"),
    (["record", "none.pt", "--output", "mario.mp4"], "none.pt: no such file or directory"),
    (["compare"], "Missing argument"),
    (["compare", "none.yaml"], "none.yaml: no such study file"),
    (["compare", CONFIG], f"{CONFIG}: base: missing"),
    (["compare", "configs/studies/smoke.yaml", "--jobs", "0"], "--jobs"),
    (["compare", "configs/studies/smoke.yaml", "--report"], "smoke.yaml: no such directory"),
    (["compare", "configs", "--report"], "configs: no run in it whose first episode has ended"),
    (["compare", "configs", "--report", "--jobs", "2"], "--report takes a directory and no other option"),
    (["config", CONFIG, "env=fast"], "env"),
    (["benchmark"], "Missing argument"),
    (["benchmark", CONFIG, "--actors", "300"], "--actors"),
    (["benchmark", CONFIG, "--output", "speed.txt"], "speed.txt is not allowed; the name must end in .json"),
    (["benchmark", CONFIG, "agent.batch=9"], "agent.batch"),
    (["benchmark", CONFIG, "replay.capacity=900000000"], "replay.capacity"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD_INPUTS, ids=[" ".join(arguments) for arguments, _ in BAD_INPUTS])
def test_bad_input_gets_one_line_and_exit_code_2(arguments, says, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("configs", "README.md"):
        os.symlink(REPOSITORY / name, tmp_path / name)
    assert main(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("mario-rl: ")
    assert says in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "configs"]  # nothing was begun


READING = [
    ["plot", "nothing"],
    ["plot", "nothing", "--output", "new/curve.png", "--ends", "new/ends.png"],
    ["evaluate", "nothing", "--json", "new/report.json", "--video", "new/mario.mp4"],
    ["ship", "nothing", "new/agent.pt"],
    ["verify", "nothing.pt"],
    ["watch", "nothing", "--no-browser", "--port", "8972"],
    ["record", "nothing", "--output", "new/mario.mp4"],
    ["compare", "nothing", "--report"],
    ["compare", "nothing", "--dry-run", "--out", "new"],
    ["compare", "nothing", "--out", "new"],
    ["benchmark", "nothing", "--output", "new/speed.json"],
    ["benchmark", "--emulator", "--agent", "nothing", "--output", "new/speed.json"],
    ["config", "nothing"],
    ["train", "--resume", "nothing"],
    ["doctor", "--parity", "--rom", "nothing"],
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_command_that_finds_nothing_to_read_makes_nothing(arguments, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "nothing" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text_is_said_in_one_line_on_any_terminal(tmp_path, mario_rl_command):
    folder = os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m"
    os.mkdir(folder)
    done = subprocess.run([*mario_rl_command, "compare", folder, "--report"], capture_output=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.decode("utf-8").splitlines()
    assert line.startswith(f"mario-rl: {tmp_path}/caf\\xe9\\x1b[31m: no run in it whose first episode has ended")


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--episodes", "5", "--protocol", "noop"], "exactly 31 different episodes"),
        (["--episodes", "5", "--protocol", "greedy"], "exactly 1 different episode;"),
        (["--stage", "1-9"], "1-9"),
        (["--device", "cuda"], "cuda is not available"),
    ],
)
def test_bad_evaluation_arguments_get_one_line_too(finished_run, arguments, says, capfd):
    assert main(["evaluate", str(finished_run), *arguments]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert says in line


@pytest.mark.emulator
def test_evaluate_prints_a_table_and_writes_json_and_video(finished_run, tmp_path, capfd):
    report, video = tmp_path / "new" / "report.json", tmp_path / "mario.mp4"
    arguments = ["evaluate", str(finished_run), "--episodes", "3", "--seed", "7", "--json", str(report)]
    assert main([*arguments, "--video", str(video), "--video-episodes", "worst"]) == 0
    out = capfd.readouterr().out
    for text in ("clear rate", "Wilson 95 %", "ended by", str(report), str(video), "latest.pt"):
        assert text in out
    written = json.loads(report.read_text())
    assert (written["episodes"], written["protocol"], written["seed"], written["stage"]) == (3, "sticky", 7, "1-1")
    assert 0.0 == written["clear_rate"] == written["clear_rate_low"] < written["clear_rate_high"] < 1.0
    assert sum(written["ends"].values()) == 3
    assert len(written["results"]) == 3
    assert video.read_bytes()[4:8] == b"ftyp"


@pytest.mark.emulator
def test_plot_draws_one_run_or_several(finished_run, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(finished_run), str(finished_run)]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(finished_run), "--output", "one.png"]) == 0
    assert (tmp_path / "one.png").exists()


@pytest.mark.emulator
def test_a_path_that_is_no_text_is_printed_all_the_same(finished_run, tmp_path, mario_rl_command):
    run = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(finished_run, run)
    command = [*mario_rl_command, "evaluate", os.fspath(run), "--episodes", "1", "--json", os.fspath(run / "r.json")]
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}  # as where the locale is en_US.UTF-8
    done = subprocess.run(command, capture_output=True, check=False, env=strict)
    assert done.returncode == 0, done.stderr
    assert rf"checkpoint:  {tmp_path}/caf\udce9".encode() in done.stdout
    assert json.loads((run / "r.json").read_text())["episodes"] == 1


def test_config_prints_something_that_loads_back(tmp_path, capsys):
    assert main(["config", str(REPOSITORY / CONFIG), "agent.gamma=0.9", "env.stage=[1-1, 1-3]"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert load_config(printed) == load_config(REPOSITORY / CONFIG, ["agent.gamma=0.9", "env.stage=[1-1, 1-3]"])


@pytest.mark.emulator
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_says_where_and_exits(number, code, small_run_file, tmp_path, mario_rl_command):
    run_dir = tmp_path / "run"
    arguments = ["train", str(small_run_file), "training.agent_steps=100000", "--run-dir", str(run_dir)]
    process = subprocess.Popen([*mario_rl_command, *arguments], stdout=subprocess.PIPE, text=True)
    _wait_for(RunDir(run_dir).latest, process)
    process.send_signal(number)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code
    assert str(RunDir(run_dir).latest) in out
    assert f"mario-rl train --resume {run_dir}" in out
    steps = load_checkpoint(RunDir(run_dir).latest)["agent_steps"]
    assert main(["train", "--resume", str(run_dir), f"training.agent_steps={steps + 2}"]) == 0


@pytest.mark.emulator
def test_the_scripts_take_the_same_arguments(tmp_path, small_run_file):
    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(REPOSITORY / "scripts" / script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    run_dir = tmp_path / "run"
    trained = run("train.py", str(small_run_file), "training.agent_steps=20", "--run-dir", str(run_dir))
    assert trained.returncode == 0, trained.stderr
    assert str(RunDir(run_dir).latest) in trained.stdout
    evaluated = run("evaluate.py", str(run_dir), "--protocol", "greedy")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "clear rate" in evaluated.stdout
    assert run("train.py", "nothing.yaml").returncode == 2


@pytest.mark.emulator
@pytest.mark.slow
def test_ten_kills_at_random_moments_never_leave_a_run_that_cannot_resume(tmp_path, small_run_file, mario_rl_command):
    import numpy as np

    generator = np.random.default_rng(2026)
    run_dir = tmp_path / "run"
    settings = ["training.agent_steps=1000000", "training.checkpoint_every_steps=20", "evaluation.every_steps=60"]
    begin = ["train", str(small_run_file), *settings, "--run-dir", str(run_dir)]
    reached = 0
    for _ in range(10):
        arguments = ["train", "--resume", str(run_dir)] if run_dir.exists() else begin
        process = subprocess.Popen([*mario_rl_command, *arguments], stderr=subprocess.PIPE, text=True)
        _wait_for(RunDir(run_dir).config, process)
        time.sleep(generator.uniform(0.0, 9.0))
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        process.kill()
        process.communicate()
        if RunDir(run_dir).latest.exists():
            steps = load_checkpoint(RunDir(run_dir).latest)["agent_steps"]
            assert steps >= reached
            reached = steps
    assert reached > 0
    # What is left goes on, and ends exactly like a run that was never killed.
    goal = reached + 40
    assert main(["train", "--resume", str(run_dir), f"training.agent_steps={goal}"]) == 0
    whole = load_config(small_run_file, [*settings, f"training.agent_steps={goal}"])
    train(whole, tmp_path / "whole")
    killed, unbroken = (load_checkpoint(RunDir(tmp_path / name).latest)["network"] for name in ("run", "whole"))
    assert all((killed[key] == unbroken[key]).all() for key in killed)
    for name in ("episodes.csv", "evaluation.csv"):
        assert _without_seconds(run_dir / name) == _without_seconds(tmp_path / "whole" / name)


def _without_seconds(path: Path) -> list[list[str]]:
    header, *lines = (line.split(",") for line in path.read_text().splitlines())
    column = header.index("seconds")
    return [cells[:column] + cells[column + 1 :] for cells in lines]


def _wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "it ended before it should"
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)
