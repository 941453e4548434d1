"""The configuration of a run: `schema` holds every option, `files` reads, checks and writes them."""

from mario_rl.config.files import (
    load_config,
    load_config_with,
    parse_config,
    parse_section,
    read_yaml,
    render_config,
    with_absolute_paths,
)
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
    Section,
    Target,
    TrainingConfig,
)

__all__ = [
    "load_config",
    "load_config_with",
    "parse_config",
    "parse_section",
    "read_yaml",
    "render_config",
    "with_absolute_paths",
    "Section",
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
