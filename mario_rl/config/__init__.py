"""The configuration of a run: `schema` holds every option, `files` reads, checks and writes them."""

from mario_rl.config.files import load_config, parse_config, render_config
from mario_rl.config.schema import (
    AgentConfig,
    Config,
    EnvConfig,
    EpsilonConfig,
    EvaluationConfig,
    LoggingConfig,
    NetworkConfig,
    Protocol,
    ReplayConfig,
    Target,
    TrainingConfig,
)

__all__ = [
    "load_config",
    "parse_config",
    "render_config",
    "Config",
    "EnvConfig",
    "NetworkConfig",
    "ReplayConfig",
    "AgentConfig",
    "EpsilonConfig",
    "TrainingConfig",
    "EvaluationConfig",
    "LoggingConfig",
    "Protocol",
    "Target",
]
