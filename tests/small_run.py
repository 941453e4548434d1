"""A run of seconds on the real game, with everything switched on that has a state to restore."""

SMALL_RUN = """\
env: {noop_max: 5, stall_limit: 25, max_agent_steps: 60}
network: {hidden_size: 32, dueling: true, dropout: 0.1}
replay: {capacity: 600, warmup_steps: 40}
agent:
  batch_size: 8
  n_step: 3
  sync_period_updates: 10
  epsilon: {end: 0.2, decay_steps: 200}
training: {agent_steps: 200, envs: 2, checkpoint_every_steps: 80, keep_checkpoints: 2}
evaluation: {every_steps: null, protocol: greedy}
logging: {every_seconds: 1, curve_every_seconds: 3600, trackers: []}
seed: 11
device: cpu
"""
