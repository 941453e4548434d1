"""A study on a Ray cluster: two nodes on this machine, one of them killed half-way."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mario_rl.config.study import load_study
from mario_rl.runs.directory import RunDir
from mario_rl.runs.study import StudyDir
from mario_rl.studies import runner
from mario_rl.studies.arms import StudyRun, expand
from mario_rl.studies.cluster import Cluster
from mario_rl.studies.runner import StudyObserver, run_study

ray_cluster = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install mario-rl[cluster]")

STUDY = """\
base: small.yaml
settings: {training.agent_steps: 200, training.checkpoint_every_steps: 40, logging.every_seconds: 0.1}
axes: {agent.target: [target, double]}
seeds: [0]
final: {protocols: [greedy], episodes: 1}
"""


@pytest.fixture
def study_file(small_run_file: Path) -> Path:
    path = small_run_file.with_name("study.yaml")
    path.write_text(STUDY)
    return path


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head has no core to give, and two nodes of one core each."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.second = [cluster.add_node(num_cpus=1) for _ in range(2)][1]
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.mark.emulator
def test_the_run_of_a_lost_node_goes_on_elsewhere_from_its_last_checkpoint(study_file, nodes, tmp_path, monkeypatch):
    study, directory = load_study(study_file), StudyDir(tmp_path / "out")
    runs = expand(study, study_file)
    heard: dict[str, list[list[int]]] = {run.arm: [] for run in runs}  # agent steps, by attempt
    killed = threading.Event()
    attempt = Cluster._attempt

    def listened(self: Cluster, run: StudyRun, *rest: Any) -> Iterator[int]:
        steps: list[int] = []
        heard[run.arm].append(steps)
        for agent_steps in attempt(self, run, *rest):
            steps.append(agent_steps)
            yield agent_steps

    monkeypatch.setattr(Cluster, "_attempt", listened)

    class KillsANode(StudyObserver):
        """Kills the second node once both runs have gathered a checkpoint."""

        def progressed(self, run: StudyRun, agent_steps: int) -> None:
            if not killed.is_set() and all(directory.run(one.arm, one.seed).step_checkpoints() for one in runs):
                killed.set()
                nodes.remove_node(nodes.second, allow_graceful=False)

    executor = Cluster(nodes.address, study.final, threads=1)
    try:
        outcome = run_study(runs, directory, executor, study.final, jobs=2, observer=KillsANode())
    finally:
        executor.close()
    assert killed.is_set()
    assert outcome == runner.Outcome({}, None)
    (lost,) = [arm for arm, attempts in heard.items() if len(attempts) == 2]  # it began anew somewhere else,
    assert next(steps for steps in heard[lost][1] if steps) >= 40  # from its checkpoint, not from the beginning
    for run in runs:
        place = directory.run(run.arm, run.seed)
        assert place.final.is_file()
        assert episodes(place)[-1][1] <= "200"
        assert not place.replay.exists()
        assert sorted(path.name for path in place.path.parent.iterdir()) == ["seed_0"]


def episodes(place: RunDir) -> list[list[str]]:
    return [line.split(",") for line in place.episodes.read_text().splitlines()[1:]]


def test_an_address_where_no_cluster_answers_gets_one_line(study_file, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mario_rl", "compare", str(study_file), "--cluster", "nonsense", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    assert "mario-rl: --cluster: nonsense is not allowed; no Ray cluster answers there" in done.stderr
    assert "Traceback" not in done.stderr
