"""Search: stages cleared by exploring from snapshots, and the ways that clear them as trajectories."""
