#!/bin/sh
# The demo: trains as configs/demo.yaml says, evaluates the checkpoint, then an agent that was trained for longer and
# clears the stage, and says where everything is.
set -eu
cd "$(dirname "$0")/.."

agent=ddqn_right_only_1-1
run="checkpoints/demo/$(date +%Y%m%d-%H%M%S)"
mario_rl() { .venv/bin/python -m mario_rl "$@"; }

mario_rl train configs/demo.yaml --run-dir "$run"
mario_rl evaluate "$run" --protocol noop --json "$run/evaluation.json" --video "$run/video.mp4"
mario_rl evaluate "$agent" --protocol noop --json "$run/pretrained.json" --video "$run/pretrained.mp4"

cat <<END

The demo is done. What it leaves:
  checkpoint    $run/checkpoints/latest.pt
  reward curve  $run/curve.png
  metrics       $run/metrics.csv
  evaluation    $run/evaluation.json
  video         $run/video.mp4
What an agent does that was trained for longer ($agent):
  evaluation    $run/pretrained.json
  video         $run/pretrained.mp4
END
