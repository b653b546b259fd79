"""Models on the Hugging Face Hub: download, and the model card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from torch import nn

from evagan_plugin.checkpoint.files import CONFIG, WEIGHTS
from evagan_plugin.config import VocoderConfig, config_to_dict
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.utils.markdown import markdown_table

UNSTATED = "Not stated."


@dataclass(frozen=True)
class ModelFacts:
    """What only the maker of a model knows."""

    data: str = ""
    """What it was trained on."""
    training: str = ""
    """How it was trained: steps, hours, machine, course; Markdown."""
    license: str = ""
    """Licence of the weights, as an identifier of the Hub such as ``mit`` or ``cc-by-4.0``."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Scores by name, as ``evagan score`` calls them."""
    test_data: str = ""
    """What the scores were measured on."""


def download(
    model_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Path:
    """Download a checkpoint, or find it among earlier downloads; return its directory.

    Raises:
        UsageError: If ``model_id`` is neither a path nor a model of the Hub.
        EvaganError: If the Hub cannot be reached or refuses.
    """
    try:
        paths = [
            hf_hub_download(
                model_id,
                name,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
            )
            for name in (CONFIG, WEIGHTS)
        ]
    except HFValidationError:
        raise UsageError(f"there is no directory {model_id}, and no model on the Hub can be called so") from None
    except LocalEntryNotFoundError as error:
        where = "among earlier downloads" if local_files_only else "here, and the Hub cannot be reached"
        raise EvaganError(f"there is no directory {model_id}, and no such model {where}") from error
    except HfHubHTTPError as error:
        raise EvaganError(f"cannot download {model_id}: {str(error).strip().splitlines()[-1]}") from error
    return Path(paths[0]).parent


def model_card(config: VocoderConfig, generator: nn.Module, data: ModelCardData, facts: ModelFacts) -> ModelCard:
    """Return the README of a model, with the Hub's metadata in front."""
    header = data.to_dict() | ({"license": facts.license} if facts.license else {})
    mel = config_to_dict(config)["mel"]
    mel["f_max"] = config.mel.upper_edge
    body = CARD.format(
        sample_rate=config.mel.sample_rate,
        kind="Vocos" if config.generator is None else "EVA-GAN" if config.generator.context else "HiFi-GAN",
        parameters=f"{sum(tensor.numel() for tensor in generator.parameters()):,}",
        mel=markdown_table(("field", "value"), ((name, str(value)) for name, value in mel.items())),
        data=facts.data or UNSTATED,
        training=f"## Training\n\n{facts.training}\n\n" if facts.training else "",
        license=facts.license or UNSTATED,
        metrics=markdown_table(("metric", "value"), ((name, str(value)) for name, value in facts.metrics.items()))
        if facts.metrics
        else UNSTATED,
        test_data=f"Measured on: {facts.test_data or 'not stated'}." if facts.metrics else "",
    )
    return ModelCard(f"---\n{ModelCardData(**header).to_yaml()}\n---\n\n{body}")


CARD = """# {kind} vocoder, {sample_rate} Hz

Turns log-mel spectrograms into waveforms at {sample_rate} Hz; the generator has {parameters} parameters.

```python
from evagan_plugin import EVAGANVocoder

vocoder = EVAGANVocoder.from_pretrained("DIRECTORY or USER/NAME")
wav = vocoder.synthesize(mel)  # (n_mels, frames) -> (frames * hop_length,)
```

## Mels that it takes

Another mel gives another sound: every field must be the same, but for what an affine map of the values mends.

{mel}

## Training data

{data}

{training}## Metrics

{metrics}

{test_data}

## Licence of the weights

{license}

## Papers

EVA-GAN: arXiv 2402.00892. HiFi-GAN: arXiv 2010.05646. Vocos: arXiv 2306.00814.
"""
