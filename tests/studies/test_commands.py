"""What `mario-rl compare --dry-run` says of a study, in counts and times as a person would write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mario_rl.runs.study import StudyDir
from mario_rl.studies import commands
from mario_rl.studies.plan import Plan

STUDY = """\
base: small.yaml
axes: {{agent.target: {targets}}}
seeds: {seeds}
"""


@pytest.mark.parametrize(
    ("targets", "seeds", "plan", "says"),
    [
        (
            "[double]",
            "[0]",
            Plan(runs=1, agent_steps=1, jobs=1, memory_bytes=10**9, disk_bytes=10**9, seconds=61),
            ["1 arm x 1 seed, 1 of 1 run left", "1 agent step, 1 run at once, 1 thread each", "about 1 minute, if"],
        ),
        (
            "[target, double]",
            "[0, 1]",
            Plan(runs=4, agent_steps=800, jobs=2, memory_bytes=10**9, disk_bytes=10**9, seconds=1_383 * 60),
            [
                "2 arms x 2 seeds, 4 of 4 runs left",
                "800 agent steps, 2 runs at once, 1 thread each",
                "about 23 hours 3 minutes, if",
            ],
        ),
    ],
)
def test_a_plan_has_the_right_plurals_and_its_time_in_hours(
    small_run_file: Path, monkeypatch, targets, seeds, plan, says
):
    study = small_run_file.with_name("study.yaml")
    study.write_text(STUDY.format(targets=targets, seeds=seeds))
    monkeypatch.setattr(commands, "make_plan", lambda *_, **__: plan)
    lines = commands.describe_plan(study, StudyDir(study.with_name("out")), jobs=None).splitlines()
    for text in says:
        assert any(text in line for line in lines), text
