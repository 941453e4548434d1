"""The command line: help that teaches, one line and exit code 2 for bad input, signals that save."""

from __future__ import annotations

import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

import mario_rl.cli.evaluate
import mario_rl.cli.train
from mario_rl.cli import main, terminal
from mario_rl.config import load_config
from mario_rl.diagnostics import parity
from mario_rl.errors import StorageError
from mario_rl.runs.checkpoint import load_checkpoint, save_checkpoint
from mario_rl.runs.directory import RunDir
from mario_rl.training import train
from mario_rl.training.initial import find_initial

REPOSITORY = Path(__file__).parents[2]


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
        "logging: {trackers: []}\n"
        "device: cpu\n"
    )
    train(load_config(file), place / "run")
    return place / "run"


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "evaluate",
        "ship",
        "verify",
        "plot",
        "compare",
        "watch",
        "play",
        "record",
        "replay",
        "config",
        "explore",
        "benchmark",
        "doctor",
    ],
)
def test_every_commands_help_shows_its_use(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: mario-rl {command}")
    assert len(text.splitlines()) > 5


def test_no_command_is_a_request_for_help(capsys):
    assert main([]) == 0
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("package", "module", "arguments"),
    [
        ("av", "mario_rl.report.video", ["evaluate", "run"]),
        ("matplotlib.figure", "mario_rl.report.curve", ["plot", "run"]),
        ("uvicorn", "mario_rl.watch.server", ["watch", "run", "--port", "8973"]),
    ],
)
def test_a_package_that_is_missing_is_named_in_one_line(package, module, arguments, finished_run, monkeypatch, capsys):
    monkeypatch.chdir(finished_run.parent)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("mario-rl: a package is not installed or does not load (")
    assert package in said
    assert said.endswith("; see: mario-rl doctor\n")


