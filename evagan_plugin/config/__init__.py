"""Every config field with its unit (``schema``, ``generator``, ``discriminators``, ``training``), presets
(``loading``), files (``reading``).

The one face to import from.
"""

from evagan_plugin.config.discriminators import DiscriminatorsConfig, PeriodConfig, ResolutionConfig
from evagan_plugin.config.fields import STFT_RESOLUTIONS
from evagan_plugin.config.generator import ContextConfig, GeneratorConfig, HeadConfig, TransformConfig
from evagan_plugin.config.loading import (
    build_config,
    build_mel_config,
    config_difference,
    config_to_dict,
    dump_config,
    list_presets,
    load_config,
    load_preset,
    load_section,
    merge_settings,
)
from evagan_plugin.config.reading import read_settings, read_yaml
from evagan_plugin.config.schema import MelConfig, VocoderConfig
from evagan_plugin.config.statistics import MelStatistics
from evagan_plugin.config.training import BalancerConfig, LossWeights, OptimizationConfig, TrainingConfig
from evagan_plugin.config.vocos import VocosConfig

__all__ = [
    "STFT_RESOLUTIONS",
    "BalancerConfig",
    "ContextConfig",
    "DiscriminatorsConfig",
    "GeneratorConfig",
    "HeadConfig",
    "LossWeights",
    "MelConfig",
    "MelStatistics",
    "OptimizationConfig",
    "PeriodConfig",
    "ResolutionConfig",
    "TrainingConfig",
    "TransformConfig",
    "VocoderConfig",
    "VocosConfig",
    "build_config",
    "build_mel_config",
    "config_difference",
    "config_to_dict",
    "dump_config",
    "list_presets",
    "load_config",
    "load_preset",
    "load_section",
    "merge_settings",
    "read_settings",
    "read_yaml",
]
