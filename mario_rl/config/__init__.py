"""The configuration of a run: `schema` holds every option, `files` reads, checks and writes them."""

from mario_rl.config.files import (
    STUDY_KEYS,
    find_keys,
    load_config,
    load_config_with,
    parse_config,
    parse_section,
    read_yaml,
    render_config,
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
    "STUDY_KEYS",
    "find_keys",
    "load_config",
    "load_config_with",
    "parse_config",
    "parse_section",
    "read_yaml",
    "render_config",
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
