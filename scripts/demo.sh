#!/bin/sh
# The demo: films an agent that clears the stage, trains one as configs/demo.yaml says, evaluates it, films what it
# learned, and says where everything is.
set -eu
cd "$(dirname "$0")/.."

agent=ddqn_right_only_1-1
run="checkpoints/demo/$(date +%Y%m%d-%H%M%S)"
mario_rl() { .venv/bin/python -m mario_rl "$@"; }

film=checkpoints/demo/trained_agent.mp4
mkdir -p checkpoints/demo
echo "What a trained agent does ($agent), to see while the new one learns:"
mario_rl record "$agent" --protocol greedy --output "$film"
mario_rl train configs/demo.yaml --run-dir "$run"
mario_rl evaluate "$run" --protocol noop --json "$run/evaluation.json" --video "$run/video.mp4"
mario_rl record "$run" --progress --output "$run/learned.mp4"

cat <<END

The demo is done. Three minutes are too few to clear the stage; the curve shows the first of its learning. What it leaves:
  checkpoint    $run/checkpoints/latest.pt
  reward curve  $run/curve.png
  metrics       $run/metrics.csv
  evaluation    $run/evaluation.json
  films         $run/learned.mp4        an episode of each checkpoint, first to last
                $run/video.mp4          its best episode of the evaluation
                $film  an agent that was trained for longer ($agent)
See it live, and take the pad: .venv/bin/mario-rl watch $run
END
