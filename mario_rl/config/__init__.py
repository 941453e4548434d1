"""The configuration of a run: `schema` holds every option, `files` reads, checks and writes them."""

from mario_rl.config.files import (
    STUDY_KEYS,
    find_keys,
    flat_values,
    load_config,
    load_configs_with,
    load_run_config,
    parse_config,
    parse_section,
    render_config,
    with_absolute_paths,
    with_portable_paths,
)
from mario_rl.config.schema import (
    AgentConfig,
    Config,
    EnvConfig,
    EpsilonConfig,
    EvaluationConfig,
    LoggingConfig,
    NetworkConfig,
    ReplayConfig,
    Section,
    TrainingConfig,
)
from mario_rl.names import Protocol, Target

__all__ = [
    "STUDY_KEYS",
    "find_keys",
    "flat_values",
    "load_config",
    "load_configs_with",
    "load_run_config",
    "parse_config",
    "parse_section",
    "render_config",
    "with_absolute_paths",
    "with_portable_paths",
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