CONFIG = "configs/demo.yaml"
BAD_INPUTS = [
    # arguments, what the one line must say
    (["fly"], "No such command 'fly'"),
    (["train"], "train needs a config file first"),
    (["train", "--speed", "9", CONFIG], "No such option"),
    (["train", "configs/nothing.yaml"], "configs/nothing.yaml"),
    (["train", "."], "directory"),
    (
        ["train", "lr=0.1/none.yaml"],
        "or --resume RUN_DIR; there is no file lr=0.1/none.yaml",
    ),
    (
        ["train", "configs/studies/smoke.yaml"],
        "a study, not a training config; `mario-rl compare",
    ),
    (["train", CONFIG, "--seed", "3"], "Settings are given as key=value: seed=3"),
    (["train", CONFIG, "--seed=3"], "Settings are given as key=value: seed=3"),
    (["train", "--agent.gamma", "0.9", CONFIG], "Settings are given as key=value: agent.gamma=0.9"),
    (["train", CONFIG, "--learning-rate=1e-3"], "key=value: agent.learning_rate=1e-3"),
    (["train", CONFIG, "--episodes", "5"], "key=value: training.episodes=5 or evaluation.episodes=5"),
    (["train", CONFIG, "training.initial_checkpoint=none.pt"], "none.pt: no such file"),
    (["train", CONFIG, "env.rom=none.nes"], "none.nes: the ROM can't be read"),
    (["train", CONFIG, "agent.gama=0.9"], "agent.gamma"),
    (["train", CONFIG, "agent.gamma=1.5"], "agent.gamma: 1.5"),
    (["train", CONFIG, "agent.gamma=high"], "agent.gamma: 'high'"),
    (["train", CONFIG, "training.envs=0"], "training.envs: 0"),
    (["train", CONFIG, "training.envs=2.5"], "training.envs: 2.5"),
    (
        ["train", CONFIG, "training.actors=4"],
        "command line: training.actors: is gone, one process plays and learns at once now",
    ),
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
    (["train", CONFIG, "--port", "8970"], "--port is for the page that --watch opens"),
    (["train", CONFIG, "--no-browser"], "--no-browser is for the page that --watch opens"),
    (["train", CONFIG, "agent.batch=9", "--watch", "--port", "8970", "--no-browser"], "agent.batch"),
    (["evaluate"], "Missing argument"),
    (["evaluate", "nothing.pt"], "nothing.pt: no such file"),
    (["evaluate", "configs"], "no checkpoint in this directory"),
    (["evaluate", "configs/latest"], "configs/latest: no run with a checkpoint below configs"),
    (["evaluate", CONFIG], f"{CONFIG}: a config, not a checkpoint"),
    (["evaluate", "none.pt", "seed=3"], "did you mean --seed 3?"),
    (["evaluate", "none.pt", "--protocol", "noop", "--episodes", "5"], "exactly 31 different episodes"),
    (["evaluate", "none.pt", "--stage", "9-1"], "--stage: 9-1 is not allowed"),
    (["ship", "none.pt", "mine.pt"], "none.pt: no such file or directory"),
    (["verify", "none.pt"], "none.pt: no such file"),
    (["evaluate", "README.md"], "README.md: cut short, damaged or not a checkpoint"),
    (["evaluate", CONFIG, "--episodes", "0"], "--episodes"),
    (["evaluate", CONFIG, "--protocol", "lucky"], "--protocol"),
    (["evaluate", CONFIG, "--seed", "-1"], "--seed"),
    (["evaluate", CONFIG, "--video", "mario.avi"], "mario.avi is not allowed; the name must end in .mp4 or .webp"),
    (["evaluate", CONFIG, "--json", "."], ".: can't be written"),
    (["plot", "configs", "--output", "README.md/curve.png"], "README.md/curve.png: can't be written"),
    (["plot"], "Missing argument"),
    (["plot", "configs"], "configs"),
    (["plot", "configs", "--over", "hours"], "'hours' is not one of 'agent_steps', 'minutes'"),
    (["plot", "configs", "--output", "curve.gif"], "curve.gif is not allowed; the name must end in .png"),
    (["watch", "none.pt", "--no-browser", "--port", "8971"], "none.pt: no such file or directory"),
    (["watch", "none.pt", "--port", "0"], "--port"),
    (["watch", "none.pt", "--host", "192.0.2.1", "--no-browser"], "--port: 8000 can't be had on 192.0.2.1"),
    (["replay", "none.json"], "none.json: no such file"),
    (["replay", "configs/demo.yaml"], "configs/demo.yaml: not a trajectory, or not a whole one (not JSON"),
    (["replay", "none.json", "--emulator", "real"], "'--emulator'"),
    (["watch", "none.json", "--no-browser", "--port", "8971"], "none.json: no such file"),
    (["watch", "none.mp4", "--no-browser", "--port", "8971"], "none.mp4: no such file"),
    (["watch", "README.md", "--no-browser", "--port", "8971"], "README.md"),
    (["watch", "none.json", "--seed", "3"], "--seed: not with none.json, in which everything was played already"),
    (["play", "9-9"], "STAGE: 9-9 is not allowed; must be a stage from 1-1 to 8-4"),
    (["play", "game"], "STAGE: game is not allowed"),
    (["play", "--emulator", "real"], "'--emulator'"),
    (["record", "none.json", "--output", "mario.mp4"], "none.json: no such file"),
    (["record", "none.json", "--output", "mario.mp4", "--overlay"], "--overlay: not with none.json"),
    (["record", "none.pt"], "Missing option '--output'"),
    (["record", "none.pt", "--output", "mario.avi"], "mario.avi is not allowed; the name must end in .mp4"),
    (["record", "none.pt", "--output", "mario.mp4"], "none.pt: no such file or directory"),
    (["compare"], "Missing argument"),
    (["compare", "none.yaml"], "none.yaml: no such study file"),
    (["compare", "configs"], "configs: a directory, not a study file; `mario-rl compare configs --report` makes"),
    (["compare", CONFIG], f"{CONFIG}: a training config, not a study; `mario-rl train {CONFIG}` takes it"),
    (["compare", "configs/studies/smoke.yaml", "--jobs", "0"], "--jobs"),
    (["compare", "configs/studies/smoke.yaml", "--report"], "smoke.yaml: no such directory"),
    (["compare", "configs", "--report"], "configs: no run in it whose first episode has ended"),
    (["compare", "configs", "--report", "--jobs", "2"], "--report takes a directory and no other option"),
    (["config", CONFIG, "env=fast"], "env"),
    (["config", CONFIG, "--seed", "3"], "seed=3"),
    (["benchmark"], "Missing argument"),
    (["benchmark", CONFIG, "--actors", "1"], "No such option '--actors'"),
    (["benchmark", CONFIG, "training.actors=1"], "training.actors: is gone"),
    (["benchmark", CONFIG, "--output", "speed.txt"], "speed.txt is not allowed; the name must end in .json"),
    (["benchmark", CONFIG, "agent.batch=9"], "agent.batch"),
    (["benchmark", CONFIG, "replay.capacity=900000000"], "replay.capacity"),
    (["benchmark", "--emulator", "--agent", "none.pt"], "none.pt: no such file or directory"),
    (["doctor", "--parity", "--stage", "9-9"], "--stage: 9-9 is not allowed"),
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


REFUSE_ALL = """
import json, sys
from mario_rl.cli import main
slow = {"torch", "numba", "scipy", "matplotlib", "gymnasium", "cv2", "av"}
for arguments in json.load(sys.stdin):
    code, imported = main(arguments), sorted(slow & sys.modules.keys())
    assert (code, imported) == (2, []), f"{arguments}: exit code {code}, imported {imported}"
"""


def test_bad_input_is_told_before_anything_slow_such_as_torch_is_imported(tmp_path):
    for name in ("configs", "README.md"):
        os.symlink(REPOSITORY / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", REFUSE_ALL],
        input=json.dumps([arguments for arguments, _ in BAD_INPUTS]),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]


def test_a_file_that_exists_is_the_config_whatever_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1").mkdir()
    Path("lr=0.1/c.yaml").write_text("seed: 4\n")
    assert main(["train", "lr=0.1/c.yaml", "agent.gama=0.9"]) == 2
    assert "agent.gama: unknown key; did you mean agent.gamma?" in capsys.readouterr().err
    assert main(["config", "lr=0.1/c.yaml"]) == 0
    assert "\nseed: 4\n" in capsys.readouterr().out


@pytest.mark.emulator
def test_a_directory_stands_for_the_newest_run_below_it_and_which_one_is_said(finished_run, tmp_path, capfd):
    report, place = tmp_path / "report.json", finished_run.parent
    assert main(["evaluate", str(place), "--protocol", "greedy", "--json", str(report)]) == 0
    assert f"{place}: taking the newest run there, {finished_run}" in capfd.readouterr().err
    assert json.loads(report.read_text())["checkpoint"] == str(RunDir(finished_run).latest)
    assert main(["plot", str(place / "latest"), "--output", str(tmp_path / "curve.png")]) == 0
    assert main(["train", "--resume", str(place / "latest"), "env.stage=1-2"]) == 2
    assert "env.stage: '1-2' is not allowed on --resume" in capfd.readouterr().err
    config = load_config(finished_run / "config.yaml", [f"training.initial_checkpoint={place}/latest"])
    assert find_initial(config) == RunDir(finished_run).latest


@pytest.mark.emulator
def test_a_damaged_table_is_one_line_of_resume_and_all_tables_stay_as_they_are(finished_run, tmp_path, capfd):
    run = RunDir(shutil.copytree(finished_run, tmp_path / "run"))
    run.metrics.write_text(run.metrics.read_text().replace("\n60,", "\n6e400,"))
    before = [path.read_bytes() for path in (run.episodes, run.metrics, run.evaluation)]
    capfd.readouterr()
    assert main(["train", "--resume", str(run.path), "training.agent_steps=80"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"mario-rl: {run.metrics}: line ")
    assert "column agent_steps: '6e400' is not allowed; must be a whole number from 0 to 1e15" in line
    assert [path.read_bytes() for path in (run.episodes, run.metrics, run.evaluation)] == before


READING = [
    ["plot", "nothing"],
    ["plot", "nothing", "--output", "new/curve.png", "--ends", "new/ends.png"],
    ["evaluate", "nothing", "--json", "new/report.json", "--video", "new/mario.mp4"],
    ["ship", "nothing", "new/agent.pt"],
    ["verify", "nothing.pt"],
    ["watch", "nothing", "--no-browser", "--port", "8972"],
    ["record", "nothing", "--output", "new/mario.mp4"],
    ["replay", "nothing"],
    ["watch", "nothing.json", "--no-browser", "--port", "8972"],
    ["watch", "nothing.mp4", "--no-browser", "--port", "8972"],
    ["record", "nothing.json", "--output", "new/mario.mp4"],
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
@pytest.mark.parametrize("full", [True, False], ids=["full", "closed"])
def test_files_are_written_whether_or_not_anything_can_be_printed(full, finished_run, tmp_path, monkeypatch, capfd):
    report, video = tmp_path / "report.json", tmp_path / "mario.mp4"
    arguments = ["evaluate", str(finished_run), "--protocol", "greedy", "--json", str(report), "--video", str(video)]
    with open("/dev/full", "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere if full else None)
        assert main(arguments) == (1 if full else 0)
    assert json.loads(report.read_text())["episodes"] == 1
    assert video.read_bytes()[4:8] == b"ftyp"
    assert ("could not be written" in capfd.readouterr().err) == full


@pytest.mark.emulator
def test_an_evaluation_is_printed_though_its_file_cant_be_written(finished_run, tmp_path, capfd, monkeypatch):
    def full(path, write):
        raise StorageError(f"{path}: could not be written (No space left on device)")

    monkeypatch.setattr(mario_rl.cli.evaluate, "write_atomically", full)
    report = tmp_path / "report.json"
    assert main(["evaluate", str(finished_run), "--protocol", "greedy", "--json", str(report)]) == 1
    captured = capfd.readouterr()
    assert "clear rate" in captured.out
    assert str(report) not in captured.out
    assert f"{report}: could not be written" in captured.err


@pytest.mark.emulator
def test_an_agent_that_went_on_from_another_is_as_old_as_both(finished_run, tmp_path, capfd):
    state = {key: value for key, value in load_checkpoint(RunDir(finished_run).latest).items() if key != "format"}
    save_checkpoint(tmp_path / "agent.pt", state | {"initial_agent_steps": 510_000})
    report = tmp_path / "report.json"
    assert main(["evaluate", str(tmp_path / "agent.pt"), "--protocol", "greedy", "--json", str(report)]) == 0
    assert "(510,060 agent steps: 510,000 before its run and 60 in it)" in capfd.readouterr().out
    assert json.loads(report.read_text())["agent_steps"] == 510_060


class Interrupting(terminal.CountingBar):
    """A bar at whose first count a signal comes; at a second Ctrl-C a command would drop everything."""

    number = signal.SIGINT
    came = False

    def __call__(self, done: object, total: int) -> None:
        if not self.came:
            self.came = True
            signal.raise_signal(self.number)


@pytest.mark.emulator
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_evaluation_reports_the_episodes_that_had_ended(
    number, code, finished_run, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(Interrupting, "number", number)
    monkeypatch.setattr(terminal, "CountingBar", Interrupting)
    report, video = tmp_path / "report.json", tmp_path / "mario.mp4"
    arguments = ["evaluate", str(finished_run), "--protocol", "sticky", "--episodes", "8", "--json", str(report)]
    assert main([*arguments, "--video", str(video)]) == code
    written = json.loads(report.read_text())
    assert (written["complete"], written["episodes_asked"]) == (False, 8)
    assert 1 <= written["episodes"] == len(written["results"]) < 8
    assert f"CUT SHORT                    {written['episodes']} of 8 episodes had ended" in capfd.readouterr().out
    assert video.read_bytes()[4:8] == b"ftyp"


@pytest.mark.emulator
def test_an_interrupted_recording_keeps_the_episodes_that_had_ended(finished_run, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(terminal, "CountingBar", Interrupting)
    video = tmp_path / "mario.mp4"
    arguments = ["record", str(finished_run), "--output", str(video), "--protocol", "sticky", "--episodes", "3"]
    assert main(arguments) == 130
    out = capfd.readouterr().out
    assert out.startswith("episode 0: ")
    assert "episode 1" not in out
    assert "CUT SHORT" in out
    assert video.read_bytes()[4:8] == b"ftyp"


def test_an_interrupted_comparison_of_emulators_says_how_far_they_were_the_same(capfd, monkeypatch):
    def interrupted(stage, *, frames, seed, rom, on_frame):
        for _ in range(3):
            on_frame()
        raise KeyboardInterrupt

    monkeypatch.setattr(parity, "compare_emulators", interrupted)
    assert main(["doctor", "--parity"]) == 130
    assert "interrupted: the first 3 frames are the same on both" in capfd.readouterr().err


@pytest.mark.emulator
def test_plot_draws_one_run_or_several(finished_run, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", str(finished_run), str(finished_run)]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", str(finished_run), "--output", "one.png", "--over", "minutes"]) == 0
    assert (tmp_path / "one.png").exists()


@pytest.mark.emulator
def test_a_path_that_is_no_text_is_printed_all_the_same(finished_run, tmp_path, monkeypatch):
    run = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(finished_run, run)
    printed = io.BytesIO()
    strict = io.TextIOWrapper(printed, encoding="utf-8", errors="strict")  # as where the locale is en_US.UTF-8
    monkeypatch.setattr(sys, "stdout", strict)
    assert main(["evaluate", os.fspath(run), "--episodes", "1", "--json", os.fspath(run / "r.json")]) == 0
    strict.flush()
    assert rf"checkpoint:  {tmp_path}/caf\udce9".encode() in printed.getvalue()
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
    try:
        _wait_for(RunDir(run_dir).latest, process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=300)
    finally:
        process.kill()  # nothing, where it has ended as it should
    assert process.returncode == code
    assert str(RunDir(run_dir).latest) in out
    assert f"mario-rl train --resume {run_dir}" in out
    steps = load_checkpoint(RunDir(run_dir).latest)["agent_steps"]
    assert main(["train", "--resume", str(run_dir), f"training.agent_steps={steps + 2}"]) == 0


@pytest.mark.emulator
def test_runs_begun_in_the_same_second_have_directories_of_their_own(small_run_file, tmp_path, monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 23, 12)

    monkeypatch.setattr(mario_rl.cli.train, "datetime", Noon)
    monkeypatch.chdir(tmp_path)
    for seed in (0, 3, 3, 3):
        assert main(["train", small_run_file.name, f"seed={seed}", "training.agent_steps=2"]) == 0
    runs = sorted((tmp_path / "checkpoints" / "small").iterdir())
    assert [run.name for run in runs] == [
        "20261123-120000-seed0",
        "20261123-120000-seed3",
        "20261123-120000-seed3-2",
        "20261123-120000-seed3-3",
    ]
    assert [load_config(run / "config.yaml").seed for run in runs] == [0, 3, 3, 3]


@pytest.mark.emulator
def test_a_run_directory_that_was_named_and_is_taken_is_refused(finished_run, small_run_file, capfd):
    before = (finished_run / "config.yaml").read_text()
    assert main(["train", str(small_run_file), "--run-dir", str(finished_run)]) == 2
    expected = f"mario-rl: {finished_run}: exists already; name another --run-dir, or go on with it by --resume\n"
    assert capfd.readouterr().err == expected
    assert (finished_run / "config.yaml").read_text() == before


@pytest.mark.emulator
def test_the_scripts_take_the_same_arguments(tmp_path, small_run_file, monkeypatch, capfd):
    def run(script: str, *arguments: str) -> tuple[int, str]:
        path = str(REPOSITORY / "scripts" / script)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
        return ended.value.code, capfd.readouterr().out

    run_dir = tmp_path / "run"
    code, said = run("train.py", str(small_run_file), "training.agent_steps=20", "--run-dir", str(run_dir))
    assert code == 0
    assert str(RunDir(run_dir).latest) in said
    code, said = run("evaluate.py", str(run_dir), "--protocol", "greedy")
    assert code == 0
    assert "clear rate" in said
    started = subprocess.run([sys.executable, REPOSITORY / "scripts" / "train.py", "nothing.yaml"], capture_output=True)
    assert started.returncode == 2


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


def test_a_shell_can_complete_commands(mario_rl_command):
    asked = {"_MARIO_RL_COMPLETE": "bash_complete", "COMP_WORDS": "mario-rl ev", "COMP_CWORD": "1"}
    done = subprocess.run(mario_rl_command, capture_output=True, text=True, env={**os.environ, **asked})
    assert (done.returncode, done.stdout.split()) == (0, ["plain,evaluate"])
