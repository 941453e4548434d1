"""Runs to arms: what tells them apart, what counts once, and what is left out with its reason."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from made_up import make_finals, make_run, make_study

from mario_rl.cli import main
from mario_rl.compare import report
from mario_rl.compare.contests import contests
from mario_rl.compare.figures import all_figures
from mario_rl.compare.plots import BarPanel
from mario_rl.compare.report import write_report
from mario_rl.compare.runs import load_arms
from mario_rl.config import load_config, render_config
from mario_rl.config.study import FinalConfig
from mario_rl.errors import ConfigError, UserError
from mario_rl.files import printable
from mario_rl.runs.directory import RunDir
from mario_rl.runs.packed import pack


def make_runs(folder: Path, name: str, *settings: str, seeds: tuple[int, ...] = (0, 1), **numbers: float) -> list[Path]:
    """Runs of one arm, in `folder/runs/name`, with settings such as `training.envs=4`."""
    places = [RunDir(folder / "runs" / name / f"seed_{seed}") for seed in seeds]
    for seed, place in zip(seeds, places, strict=True):
        make_run(place, "double", "simple", seed, speed=0.5, **({"episodes": 20} | numbers))  # type: ignore[arg-type]
        place.config.write_text(render_config(load_config(place.config, settings)))
    return [place.path for place in places]


def seeds_of(folder: Path) -> dict[str, list[int]]:
    return {arm.label: [run.seed for run in arm.runs] for arm in load_arms(folder).arms}


def left_out(folder: Path) -> dict[str, str]:
    return {os.path.relpath(run, folder / "runs"): reason for run, reason in load_arms(folder).left_out}


# What tells arms apart.


@pytest.mark.parametrize(
    ("setting", "labels"),
    [
        ("training.envs=4", ["envs 4", "envs 8"]),
        ("training.initial_checkpoint=other.pt", ["initial_checkpoint null", "other.pt"]),
        ("evaluation.protocol=sticky", ["noop", "sticky"]),
        ("evaluation.every_steps=7", ["every_steps 5000", "every_steps 7"]),
        ("env.rom='a$x_$b.nes'", ["a$x_$b.nes", "rom null"]),
    ],
)
def test_runs_that_differ_in_what_was_trained_or_chosen_are_of_two_arms(tmp_path, setting, labels):
    make_runs(tmp_path, "a")
    make_runs(tmp_path, "b", setting)
    assert seeds_of(tmp_path) == {label: [0, 1] for label in labels}


def test_runs_that_differ_in_a_key_that_is_gone_are_of_one_arm(tmp_path):
    for name, seed, actors in (("a", 0, 0), ("b", 1, 1)):
        (path,) = make_runs(tmp_path, name, seeds=(seed,))
        config = RunDir(path).config
        config.write_text(config.read_text().replace("  envs: 8\n", f"  envs: 8\n  actors: {actors}\n"))
        assert f"actors: {actors}" in config.read_text()
    assert list(seeds_of(tmp_path).values()) == [[0, 1]]


WATCHED_OTHERWISE = (
    "training.agent_steps=7",
    "training.episodes=7",
    "training.minutes=7",
    "training.clear_rate=0.7",
    "training.checkpoint_every_steps=7",
    "training.keep_checkpoints=7",
    "logging.every_seconds=7",
    "logging.trackers=[]",
    "device=auto",
)


@pytest.mark.parametrize("setting", WATCHED_OTHERWISE)
def test_stop_conditions_checkpoint_keeping_and_logging_tell_no_arms_apart(tmp_path, setting):
    make_runs(tmp_path, "a", seeds=(0,))
    make_runs(tmp_path, "b", setting, seeds=(1,))
    (arm,) = load_arms(tmp_path).arms
    assert [run.seed for run in arm.runs] == [0, 1]


@pytest.mark.parametrize("below", ["", "runs", ".."])
def test_a_stop_condition_that_a_study_compares_does_tell_its_arms_apart(tmp_path, below):
    study = tmp_path / "study"
    make_runs(study, "agent_steps_7", "training.agent_steps=7")
    make_runs(study, "agent_steps_8", "training.agent_steps=8")
    (study / "study.yaml").write_text("base: base.yaml\naxes: {training.agent_steps: [7, 8]}\nseeds: [0, 1]\n")
    assert seeds_of(study / below) == {"agent_steps 7": [0, 1], "agent_steps 8": [0, 1]}
    (study / "study.yaml").write_text("axes: 7\n")
    with pytest.raises(ConfigError, match=r"study\.yaml: base: missing"):  # never arms merged in silence
        load_arms(study / below)


def test_a_study_that_lies_beside_runs_of_others_has_no_say_in_them(tmp_path):
    for seed in (0, 1):
        place = RunDir(tmp_path / "checkpoints" / "mine" / str(seed))
        make_run(place, "double", "simple", seed, speed=0.5, episodes=20)
        place.config.write_text(render_config(load_config(place.config, [f"training.agent_steps={seed + 7}"])))
    (tmp_path / "study.yaml").write_text("base: x\naxes: {training.agent_steps: [7, 8]}\nseeds: [0]\n")
    (arm,) = load_arms(tmp_path / "checkpoints").arms
    assert len(arm.runs) == 2


def test_arms_of_one_name_are_numbered(tmp_path):
    settings = ("agent.gamma=0.5", "agent.n_step=2", "agent.batch_size=16", "replay.warmup_steps=70")
    for folder, chosen in (("x", settings), ("y", ())):
        make_runs(tmp_path / folder, "same", *chosen)
    assert sorted(seeds_of(tmp_path)) == ["same (1)", "same (2)"]


# The same seed of the same arm counts once.


def test_a_copy_of_a_run_counts_for_nothing_and_the_page_and_the_terminal_say_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(report, "write_png", lambda figure, path: None)  # figures are on the page
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1), episodes=120)
    before = contests(load_arms(tmp_path).arms)[0].p_value
    for copy in ("seed_0 (copy)", "seed_1 (copy)"):
        shutil.copytree(tmp_path / "runs" / "double-simple" / copy[:6], tmp_path / "runs" / "double-simple" / copy)
    assert contests(load_arms(tmp_path).arms)[0].p_value == before
    assert main(["compare", str(tmp_path), "--report"]) == 0
    runs = tmp_path / "runs" / "double-simple"
    reason = f"the same arm and seed 0 as {runs / 'seed_0'}, which counts"
    printed = capsys.readouterr().out.splitlines()
    assert f"left out: {runs / 'seed_0 (copy)'}: {reason}" in printed
    assert printed[-1] == f"report: {tmp_path / 'index.html'}"
    page = (tmp_path / "index.html").read_text()
    assert '<a href="#left_out">2 runs do not count</a>' in page
    assert f'>runs/double-simple/seed_0 (copy)</td><td role="cell" data-label="why">{reason}</td>' in unescape(page)
    with (tmp_path / "tables" / "left_out.csv").open() as file:
        assert [row["run"] for row in csv.DictReader(file)] == [
            "runs/double-simple/seed_0 (copy)",
            "runs/double-simple/seed_1 (copy)",
        ]


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        ({"episodes": 40, "done": False}, {"episodes": 20, "done": True}, "b"),  # done
        ({"episodes": 20, "done": False}, {"episodes": 40, "done": False}, "b"),  # further
        ({"episodes": 20}, {"episodes": 20}, "a"),  # alike
    ],
)
def test_of_two_runs_of_one_seed_the_one_counts_that_is_done_or_went_further_or_comes_first(
    tmp_path, first, second, counts
):
    for name, numbers in (("a", first), ("b", second)):
        make_runs(tmp_path, name, seeds=(3,), **numbers)
    (arm,) = load_arms(tmp_path).arms
    assert [run.place.path.parent.name for run in arm.runs] == [counts]
    other = {"a": "b", "b": "a"}[counts]
    assert left_out(tmp_path) == {
        f"{other}/seed_3": f"the same arm and seed 3 as {tmp_path}/runs/{counts}/seed_3, which counts"
    }


def test_the_same_seed_of_two_arms_counts_in_both(tmp_path):
    make_runs(tmp_path, "a", seeds=(0,))
    make_runs(tmp_path, "b", "agent.gamma=0.5", seeds=(0,))
    assert seeds_of(tmp_path) == {"gamma 0.5": [0], "gamma 0.95": [0]}
    assert left_out(tmp_path) == {}


# What is drawn of them.


def test_a_death_map_has_room_for_the_longest_stage(tmp_path):
    (place,) = make_runs(tmp_path, "a", seeds=(0,))
    table = RunDir(place).episodes
    header, *rows = table.read_text().splitlines()
    far = [",".join([*row.split(",")[:6], "6500", *row.split(",")[7:]]) for row in rows[:5]]  # past the flag of 8-1
    table.write_text("\n".join([header, *far, *rows[5:]]) + "\n")
    arms = load_arms(tmp_path).arms
    (ends,) = [figure for figure in all_figures(arms, []) if figure.name == "ends"]
    (panel,) = ends.panels
    assert isinstance(panel, BarPanel)
    assert len(panel.shares) * panel.width > 6500
    assert sum(panel.shares) == pytest.approx(1.0)  # no episode is left out


def test_the_caption_says_of_which_arms_the_means_are_of_fewer_than_100_episodes(tmp_path):
    make_runs(tmp_path, "a", "agent.gamma=0.5", episodes=120)
    make_runs(tmp_path, "b", episodes=20)
    curves = next(iter(all_figures(load_arms(tmp_path).arms, [])))
    assert curves.name == "curves"
    assert "Of fewer episodes, since runs are short: gamma 0.95: 10." in curves.caption


# What is left out is named.


def test_every_run_that_can_not_be_reported_is_named_with_the_reason(tmp_path):
    make_runs(tmp_path, "good")
    begun, empty, bare, torn, odd, wrong = make_runs(tmp_path, "bad", seeds=(0, 1, 2, 3, 4, 5))
    RunDir(begun).episodes.unlink()
    RunDir(empty).episodes.write_text(RunDir(empty).episodes.read_text().splitlines()[0] + "\n")
    RunDir(bare).config.unlink()
    RunDir(torn).episodes.write_text(RunDir(torn).episodes.read_text() + "1,2\n")
    RunDir(odd).record.write_text("{")
    RunDir(wrong).config.write_text("agent: {gama: 0.9}\n")
    (tmp_path / "runs" / "bad" / "seed_0.error").write_text("Traceback\n  line\nMemoryError: no room\n\n")
    (tmp_path / "runs" / "bad" / "seed_9.error").write_text("refused\n")  # before it made anything
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "config.yaml").write_text("seed: 1\n")  # no run
    shutil.copytree(begun, tmp_path / "runs" / ".seed_8.partial")  # not one yet
    assert left_out(tmp_path) == {
        "bad/seed_0": "no episode has ended yet; it failed: MemoryError: no room",
        "bad/seed_1": "no episode has ended yet",
        "bad/seed_2": "config.yaml: missing",
        "bad/seed_3": "episodes.csv: line 22 has 2 fields; must have 10",
        "bad/seed_4": "run.json: not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char "
        "1))",
        "bad/seed_5": "config.yaml: agent.gama: unknown key; did you mean agent.gamma?",
        "bad/seed_9": "no episode has ended yet; it failed: refused",
    }
    assert seeds_of(tmp_path) == {"Double DQN, simple": [0, 1]}


DAMAGE = {
    "episodes.csv": (b"\0\xff\n", "episodes.csv: "),
    "evaluation.csv": (b'"' + b"a" * 200_000, "evaluation.csv: "),
    "final.csv": (b"x", "final.csv: cut short, it has 0 whole rows"),
    "run.json": (b'{"best": 3}', "run.json: best: 3 is not allowed; must be"),
    "config.yaml": (b"[" * 1_500, "config.yaml, line 1: nested more than 32 deep"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_of_a_study_of_which_one_file_is_damaged_the_rest_is_reported_and_the_file_is_named(tmp_path, name):
    make_study(tmp_path, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1), episodes=60)
    (tmp_path / "study.yaml").write_text("base: x\naxes: {agent.target: [1]}\nseeds: [0]\nfinal: {episodes: 20}\n")
    run = tmp_path / "runs" / "double-simple" / "seed_1"
    content, says = DAMAGE[name]
    whole = (run / name).read_bytes() if name in ("episodes.csv", "evaluation.csv") else b""
    (run / name).write_bytes(whole + content + (b"\n" if whole else b""))
    assert [(one.path, one.reason[: len(says)]) for one in load_arms(tmp_path).left_out] == [(run, says)]
    assert seeds_of(tmp_path) == {"Double DQN": [0], "DQN": [0, 1]}


def test_a_run_whose_evidence_was_edited_after_it_was_done_is_named_and_left_out(tmp_path):
    kept, edited = make_runs(tmp_path, "a")
    for run in (kept, edited):
        record = json.loads(RunDir(run).record.read_text())
        files = ("config.yaml", "episodes.csv", "evaluation.csv", "final.csv")
        record["files"] = {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in files}
        RunDir(run).record.write_text(json.dumps(record))
    assert left_out(tmp_path) == {}
    RunDir(edited).episodes.write_text(RunDir(edited).episodes.read_text().replace("death", "clear"))
    why = "episodes.csv: was changed after the run was done; its SHA-256 is not the one in run.json"
    assert left_out(tmp_path) == {"a/seed_1": why}
    assert list(seeds_of(tmp_path).values()) == [[0]]


def test_a_run_with_other_final_evaluations_than_its_study_asks_for_is_in_curves_only(tmp_path):
    make_runs(tmp_path, "a", seeds=(0, 1))
    make_finals(RunDir(tmp_path / "runs" / "a" / "seed_1"), FinalConfig(episodes=7))
    (tmp_path / "study.yaml").write_text("base: x\naxes: {agent.gamma: [1]}\nseeds: [0]\nfinal: {episodes: 20}\n")
    made = "epsilon 7 (seed 1), noop 31 (seed 1), sticky 7 (seed 1)"
    asked = "epsilon 20 (seed 1), noop 31 (seed 1), sticky 20 (seed 1)"
    others = f"final.csv: has episodes of {made}; the study asks for {asked}"
    assert left_out(tmp_path) == {
        "a/seed_1": f"not done, so in no figure: others have been evaluated at their end; {others}"
    }


def test_runs_that_are_not_done_beside_others_that_are_say_where_they_do_not_count(tmp_path):
    make_runs(tmp_path, "a", seeds=(0, 1))
    make_runs(tmp_path, "a", seeds=(2,), done=False)
    make_runs(tmp_path, "b", "agent.gamma=0.5", seeds=(0,), done=False)
    others = "others have been evaluated at their end"
    assert left_out(tmp_path) == {
        "a/seed_2": f"not done, so in no figure: {others}",
        "b/seed_0": f"not done, so in curves only: {others}",
    }


def test_where_no_run_is_done_all_of_them_count(tmp_path):
    make_runs(tmp_path, "a", done=False)
    assert left_out(tmp_path) == {}


def test_without_any_run_to_report_the_reason_of_the_first_is_said_in_one_line(tmp_path):
    places = make_runs(tmp_path, "a")
    for place in places:
        RunDir(place).config.unlink()
    with pytest.raises(UserError) as caught:
        write_report(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no run in it whose first episode has ended, so there is nothing to report "
        f"({places[0]}: config.yaml: missing, and 1 more)"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


# Runs that are packed.


def pages(folder: Path) -> dict[str, bytes]:
    """What a report has written: page, figures, tables."""
    write_report(folder)
    written = [folder / "index.html", *(folder / "figures").iterdir(), *(folder / "tables").iterdir()]
    return {path.name: path.read_bytes() for path in written}


@pytest.mark.takes("eleven figures are drawn twice, since the point is that they are the same")
def test_a_report_from_an_archive_is_the_report_from_the_directories(tmp_path):
    study = tmp_path / "study"
    make_study(study, targets=("target", "double"), action_sets=("simple",), seeds=(0, 1), episodes=120)
    torn, bare = make_runs(study, "odd", seeds=(0, 1))
    RunDir(torn).episodes.write_text(RunDir(torn).episodes.read_text() + "1,2\n")
    RunDir(bare).config.unlink()
    (study / "runs" / "odd" / "seed_9.error").write_text("MemoryError: no room\n")
    (study / "study.yaml").write_text("base: x\naxes: {agent.target: [1]}\nseeds: [0]\nfinal: {episodes: 20}\n")
    expected = pages(study)
    assert main(["compare", str(study), "--pack"]) == 0
    (study / "runs").rename(tmp_path / "elsewhere")
    packed = pages(study)
    assert len(packed["left_out.csv"].splitlines()) == 4
    assert sorted(packed) == sorted(expected)
    assert [name for name in packed if packed[name] != expected[name]] == []


def test_of_a_run_that_is_packed_too_the_directory_counts_and_where_they_differ_that_is_said(tmp_path):
    same, changed = make_runs(tmp_path, "a")
    pack(tmp_path)
    assert left_out(tmp_path) == {}
    header, *rows = RunDir(changed).episodes.read_text().splitlines(keepends=True)
    RunDir(changed).episodes.write_text("".join([header, *rows[:10]]))
    (arm,) = load_arms(tmp_path).arms
    assert [len(run.episodes["x"]) for run in arm.runs] == [20, 10]
    why = f"the copy in {tmp_path / 'runs.zip'} has other tables than the directory, which counts"
    assert left_out(tmp_path) == {"a/seed_1": why}
    shutil.rmtree(changed)
    (arm,) = load_arms(tmp_path).arms
    assert [len(run.episodes["x"]) for run in arm.runs] == [20, 20]
    assert [run.place.path for run in arm.runs] == [same, changed]


def test_a_packed_run_counts_where_only_the_reason_of_a_failure_is_left_of_its_directory(tmp_path):
    _, failed = make_runs(tmp_path, "a")
    Path(f"{failed}.error").write_text("no room\n")
    pack(tmp_path)
    shutil.rmtree(failed)
    (arm,) = load_arms(tmp_path).arms
    assert [len(run.episodes["x"]) for run in arm.runs] == [20, 20]
    assert left_out(tmp_path) == {}


def test_archives_further_below_are_read_too(tmp_path):
    make_runs(tmp_path / "one", "a", seeds=(0,))
    make_runs(tmp_path / "two", "a", seeds=(1,))
    pack(tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "runs")
    assert list(seeds_of(tmp_path).values()) == [[0, 1]]


def test_an_archive_that_can_not_be_read_ends_the_report_in_one_line(tmp_path, capsys):
    make_runs(tmp_path, "a")
    (tmp_path / "runs.zip").write_bytes(b"?" * 100)
    assert main(["compare", str(tmp_path), "--report"]) == 2
    says = "damaged, or no zip archive; `mario-rl compare DIR --pack` writes one"
    assert capsys.readouterr().err == f"mario-rl: {tmp_path / 'runs.zip'}: {says}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "runs.zip"]


def test_packing_says_what_it_wrote_and_takes_no_other_option(tmp_path, capsys):
    make_runs(tmp_path, "a")
    assert main(["compare", str(tmp_path), "--pack"]) == 0
    assert re.fullmatch(rf"packed: 2 runs, 0\.\d MB: {tmp_path}/runs\.zip\n", capsys.readouterr().out)
    for other in (["--report"], ["--jobs", "1"], ["--dry-run"], ["--out", "x"]):
        assert main(["compare", str(tmp_path), "--pack", *other]) == 2
        assert "takes a directory and no other option" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "none"), "--pack"]) == 2
    assert "none: no such directory; --pack takes one with run directories in it" in capsys.readouterr().err


# Names are text.


def test_a_report_takes_any_names_of_directories_and_settings(tmp_path, capsys):
    folder = tmp_path / os.fsdecode(b'a$x_$<b>"&\xff\n')
    for number, name in enumerate(("_a$x_$b", os.fsdecode(b"caf\xe9"), "x" * 200)):
        settings = (f"agent.batch_size={16 + number}", "replay.capacity=9999", f"agent.n_step={number + 1}")
        checkpoint = ("training.initial_checkpoint='a\"<b>$x_$.pt'",) if number else ()
        for place in make_runs(folder, name, *settings, *checkpoint, f"agent.gamma=0.{number}", episodes=120):
            RunDir(place).film.write_bytes(b"")
    shutil.copytree(folder / "runs" / "_a$x_$b" / "seed_0", folder / "runs" / "_a$x_$b" / "z again\x1b[31m")
    labels = [arm.label for arm in load_arms(folder).arms]
    assert sorted(labels) == sorted(["_a$x_$b", r"caf\xe9", f"{'x' * 22}…{'x' * 21}"])
    assert main(["compare", os.fspath(folder), "--report"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"report: {printable(folder / 'index.html')}"
    assert r"z again\x1b[31m" in printed[0]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "a$x_$&lt;b&gt;&#34;&amp;\\xff\\n: 3 arms, 6 runs" in page
    assert 'src="runs/caf%E9/seed_0/best.mp4"' in page
    assert (folder / "tables" / "arms.csv").read_text(encoding="utf-8").splitlines()[1].startswith(tuple(labels))
    assert {path.suffix for path in (folder / "figures").iterdir()} == {".png"}


def test_what_settings_hold_ends_no_element_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "write_png", lambda figure, path: None)
    make_runs(tmp_path, "a", "training.initial_checkpoint='</script><b>.pt'", seeds=(0,))
    make_runs(tmp_path, "b", seeds=(0,))
    page = write_report(tmp_path).page.read_text(encoding="utf-8")
    assert page.count("</script>") == 2  # of the figures' numbers and of what draws them
    assert "\\u003c/script>\\u003cb>.pt" in page
