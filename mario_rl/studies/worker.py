"""A process that works on one run of a study: `python -m mario_rl.studies.worker`, started by `processes.py`.

The job comes as JSON on stdin. On stdout go the agent steps made, a line each; on stderr, why it failed. Exit codes as
those of `mario-rl`, and DIVERGED.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mario_rl.config import parse_config, parse_section
from mario_rl.config.study import FinalConfig
from mario_rl.errors import DivergedError, FailedError, UserError
from mario_rl.runs.directory import RunDir
from mario_rl.studies.work import CountingObserver, RunStopped, perform

DIVERGED = 3
"""Exit code of a run whose learning ran away."""

SOURCE = "the study"  # what messages call the place a job came from


def main() -> int:
    """Work on the job on stdin; returns the exit code."""
    job = json.load(sys.stdin)
    progress, sys.stdout = sys.stdout, sys.stderr  # what a class of the user's prints is no number of agent steps
    try:
        perform(
            parse_config(job["config"], SOURCE),
            RunDir(Path(job["run_dir"])),
            parse_section(FinalConfig, job["final"], SOURCE),
            threads=job["threads"],
            observer=CountingObserver(lambda agent_steps: print(agent_steps, file=progress, flush=True)),
        )
    except RunStopped as stopped:
        return 128 + stopped.number
    except (UserError, FailedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return DIVERGED if isinstance(error, DivergedError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
