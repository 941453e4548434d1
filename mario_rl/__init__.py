"""Value-based reinforcement learning on NES Super Mario Bros.: train, evaluate and compare."""

__version__ = "0.1.0"
