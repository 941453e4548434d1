"""Search for settings: Optuna chooses, runs as a study makes them judge, interrupted at any time and gone on with."""
