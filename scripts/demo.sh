#!/bin/sh
# The demo: films an agent that clears the stage, trains one as configs/demo.yaml says until it does too, evaluates it,
# films what it learned, and says where everything is. Arguments go to the training: make demo ARGS=seed=1
set -eu
cd "$(dirname "$0")/.."

agent=ddqn_right_only_1-1
run="checkpoints/demo/$(date +%Y%m%d-%H%M%S)"
mario_rl() { .venv/bin/python -m mario_rl "$@"; }

film=checkpoints/demo/trained_agent.mp4
mkdir -p checkpoints/demo
echo "What a trained agent does ($agent), to see while the new one learns:"
mario_rl record "$agent" --protocol greedy --output "$film"
echo
echo "Now one of your own, until it clears 14 of 20 episodes: some minutes on two idle cores, at most 20."
mario_rl train configs/demo.yaml --run-dir "$run" "$@"
mario_rl evaluate "$run" --protocol noop --json "$run/evaluation.json" --video "$run/video.mp4"
mario_rl record "$run" --progress --output "$run/learned.mp4"

clears=$(.venv/bin/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["clears"])' "$run/evaluation.json")
if [ "$clears" -gt 0 ]; then
    outcome="Your own agent clears 1-1, in $clears of 31 episodes: $run/video.mp4 shows one."
else
    outcome="Your own agent does not clear 1-1 yet; go on with: .venv/bin/mario-rl train --resume $run training.minutes=40"
fi
cat <<END

The demo is done. $outcome
  checkpoint    $run/checkpoints/best.pt
  reward curve  $run/curve.png
  metrics       $run/metrics.csv
  evaluation    $run/evaluation.json
  films         $run/learned.mp4        an episode of each checkpoint, first to best
                $run/video.mp4          its best episode of the evaluation
                $film  an agent that was trained for longer ($agent)
See it live, and take the pad: .venv/bin/mario-rl watch $run
END
